// Keyboard shortcuts of the whole page, and the dialog that lists them.

import { openDialog } from "./dialog.js";
import { h } from "./dom.js";

const HELP = [
  ["Ctrl K", "Jump to a conversation or become another person"],
  ["Alt ↑ / Alt ↓", "Previous or next conversation"],
  ["Ctrl I", "Inspector (outside a text field)"],
  ["Esc", "Close the thread, then the inspector"],
  ["?", "This help"],
  ["/", "Write"],
  ["Enter · Shift Enter", "Send · new line"],
  ["↑ in an empty field", "Edit your last message"],
  ["Ctrl B · Ctrl I · Ctrl E", "Bold · italic · code"],
  ["@ · # · : · /", "Complete people, channels, emoji, commands"],
  ["↑ ↓ on messages", "Move between messages"],
  ["T · R · E · C · Del", "On a message: thread, react, edit, copy, delete"],
  ["Ctrl Enter", "Submit a modal"],
];

/** Show what the keyboard and the playground can do. */
export function openHelp(page) {
  const { app } = page.store;
  openDialog({
    title: "Help",
    body: [
      h(
        "p",
        {},
        `A small Slack on this machine. ${app.name ?? "An app"} talks to it as to Slack itself; nothing leaves your computer. Write to it under Apps, or mention it in a channel.`,
      ),
      h(
        "dl.keys",
        {},
        HELP.map(([keys, words]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, words)]),
      ),
    ],
  });
}

/** Listen for the page's shortcuts. */
export function attachKeys(page) {
  addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey;
    if (command && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (!document.querySelector("dialog[open]")) page.openSwitcher();
      return;
    }
    if (event.defaultPrevented || document.querySelector("dialog[open], [popover].popover:popover-open")) return;
    const isTyping = event.target.matches?.("input, textarea, select, [contenteditable]");
    if (event.key === "Escape") page.closeTopmost();
    else if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault();
      page.step(event.key === "ArrowDown" ? 1 : -1);
    } else if (isTyping) return;
    else if (command && event.key.toLowerCase() === "i" && !event.shiftKey) {
      event.preventDefault();
      page.toggleInspector();
    } else if (event.key === "?") page.openHelp();
    else if (event.key === "/" && !command) {
      event.preventDefault();
      document.querySelector(".main .pane-foot textarea")?.focus();
    }
  });
}
