// A new letter to a contact. The answer 200 means that it is queued: its way to the customer shows on the timeline.
import { newKey, post } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { AttachButton, AttachmentList, takesFiles, useAttachments } from "./attach.js";
import { Button, Dialog, Field, Text, html, useRef, useState } from "../lib/ui.js";

export function Write({ contact, dealId = "", onSent, onClose }) {
  const [subject, setSubject] = useState("");
  const [text, setText] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const attachments = useAttachments(contact.id);
  const key = useRef(newKey());
  async function send(event) {
    event.preventDefault();
    setBusy(true);
    try {
      const sent = await post("/v1/messages", { contact_id: contact.id, subject, text, attachment_file_ids: attachments.ids, ...(dealId && { deal_id: dealId }) }, { key: key.current });
      attachments.clear();
      onSent(sent);
    } catch (refused) {
      setError(refused);
      key.current = newKey();
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${t("messages.to", { name: contact.display_name })} onClose=${onClose} wide><form class="form" onSubmit=${send} ...${takesFiles(attachments)}>
    ${error && html`<p class="form-error" role="alert" dir="auto">${error.message}</p>`}
    <${Field} label=${t("field.subject")}>${(attributes) => html`<${Text} value=${subject} onValue=${setSubject} required maxlength="500" ...${attributes} />`}<//>
    <${Field} label=${t("messages.text")}>${(attributes) => html`<${Text} lines=${8} value=${text} onValue=${setText} required ...${attributes} />`}<//>
    <${AttachmentList} attachments=${attachments} />
    <div class="buttons"><${AttachButton} attachments=${attachments} /><${Button} kind="primary" icon="mail" type="submit" disabled=${busy || attachments.busy}>${t("messages.send")}<//><${Button} onClick=${onClose}>${t("cancel")}<//></div>
  </form><//>`;
}
