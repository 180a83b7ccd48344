// The conversation with the app: every top-level message is the root of a chat, and a chat is one card with its replies.

import { createComposer } from "./composer.js";
import { openForm } from "./dialog.js";
import { h, reconcile } from "./dom.js";
import { icon } from "./icons.js";
import { toTyped } from "./mrkdwn.js";
import { renderChips } from "./prompts.js";
import { messageItems } from "./rows.js";
import { statusItem } from "./status.js";
import { timeOf } from "./time.js";

/** The card of a root as an item for `reconcile`; it is patched in place, so a reply being typed survives. */
export function chatItem(root, page, { isLatest, newAfter, release }) {
  return {
    key: `chat-${root.ts}`,
    build: () => createCard(root, page, release),
    update: (card) => updateCard(card, root, page, { isLatest, newAfter }),
  };
}

function createCard(root, page, release) {
  const fold = h("button.chat-fold", {
    type: "button",
    onclick: () => {
      release();
      toggle(root, page, card.classList.contains("open"));
    },
  });
  const rows = h("div.chat-rows");
  const foot = h("div.chat-foot");
  const rename = h(
    "button.plain.square.chat-rename",
    { type: "button", "aria-label": "Rename chat", title: "Rename chat", onclick: () => openRename(root, page) },
    icon("edit"),
  );
  const card = h(
    "div.chat",
    { role: "group", dataset: { chat: root.ts }, "aria-label": "Chat" },
    h("header.chat-head", {}, fold, rename),
    rows,
    foot,
  );
  return card;
}

function openRename(root, page) {
  const title = h("input", {
    name: "title",
    required: true,
    maxlength: 200,
    value: page.store.session(root.channel, root.ts)?.title ?? "",
    autocomplete: "off",
  });
  openForm({
    title: "Rename chat",
    submit: "Rename",
    fields: h("label", {}, "Title", title),
    onSubmit: (values) => page.actions.rename(root.channel, root.ts, values.title),
  });
}

function toggle(root, page, isOpen) {
  const { opened, folded } = page.store;
  const key = `${root.channel}/${root.ts}`;
  (isOpen ? opened : folded).delete(key);
  (isOpen ? folded : opened).add(key);
  page.store.emit("messages", { channel: root.channel });
}

/** A chat lies open when it is the latest, when the app is at work in it, when it has news, or when the person opened it. */
function isOpen(root, page, { isLatest, newAfter }) {
  const { store } = page;
  const key = `${root.channel}/${root.ts}`;
  if (store.folded.has(key)) return false;
  if (isLatest || store.opened.has(key) || store.route.place === root.ts) return true;
  const session = store.session(root.channel, root.ts);
  return session?.status === "processing" || Boolean(newAfter && root.latest_reply > newAfter);
}

function updateCard(card, root, page, { isLatest, newAfter }) {
  const { store } = page;
  const open = isOpen(root, page, { isLatest, newAfter });
  const messages = store.thread(root.channel, root.ts);
  const title = store.session(root.channel, root.ts)?.title;
  card.classList.toggle("open", open);
  card.classList.toggle("aim", store.route.place === root.ts);
  card.setAttribute("aria-label", title ?? "Chat");
  drawFold(card.querySelector(".chat-fold"), root, {
    open,
    title,
    count: Math.max(messages.filter((message) => !message.ephemeral).length - 1, root.reply_count ?? 0),
    page,
  });
  const [rows, foot] = [card.children[1], card.children[2]];
  const items = open ? messageItems(messages, page, { inThread: true, days: false, newAfter }) : [];
  const status = open && statusItem(root.channel, root.ts, page);
  reconcile(rows, status ? [...items, status] : items);
  reconcile(foot, open ? footItems(root, page) : []);
}

function drawFold(fold, root, { open, title, count, page }) {
  const said = title ?? toTyped((root.markdown_text ?? root.text ?? "").replace(/<![^>]*>/g, ""), page.store).slice(0, 120);
  const replies = count ? `${count} ${count === 1 ? "reply" : "replies"}` : "no reply yet";
  const words = JSON.stringify([open, said, replies]);
  if (fold.dataset.words === words) return;
  fold.dataset.words = words;
  fold.setAttribute("aria-expanded", String(open));
  fold.replaceChildren(
    icon("chevron"),
    h("span.chat-title", {}, title ?? (open ? "Chat" : `${page.store.nameOf(root.user)}: ${said}`)),
    h("span.quiet", {}, `${timeOf(root.ts)} · ${replies}`),
  );
}

function footItems(root, page) {
  const { channel, ts } = root;
  const chips = page.store.prompts.get(`${channel}/${ts}`);
  const lastOwn = () => page.store.thread(channel, ts).findLast((message) => message.user === page.store.me.id);
  return [
    ...(chips?.prompts?.length
      ? [{ key: "chips", sig: JSON.stringify(chips), build: () => renderChips(page, channel, { root: ts }) }]
      : []),
    {
      key: "reply",
      sig: "",
      build: () => createComposer(page, { channel, root: ts, label: "Reply…", slim: true, lastOwn }),
    },
  ];
}
