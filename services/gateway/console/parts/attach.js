// Files that go with a letter: chosen, dropped on the form or pasted; each goes up at once, with its progress, and can be taken back.
import { ApiError, del } from "../lib/api.js";
import { bytes, percent } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { may } from "../lib/session.js";
import { upload } from "../lib/upload.js";
import { Button, Icon, classes, failed, html, toast, useEffect, useRef, useState } from "../lib/ui.js";

const FILES_MAX = 20;
const BYTES_MAX = 20 * 2 ** 20; // of all together: more than most mail servers take
let lastKey = 0;

// {files, ids, busy, add(list), remove(key), clear()}: `ids` of what is there, to be sent with the letter. `recordId`: who may read that
// may read them.
export function useAttachments(recordId) {
  const [files, setFiles] = useState([]);
  const now = useRef(files);
  const put = (next) => setFiles((now.current = next));
  const change = (key, part) => put(now.current.map((one) => (one.key === key ? { ...one, ...part } : one)));
  useEffect(() => () => now.current.forEach((one) => remove(one.key)), []); // left without being sent
  function add(list) {
    for (const file of list) {
      const total = now.current.reduce((sum, one) => sum + one.size, file.size);
      if (total > BYTES_MAX || now.current.length >= FILES_MAX) return void toast(t("attach.too_much", { size: bytes(BYTES_MAX), count: FILES_MAX }), { kind: "bad" });
      const one = { key: ++lastKey, name: file.name || t("attach.unnamed"), size: file.size, share: 0, id: "", stop: new AbortController() };
      put([...now.current, one]);
      upload(file, recordId, (share) => change(one.key, { share }), one.stop.signal).then(
        (stored) => change(one.key, { id: stored.id, share: 1 }),
        (error) => {
          if (one.stop.signal.aborted) return;
          if (error instanceof ApiError) failed(error);
          else toast(t("attach.unreadable", { name: one.name }), { kind: "bad" }); // gone from the disk, or a folder
          put(now.current.filter((other) => other.key !== one.key));
        },
      );
    }
  }
  function remove(key) {
    const one = now.current.find((other) => other.key === key);
    put(now.current.filter((other) => other.key !== key));
    if (one?.id) del(`/v1/files/${one.id}`).catch(() => {});
    else one?.stop.abort();
  }
  return { files, ids: files.map((one) => one.id), busy: files.some((one) => !one.id), add, remove, clear: () => put([]) };
}

// What a form does with files that are dropped on it or pasted into it.
export const takesFiles = (attachments) => ({
  onDragOver: (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault(),
  onDrop: (event) => event.dataTransfer?.files.length > 0 && (event.preventDefault(), attachments.add(event.dataTransfer.files)),
  onPaste: (event) => event.clipboardData?.files.length > 0 && (event.preventDefault(), attachments.add(event.clipboardData.files)),
});

export function AttachButton({ attachments }) {
  const input = useRef();
  if (!may("file", "CREATE")) return null;
  const chosen = () => {
    attachments.add(input.current.files);
    input.current.value = ""; // the same file may be chosen again
  };
  return html`<${Button} kind="quiet" icon="clip" label=${t("attach.add")} onClick=${() => input.current.click()} /><input ref=${input} type="file" multiple hidden onChange=${chosen} />`;
}

export function AttachmentList({ attachments }) {
  if (!attachments.files.length) return null;
  return html`<ul class="attachments" aria-label=${t("attach.list")}>${attachments.files.map((one) => html`<li key=${one.key} class=${classes("tag", "attached", one.id && "there")}>
    <${Icon} name="clip" /><bdi>${one.name}</bdi><bdi>${one.id ? bytes(one.size) : percent(String(Math.floor(one.share * 100)))}</bdi>
    <button type="button" aria-label=${t("attach.remove", { name: one.name })} onClick=${() => attachments.remove(one.key)}><${Icon} name="close" /></button>
  </li>`)}</ul>`;
}
