// The page's own dialogs on the native <dialog>: it traps focus, closes on Esc and gives focus back.

import { append, h } from "./dom.js";
import { icon } from "./icons.js";

let count = 0;

/** Open a dialog; `foot` are its buttons. Returns {element, body, close}. */
export function openDialog({ title, body, foot, kind = "", onClose }) {
  const id = `dialog-${(count += 1)}`;
  const close = () => element.close();
  const content = append(h("div.dialog-body"), [body]);
  const element = h(
    "dialog",
    { class: `dialog ${kind}`.trim(), "aria-labelledby": id },
    h("header.dialog-head", {}, h("h2", { id }, title), closeButton(close)),
    content,
    foot && h("footer.dialog-foot", {}, foot),
  );
  element.addEventListener("click", (event) => event.target === element && close());
  element.addEventListener("close", () => {
    element.remove();
    onClose?.();
  });
  document.body.append(element);
  element.showModal();
  return { element, body: content, close };
}

export const closeButton = (onclick) =>
  h("button.plain.square", { type: "button", "aria-label": "Close", title: "Close (Esc)", onclick }, icon("close"));

/** Ask before something happens; resolves to true when the person agrees. */
export function ask({ title, text, confirm = "Yes", deny = "Cancel", danger = false }) {
  return new Promise((resolve) => {
    let agreed = false;
    const yes = h(
      danger ? "button.danger" : "button.primary",
      {
        type: "button",
        autofocus: true,
        onclick: () => {
          agreed = true;
          dialog.close();
        },
      },
      confirm,
    );
    const no = h("button", { type: "button", onclick: () => dialog.close() }, deny);
    const dialog = openDialog({ title, body: text, foot: [no, yes], kind: "small", onClose: () => resolve(agreed) });
    yes.focus();
  });
}

/** A form in a dialog; `onSubmit(values)` may throw, its sentence is then shown in the form. */
export function openForm({ title, fields, submit, onSubmit }) {
  const problem = h("p.problem", { role: "alert" });
  const form = h("form.fields", { method: "dialog", id: `form-${(count += 1)}` }, fields, problem);
  const send = h("button.primary", { type: "submit", form: form.id }, submit);
  const dialog = openDialog({
    title,
    body: form,
    foot: [h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), send],
    kind: "small",
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    try {
      await onSubmit(Object.fromEntries(new FormData(form)));
      dialog.close();
    } catch (error) {
      problem.textContent = error.message;
    }
    send.disabled = false;
  });
  form.querySelector("input, select, textarea")?.focus();
  return dialog;
}
