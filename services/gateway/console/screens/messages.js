// Conversations at one side, the letters of one at the other, and the box for an answer. Comments are for colleagues only.
import { get, newKey, post } from "../lib/api.js";
import { ago, bytes, clock, longDay, time } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { go, link } from "../lib/router.js";
import { may, nameOf } from "../lib/session.js";
import { AttachButton, AttachmentList, takesFiles, useAttachments } from "../parts/attach.js";
import { Avatar, Button, Choice, Empty, Icon, Loading, Problem, Text, classes, failed, html, useEffect, useLoad, useRef, useSoon, useState, useStickToEnd } from "../lib/ui.js";

const PAGE = 40;
const FILTERS = { open: "status = CONVERSATION_STATUS_OPEN", waiting: "status = CONVERSATION_STATUS_OPEN AND waiting = true", closed: "status = CONVERSATION_STATUS_CLOSED" };

export function Messages({ id, query }) {
  const state = FILTERS[query.state] ? query.state : "open";
  const list = useLoad(() => get("/v1/conversations", { filter: FILTERS[state], order_by: "last_message_time desc", page_size: PAGE, expand: "contact,company", view: "VIEW_FULL" }), [state]);
  const counts = useLoad(() => get("/v1/conversations:inbox"), []);
  const soon = useSoon(() => (list.reload(), counts.reload()), 400);
  useLive(["conversation", "message"], soon);
  const all = list.data?.conversations ?? [];
  const refs = list.data?.refs ?? {};
  return html`<div class=${classes("screen messages-screen", id && "reading")}>
    <section class="conversations" aria-label=${t("nav.messages")}>
      <header class="screen-head"><h1>${t("nav.messages")}</h1></header>
      <${Choice} label=${t("messages.state")} value=${state} onValue=${(next) => go("messages", id, { state: next })} options=${[["open", t("messages.open"), counts.data?.open_count], ["waiting", t("messages.waiting"), counts.data?.waiting_count], ["closed", t("messages.closed")]]} />
      ${list.error && html`<${Problem} error=${list.error} onRetry=${list.reload} />`}
      ${!list.data && list.busy && html`<${Loading} />`}
      ${list.data && !all.length && html`<${Empty} icon="messages" title=${t("messages.none")} />`}
      <ul class="rows">${all.map((one) => html`<li key=${one.id}><a class=${classes("row conversation", one.unread_count > 0 && "unread")} href=${link("messages", one.id, { state })} aria-current=${one.id === id ? "true" : undefined}>
        <${Avatar} name=${titleOf(one, refs)} />
        <span class="row-main"><span class="row-head"><b dir="auto">${titleOf(one, refs)}</b><time title=${time(one.last_message_time)}>${ago(one.last_message_time)}</time></span>
          <span class="subject" dir="auto">${one.subject || t("messages.no_subject")}</span><small dir="auto">${one.preview}</small></span>
        ${one.unread_count > 0 && html`<span class="badge">${one.unread_count}</span>`}
      </a></li>`)}</ul>
    </section>
    ${id ? html`<${Conversation} key=${id} id=${id} onChange=${soon} />` : html`<section class="thread none"><${Empty} icon="messages" title=${t("messages.choose")} /></section>`}
  </div>`;
}

const titleOf = (one, refs) => refs[one.contact_id]?.title ?? one.participants[0]?.name ?? one.participants[0]?.address ?? refs[one.company_id]?.title ?? "?";

function Conversation({ id, onChange }) {
  const one = useLoad(() => get(`/v1/conversations/${id}`, { expand: "contact,company,deal" }), [id]);
  const letters = useLoad(() => get("/v1/messages", { filter: `conversation_id = "${id}"`, order_by: "create_time desc", page_size: 100 }), [id]);
  const soon = useSoon(() => (one.reload(), letters.reload()), 250);
  useLive(["message", "conversation"], (event) => (event.id === id || event.payload?.message?.conversation_id === id) && soon());
  const all = [...(letters.data?.messages ?? [])].reverse();
  const end = useStickToEnd([all.length]);
  const unread = one.data?.unread_count ?? 0;
  useEffect(() => {
    if (unread > 0) post(`/v1/conversations/${id}:read`).then(() => (one.reload(), onChange()), () => {});
  }, [unread]);
  if (one.error) return html`<section class="thread"><${Problem} error=${one.error} onRetry=${one.reload} /></section>`;
  if (!one.data) return html`<section class="thread"><${Loading} /></section>`;
  const refs = one.data.refs ?? {};
  const closed = one.data.status === "CONVERSATION_STATUS_CLOSED";
  const can = one.data.access?.can?.includes("update");
  async function turn(verb) {
    await post(`/v1/conversations/${id}:${verb}`, { etag: one.data.etag }).catch(failed);
    one.reload();
    onChange();
  }
  let before = "";
  return html`<section class="thread" aria-label=${one.data.subject}>
    <header class="thread-head">
      <a class="button quiet icon-only only-narrow" href=${link("messages")} aria-label=${t("back")}><${Icon} name="back" flip /></a>
      <div class="card-title-block"><h2 dir="auto">${one.data.subject || t("messages.no_subject")}</h2>
        <p class="lead-facts">${one.data.contact_id && html`<a href=${link("contacts", one.data.contact_id)}><${Icon} name="contacts" /><bdi>${refs[one.data.contact_id]?.title ?? titleOf(one.data, refs)}</bdi></a>`}${one.data.deal_id && html`<a href=${link("deals", one.data.deal_id)}><${Icon} name="deals" /><bdi>${refs[one.data.deal_id]?.title ?? t("object.deal")}</bdi></a>`}</p></div>
      <span class="grow" />
      ${can && html`<${Button} icon=${closed ? "undo" : "check"} onClick=${() => turn(closed ? "reopen" : "close")}>${t(closed ? "messages.reopen" : "messages.close")}<//>`}
    </header>
    <ol class="letters" ref=${end} tabindex="0" aria-live="polite">
      ${!letters.data && html`<${Loading} />`}
      ${all.map((letter) => {
        const date = longDay(letter.create_time);
        const first = date !== before;
        before = date;
        return html`${first && html`<li class="timeline-day" key=${date}>${date}</li>`}<${Letter} key=${letter.id} letter=${letter} refs=${refs} />`;
      })}
    </ol>
    ${can && html`<${Answer} id=${id} onSent=${(message) => (letters.setData((old) => ({ ...old, messages: [message, ...old.messages.filter((other) => other.id !== message.id)] })), onChange())} />`}
  </section>`;
}

const BAD = ["MESSAGE_STATUS_BOUNCED", "MESSAGE_STATUS_FAILED", "MESSAGE_STATUS_BLOCKED"];

function Letter({ letter, refs }) {
  const side = letter.kind === "MESSAGE_KIND_COMMENT" ? "comment" : letter.direction === "MESSAGE_DIRECTION_INBOUND" ? "in" : "out";
  const who = side === "in" ? letter.sender?.name || letter.sender?.address || refs[letter.contact_id]?.title : nameOf(letter.author_id) || t("automation");
  return html`<li class=${classes("letter", side)} data-message=${letter.id}>
    <p class="letter-head"><b dir="auto">${who}</b>${side === "comment" && html`<span class="tag warn">${t("messages.internal")}</span>`}<time title=${time(letter.create_time)}>${clock(letter.create_time)}</time></p>
    <p class="letter-text prose" dir="auto">${letter.text || letter.preview}</p>
    ${letter.attachments?.length > 0 && html`<ul class="attachments">${letter.attachments.map((file) => html`<li><a class="tag" href=${`/v1/files/${file.file_id}/content`} download=${file.name}><${Icon} name="clip" /><bdi>${file.name}</bdi><bdi>${bytes(file.size_bytes)}</bdi></a></li>`)}</ul>`}
    ${side === "out" && html`<p class=${classes("letter-status", BAD.includes(letter.status) && "bad")} title=${letter.error}>${t(`enum.${letter.status}`)}${letter.error && BAD.includes(letter.status) && html`: <bdi>${letter.error}</bdi>`}</p>`}
  </li>`;
}

function Answer({ id, onSent }) {
  const [text, setText] = useState("");
  const [kind, setKind] = useState("letter");
  const [busy, setBusy] = useState(false);
  const attachments = useAttachments(id);
  const key = useRef(newKey()); // pressing twice sends once
  const letter = kind === "letter" && may("message", "CREATE");
  async function send(event) {
    event.preventDefault();
    if (!text.trim() || busy || (letter && attachments.busy)) return;
    setBusy(true);
    try {
      onSent(letter ? await post("/v1/messages", { conversation_id: id, text: text.trim(), attachment_file_ids: attachments.ids }, { key: key.current }) : await post(`/v1/conversations/${id}/comments`, { text: text.trim() }, { key: key.current }));
      setText("");
      if (letter) attachments.clear();
    } catch (error) {
      failed(error);
    }
    key.current = newKey();
    setBusy(false);
  }
  return html`<form class=${classes("answer", !letter && "internal")} onSubmit=${send} ...${letter ? takesFiles(attachments) : {}}>
    <${Choice} label=${t("messages.kind")} value=${letter ? "letter" : "comment"} onValue=${setKind} options=${[...(may("message", "CREATE") ? [["letter", t("messages.answer")]] : []), ["comment", t("messages.comment")]]} />
    <${Text} lines=${3} value=${text} onValue=${setText} aria-label=${t(letter ? "messages.answer" : "messages.comment")} placeholder=${t(letter ? "messages.answer_hint" : "messages.comment_hint")} onKeyDown=${(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && send(event)} />
    ${letter && html`<${AttachmentList} attachments=${attachments} />`}
    <div class="answer-buttons">
      ${letter && html`<${AttachButton} attachments=${attachments} />`}
      <${Button} kind="primary" type="submit" icon=${letter ? "mail" : "note"} disabled=${busy || !text.trim() || (letter && attachments.busy)}>${t(letter ? "messages.send" : "save")}<//>
    </div>
  </form>`;
}
