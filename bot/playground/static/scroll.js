// Keeps a scroller at its end while the reader is there, and offers the way back when not.

import { h } from "./dom.js";
import { icon } from "./icons.js";

const NEAR = 48;

/** Wrap content in a scroller that follows its end. Returns {element, content, toEnd, release, isPinned}. */
export function pinnedScroller(label, { onTop } = {}) {
  const content = h("div.scroll-content");
  const scroller = h("div.scroller", { tabindex: "0", role: "region", "aria-label": label }, content);
  const pill = h(
    "button.jump",
    { type: "button", hidden: true, onclick: () => toEnd() },
    icon("down"),
    "Jump to latest",
  );
  const element = h("div.scroll-frame", {}, scroller, pill);
  let pinned = true;

  const gap = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
  const follow = () => {
    if (pinned) scroller.scrollTop = scroller.scrollHeight;
    pill.hidden = pinned || gap() < NEAR;
  };
  const measure = () => {
    pinned = gap() < NEAR;
    pill.hidden = pinned;
  };
  /** Stop following while something opens or moves; where the reader is after that decides again. */
  const release = () => {
    pinned = false;
    requestAnimationFrame(() => requestAnimationFrame(measure));
  };
  function toEnd() {
    pinned = true;
    follow();
  }

  scroller.addEventListener("scroll", () => {
    measure();
    if (scroller.scrollTop < NEAR) onTop?.();
  });
  scroller.addEventListener("keydown", (event) => {
    if (event.target !== scroller || event.key !== "ArrowUp") return;
    event.preventDefault();
    [...scroller.querySelectorAll("article.message")].at(-1)?.focus();
  });
  new ResizeObserver(follow).observe(content);
  new ResizeObserver(follow).observe(scroller);

  return { element, scroller, content, toEnd, release, isPinned: () => pinned };
}

/** Keep what the reader sees in place while rows are put in above it. */
export function keepPlace(scroller, change) {
  const before = scroller.scrollHeight - scroller.scrollTop;
  change();
  scroller.scrollTop = scroller.scrollHeight - before;
}
