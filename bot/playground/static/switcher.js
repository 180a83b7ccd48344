// Jump anywhere with Ctrl+K: channels, people, the app, and other persons to be.

import { openDialog } from "./dialog.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { navigate } from "./router.js";

/** Open the switcher; Enter goes to the chosen place. */
export function openSwitcher(page) {
  let found = [];
  let at = 0;
  const list = h("ul.switch-list", { id: "switch-list", role: "listbox", "aria-label": "Places" });
  const field = h("input", {
    type: "search",
    placeholder: "Where to? A channel, a person, the app…",
    "aria-label": "Jump to",
    role: "combobox",
    "aria-expanded": "true",
    "aria-controls": "switch-list",
    autocomplete: "off",
  });
  const go = (place) => {
    dialog.close();
    place.run();
  };
  const draw = () => {
    const typed = field.value.trim().toLowerCase().replace(/^[#@]/, "");
    found = placesOf(page)
      .filter((place) => place.name.toLowerCase().includes(typed))
      .sort((a, b) => rank(a, typed) - rank(b, typed))
      .slice(0, 9);
    at = Math.min(at, Math.max(0, found.length - 1));
    fill(
      list,
      found.map((place, index) =>
        h(
          "li",
          { role: "option", id: `place-${index}`, "aria-selected": String(index === at), onclick: () => go(place) },
          place.mark(),
          h("strong", {}, place.name),
          h("span.hint", {}, place.hint),
        ),
      ),
      found.length ? null : h("li.quiet", {}, "Nothing of that name."),
    );
    field.setAttribute("aria-activedescendant", `place-${at}`);
  };
  field.addEventListener("input", () => {
    at = 0;
    draw();
  });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && found.length) {
      event.preventDefault();
      at = (at + step + found.length) % found.length;
      draw();
    }
    if (event.key === "Enter" && found[at]) {
      event.preventDefault();
      go(found[at]);
    }
  });
  const dialog = openDialog({ title: "Jump to", body: [field, list], kind: "switcher" });
  draw();
  field.focus();
}

const rank = (place, typed) => (place.name.toLowerCase().startsWith(typed) ? 0 : 1) + (place.unread ? 0 : 0.5);

function placesOf(page) {
  const { store } = page;
  const user = store.me.id;
  const channels = [...store.channels.values()].map((channel) => ({
    name: store.titleOf(channel),
    hint: store.isAppDm(channel)
      ? "App"
      : channel.kind === "im"
        ? "Direct message"
        : channel.unread
          ? `${channel.unread} unread`
          : "Channel",
    unread: channel.unread,
    mark: () =>
      channel.kind === "im" ? page.face(channel.user, "small") : icon(channel.kind === "private" ? "lock" : "hash"),
    run: () => navigate({ user, channel: channel.id }),
  }));
  const known = new Set(
    [...store.channels.values()].filter((channel) => channel.kind === "im").map((channel) => channel.user),
  );
  const people = store
    .people()
    .filter((person) => person.id !== user && !known.has(person.id))
    .map((person) => ({
      name: store.nameOf(person.id),
      hint: "Write to",
      mark: () => page.face(person.id, "small"),
      run: () => page.writeTo(person.id),
    }));
  const switches = store
    .people()
    .filter((person) => person.id !== user)
    .map((person) => ({
      name: `Be ${store.nameOf(person.id)}`,
      hint: "Switch person",
      mark: () => icon("person"),
      run: () => page.become(person.id),
    }));
  return [...channels, ...people, ...switches];
}
