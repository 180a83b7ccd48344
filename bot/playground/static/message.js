// One message: who, when, what it says, its blocks, reactions and thread. Builds nodes; changes nothing itself.

import { avatar } from "./avatar.js";
import { renderAttachments, renderBlocks } from "./blocks.js";
import { h } from "./dom.js";
import { glyphOf } from "./emoji.js";
import { renderFiles } from "./files.js";
import { FormState } from "./form.js";
import { icon } from "./icons.js";
import { showMarkdown } from "./markdown.js";
import { renderMrkdwn } from "./mrkdwn.js";
import { renderEditor } from "./editor.js";
import { renderChunks } from "./tasks.js";
import { agoOf, fullTimeOf, timeOf } from "./time.js";

const forms = new WeakMap(); // what was entered into a message's inputs, kept while the message object lives

/** What a row looks like as text: when it changes, the row is built again. */
export function signatureOf(message, page, { grouped = false, inThread = false } = {}) {
  const { store } = page;
  const editing = store.editing?.ts === message.ts && store.editing.channel === message.channel;
  const session = inThread ? null : store.session(message.channel, message.ts);
  return [message.rev, grouped, editing, session?.status, session?.status_text, store.route.place === message.ts].join(
    "|",
  );
}

/** Build the row of a message. `grouped` rows follow the same author and show no face; `inThread` rows show no thread bar. */
export function renderMessage(message, page, { grouped = false, inThread = false } = {}) {
  const { store } = page;
  const user = { ...store.user(message.user), ...(message.icon?.startsWith(":") && { avatar: message.icon }) };
  const name = message.username ?? store.nameOf(message.user);
  const editing = store.editing?.ts === message.ts && store.editing.channel === message.channel;
  const kinds = [
    grouped && "grouped",
    message.ephemeral && "ephemeral",
    message.streaming && "streaming",
    editing && "editing",
    isNotice(message) && "notice",
    message.pending && "pending",
  ];
  return h(
    "article.message",
    {
      class: kinds.filter(Boolean).join(" "),
      tabindex: "-1",
      dataset: { ts: message.ts, channel: message.channel },
      "aria-label": `${name}, ${timeOf(message.ts)}`,
    },
    h(
      "div.gutter",
      {},
      grouped
        ? timeLink(message, page, "short")
        : h(
            "button.face",
            { type: "button", tabindex: "-1", "aria-label": `About ${name}`, dataset: { person: message.user } },
            avatar(user),
          ),
    ),
    h(
      "div.content",
      {},
      message.ephemeral && h("p.only-you", {}, icon("eye"), "Only visible to you"),
      !grouped &&
        h(
          "div.byline",
          {},
          h("button.author", { type: "button", tabindex: "-1", dataset: { person: message.user } }, name),
          user.is_bot && h("span.badge", {}, "App"),
          timeLink(message, page),
        ),
      message.deleted
        ? h("p.quiet", {}, "This message was deleted.")
        : editing
          ? renderEditor(message, page)
          : renderContent(message, page),
      renderReactions(message, page),
      !inThread && renderThreadBar(message, page),
    ),
  );
}

const isNotice = ({ subtype }) => /^(channel|group)_(join|leave|topic|purpose|name)$/.test(subtype ?? "");

function timeLink(message, page, size = "") {
  const { store } = page;
  const place = message.thread_ts ?? message.ts;
  return h(
    "a.time",
    {
      class: size,
      href: `#/${store.me.id}/${message.channel}/${place}`,
      title: fullTimeOf(message.ts),
      tabindex: "-1",
    },
    timeOf(message.ts).replace(size ? /\s?[AP]M/i : "", ""),
  );
}

function renderContent(message, page) {
  const body = h("div.body", { dataset: { body: `${message.channel}:${message.ts}` } });
  drawBody(body, message, page.store);
  const chunks = message.chunks?.length ? renderChunks(message.chunks, page.store) : null;
  const blocks = message.blocks?.length ? renderBlocks(message.blocks, messageHost(message, page)) : null;
  const attachments = message.attachments?.length
    ? renderAttachments(message.attachments, messageHost(message, page))
    : null;
  return [
    isReplyInChannel(message, page) && h("p.only-you", {}, icon("thread"), "replied to a thread"),
    chunks,
    body,
    blocks,
    attachments,
    message.files?.length ? renderFiles(message.files, page.store) : null,
    message.edited &&
      !message.streaming &&
      message.user !== page.store.app.bot_user_id &&
      h("span.edited", { title: fullTimeOf(message.edited.ts) }, "(edited)"),
  ];
}

const isReplyInChannel = (message, { store }) => message.broadcast && store.route.place !== message.thread_ts;

/** Draw the text of a message; called again for each frame while it streams. */
export function drawBody(body, message, names) {
  if (message.markdown_text !== null && message.markdown_text !== undefined) {
    body.classList.add("rich");
    showMarkdown(body, message.markdown_text, names, { streaming: message.streaming });
  } else if (!message.blocks?.length && message.text) {
    body.replaceChildren(renderMrkdwn(message.text, names));
  }
}

function messageHost(message, page) {
  if (!forms.has(message)) forms.set(message, new FormState());
  const form = forms.get(message);
  const { store, actions } = page;
  const target = {
    channel: message.channel,
    message_ts: message.ts,
    ...(message.thread_ts && { thread_ts: message.thread_ts }),
  };
  const thumbKey = (actionId) => `${message.channel}:${message.ts}:${store.me.id}:${actionId}`;
  return {
    id: `m${message.ts}`,
    store,
    form,
    act: (blockId, action) => actions.act(target, blockId, action, form.collect(message.blocks)),
    options: (blockId, element, value) => actions.options(target, blockId, element, value),
    thumb: (actionId) => store.thumbs.get(thumbKey(actionId)),
    setThumb: (actionId, side) => store.thumbs.set(thumbKey(actionId), side),
  };
}

function renderReactions(message, page) {
  if (!message.reactions?.length) return null;
  const { store, actions } = page;
  const pill = (reaction) => {
    const mine = reaction.users.includes(store.me.id);
    const names = reaction.users.map((id) => (id === store.me.id ? "you" : store.nameOf(id))).join(", ");
    return h(
      "button.reaction",
      {
        type: "button",
        "aria-pressed": String(mine),
        title: `${names} reacted with :${reaction.name}:`,
        "aria-label": `${reaction.name.replaceAll("_", " ")}, ${reaction.users.length}, by ${names}`,
        dataset: { focus: `reaction/${reaction.name}` },
        onclick: () => actions.react(message, reaction.name),
      },
      h("span", {}, glyphOf(reaction.name) ?? `:${reaction.name}:`),
      h("span.count", {}, String(reaction.users.length)),
    );
  };
  return h(
    "div.reactions",
    {},
    message.reactions.map(pill),
    h(
      "button.reaction.add",
      { type: "button", "aria-label": "Add reaction", title: "Add reaction", dataset: { tool: "react" } },
      icon("smile"),
    ),
  );
}

function renderThreadBar(message, page) {
  const { store } = page;
  const session = store.session(message.channel, message.ts);
  const busy = session?.status === "processing" || Boolean(session?.status_text);
  if (!message.reply_count && !busy) return null;
  const faces = (message.reply_users ?? []).slice(0, 4).map((id) => avatar(store.user(id), "tiny"));
  const count = message.reply_count
    ? `${message.reply_count} ${message.reply_count === 1 ? "reply" : "replies"}`
    : "Open thread";
  return h(
    "button.thread-bar",
    { type: "button", dataset: { tool: "thread", focus: "thread-bar" } },
    faces,
    h("span.count", {}, count),
    busy
      ? h("span.busy", {}, `${store.app.name} ${(session.status_text || "is working…").replace(/\.\.\.$/, "…")}`)
      : message.latest_reply && h("span.quiet", {}, `Last reply ${agoOf(message.latest_reply, page.now())}`),
    h("span.view", {}, "View thread"),
  );
}
