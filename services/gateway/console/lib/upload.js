// A file on its way up: announced, sent in parts, completed. Each part may be sent again; what came is told by the server.
import { del, get, post, putBytes } from "./api.js";

// `onPart(share)`: how much of it is there, from 0 to 1. `signal` breaks it off; what has come is thrown away by the server.
export async function upload(file, recordId, onPart, signal) {
  const bytes = await file.arrayBuffer();
  const announced = await post("/v1/files", { name: file.name, size_bytes: file.size, sha256: await sha256(bytes), record_id: recordId }, { signal });
  const size = announced.part_size_bytes;
  try {
    for (let left = announced.missing_parts; left.length > 0; left = (await get(`/v1/files/${announced.id}`, {}, { signal })).missing_parts ?? []) {
      for (const number of left) {
        await putBytes(`/v1/files/${announced.id}/parts/${number}`, new Blob([bytes.slice((number - 1) * size, number * size)]), { signal });
        onPart(Math.min(1, (number * size) / Math.max(1, file.size)));
      }
    }
    return await post(`/v1/files/${announced.id}:complete`, {}, { signal });
  } catch (error) {
    if (!signal?.aborted) throw error;
    del(`/v1/files/${announced.id}`).catch(() => {});
    throw error;
  }
}

// What the server compares with what came. Browsers tell it on https and localhost alone; without it the size is compared.
async function sha256(bytes) {
  if (!crypto.subtle) return "";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
