// The pane in the middle: the conversation that the route names, with its head, messages and composer.

import { loadKey } from "./actions.js";
import { chatItem } from "./agent.js";
import { createComposer } from "./composer.js";
import { h, nextFrame, reconcile } from "./dom.js";
import { renderHead } from "./head.js";
import { createHome } from "./home.js";
import { icon } from "./icons.js";
import { renderChips, renderWelcome } from "./prompts.js";
import { attachRows, messageItems } from "./rows.js";
import { keepPlace, pinnedScroller } from "./scroll.js";

const TYPING_SHOWN_MS = 5000;

/** Build the pane; it follows the route. */
export function createConversation(page) {
  const { store, actions } = page;
  const pane = h("main.main", { id: "main", "aria-label": "Conversation", tabindex: "-1" });
  let shown = null;
  let parts = null;

  function open(channel) {
    const scroll = pinnedScroller(`Messages in ${store.titleOf(channel)}`, { onTop: older });
    attachRows(scroll.content, page);
    const head = h("div.head-slot");
    const foot = h("div.pane-foot");
    const home = store.isAppDm(channel) ? createHome(page) : null;
    parts = {
      scroll,
      head,
      foot,
      home,
      newAfter: channel.unread ? channel.last_read || "0" : null,
      channel: channel.id,
    };
    pane.replaceChildren(head, ...(home ? [home] : []), scroll.element, foot);
    actions.fetch(channel.id);
  }

  function older() {
    const load = store.loads.get(parts.channel);
    if (!load?.hasMore || load.state !== "ready") return;
    parts.scroll.release();
    const before = parts.scroll.scroller;
    actions.fetch(parts.channel, null, { older: true }).then(() => keepPlace(before, draw));
  }

  function draw() {
    const { channel } = store;
    if (!store.me) return;
    if (!channel) {
      shown = null;
      pane.replaceChildren(
        h(
          "p.empty",
          {},
          store.route.channel
            ? "This conversation is not here, or you are not in it."
            : "Pick a conversation on the left.",
        ),
      );
      return;
    }
    const target = `${store.me.id}/${channel.id}`;
    if (target !== shown || !store.loads.has(channel.id)) {
      shown = target;
      open(channel);
    }
    const onHome = store.route.place === "home" && store.hasHome && parts.home;
    pane.classList.toggle("agent", store.isAppDm(channel));
    pane.classList.toggle("on-home", Boolean(onHome));
    parts.home?.draw(onHome);
    reconcile(parts.head, [
      {
        key: "head",
        sig: JSON.stringify([channel, store.app.connected, onHome, store.hasHome]),
        build: () => renderHead(channel, page, { onHome }),
      },
    ]);
    reconcile(parts.scroll.content, store.isAppDm(channel) ? agentItems(channel) : channelItems(channel));
    reconcile(parts.foot, footItems(channel));
  }

  function channelItems(channel) {
    const messages = store.topLevel(channel.id);
    const instead = before(channel, messages);
    if (instead) return instead;
    const items = messageItems(messages, page, { newAfter: parts.newAfter });
    if (store.loads.get(channel.id)?.hasMore === false)
      items.unshift({ key: "intro", sig: "", build: () => renderIntro(channel) });
    return items;
  }

  function agentItems(channel) {
    const messages = store.topLevel(channel.id);
    const instead = before(channel, messages);
    if (instead) return instead;
    const last = messages.findLast((message) => !message.ephemeral);
    const build = (message) =>
      message.ephemeral
        ? null
        : chatItem(message, page, {
            isLatest: message === last,
            newAfter: parts.newAfter,
            release: parts.scroll.release,
          });
    return messageItems(messages, page, { newAfter: parts.newAfter, build });
  }

  /** What stands instead of messages: loading, an error, or the empty state. */
  function before(channel, messages) {
    const load = store.loads.get(loadKey(channel.id));
    if (load?.state === "error" && !messages.length)
      return [
        {
          key: "error",
          sig: load.error,
          build: () =>
            h(
              "p.empty",
              {},
              load.error,
              " ",
              h("button", { type: "button", onclick: () => actions.fetch(channel.id) }, "Try again"),
            ),
        },
      ];
    if (messages.length) return null;
    if (load?.state !== "ready")
      return [{ key: "loading", sig: "", build: () => h("p.empty", { role: "status" }, "Loading…") }];
    const prompts = JSON.stringify([...store.prompts.values()]);
    return [
      {
        key: "empty",
        sig: prompts + channel.topic,
        build: () => (store.isAppDm(channel) ? renderWelcome(page, channel.id, sentNew) : renderIntro(channel)),
      },
    ];
  }

  function renderIntro(channel) {
    const isDm = channel.kind === "im";
    return h(
      "div.intro",
      {},
      isDm
        ? page.face(channel.user, "huge")
        : h("span.welcome-mark", {}, icon(channel.kind === "private" ? "lock" : "hash")),
      h(
        "h2",
        {},
        isDm
          ? `This is between you and ${store.titleOf(channel)}`
          : `This is the very beginning of #${store.titleOf(channel)}`,
      ),
      h(
        "p.quiet",
        {},
        channel.topic ||
          (isDm
            ? "Nobody else sees what you write here."
            : `Mention @${store.app.name} here to ask the app something.`),
      ),
    );
  }

  function footItems(channel) {
    const mayWrite = channel.kind === "im" || channel.members?.includes(store.me.id);
    if (!mayWrite)
      return [
        {
          key: "join",
          sig: "",
          build: () =>
            h(
              "div.join",
              {},
              h("span", {}, `You are looking at #${store.titleOf(channel)}.`),
              h("button.primary", { type: "button", onclick: () => actions.join(channel.id) }, "Join channel"),
            ),
        },
      ];
    const isAgent = store.isAppDm(channel);
    const label = isAgent
      ? `New chat with ${store.app.name}`
      : channel.kind === "im"
        ? `Message ${store.titleOf(channel)}`
        : `Message #${store.titleOf(channel)}`;
    const lastOwn = () =>
      store.topLevel(channel.id).findLast((message) => message.user === store.me.id && !message.ephemeral);
    const chips = isAgent && store.topLevel(channel.id).length ? store.prompts.get(`${channel.id}/`) : null;
    return [
      ...(chips?.prompts?.length
        ? [
            {
              key: "chips",
              sig: JSON.stringify(chips),
              build: () => renderChips(page, channel.id, { onSent: sentNew }),
            },
          ]
        : []),
      {
        key: `composer-${channel.id}`,
        build: () =>
          createComposer(page, { channel: channel.id, label, lastOwn, onSent: isAgent ? sentNew : parts.scroll.toEnd }),
        update: (composer) => composer.setShape({ label, slim: isAgent && store.topLevel(channel.id).length > 0 }),
      },
      {
        key: "typing",
        sig: typingWords(channel),
        build: () => h("p.typing", { "aria-live": "off" }, typingWords(channel)),
      },
    ];
  }

  /** After a new chat began, the next words most likely go to it: its reply field takes the focus. */
  function sentNew(message) {
    parts.scroll.toEnd();
    if (!message?.ts) return;
    nextFrame(draw);
    let frames = 60; // the field may be drawn later than two frames from now: its message comes by another way
    const focusReply = () => {
      const field = pane.querySelector(`[data-composer="${message.channel}/${message.ts}"]`);
      if (field) field.focus({ preventScroll: true });
      else if (frames--) requestAnimationFrame(focusReply);
    };
    requestAnimationFrame(() => requestAnimationFrame(focusReply));
  }

  function typingWords(channel) {
    const now = Date.now();
    const names = [...store.typing]
      .filter(([key, at]) => key.startsWith(`${channel.id}/`) && now - at < TYPING_SHOWN_MS)
      .map(([key]) => key.split("/")[1])
      .filter((id) => id !== store.me.id);
    if (names.length) setTimeout(() => nextFrame(draw), TYPING_SHOWN_MS);
    return names.length
      ? `${names.map((id) => store.nameOf(id)).join(" and ")} ${names.length > 1 ? "are" : "is"} typing…`
      : "";
  }

  function aim() {
    draw();
    const { place } = store.route;
    if (!place || place === "home" || !parts) return;
    requestAnimationFrame(() => {
      const target = pane.querySelector(`[data-chat="${CSS.escape(place)}"], article[data-ts="${CSS.escape(place)}"]`);
      if (!target || parts.aimed === place) return;
      parts.aimed = place;
      parts.scroll.release();
      target.scrollIntoView({ block: "nearest" });
    });
  }

  store.on("route", draw); // at once: what is unread is asked for before opening the conversation says that it is read
  store.on("messages sessions editing channels prompts app typing home connection", () => nextFrame(draw));
  store.on("route messages", () => nextFrame(aim));
  return pane;
}
