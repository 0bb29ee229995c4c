// Finding records by what people type.
import { get, post } from "./api.js";

const quoted = (text) => `"${text.replace(/[\\"]/g, "\\$&").replaceAll("*", "\\*")}"`;

const LISTS = {
  contact: (text, size) => `/v1/contacts?${new URLSearchParams({ query: text, page_size: size, expand: "company" })}`,
  company: (text, size) => `/v1/companies?${new URLSearchParams({ query: text, page_size: size })}`,
  deal: (text, size) => `/v1/deals?${new URLSearchParams({ filter: `title:${quoted(text)}`, order_by: "create_time desc", page_size: size, expand: "company,contact" })}`,
};
const PLURALS = { contact: "contacts", company: "companies", deal: "deals" };

// One request for several kinds: POST /v1/batch runs the reads side by side.
export async function search(text, kinds, { size = 5, signal } = {}) {
  const answer = await post("/v1/batch", { requests: kinds.map((kind) => ({ path: LISTS[kind](text, size) })) }, { signal });
  return answer.responses.flatMap(({ status, body }, index) => (status === 200 ? body[PLURALS[kinds[index]]].map((record) => asHit(kinds[index], record, body.refs ?? {})) : []));
}

function asHit(kind, record, refs) {
  const title = { contact: record.display_name, company: record.name, deal: record.title }[kind];
  const subtitle = {
    contact: [refs[record.company_id]?.title, record.phones?.[0]?.number ?? record.emails?.[0]?.address],
    company: [record.city, record.phones?.[0]?.number],
    deal: [refs[record.company_id]?.title ?? refs[record.contact_id]?.title],
  }[kind];
  return { kind, id: record.id, title, subtitle: subtitle.filter(Boolean).join(" · "), record };
}

// What an id names, for showing it.
export async function titleOf(id) {
  const kind = id.split("_")[0];
  const path = { contact: "/v1/contacts/", company: "/v1/companies/", deal: "/v1/deals/" }[kind];
  const record = await get(path + id);
  return record.display_name ?? record.name ?? record.title;
}
