// Short notes at the edge of the page, and the quiet voice that screen readers hear.

import { h } from "./dom.js";
import { icon } from "./icons.js";

const SHOWN_MS = 5000;

/** Show a note for a few seconds; errors stay longer and are announced at once. */
export function toast(text, { bad = false } = {}) {
  const close = h(
    "button.plain",
    { type: "button", "aria-label": "Dismiss", onclick: () => note.remove() },
    icon("close"),
  );
  const note = h(bad ? "div.toast.bad" : "div.toast", { role: bad ? "alert" : "status" }, h("span", {}, text), close);
  const shelf = document.getElementById("toasts");
  shelf.append(note);
  if (shelf.matches(":popover-open")) shelf.hidePopover(); // shown again, it lies above a dialog that was opened since
  shelf.showPopover();
  setTimeout(() => note.remove(), bad ? SHOWN_MS * 2 : SHOWN_MS);
}

/** Let screen readers say a sentence without moving anything. */
export function announce(text) {
  const voice = document.getElementById("voice");
  voice.replaceChildren(h("p", {}, text));
}

/** Run an action of a person; when it fails, say why. Returns undefined then. */
export async function attempt(promise) {
  try {
    return await promise;
  } catch (error) {
    toast(error.message, { bad: true });
    return undefined;
  }
}
