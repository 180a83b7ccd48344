// The values that people put into Block Kit inputs, in the shape of Slack's `state.values`. Knows no DOM.

export class FormState {
  #values = new Map();

  /** The value of an input: what was entered, else what the app set at first. */
  read(blockId, element) {
    return this.#values.get(`${blockId}\n${element.action_id}`) ?? initialValue(element);
  }

  write(blockId, element, value) {
    this.#values.set(`${blockId}\n${element.action_id}`, { type: element.type, ...value });
  }

  /** All inputs of some blocks as `{block_id: {action_id: value}}`. */
  collect(blocks) {
    const values = {};
    for (const block of blocks ?? []) {
      const elements = [block.element, block.accessory, ...(block.elements ?? [])].filter(
        (element) => element?.action_id && isInput(element),
      );
      for (const element of elements)
        (values[block.block_id] ??= {})[element.action_id] = this.read(block.block_id, element);
    }
    return { values };
  }
}

const KEYS = {
  users_select: "user",
  conversations_select: "conversation",
  channels_select: "channel",
  static_select: "option",
  external_select: "option",
  radio_buttons: "option",
  checkboxes: "options",
  multi_static_select: "options",
  multi_external_select: "options",
  multi_users_select: "users",
  multi_conversations_select: "conversations",
  multi_channels_select: "channels",
  datepicker: "date",
  timepicker: "time",
  datetimepicker: "date_time",
};

/** The field of `state` that an element's choice stands in: `selected_option`, `selected_users` …; null for typed values. */
export const choiceKey = (type) => (KEYS[type] ? `selected_${KEYS[type]}` : null);

export const isMany = (type) => type.startsWith("multi_") || type === "checkboxes";

const isInput = ({ type }) => type in KEYS || type.endsWith("_input");

function initialValue(element) {
  const { type } = element;
  const key = KEYS[type];
  if (!key) return { type, value: element.initial_value ?? null };
  return { type, [`selected_${key}`]: element[`initial_${key}`] ?? (isMany(type) ? [] : null) };
}
