// The bar at the top: jump anywhere, the inspector, light and dark, help, and who one is.

import { h, nextFrame } from "./dom.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";
import { routeTo } from "./router.js";
import { currentTheme, toggleTheme } from "./theme.js";

/** Build the top bar. */
export function createTopbar(page) {
  const { store } = page;
  const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
  const jump = h(
    "button.jump-to",
    { type: "button", onclick: page.openSwitcher, "aria-keyshortcuts": "Control+K" },
    icon("search"),
    h("span", {}, "Jump to a conversation"),
    h("kbd", {}, isMac ? "⌘K" : "Ctrl K"),
  );
  const tool = (name, label, run, props = {}) =>
    h("button.plain.square", { type: "button", "aria-label": label, title: label, onclick: run, ...props }, icon(name));
  const inspect = tool("pulse", "Inspector: events and API calls", page.toggleInspector, {
    "aria-pressed": "false",
    id: "toggle-inspector",
  });
  const theme = tool("moon", "Dark or light", () => {
    toggleTheme();
    drawTheme();
  });
  const me = h("button.me-button", {
    type: "button",
    "aria-haspopup": "menu",
    "aria-label": "Switch person",
    onclick: () => openPeople(me, page),
  });
  const drawTheme = () => theme.replaceChildren(icon(currentTheme() === "dark" ? "sun" : "moon"));
  const draw = () =>
    store.me &&
    me.replaceChildren(
      page.face(store.me.id, "small"),
      h("span.me-name", {}, store.nameOf(store.me.id)),
      icon("chevron"),
    );

  drawTheme();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTheme);
  store.on("app channels", () => nextFrame(draw));
  store.on("inspector", (open) => inspect.setAttribute("aria-pressed", String(open)));
  return h(
    "header.topbar",
    { "aria-label": "Workspace" },
    h(
      "span.brand",
      {},
      h("img", { src: "/static/icon.svg", alt: "", width: 22, height: 22 }),
      h("span", {}, "On this machine only"),
    ),
    jump,
    h("div.topbar-tools", {}, inspect, theme, tool("help", "Help and keyboard shortcuts (?)", page.openHelp), me),
  );
}

function openPeople(anchor, page) {
  const { store } = page;
  const row = (user) =>
    h(
      "span.person",
      {},
      page.face(user.id, "small"),
      h(
        "span",
        {},
        store.nameOf(user.id),
        h("small", {}, user.is_admin ? "Admin" : user.is_guest ? "Guest" : user.team ? "Other company" : "Member"),
      ),
    );
  const others = store.people().filter((user) => user.id !== store.me.id);
  openMenu(
    anchor,
    [
      ...store
        .people()
        .map((user) => ({ content: row(user), checked: user.id === store.me.id, run: () => page.become(user.id) })),
      null,
      ...others.map((user) => ({
        content: [icon("window"), `Open as ${store.nameOf(user.id)} in a new window`],
        run: () => window.open(routeTo({ user: user.id, channel: page.sharedChannel() }), "_blank", "noopener"),
      })),
    ],
    { label: "Switch person" },
  );
}
