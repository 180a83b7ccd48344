// The app's suggested prompts: cards where a conversation is empty, chips above a composer.

import { h } from "./dom.js";
import { icon } from "./icons.js";

const promptsOf = (page, channel, root) => page.store.prompts.get(`${channel}/${root ?? ""}`);

/** Chips for a composer; null when the app suggests nothing here. */
export function renderChips(page, channel, { root = null, onSent } = {}) {
  const found = promptsOf(page, channel, root);
  if (!found?.prompts?.length) return null;
  return h(
    "div.chips",
    { role: "group", "aria-label": found.title ?? "Suggested prompts" },
    found.prompts.map((prompt) =>
      h(
        "button.chip",
        {
          type: "button",
          title: prompt.message,
          dataset: { focus: `chip/${prompt.title}` },
          onclick: () => choose(page, channel, root, prompt, onSent),
        },
        prompt.title,
      ),
    ),
  );
}

async function choose(page, channel, root, prompt, onSent) {
  const sent = await page.actions.prompt(channel, root, prompt.message);
  if (sent) onSent?.({ channel, ts: sent.message?.ts });
}

/** What stands in a conversation with the app before anything was said. */
export function renderWelcome(page, channel, onSent) {
  const { store } = page;
  const found = promptsOf(page, channel, null);
  return h(
    "div.welcome",
    {},
    page.face(store.app.bot_user_id, "huge"),
    h("h2", {}, found?.title ?? `Ask ${store.app.name} anything`),
    h(
      "p.quiet",
      {},
      store.app.description ?? "Each message that you write below starts a new conversation. Replies continue it.",
    ),
    found?.prompts?.length
      ? h(
          "div.prompt-cards",
          {},
          found.prompts.map((prompt) =>
            h(
              "button.prompt-card",
              { type: "button", onclick: () => choose(page, channel, null, prompt, onSent) },
              h("strong", {}, icon("bolt"), prompt.title),
              h("span", {}, prompt.message),
            ),
          ),
        )
      : null,
  );
}
