// Messages as rows: day dividers, the "New" line, grouping, and the toolbar that follows the pointer and the focus.

import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { copyText } from "./code.js";
import { QUICK_REACTIONS, glyphOf } from "./emoji.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";
import { renderMessage, signatureOf } from "./message.js";
import { toTyped } from "./mrkdwn.js";
import { pickEmoji } from "./picker.js";
import { dayName, dayOf } from "./time.js";

const GROUP_S = 300;

/** Turn messages into items for `reconcile`. `newAfter` is the last timestamp that was read before. */
export function messageItems(messages, page, { inThread = false, newAfter = null, days = true, build = null } = {}) {
  const items = [];
  let last = null;
  let marked = false;
  for (const message of messages) {
    const day = dayOf(message.ts);
    const isNewDay = !last || dayOf(last.ts) !== day;
    if (days && isNewDay) items.push(dividerItem(message, page));
    const isNew =
      newAfter && !marked && message.ts > newAfter && message.user !== page.store.me.id && !message.ephemeral;
    if (isNew) {
      marked = true;
      items.push({
        key: "new",
        sig: "",
        build: () => h("div.new-line", { role: "separator", "aria-label": "New messages" }, h("span", {}, "New")),
      });
    }
    const custom = build?.(message);
    const grouped = !custom && !isNew && !(days && isNewDay) && isGrouped(last, message);
    const options = { grouped, inThread };
    items.push(
      custom ?? {
        key: `m${message.ts}`,
        sig: signatureOf(message, page, options),
        build: () => renderMessage(message, page, options),
      },
    );
    last = custom ? null : message;
    if (custom) last = { ...message, user: null };
  }
  return items;
}

function dividerItem(message, page) {
  const name = dayName(message.ts, page.now() * 1000);
  return {
    key: `day-${dayOf(message.ts)}`,
    sig: name,
    build: () => h("div.day", { role: "separator" }, h("span", {}, name)),
  };
}

function isGrouped(last, message) {
  const plain = (one) => !one.subtype && !one.ephemeral;
  return (
    Boolean(last) &&
    last.user === message.user &&
    plain(last) &&
    plain(message) &&
    Number(message.ts) - Number(last.ts) < GROUP_S
  );
}

/** Make rows inside *root* live: toolbar on hover and focus, arrow keys between rows, keys for the frequent actions. */
export function attachRows(root, page, { thread = false } = {}) {
  const bar = h("div.toolbar", { role: "toolbar", "aria-label": "Message actions" });
  const show = (row) => {
    if (!row || row.classList.contains("editing") || row === bar.parentElement) return;
    const message = page.store.message(row.dataset.channel, row.dataset.ts);
    if (!message || message.pending) return;
    bar.replaceChildren(...tools(message, page, { thread }));
    row.append(bar);
  };
  root.addEventListener(
    "pointerover",
    (event) => event.pointerType === "mouse" && show(event.target.closest("article.message")),
  );
  root.addEventListener("pointerleave", () => !bar.contains(document.activeElement) && bar.remove());
  root.addEventListener("focusin", (event) => show(event.target.closest("article.message")));
  root.addEventListener("click", (event) => handleClick(event, page, { thread, show }));
  root.addEventListener("keydown", (event) => handleKey(event, root, page, { thread }));
}

function tools(message, page, { thread }) {
  const { store, actions } = page;
  const button = (name, label, run) =>
    h(
      "button",
      { type: "button", "aria-label": label, title: label, dataset: { tool: name }, onclick: run },
      icon(name === "react" ? "smile" : name),
    );
  if (message.ephemeral) return [button("close", "Dismiss", () => actions.remove(message))];
  const mine = message.user === store.me.id;
  const quick = QUICK_REACTIONS.slice(0, 2).map((name) =>
    h(
      "button.glyph",
      {
        type: "button",
        "aria-label": `React with ${name.replaceAll("_", " ")}`,
        title: `:${name}:`,
        onclick: () => actions.react(message, name),
      },
      glyphOf(name),
    ),
  );
  return [
    ...quick,
    button("react", "Add reaction"),
    !thread && button("thread", "Reply in thread"),
    button("copy", "Copy text", () => copyMessage(message, page)),
    mine && button("edit", "Edit", () => actions.startEditing(message)),
    (mine || store.me.is_admin) && button("trash", "Delete", () => removeMessage(message, page)),
    h(
      "button",
      {
        type: "button",
        "aria-label": "More actions",
        title: "More actions",
        "aria-haspopup": "menu",
        onclick: (event) => openMore(event.currentTarget, message, page),
      },
      icon("more"),
    ),
  ].filter(Boolean);
}

function openMore(anchor, message, page) {
  const { store, actions } = page;
  const link = `${location.origin}${location.pathname}#/${store.me.id}/${message.channel}/${message.thread_ts ?? message.ts}`;
  const shortcuts = (store.app.shortcuts ?? []).filter((entry) => entry.type === "message");
  openMenu(
    anchor,
    [
      { label: "Copy link", run: () => copyText(link, "Link copied") },
      {
        label: "Copy as JSON",
        run: () => copyText(JSON.stringify({ ...message, rev: undefined }, null, 2), "JSON copied"),
      },
      ...(shortcuts.length ? [null] : []),
      ...shortcuts.map((entry) => ({
        label: entry.name,
        hint: store.app.name,
        run: () => actions.shortcut(entry, message),
      })),
    ],
    { label: "More actions" },
  );
}

const copyMessage = (message, page) =>
  copyText(message.markdown_text ?? toTyped(message.text ?? "", page.store), "Message copied");

async function removeMessage(message, page) {
  const agreed = await ask({
    title: "Delete message",
    text: "Delete this message for everyone? This cannot be undone.",
    confirm: "Delete",
    danger: true,
  });
  if (agreed) page.actions.remove(message);
}

function handleClick(event, page, { show }) {
  const row = event.target.closest("article.message");
  const person = event.target.closest("[data-person], .mention[data-user]");
  if (person) page.showPerson(person, person.dataset.person ?? person.dataset.user);
  if (!row) return;
  const message = page.store.message(row.dataset.channel, row.dataset.ts);
  const tool = event.target.closest("[data-tool]");
  if (tool?.dataset.tool === "thread") page.openThread(message);
  if (tool?.dataset.tool === "react") pickEmoji(tool, (name) => page.actions.react(message, name));
  if (
    !tool &&
    matchMedia("(hover: none)").matches &&
    !event.target.closest("a, button, input, select, textarea, summary")
  ) {
    show(row);
    row.focus({ preventScroll: true });
  }
}

function handleKey(event, root, page, { thread }) {
  const row = event.target;
  if (!row.matches("article.message")) return;
  const rows = [...root.querySelectorAll("article.message")];
  const at = rows.indexOf(row);
  const message = page.store.message(row.dataset.channel, row.dataset.ts);
  const mine = message?.user === page.store.me.id && !message.ephemeral;
  const keys = {
    ArrowUp: () => rows[Math.max(0, at - 1)].focus(),
    ArrowDown: () => rows[Math.min(rows.length - 1, at + 1)].focus(),
    Home: () => rows[0].focus(),
    End: () => rows.at(-1).focus(),
    t: () => !thread && page.openThread(message),
    e: () => mine && page.actions.startEditing(message),
    Delete: () => mine && removeMessage(message, page),
    r: () =>
      pickEmoji(row.querySelector('.toolbar [data-tool="react"]') ?? row, (name) => page.actions.react(message, name)),
    c: () => copyMessage(message, page),
  };
  if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  keys[event.key]();
}
