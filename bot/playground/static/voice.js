// What screen readers hear: new messages of the open conversation, and answers when they are finished, not each token.

import { announce } from "./toast.js";

const SPOKEN = 240;

/** Announce messages as they arrive and as streams end. */
export function attachVoice(page) {
  const { store } = page;
  const say = (message, verb) => {
    if (message.channel !== store.route.channel || message.user === store.me?.id) return;
    const text = (message.markdown_text ?? message.text ?? "").replace(/[*_`#>~]/g, "").slice(0, SPOKEN);
    announce(`${store.nameOf(message.user)} ${message.ephemeral ? "wrote only to you" : verb}: ${text}`);
  };
  store.on("arrived", (message) => !message.streaming && say(message, "wrote"));
  store.on("finished", (message) => say(message, "answered"));
  store.on(
    "connection",
    () => store.connection === "lost" && announce("The connection to the playground is lost. Reconnecting."),
  );
}
