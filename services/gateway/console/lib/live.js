// Live updates: one server-sent event stream for all that the page shows, and one per open report. EventSource reconnects
// by itself and sends Last-Event-ID, so that nothing is missed or heard twice. A page that nobody looks at gives its
// connections back, because a browser has six per server, and resumes by the cursor when it is looked at again.
import { useEffect, useRef } from "../vendor/preact.js";
import { noteStream, queryText, signedOut, update } from "./api.js";
import { createStore } from "./store.js";

const HIDDEN_MS = 20_000;
const RETRY_MS = 3_000; // after a refusal, which EventSource takes for final

export const liveState = createStore("off"); // "off", "opening", "live"

// Keeps a stream open while the page is looked at. `address(lastId)` is where, `onMessage(data)` hears each message.
function keepOpen(address, { onMessage, onReady, onState }) {
  let source = null;
  let lastId = "";
  let timer = 0;
  let closed = false;
  let entry = 0;

  function open() {
    if (source || closed) return;
    const url = address(lastId);
    entry = noteStream(url);
    onState?.("opening");
    source = new EventSource(url);
    source.onopen = () => {
      update(entry, { status: 200 });
      onState?.("live");
    };
    source.onmessage = (message) => {
      lastId = message.lastEventId || lastId;
      onMessage(JSON.parse(message.data));
    };
    source.addEventListener("ready", (message) => {
      lastId = message.lastEventId || lastId;
      onReady?.(JSON.parse(message.data));
    });
    source.addEventListener("error", (event) => {
      onState?.("opening");
      // With data it is the server's last word, e.g. that the session was revoked.
      if (event.data && JSON.parse(event.data).error?.code === 401) signedOut.set(signedOut.get() + 1);
      else if (source?.readyState === EventSource.CLOSED) {
        close();
        timer = setTimeout(open, RETRY_MS);
      }
    });
  }
  function close() {
    source?.close();
    source = null;
    clearTimeout(timer);
  }
  function look() {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(close, HIDDEN_MS);
    else open();
  }
  document.addEventListener("visibilitychange", look);
  open();
  return () => {
    closed = true;
    document.removeEventListener("visibilitychange", look);
    close();
    onState?.("off");
  };
}

const listeners = new Set();
export function startLive(topics) {
  return keepOpen((cursor) => "/v1/events" + queryText({ topics: topics.join(","), cursor }), {
    onMessage: (event) => listeners.forEach((listener) => listener(event)),
    onState: (state) => liveState.set(state),
  });
}

// Hears the events of some topics while a component is shown. `event`: {type, id, etag, changed_fields, actor_id, payload}.
export function useLive(topics, listener) {
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => {
    const wanted = new Set(topics);
    const hear = (event) => wanted.has(event.type.split(".")[0]) && latest.current(event);
    listeners.add(hear);
    return () => listeners.delete(hear);
  }, [topics.join()]);
}

// The record inside an event, e.g. payload.deal of "deal.moved".
export const recordOf = (event) => event.payload?.[event.type.split(".")[0]] ?? null;

// A report that the server sends again whenever it changes.
export function watch(path, query, onMessage, onState) {
  return keepOpen(() => path + queryText(query), { onMessage, onState });
}
