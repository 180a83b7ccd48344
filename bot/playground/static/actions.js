// What a person does, as calls to the server. Panes call these; they never fetch by themselves.

import { api } from "./api.js";
import { toTyped, fromTyped } from "./mrkdwn.js";
import { isReply } from "./store.js";
import { attempt, toast } from "./toast.js";

const TYPING_MS = 3000;
const PAGE = 50;

/** Build the actions for a store; every call is made as the person that the store shows. */
export function createActions(store) {
  const as = (body) => ({ user: store.me.id, ...body });
  let typed = 0;

  return {
    /** Send what was typed: a message, or a slash command. Resolves to true when it went out. */
    async send({ channel, thread_ts, text, files = [] }) {
      const typedText = text.trim();
      if (!typedText && !files.length) return false;
      if (typedText.length > store.limits.message) {
        toast(`This message has ${typedText.length} characters; ${store.limits.message} fit.`, { bad: true });
        return false;
      }
      if (/^\/\w/.test(typedText) && !files.length) return this.command({ channel, thread_ts, text: typedText });
      const sent = await attempt(
        api.send(as({ channel, text: fromTyped(typedText, store), files, ...(thread_ts && { thread_ts }) })),
      );
      return Boolean(sent) && { channel, ts: sent.message?.ts };
    },

    async command({ channel, thread_ts, text }) {
      const [command, ...rest] = text.split(" ");
      if (!store.app.commands.some((known) => known.command === command)) {
        const known = store.app.commands.map((entry) => entry.command).join(", ");
        toast(`${command} is not a command of ${store.app.name}.${known ? ` It has: ${known}.` : ""}`, { bad: true });
        return false;
      }
      const answer = await attempt(
        api.command(as({ channel, command, text: fromTyped(rest.join(" "), store), ...(thread_ts && { thread_ts }) })),
      );
      if (answer && answer.ok === false) toast(answer.error, { bad: true });
      return Boolean(answer) && answer.ok !== false;
    },

    async edit(message, text) {
      const done = await attempt(
        api.edit(as({ channel: message.channel, ts: message.ts, text: fromTyped(text, store) })),
      );
      if (done) this.stopEditing();
    },

    startEditing(message) {
      store.set(
        { editing: { channel: message.channel, ts: message.ts, text: toTyped(message.text, store), isNew: true } },
        "editing",
      );
    },

    stopEditing: () => store.set({ editing: null }, "editing"),

    remove: (message) =>
      message.ephemeral
        ? store.remove(message.channel, message.ts)
        : attempt(api.remove(as({ channel: message.channel, ts: message.ts }))),

    react(message, name) {
      const mine = message.reactions?.find((reaction) => reaction.name === name)?.users.includes(store.me.id);
      return attempt(api.react(as({ channel: message.channel, ts: message.ts, name, remove: Boolean(mine) })));
    },

    stop: (channel, root) => attempt(api.stop(as({ channel, thread_ts: root }))),
    prompt: (channel, root, message) => attempt(api.prompt(as({ channel, message, ...(root && { thread_ts: root }) }))),
    rename: (channel, root, title) => api.rename(as({ channel, thread_ts: root, title })),
    act: (target, blockId, action, state) =>
      attempt(
        api.action(as({ ...target, block_id: blockId, action_id: action.action_id, action, ...(state && { state }) })),
      ),
    options: async (target, blockId, element, value) =>
      (await attempt(api.options(as({ ...target, block_id: blockId, action_id: element.action_id, value }))))?.options,
    shortcut: (entry, message) =>
      attempt(
        api.shortcut(
          as({
            callback_id: entry.callback_id,
            type: entry.type,
            ...(message && { channel: message.channel, ts: message.ts }),
          }),
        ),
      ),
    submitView: (view, state) => attempt(api.submitView(as({ view_id: view.id, state }))),
    closeView: (view) => attempt(api.closeView(as({ view_id: view.id }))),

    open: (channel, tab) => attempt(api.open(as({ channel, ...(tab && { tab }) }))),
    read: (channel, ts) => attempt(api.read(as({ channel, ts }))),

    typing(channel) {
      if (Date.now() - typed < TYPING_MS) return;
      typed = Date.now();
      api.typing(as({ channel })).catch(() => undefined); // nobody misses a typing note
    },

    async openDm(other) {
      const answer = await attempt(api.openDm(as({ with: other })));
      if (answer) store.apply({ type: "channel", channel: answer.channel });
      return answer?.channel ?? null;
    },

    async createChannel(name, isPrivate) {
      const { channel } = await api.createChannel(as({ name, private: isPrivate }));
      store.apply({ type: "channel", channel });
      return channel;
    },

    join: (channel) => attempt(api.join(as({ channel }))),
    leave: (channel) => attempt(api.leave(as({ channel }))),
    invite: (channel, invitee) => api.invite(as({ channel, invitee })),

    /** Fetch a conversation, or a thread with `root`; `older` goes further back. */
    async fetch(channel, root = null, { older = false } = {}) {
      const key = loadKey(channel, root);
      if (store.loads.get(key)?.state === "loading") return;
      store.loads.set(key, { ...store.loads.get(key), state: "loading" });
      const first = older ? store.topLevel(channel)[0]?.ts : null;
      try {
        const { messages, has_more } = await api.messages({
          user: store.me.id,
          channel,
          thread_ts: root,
          before: first,
          limit: PAGE,
        });
        store.loads.set(key, { state: "ready", hasMore: has_more });
        store.addMessages(channel, messages);
        if (store.gaps.delete(channel)) await this.fetch(channel, root);
        if (!root && store.isAppDm(store.channels.get(channel))) await this.fetchReplies(channel, messages);
      } catch (error) {
        store.loads.set(key, { state: "error", error: error.message });
        store.emit("messages", { channel });
      }
    },

    /** In the app's conversation, replies are part of the page: fetch them with their roots. */
    fetchReplies(channel, messages) {
      const roots = messages.filter((message) => message.reply_count > 0 && !isReply(message));
      return Promise.all(roots.map((message) => this.fetch(channel, message.ts)));
    },

    setFault: (name, enabled, params) => attempt(api.setFault({ name, enabled, params })),
    advance: (seconds) => attempt(api.advance({ advance_s: seconds })),
    refresh: () => attempt(api.refresh({})),
    reset: () => attempt(api.reset({})),
  };
}

export const loadKey = (channel, root) => (root ? `${channel}/${root}` : channel);
