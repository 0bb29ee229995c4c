// Server-sent events that survive what cuts them: proxies, restarts, sleeping laptops. Nothing is missed or repeated.
import { CrmError, pause } from "./errors.js";
import type { components } from "./schema.js";
import type { Transport } from "./transport.js";

export type LiveEvent = components["schemas"]["LiveEvent"];

export interface StreamOptions {
  signal?: AbortSignal;
  /** Where to begin: the `cursor` of an event that was kept. */
  cursor?: string;
  /** Called when the stream is open; again after each time that it was cut. */
  onOpen?: (stream: { streamId?: string; resumed: boolean }) => void;
}

interface Block {
  id?: string;
  event: string;
  data: string;
}

const RECONNECT = 1000;
const RECONNECT_MAX = 30_000;

/** The blocks of one connection, as they come. */
async function* blocks(body: ReadableStream<Uint8Array>): AsyncGenerator<Block> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const block: Block = { event: "message", data: "" };
        for (const line of text.slice(0, end).split("\n")) {
          if (line.startsWith("id: ")) block.id = line.slice(4);
          if (line.startsWith("event: ")) block.event = line.slice(7);
          if (line.startsWith("data: ")) block.data += line.slice(6);
        }
        text = text.slice(end + 2);
        yield block;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Follows a stream of messages over as many connections as it takes; ends when the signal does, throws what waiting cannot repair. */
export async function* follow<Message>(transport: Transport, path: string, options: StreamOptions): AsyncGenerator<Message> {
  let cursor = options.cursor;
  let failures = 0;
  let opened = false;
  while (!options.signal?.aborted) {
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (cursor !== undefined) headers["Last-Event-ID"] = cursor;
      const request = new Request(transport.url(path), { headers, ...(options.signal ? { signal: options.signal } : {}) });
      const response = await transport.send(request);
      if (!response.ok || !response.body) throw CrmError.of(await response.json().catch(() => undefined), response.status);
      for await (const block of blocks(response.body)) {
        if (block.id !== undefined) cursor = block.id;
        if (block.event === "error") throw CrmError.of(JSON.parse(block.data), response.status);
        if (block.event === "ready" || !opened) {
          const ready = block.event === "ready" ? (JSON.parse(block.data) as { stream_id?: string }) : {};
          options.onOpen?.({ resumed: opened, ...(ready.stream_id === undefined ? {} : { streamId: ready.stream_id }) });
          opened = true;
        }
        failures = 0;
        if (block.event === "message" && block.data) yield JSON.parse(block.data) as Message;
      }
    } catch (error) {
      if (options.signal?.aborted) return;
      // What the reader may not have, or asked wrongly for, will not come by asking again.
      if (error instanceof CrmError && !["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED"].includes(error.code)) throw error;
    }
    const wait = Math.min(RECONNECT_MAX, RECONNECT * 2 ** failures++) * (0.5 + Math.random() / 2);
    await pause(wait, options.signal).catch(() => undefined);
  }
}
