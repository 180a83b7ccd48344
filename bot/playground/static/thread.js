// The pane at the right: one thread of a channel with its own composer. On a phone it covers the page.

import { createComposer } from "./composer.js";
import { loadKey } from "./actions.js";
import { h, nextFrame, reconcile } from "./dom.js";
import { closeButton } from "./dialog.js";
import { icon } from "./icons.js";
import { renderChips } from "./prompts.js";
import { attachRows, messageItems } from "./rows.js";
import { pinnedScroller } from "./scroll.js";
import { statusItem } from "./status.js";

/** Build the thread pane; it shows what the route names. */
export function createThreadPane(page) {
  const { store, actions } = page;
  const pane = h("aside.thread-pane", { "aria-label": "Thread", hidden: true });
  let shown = null;
  let parts = null;

  function open(channel, root) {
    const scroll = pinnedScroller("Thread");
    attachRows(scroll.content, page, { thread: true });
    const back = h(
      "button.plain.square.phone-only",
      { type: "button", "aria-label": "Back to the conversation", onclick: page.closeThread },
      icon("back"),
    );
    const lastOwn = () => store.thread(channel, root).findLast((message) => message.user === store.me.id);
    const composer = createComposer(page, { channel, root, label: "Reply…", onSent: scroll.toEnd, lastOwn });
    const name = store.channels.get(channel);
    pane.replaceChildren(
      h(
        "header.pane-head",
        {},
        back,
        h(
          "div.pane-title",
          {},
          h("h2", {}, "Thread"),
          h("span.quiet", {}, name.kind === "im" ? store.titleOf(name) : `#${store.titleOf(name)}`),
        ),
        closeButton(page.closeThread),
      ),
      scroll.element,
      h("div.pane-foot", {}, composer),
    );
    parts = { scroll, composer };
    actions.fetch(channel, root);
  }

  function draw() {
    const { channel, place } = store.route;
    const target =
      channel && place && place !== "home" && store.channels.has(channel) && !store.isAppDm(store.channel)
        ? `${store.me.id}/${channel}/${place}`
        : null;
    pane.hidden = !target;
    document.body.classList.toggle("with-thread", Boolean(target));
    if (!target) {
      shown = null;
      pane.replaceChildren();
      return;
    }
    if (target !== shown || !store.loads.has(loadKey(channel, place))) {
      const isNew = target !== shown;
      shown = target;
      open(channel, place);
      if (isNew && store.focusThread) parts.composer.focusField();
      store.focusThread = false;
    }
    reconcile(parts.scroll.content, threadItems(channel, place));
  }

  function threadItems(channel, root) {
    const load = store.loads.get(loadKey(channel, root));
    const messages = store.thread(channel, root);
    if (load?.state === "error") return [notice(load.error)];
    if (!messages.length) return [notice(load?.state === "ready" ? "This message is no longer here." : "Loading…")];
    const items = messageItems(messages, page, { inThread: true, days: false });
    const count = messages.filter((message) => !message.ephemeral).length - 1;
    if (count)
      items.splice(1, 0, {
        key: "count",
        sig: count,
        build: () => h("div.reply-count", {}, h("span", {}, `${count} ${count === 1 ? "reply" : "replies"}`)),
      });
    const chips = store.prompts.get(`${channel}/${root}`);
    if (chips?.prompts?.length)
      items.push({ key: "chips", sig: JSON.stringify(chips), build: () => renderChips(page, channel, { root }) });
    const status = statusItem(channel, root, page);
    return status ? [...items, status] : items;
  }

  const notice = (text) => ({ key: "notice", sig: text, build: () => h("p.empty", {}, text) });

  store.on("route messages sessions editing channels prompts app", () => nextFrame(draw));
  return pane;
}
