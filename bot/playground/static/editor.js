// Editing a message in its place.

import { h } from "./dom.js";

/** The field that replaces a message's text while it is edited: Enter saves, Esc leaves. */
export function renderEditor(message, page) {
  const { store, actions } = page;
  const field = h("textarea", { "aria-label": "Edit message", rows: 2, dataset: { focus: "editor" } });
  field.value = store.editing.text;
  const save = () => (field.value.trim() ? actions.edit(message, field.value.trim()) : undefined);
  field.addEventListener("input", () => {
    store.editing.text = field.value;
    fit(field);
  });
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") actions.stopEditing();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      save();
    }
  });
  requestAnimationFrame(() => {
    fit(field);
    if (store.editing?.isNew) focusEnd(field);
    if (store.editing) store.editing.isNew = false;
  });
  return h(
    "div.editor",
    {},
    field,
    h(
      "div.editor-foot",
      {},
      h("span.quiet", {}, "Esc to cancel · Enter to save"),
      h("button", { type: "button", onclick: actions.stopEditing }, "Cancel"),
      h("button.primary", { type: "button", onclick: save }, "Save"),
    ),
  );
}

/** Let a text field be as high as its text. */
export function fit(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

export function focusEnd(field) {
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}
