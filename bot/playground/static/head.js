// The head of a conversation: its name, topic, people and tabs; and the banners that say what is not connected.

import { codeBlock } from "./code.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { navigate } from "./router.js";

/** Build the head of a channel or of a direct message. */
export function renderHead(channel, page, { onHome }) {
  const { store } = page;
  const isAgent = store.isAppDm(channel);
  const back = h(
    "button.plain.square.phone-only",
    { type: "button", "aria-label": "Back to the list of conversations", onclick: page.showSidebar },
    icon("back"),
  );
  const mark =
    channel.kind === "im" ? page.face(channel.user, "small") : icon(channel.kind === "private" ? "lock" : "hash");
  const members =
    channel.kind === "im"
      ? null
      : h(
          "button.members",
          {
            type: "button",
            "aria-label": `${channel.members.length} members; details`,
            title: "Members and details",
            onclick: () => page.showChannel(channel),
          },
          icon("people"),
          String(channel.members.length),
        );
  return h(
    "div.head",
    {},
    h(
      "header.pane-head",
      {},
      back,
      h(
        "div.pane-title",
        {},
        h("h1", {}, mark, h("span", {}, store.titleOf(channel)), isAgent && h("span.badge", {}, "App")),
        channel.topic && h("span.quiet.topic", {}, channel.topic),
      ),
      channel.is_ext_shared && h("span.badge.shared", { title: "People of another company read along" }, "Shared"),
      members,
    ),
    isAgent && store.hasHome && renderTabs(channel, page, onHome),
    isAgent && store.app.connected === false && renderDisconnected(page),
  );
}

function renderTabs(channel, page, onHome) {
  const { store } = page;
  const tab = (label, place, selected) =>
    h(
      "button.tab",
      {
        type: "button",
        role: "tab",
        "aria-selected": String(selected),
        dataset: { focus: `tab/${label}` },
        onclick: () => navigate({ user: store.me.id, channel: channel.id, place }),
      },
      label,
    );
  return h(
    "div.tabs",
    { role: "tablist", "aria-label": "Parts of the app" },
    tab("Messages", null, !onHome),
    tab("Home", "home", Boolean(onHome)),
  );
}

function renderDisconnected(page) {
  const command = `SLACK_API_URL=${location.origin}/api/ SLACK_BOT_TOKEN=xoxb-playground SLACK_APP_TOKEN=xapp-playground bot run`;
  return h(
    "div.banner.offline",
    { role: "status" },
    h(
      "p",
      {},
      icon("broken"),
      h("strong", {}, "The app is not connected."),
      ` Start ${page.store.app.name}, or any other Bolt app, with this address:`,
    ),
    codeBlock(command, "shell"),
  );
}
