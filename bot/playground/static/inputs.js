// Block Kit's inputs: typed text, choices, dates. Each writes to the host's form and, where Slack would, sends its action.

import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { emojiText } from "./emoji.js";
import { choiceKey, isMany } from "./form.js";
import { renderText } from "./mrkdwn.js";

/** Keep a value and tell the app if it wants to hear of it. */
async function change(element, { host, blockId, dispatches }, value) {
  if (dispatches && element.confirm && !(await agreed(element.confirm, host))) return;
  host.form.write(blockId, element, value);
  host.onChange?.(blockId);
  if (dispatches) host.act(blockId, { type: element.type, action_id: element.action_id, ...value });
}

const agreed = (confirm, host) =>
  ask({
    title: confirm.title?.text ?? "Are you sure?",
    text: renderText(confirm.text, host.store),
    confirm: confirm.confirm?.text,
    deny: confirm.deny?.text,
    danger: confirm.style === "danger",
  });

const basics = (element, { blockId, label, describedBy }) => ({
  dataset: { focus: `${blockId}/${element.action_id}` },
  "aria-label": label ?? element.placeholder?.text ?? element.type.replaceAll("_", " "),
  "aria-describedby": describedBy,
  autofocus: element.focus_on_load,
});

// --- typed

function renderTyped(element, slot) {
  const many = element.multiline || element.type === "rich_text_input";
  const types = { email_text_input: "email", url_text_input: "url", number_input: "number" };
  const field = h(many ? "textarea" : "input", {
    ...basics(element, slot),
    type: many ? null : (types[element.type] ?? "text"),
    rows: many ? 4 : null,
    placeholder: element.placeholder?.text,
    minlength: element.min_length,
    maxlength: element.max_length,
    min: element.min_value,
    max: element.max_value,
    step: element.is_decimal_allowed ? "any" : null,
    autocomplete: "off",
  });
  field.value = slot.host.form.read(slot.blockId, element).value ?? "";
  const keep = () => slot.host.form.write(slot.blockId, element, { value: field.value || null });
  const triggers = element.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
  field.addEventListener("input", () => {
    keep();
    slot.host.onChange?.(slot.blockId);
    if (slot.dispatches && triggers.includes("on_character_entered"))
      slot.host.act(slot.blockId, { type: element.type, action_id: element.action_id, value: field.value });
  });
  field.addEventListener("keydown", (event) => {
    if (
      event.key !== "Enter" ||
      event.ctrlKey ||
      event.metaKey ||
      many ||
      !slot.dispatches ||
      !triggers.includes("on_enter_pressed")
    )
      return;
    slot.host.act(slot.blockId, { type: element.type, action_id: element.action_id, value: field.value });
  });
  return field;
}

// --- choices

/** The choices of a select: [{key, label, value}], where value is what `state` holds. */
function choicesOf(element, { host }) {
  const { store } = host;
  const kind = element.type.replace("multi_", "");
  if (kind === "users_select")
    return [...store.users.values()].map((user) => ({ key: user.id, label: store.nameOf(user.id), value: user.id }));
  if (kind === "channels_select" || kind === "conversations_select") {
    const fits = (channel) => kind === "conversations_select" || channel.kind === "public";
    return [...store.channels.values()].filter(fits).map((channel) => ({
      key: channel.id,
      label: (channel.kind === "im" ? "@" : "#") + store.titleOf(channel),
      value: channel.id,
    }));
  }
  const groups = element.option_groups ?? [{ options: element.options ?? [] }];
  return groups.flatMap((group) =>
    group.options.map((option) => ({
      key: option.value,
      label: option.text.text,
      value: option,
      group: group.label?.text,
    })),
  );
}

const keyOf = (value) => (value && typeof value === "object" ? value.value : value);

function renderSelect(element, slot) {
  const key = choiceKey(element.type);
  const choices = choicesOf(element, slot);
  const chosen = keyOf(slot.host.form.read(slot.blockId, element)[key]);
  const options = (list) =>
    list.map((choice) => h("option", { value: choice.key, selected: choice.key === chosen }, emojiText(choice.label)));
  const groups = [...new Set(choices.map((choice) => choice.group))];
  const select = h(
    "select",
    basics(element, slot),
    h("option", { value: "", selected: !chosen }, element.placeholder?.text ?? "Choose…"),
    groups.map((group) =>
      group
        ? h("optgroup", { label: group }, options(choices.filter((choice) => choice.group === group)))
        : options(choices.filter((choice) => !choice.group)),
    ),
  );
  select.addEventListener("change", () =>
    change(element, slot, { [key]: choices.find((choice) => choice.key === select.value)?.value ?? null }),
  );
  return select;
}

function renderMultiSelect(element, slot) {
  const key = choiceKey(element.type);
  const choices = choicesOf(element, slot);
  const chosen = new Set((slot.host.form.read(slot.blockId, element)[key] ?? []).map(keyOf));
  const summary = h("summary", basics(element, slot));
  const label = () => {
    const names = choices.filter((choice) => chosen.has(choice.key)).map((choice) => choice.label);
    summary.textContent = names.length ? names.join(", ") : (element.placeholder?.text ?? "Choose…");
  };
  const toggle = (choice, box) => {
    if (box.checked && element.max_selected_items && chosen.size >= element.max_selected_items) box.checked = false;
    chosen[box.checked ? "add" : "delete"](choice.key);
    label();
    change(element, slot, { [key]: choices.filter((known) => chosen.has(known.key)).map((known) => known.value) });
  };
  label();
  return h(
    "details.multi",
    {},
    summary,
    h(
      "div.multi-list",
      { role: "group" },
      choices.map((choice) =>
        choiceRow(
          "checkbox",
          { checked: chosen.has(choice.key), onchange: (event) => toggle(choice, event.target) },
          choice.label,
        ),
      ),
    ),
  );
}

const choiceRow = (type, props, ...content) =>
  h("label.choice", {}, h("input", { type, ...props }), h("span", {}, content));

function renderBoxes(element, slot) {
  const key = choiceKey(element.type);
  const many = isMany(element.type);
  const held = slot.host.form.read(slot.blockId, element)[key];
  const chosen = new Set([held ?? []].flat().map(keyOf));
  const pick = (option, box) => {
    if (!many) chosen.clear();
    chosen[box.checked ? "add" : "delete"](option.value);
    const options = element.options.filter((known) => chosen.has(known.value));
    change(element, slot, { [key]: many ? options : (options[0] ?? null) });
  };
  const name = `${slot.host.id}/${slot.blockId}/${element.action_id}`;
  return h(
    "div.choices",
    { role: many ? "group" : "radiogroup", "aria-label": slot.label ?? element.type },
    element.options.map((option) =>
      choiceRow(
        many ? "checkbox" : "radio",
        {
          name,
          checked: chosen.has(option.value),
          dataset: { focus: `${slot.blockId}/${element.action_id}/${option.value}` },
          onchange: (event) => pick(option, event.target),
        },
        renderText(option.text, slot.host.store),
        option.description && h("small", {}, renderText(option.description, slot.host.store)),
      ),
    ),
  );
}

/** A select whose options the app computes: typing asks the app. */
function renderExternal(element, slot) {
  const holder = h("div.external");
  const show = (options) =>
    holder
      .querySelector("select, details")
      ?.replaceWith((isMany(element.type) ? renderMultiSelect : renderSelect)({ ...element, options }, slot));
  const search = h("input", {
    type: "search",
    placeholder: "Type to search",
    "aria-label": "Search options",
    autocomplete: "off",
  });
  search.addEventListener("input", async () => {
    if (search.value.length >= (element.min_query_length ?? 3))
      show((await slot.host.options(slot.blockId, element, search.value)) ?? []);
  });
  const initial = [element.initial_option, ...(element.initial_options ?? [])].filter(Boolean);
  holder.append(
    search,
    (isMany(element.type) ? renderMultiSelect : renderSelect)({ ...element, options: initial }, slot),
  );
  return holder;
}

// --- dates

function renderDate(element, slot) {
  const types = { datepicker: "date", timepicker: "time", datetimepicker: "datetime-local" };
  const key = choiceKey(element.type);
  const field = h("input", { ...basics(element, slot), type: types[element.type] });
  const held = slot.host.form.read(slot.blockId, element)[key];
  field.value = element.type === "datetimepicker" && held ? localIso(held) : (held ?? "");
  field.addEventListener("change", () => change(element, slot, { [key]: dateValue(element.type, field.value) }));
  return field;
}

const localIso = (seconds) =>
  new Date(seconds * 1000 - new Date(seconds * 1000).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

const dateValue = (type, text) =>
  !text ? null : type === "datetimepicker" ? Math.floor(new Date(text).getTime() / 1000) : text;

export const INPUTS = {
  plain_text_input: renderTyped,
  rich_text_input: renderTyped,
  email_text_input: renderTyped,
  url_text_input: renderTyped,
  number_input: renderTyped,
  static_select: renderSelect,
  users_select: renderSelect,
  conversations_select: renderSelect,
  channels_select: renderSelect,
  multi_static_select: renderMultiSelect,
  multi_users_select: renderMultiSelect,
  multi_conversations_select: renderMultiSelect,
  multi_channels_select: renderMultiSelect,
  external_select: renderExternal,
  multi_external_select: renderExternal,
  radio_buttons: renderBoxes,
  checkboxes: renderBoxes,
  datepicker: renderDate,
  timepicker: renderDate,
  datetimepicker: renderDate,
};
