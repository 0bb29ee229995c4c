// Dragging a card with mouse, pen or finger. A finger must rest first, so that scrolling stays what it is.
const MOUSE_PIXELS = 6;
const FINGER_REST_MS = 350;
const EDGE_PIXELS = 60; // near the edge of the board it scrolls by itself
const SCROLL_PIXELS = 14;

// `targetAt(x, y)` is the key of what lies there, or null. Calls onStart(), onOver(key), then onDrop(key or null).
export function startDrag(event, { card, scroller, targetAt, onStart, onOver, onDrop }) {
  if (event.button !== 0) return;
  const begin = { x: event.clientX, y: event.clientY };
  const box = card.getBoundingClientRect();
  const finger = event.pointerType === "touch";
  const pointer = event.pointerId;
  let ghost = null;
  let over = null;
  let frame = 0;
  let last = begin;
  const rest = finger ? setTimeout(lift, FINGER_REST_MS) : 0;

  function lift() {
    ghost = card.cloneNode(true);
    ghost.classList.add("ghost");
    ghost.removeAttribute("id");
    Object.assign(ghost.style, { inlineSize: `${box.width}px`, left: `${box.left}px`, top: `${box.top}px` });
    document.body.append(ghost);
    document.body.classList.add("dragging");
    onStart();
    frame = requestAnimationFrame(scroll);
  }
  function move(next) {
    if (next.pointerId !== pointer) return;
    last = { x: next.clientX, y: next.clientY };
    const far = Math.hypot(last.x - begin.x, last.y - begin.y) > MOUSE_PIXELS;
    if (!ghost) {
      if (finger && far) return end(); // it scrolls
      if (!finger && far) lift();
      if (!ghost) return;
    }
    ghost.style.transform = `translate(${last.x - begin.x}px, ${last.y - begin.y}px) rotate(1.5deg)`;
    look();
  }
  function look() {
    const found = targetAt(last.x, last.y);
    if (found !== over) onOver((over = found));
  }
  function scroll() {
    const edges = scroller.getBoundingClientRect();
    const step = last.x > edges.right - EDGE_PIXELS ? SCROLL_PIXELS : last.x < edges.left + EDGE_PIXELS ? -SCROLL_PIXELS : 0;
    if (step) {
      scroller.scrollLeft += step;
      look();
    }
    frame = requestAnimationFrame(scroll);
  }
  function drop(next) {
    if (next.pointerId !== pointer) return;
    const lifted = ghost !== null;
    end();
    if (!lifted) return;
    addEventListener("click", swallow, { capture: true, once: true }); // the drop is no click on the card
    setTimeout(() => removeEventListener("click", swallow, { capture: true }));
    onDrop(over);
  }
  function cancel(next) {
    if (next.type === "keydown" && next.key !== "Escape") return;
    const lifted = ghost !== null;
    end();
    if (lifted) onDrop(null);
  }
  const swallow = (click) => (click.stopPropagation(), click.preventDefault());
  const hold = (touch) => ghost && touch.preventDefault();
  function end() {
    clearTimeout(rest);
    cancelAnimationFrame(frame);
    ghost?.remove();
    ghost = null;
    document.body.classList.remove("dragging");
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", drop);
    removeEventListener("pointercancel", cancel);
    removeEventListener("keydown", cancel);
    removeEventListener("touchmove", hold);
  }
  addEventListener("pointermove", move);
  addEventListener("pointerup", drop);
  addEventListener("pointercancel", cancel);
  addEventListener("keydown", cancel);
  addEventListener("touchmove", hold, { passive: false });
}
