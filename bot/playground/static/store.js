// Everything the page knows, in one place. Frames of the server change it; panes subscribe to topics. Knows no DOM.

const LOG_LIMIT = 1000;

export class Store {
  #listeners = new Map();
  #rev = 0;

  constructor() {
    this.connection = "connecting";
    this.route = { user: null, channel: null, place: null };
    this.editing = null; // {channel, ts, text} of the message that is being edited
    this.thumbs = new Map(); // "channel:ts:action" → "positive" | "negative": Slack does not keep it, the page does
    this.opened = new Set(); // conversations of the app's DM that a person unfolded
    this.folded = new Set(); // … and folded
    this.paused = false;
    this.log = [];
    this.load({ team: {}, app: { commands: [], shortcuts: [] }, users: [], me: null, channels: [] });
  }

  /** Call *listener* when one of the topics changes; returns the function that ends it. */
  on(topics, listener) {
    for (const topic of topics.split(" ")) {
      if (!this.#listeners.has(topic)) this.#listeners.set(topic, new Set());
      this.#listeners.get(topic).add(listener);
    }
    return () => topics.split(" ").forEach((topic) => this.#listeners.get(topic).delete(listener));
  }

  emit(topic, detail) {
    for (const listener of [...(this.#listeners.get(topic) ?? [])]) listener(detail);
  }

  /** Take over the whole state that the server gave. */
  load(state) {
    this.team = state.team;
    this.app = state.app;
    this.me = state.me;
    this.users = new Map(state.users.map((user) => [user.id, user]));
    this.channels = new Map(state.channels.map((channel) => [channel.id, channel]));
    this.sessions = new Map((state.sessions ?? []).map((session) => [threadKey(session), session]));
    this.prompts = new Map((state.prompts ?? []).map((prompts) => [threadKey(prompts), prompts]));
    this.home = state.home ?? null;
    this.hasHome = "home" in state;
    this.views = state.views ?? [];
    this.faults = state.faults ?? [];
    this.clock = state.clock ?? { now: Date.now() / 1000, offset_s: 0 };
    this.limits = state.limits ?? { message: 40_000, file: 4_000_000 };
    this.messages = new Map();
    this.loads = new Map();
    this.gaps = new Set(); // channels in which text streamed past before its message was loaded
    this.typing = new Map();
    for (const topic of ["app", "channels", "sessions", "prompts", "messages", "faults", "clock", "home", "views"])
      this.emit(topic);
  }

  /** Apply one frame of the live connection. */
  apply(frame) {
    const handler = FRAMES[frame.type];
    if (handler) handler(this, frame);
  }

  set(values, ...topics) {
    Object.assign(this, values);
    for (const topic of topics) this.emit(topic);
  }

  // --- messages

  /** Add messages that were fetched; what the live connection already brought is not older, so it stays while it streams. */
  addMessages(channel, messages) {
    const known = this.#conversation(channel);
    for (const message of messages) {
      const old = known.get(message.ts);
      const isBehind =
        old?.streaming && message.streaming && (message.markdown_text ?? "").length < (old.markdown_text ?? "").length;
      if (!isBehind) known.set(message.ts, { ...message, rev: ++this.#rev });
    }
    this.emit("messages", { channel });
  }

  upsert(message) {
    const known = this.#conversation(message.channel);
    const old = known.get(message.ts);
    known.set(message.ts, { ...message, rev: ++this.#rev });
    this.emit("messages", { channel: message.channel });
    if (!old) this.emit("arrived", message);
    else if (old.streaming && !message.streaming) this.emit("finished", message);
  }

  append(channel, ts, text) {
    const message = this.message(channel, ts);
    if (!message) {
      this.gaps.add(channel);
      return;
    }
    message.markdown_text = (message.markdown_text ?? "") + text;
    this.emit("stream", message);
  }

  remove(channel, ts) {
    if (this.#conversation(channel).delete(ts)) this.emit("messages", { channel });
  }

  message(channel, ts) {
    return this.messages.get(channel)?.get(ts) ?? null;
  }

  /** The messages that stand in a conversation itself, oldest first. */
  topLevel(channel) {
    return this.#sorted(
      channel,
      (message) => !isReply(message) || message.broadcast || message.subtype === "thread_broadcast",
    );
  }

  /** A thread: its root and its replies, oldest first. */
  thread(channel, root) {
    return this.#sorted(channel, (message) => message.ts === root || message.thread_ts === root);
  }

  #sorted(channel, wanted) {
    const messages = [...(this.messages.get(channel)?.values() ?? [])].filter(
      (message) => wanted(message) && (!message.deleted || message.reply_count > 0),
    );
    return messages.sort((a, b) => (a.ts < b.ts ? -1 : 1));
  }

  #conversation(channel) {
    if (!this.messages.has(channel)) this.messages.set(channel, new Map());
    return this.messages.get(channel);
  }

  // --- names

  user(id) {
    const isApp = id && id === this.app.bot_user_id;
    return (
      this.users.get(id) ?? {
        id,
        name: isApp ? this.app.name : (id ?? "someone"),
        is_bot: Boolean(isApp),
        color: "6b6b76",
      }
    );
  }

  nameOf(id) {
    const user = this.user(id);
    return user.display_name || user.real_name || user.name;
  }

  /** How a conversation is called: the channel's name, or who it is with. */
  titleOf(channel) {
    if (channel.kind === "im") return this.nameOf(channel.user);
    if (channel.kind !== "mpim") return channel.name;
    return channel.members
      .filter((id) => id !== this.me?.id)
      .map((id) => this.nameOf(id))
      .join(", ");
  }

  get channel() {
    return this.channels.get(this.route.channel) ?? null;
  }

  isAppDm(channel) {
    return channel?.kind === "im" && channel.user === this.app.bot_user_id;
  }

  appDm() {
    return [...this.channels.values()].find((channel) => this.isAppDm(channel)) ?? null;
  }

  people() {
    return [...this.users.values()].filter((user) => !user.is_bot);
  }

  session(channel, root) {
    return this.sessions.get(`${channel}/${root}`) ?? null;
  }

  logEntry(entry) {
    const index = this.log.findLastIndex((known) => known.id === entry.id);
    const fresh = { ...entry, rev: ++this.#rev };
    if (index >= 0) this.log[index] = fresh;
    else this.log.splice(this.log.findLastIndex((known) => known.id < entry.id) + 1, 0, fresh);
    if (this.log.length > LOG_LIMIT) this.log.splice(0, this.log.length - LOG_LIMIT);
    this.emit("log");
  }
}

export const isReply = (message) => Boolean(message.thread_ts) && message.thread_ts !== message.ts;

const threadKey = ({ channel, thread_ts }) => `${channel}/${thread_ts ?? ""}`;

const FRAMES = {
  message: (store, { message }) => store.upsert(message),
  message_deleted: (store, { channel, ts }) => store.remove(channel, ts),
  stream: (store, { channel, ts, append }) => store.append(channel, ts, append),
  session(store, { session }) {
    store.sessions.set(threadKey(session), session);
    store.emit("sessions", session);
  },
  prompts(store, { prompts }) {
    store.prompts.set(threadKey(prompts), prompts);
    store.emit("prompts");
  },
  channel(store, { channel }) {
    store.channels.set(channel.id, channel);
    store.emit("channels");
  },
  channel_removed(store, { channel }) {
    store.channels.delete(channel);
    store.emit("channels");
  },
  view: (store, frame) => changeViews(store, frame),
  home: (store, { view }) => store.set({ home: view }, "home"),
  typing(store, { channel, user }) {
    store.typing.set(`${channel}/${user}`, Date.now());
    store.emit("typing");
  },
  app: (store, { app }) => store.set({ app }, "app"),
  log: (store, { entry }) => store.logEntry(entry),
  faults: (store, { faults }) => store.set({ faults }, "faults"),
  clock: (store, { clock }) => store.set({ clock }, "clock"),
  reset: () => location.reload(),
};

/** Open, push, update or close a modal; up to three lie on each other, as in Slack. */
export function changeViews(store, { action, view, view_id }) {
  const id = view?.id ?? view_id;
  const rest = store.views.filter((known) => known.id !== id);
  if (action === "close") store.views = rest;
  else if (action === "update") store.views = store.views.map((known) => (known.id === id ? view : known));
  else store.views = action === "open" && !store.views.some((known) => known.id === id) ? [view] : [...rest, view];
  store.emit("views");
}
