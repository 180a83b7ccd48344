// What the app is doing in a thread: its status in words, loading messages in turn, and Stop while it works.

import { avatar } from "./avatar.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";

const TURN_MS = 2500;

/** The status line of a thread as an item for `reconcile`, or null when the app is quiet there. */
export function statusItem(channel, root, page) {
  const { store } = page;
  const session = store.session(channel, root);
  const isBusy = session?.status === "processing";
  const words = session?.status_text;
  if (!isBusy && !words) return null;
  const isWriting = store.thread(channel, root).some((message) => message.streaming);
  return {
    key: "status",
    sig: JSON.stringify([session, isWriting]),
    build: () => renderStatus(session, page, { channel, root, isBusy, isWriting }),
  };
}

function renderStatus(session, page, { channel, root, isBusy, isWriting }) {
  const { store, actions } = page;
  const turns = session.loading_messages ?? [];
  const line = h("span.status-words", {}, turns[0] ?? "");
  const words = session.status_text || (isWriting ? "is writing…" : "is thinking…");
  if (!turns.length) line.append(h("b", {}, store.app.name), ` ${words.replace(/\.\.\.$/, "…")}`);
  const element = h(
    "div.status",
    {},
    avatar(store.user(store.app.bot_user_id), "small"),
    line,
    isBusy &&
      store.app.stoppable !== false &&
      h(
        "button.stop",
        { type: "button", dataset: { focus: "stop" }, onclick: (event) => press(event.currentTarget) },
        icon("stop", { filled: true }),
        "Stop",
      ),
  );
  async function press(button) {
    button.disabled = true;
    button.lastChild.textContent = "Stopping…";
    if (await actions.stop(channel, root)) return;
    button.disabled = false;
    button.lastChild.textContent = "Stop";
  }
  if (turns.length > 1) takeTurns(element, line, turns);
  return element;
}

function takeTurns(element, line, turns) {
  let at = 0;
  const timer = setInterval(() => {
    if (!element.isConnected) return clearInterval(timer);
    line.textContent = turns[(at += 1) % turns.length];
    return undefined;
  }, TURN_MS);
}
