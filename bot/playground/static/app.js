// The composition root of the page: one store, its panes, the live connection, and the way between places.

import { createActions } from "./actions.js";
import { api } from "./api.js";
import { avatar } from "./avatar.js";
import { createConversation } from "./conversation.js";
import { fill, h, nextFrame } from "./dom.js";
import { createInspector } from "./inspector.js";
import { attachKeys, openHelp } from "./keys.js";
import { connect } from "./live.js";
import { drawBody } from "./message.js";
import { attachModals } from "./modal.js";
import { createChannel, showChannel, showPerson } from "./people.js";
import { navigate, readRoute, takePermalink } from "./router.js";
import { createSidebar } from "./sidebar.js";
import { Store } from "./store.js";
import { openSwitcher } from "./switcher.js";
import { applyTheme } from "./theme.js";
import { createThreadPane } from "./thread.js";
import { createTopbar } from "./topbar.js";
import { attachVoice } from "./voice.js";

const FIRST_PERSON = "U0MAYA";
const store = new Store();
let live = null;

const page = {
  store,
  actions: createActions(store),
  face: (id, size) => avatar(store.user(id), size),
  now: () => Date.now() / 1000 + (store.clock.offset_s ?? 0),
  openSwitcher: () => openSwitcher(page),
  openHelp: () => openHelp(page),
  createChannel: () => createChannel(page),
  showChannel: (channel) => showChannel(page, channel),
  showPerson: (anchor, id) => showPerson(page, anchor, id),
  toggleInspector: () => inspector.toggle(),
  showSidebar: () => navigate({ user: store.me.id }),
  become: (user) => navigate({ user, channel: page.sharedChannel() }),
  /** The open channel, if another person may have it too. */
  sharedChannel: () => (store.channel && store.channel.kind === "public" ? store.channel.id : null),

  async writeTo(id) {
    const known = [...store.channels.values()].find((channel) => channel.kind === "im" && channel.user === id);
    const channel = known ?? (await page.actions.openDm(id));
    if (channel) navigate({ user: store.me.id, channel: channel.id });
  },

  openThread(message) {
    const root = message.thread_ts ?? message.ts;
    store.focusThread = true;
    if (store.isAppDm(store.channel)) store.opened.add(`${message.channel}/${root}`);
    navigate({ user: store.me.id, channel: message.channel, place: root });
    if (store.isAppDm(store.channel))
      requestAnimationFrame(() => document.querySelector(`[data-composer="${message.channel}/${root}"]`)?.focus());
  },

  closeThread() {
    const { channel, place } = store.route;
    navigate({ user: store.me.id, channel });
    document.querySelector(`.main article[data-ts="${CSS.escape(place ?? "")}"]`)?.focus();
  },

  closeTopmost() {
    if (document.body.classList.contains("with-thread")) page.closeThread();
    else if (!inspector.hidden) inspector.toggle(false);
  },

  /** Go to the next or previous conversation of the sidebar. */
  step(by) {
    const places = [...document.querySelectorAll(".sidebar a.place")];
    const at = places.findIndex((place) => place.getAttribute("aria-current") === "page");
    places[(at + by + places.length) % places.length]?.click();
  },
};

const inspector = createInspector(page);

/** Become the person of the route: listen as them, then load what they see, so that nothing falls in between. */
async function enter(user) {
  live?.end();
  let held = [];
  const opened = new Promise((resolve) => {
    const hear = (state, { again }) => {
      resolve();
      changeConnection(user, state, again);
    };
    live = connect(user, { onFrame: (frame) => (held ? held.push(frame) : store.apply(frame)), onState: hear });
  });
  await opened;
  try {
    store.load(await api.state(user));
  } catch (error) {
    live.end();
    store.set({ connection: "ended" }, "connection");
    fail(error, user);
    return;
  }
  const missed = held;
  held = null;
  missed.forEach((frame) => store.apply(frame));
  localStorage.setItem("person", user);
  const { entries } = await api.log().catch(() => ({ entries: [] }));
  for (const entry of entries) store.logEntry(entry);
}

function fail(error, user) {
  const retry = h("button.primary", { type: "button", onclick: () => enter(user).then(follow) }, "Try again");
  const home = h(
    "button",
    {
      type: "button",
      onclick: () => {
        localStorage.removeItem("person");
        location.hash = `#/${FIRST_PERSON}`;
      },
    },
    "Start over as Maya",
  );
  fill(
    document.getElementById("main"),
    h(
      "div.welcome",
      { role: "alert" },
      h("h2", {}, "This did not load"),
      h("p.quiet", {}, error.message),
      h("div.row", {}, retry, home),
    ),
  );
}

async function changeConnection(user, state, again) {
  store.set({ connection: state }, "connection");
  if (state !== "open" || !again) return;
  const fresh = await api.state(user).catch(() => null);
  if (fresh && store.me.id === user) store.load(fresh);
  if (store.channel) page.actions.open(store.channel.id);
}

/** Follow the address: the person, the channel, the place in it. */
async function follow() {
  const route = readRoute();
  const user = route.user ?? localStorage.getItem("person") ?? FIRST_PERSON;
  const isNewPerson = store.me?.id !== user;
  const isNewChannel = isNewPerson || route.channel !== store.route.channel;
  const isNewPlace = isNewChannel || route.place !== store.route.place;
  store.route = { ...route, user };
  if (isNewPerson) await enter(user);
  if (!store.me) return;
  const isPhone = matchMedia("(max-width: 720px)").matches;
  if (!route.channel && !isPhone) {
    navigate({ user, channel: store.appDm()?.id ?? [...store.channels.keys()][0] }, { replace: true });
    return;
  }
  document.body.classList.toggle("at-list", !route.channel);
  store.emit("route");
  if (route.channel && store.channels.has(route.channel) && (isNewChannel || (isNewPlace && route.place === "home"))) {
    page.actions.open(
      route.channel,
      store.isAppDm(store.channel) ? (route.place === "home" ? "home" : "messages") : null,
    );
  }
  if (isNewChannel && !isPhone && !route.place)
    nextFrame(() => document.querySelector(".main .pane-foot textarea")?.focus());
}

/** What arrives in the open conversation while the window is looked at has been read. */
function readArrived(message) {
  if (
    message.channel === store.route.channel &&
    document.hasFocus() &&
    !message.ephemeral &&
    message.user !== store.me.id
  )
    page.actions.read(message.channel, message.ts);
}

const streaming = new Set();

function drawStreams() {
  for (const message of streaming) {
    const bodies = document.querySelectorAll(`[data-body="${CSS.escape(`${message.channel}:${message.ts}`)}"]`);
    for (const body of bodies) drawBody(body, message, store);
  }
  streaming.clear();
}

function drawConnection() {
  const line = document.getElementById("connection");
  line.hidden = store.connection !== "lost";
  fill(
    line,
    h("span", {}, "The connection to the playground is lost. Reconnecting…"),
    h("button", { type: "button", onclick: () => live?.retryNow() }, "Now"),
  );
}

applyTheme();
takePermalink(localStorage.getItem("person") ?? FIRST_PERSON);
document
  .getElementById("app")
  .append(createTopbar(page), createSidebar(page), createConversation(page), createThreadPane(page), inspector);
attachModals(page);
attachKeys(page);
attachVoice(page);
store.on("connection", drawConnection);
store.on("stream", (message) => {
  streaming.add(message);
  nextFrame(drawStreams);
});
store.on("arrived", readArrived);
addEventListener("focus", () => store.channel?.unread && page.actions.open(store.channel.id));
addEventListener("hashchange", follow);
follow();
