// Who and where: cards of people, details of a channel, making a channel and inviting to it.

import { ask, openDialog, openForm } from "./dialog.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { openPopover } from "./menu.js";
import { navigate } from "./router.js";
import { toast } from "./toast.js";

/** A small card about a person beside an anchor. */
export function showPerson(page, anchor, id) {
  const { store } = page;
  const user = store.user(id);
  const self = id === store.me.id;
  const local = user.tz
    ? new Intl.DateTimeFormat(undefined, { timeZone: user.tz, hour: "numeric", minute: "2-digit" }).format(
        page.now() * 1000,
      )
    : null;
  const role = user.is_bot ? "App" : user.is_admin ? "Admin" : user.is_guest ? "Guest" : user.team ? "Other company" : "Member";
  const close = openPopover(
    anchor,
    h(
      "div.person-card",
      {},
      page.face(id, "huge"),
      h("h3", {}, user.real_name || store.nameOf(id)),
      h("p.quiet", {}, [role, `@${user.name}`, local && `${local} local time`].filter(Boolean).join(" · ")),
      h("p.quiet.id", {}, id),
      self
        ? h("p.quiet", {}, "This is you.")
        : h(
            "div.row",
            {},
            h(
              "button.primary",
              {
                type: "button",
                onclick: () => {
                  close();
                  page.writeTo(id);
                },
              },
              "Message",
            ),
            !user.is_bot &&
              h(
                "button",
                {
                  type: "button",
                  onclick: () => {
                    close();
                    page.become(id);
                  },
                },
                `Be ${store.nameOf(id)}`,
              ),
          ),
    ),
    { label: `About ${store.nameOf(id)}` },
  );
}

/** The details of a channel: topic, members, invite, leave. */
export function showChannel(page, channel) {
  const { store, actions } = page;
  const isIn = channel.members.includes(store.me.id);
  const row = (id) =>
    h(
      "li.person",
      {},
      page.face(id, "small"),
      h("span", {}, store.nameOf(id), h("small", {}, store.user(id).is_bot ? "App" : id === store.me.id ? "You" : "")),
    );
  const act = async (run, words) => {
    dialog.close();
    if (await run()) toast(words);
  };
  const leave = async () => {
    dialog.close();
    if (
      await ask({
        title: `Leave #${channel.name}`,
        text: "You can come back to a public channel at any time.",
        confirm: "Leave",
      })
    )
      await actions.leave(channel.id);
  };
  const foot = isIn
    ? [
        h("button", { type: "button", onclick: leave }, "Leave"),
        h(
          "button.primary",
          {
            type: "button",
            onclick: () => {
              dialog.close();
              invite(page, channel);
            },
          },
          icon("plus"),
          "Invite",
        ),
      ]
    : [
        h(
          "button.primary",
          { type: "button", onclick: () => act(() => actions.join(channel.id), `You joined #${channel.name}.`) },
          "Join",
        ),
      ];
  const dialog = openDialog({
    title: `#${store.titleOf(channel)}`,
    kind: "small",
    foot,
    body: [
      channel.topic && h("p", {}, channel.topic),
      h("h3", {}, `${channel.members.length} members`),
      h("ul.people", {}, channel.members.map(row)),
      h("p.quiet.id", {}, channel.id),
    ],
  });
}

function invite(page, channel) {
  const { store, actions } = page;
  const absent = [...store.users.values()].filter((user) => !channel.members.includes(user.id));
  if (!absent.length) {
    toast(`Everyone is already in #${channel.name}.`);
    return;
  }
  const field = h(
    "select",
    { name: "invitee" },
    absent.map((user) => h("option", { value: user.id }, store.nameOf(user.id))),
  );
  openForm({
    title: `Invite to #${channel.name}`,
    submit: "Invite",
    fields: h("label", {}, "Who", field),
    onSubmit: ({ invitee }) => actions.invite(channel.id, invitee),
  });
}

/** Make a channel and go there. */
export function createChannel(page) {
  const { store, actions } = page;
  const name = h("input", {
    name: "name",
    required: true,
    maxlength: 80,
    pattern: "[\\p{Ll}\\p{N}_\\-]+",
    placeholder: "e.g. plan-budget",
    autocomplete: "off",
    title: "small letters, digits, - and _",
  });
  name.addEventListener("input", () => {
    name.value = name.value.toLowerCase().replace(/\s+/g, "-");
  });
  openForm({
    title: "Create a channel",
    submit: "Create",
    fields: [
      h("label", {}, "Name", name),
      h(
        "label.switch",
        {},
        h("input", { type: "checkbox", name: "private", role: "switch" }),
        h("span", {}, h("strong", {}, "Private"), h("small", {}, "Only invited people see it")),
      ),
    ],
    onSubmit: async (values) => {
      const channel = await actions.createChannel(values.name, values.private === "on");
      navigate({ user: store.me.id, channel: channel.id });
    },
  });
}
