// The list at the left: channels, direct messages and the app, with what is unread.

import { hasDraft } from "./composer.js";
import { h, nextFrame, reconcile } from "./dom.js";
import { icon } from "./icons.js";
import { routeTo } from "./router.js";

/** Build the sidebar; it follows the store. */
export function createSidebar(page) {
  const { store } = page;
  const list = (label) => h("ul", { "aria-label": label });
  const lists = { channels: list("Channels"), people: list("Direct messages"), apps: list("Apps") };
  const section = (title, key, button) => h("section", {}, h("header", {}, h("h2", {}, title), button), lists[key]);
  const add = (label, run) =>
    h("button.plain.square", { type: "button", "aria-label": label, title: label, onclick: run }, icon("plus"));
  const name = h("strong.team-name");
  const element = h(
    "nav.sidebar",
    { "aria-label": "Conversations" },
    h("header.team", {}, name, h("span.quiet.team-note")),
    h(
      "div.sidebar-scroll",
      {},
      section("Channels", "channels", add("Create a channel", page.createChannel)),
      section("Direct messages", "people", add("Write to someone", page.openSwitcher)),
      section("Apps", "apps"),
    ),
  );
  element.addEventListener("keydown", (event) => moveLinks(event, element));

  function draw() {
    if (!store.me) return;
    name.textContent = store.team.name ?? "Playground";
    element.querySelector(".team-note").textContent = `You are ${store.nameOf(store.me.id)}`;
    const all = [...store.channels.values()];
    const channels = all
      .filter((channel) => channel.kind !== "im")
      .sort((a, b) => store.titleOf(a).localeCompare(store.titleOf(b)));
    const people = all
      .filter((channel) => channel.kind === "im" && !store.isAppDm(channel))
      .sort((a, b) => store.titleOf(a).localeCompare(store.titleOf(b)));
    const none = (words) => [{ key: "none", sig: "", build: () => h("li.quiet.none", {}, words) }];
    reconcile(lists.channels, channels.length ? channels.map(item) : none("None yet. Someone has to invite you."));
    reconcile(lists.people, people.length ? people.map(item) : none("Nobody yet. Press + to write to someone."));
    reconcile(lists.apps, all.filter((channel) => store.isAppDm(channel)).map(item));
    const mentions = all.reduce(
      (sum, channel) => sum + (channel.kind === "im" ? channel.unread : channel.mentions) || 0,
      0,
    );
    const title = store.channel
      ? `${store.channel.kind === "im" ? "" : "#"}${store.titleOf(store.channel)} · ${store.team.name}`
      : store.team.name;
    document.title = mentions ? `(${mentions}) ${title}` : title;
  }

  function item(channel) {
    const current = store.route.channel === channel.id;
    const draft = !current && hasDraft(page, channel.id);
    return {
      key: channel.id,
      sig: JSON.stringify([
        channel.unread,
        channel.mentions,
        channel.name,
        current,
        draft,
        store.me.id,
        store.isAppDm(channel) && store.app,
      ]),
      build: () => h("li", {}, renderLink(channel, { current, draft })),
    };
  }

  function renderLink(channel, { current, draft }) {
    const isDm = channel.kind === "im";
    const isOutside = !isDm && channel.members && !channel.members.includes(store.me.id);
    const count = isDm ? channel.unread : channel.mentions;
    const unread = channel.unread > 0 && !current;
    const mark = isDm
      ? h("span.presence", { class: isOnline(channel) ? "on" : "" }, page.face(channel.user, "small"))
      : icon(channel.kind === "private" ? "lock" : "hash");
    const words = [
      store.titleOf(channel),
      isDm ? "direct message" : "channel",
      unread && `${channel.unread} unread`,
      isDm && (isOnline(channel) ? "online" : "not connected"),
    ]
      .filter(Boolean)
      .join(", ");
    return h(
      "a.place",
      {
        href: routeTo({ user: store.me.id, channel: channel.id }),
        class: [unread && "unread", isOutside && "outside"].filter(Boolean).join(" "),
        "aria-current": current ? "page" : null,
        "aria-label": words,
        dataset: { focus: channel.id },
      },
      mark,
      h("span.place-name", {}, store.titleOf(channel)),
      draft && icon("edit"),
      count > 0 && !current && h("span.count", { "aria-hidden": "true" }, String(count)),
    );
  }

  const isOnline = (channel) => (store.isAppDm(channel) ? store.app.connected !== false : true);

  store.on("channels route app drafts", () => nextFrame(draw));
  return element;
}

function moveLinks(event, element) {
  const links = [...element.querySelectorAll("a.place")];
  const at = links.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (at < 0 || !step) return;
  event.preventDefault();
  links[(at + step + links.length) % links.length].focus();
}
