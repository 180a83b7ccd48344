// Modals that the app opens: the top view of the stack in one dialog. Ctrl+Enter submits, Esc closes and tells the app.

import { renderBlocks } from "./blocks.js";
import { closeButton } from "./dialog.js";
import { h, nextFrame } from "./dom.js";
import { emojiText } from "./emoji.js";
import { FormState } from "./form.js";
import { changeViews } from "./store.js";

/** Show the store's views as they come and go. */
export function attachModals(page) {
  const { store, actions } = page;
  const dialog = h("dialog.dialog.modal", { "aria-labelledby": "modal-title" });
  const forms = new Map(); // view id → FormState: what was typed survives an update of its view
  const errors = new Map();
  let shown = null;
  let busy = false;
  document.body.append(dialog);

  const top = () => store.views.at(-1) ?? null;
  const formOf = (view) => {
    if (!forms.has(view.id)) forms.set(view.id, new FormState());
    return forms.get(view.id);
  };

  function close(view) {
    changeViews(store, { action: "close", view_id: view.id });
    actions.closeView(view);
  }

  async function submit(view) {
    if (busy || !view.submit) return;
    const missing = missingOf(view, formOf(view));
    errors.set(view.id, missing);
    if (Object.keys(missing).length) return draw({ toError: true });
    busy = true;
    draw();
    const answer = await actions.submitView(view, formOf(view).collect(view.blocks));
    busy = false;
    if (answer) settle(view, answer);
    return draw({ toError: Boolean(answer?.errors) });
  }

  function settle(view, answer) {
    if (answer.errors) errors.set(view.id, answer.errors);
    else if (answer.response_action === "update" || answer.response_action === "push")
      changeViews(store, {
        action: answer.response_action,
        view: answer.view,
        ...(answer.response_action === "update" && { view: { ...answer.view, id: view.id } }),
      });
    else if (answer.response_action === "clear") store.set({ views: [] }, "views");
    else changeViews(store, { action: "close", view_id: view.id });
  }

  function draw({ toError = false } = {}) {
    const view = top();
    for (const id of forms.keys()) if (!store.views.some((known) => known.id === id)) forms.delete(id);
    if (!view) {
      shown = null;
      if (dialog.open) dialog.close();
      return;
    }
    const isNew = shown !== view.id;
    const held = dialog.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    shown = view.id;
    render(view);
    if (!dialog.open) dialog.showModal();
    const aim = toError
      ? ".wrong :is(input, textarea, select, summary)"
      : isNew
        ? ":is(input, textarea, select, summary)"
        : held
          ? `[data-focus="${CSS.escape(held)}"]`
          : null;
    if (aim) dialog.querySelector(`.dialog-body ${aim}`)?.focus();
  }

  function render(view) {
    const form = formOf(view);
    const target = { view_id: view.id };
    const problems = { ...view.errors, ...errors.get(view.id) };
    const host = {
      id: view.id,
      store,
      form,
      errors: problems,
      act: (blockId, action) => actions.act(target, blockId, action, form.collect(view.blocks)),
      options: (blockId, element, value) => actions.options(target, blockId, element, value),
      onChange: (blockId) => clearError(view, blockId),
    };
    const text = (object, fallback) => (object ? emojiText(object.text) : fallback);
    dialog.replaceChildren(
      h(
        "header.dialog-head",
        {},
        page.face(store.app.bot_user_id, "small"),
        h("h2", { id: "modal-title" }, text(view.title, store.app.name)),
        closeButton(() => close(view)),
      ),
      h(
        "form.dialog-body",
        {
          id: "modal-form",
          novalidate: true,
          onsubmit: (event) => {
            event.preventDefault();
            submit(view);
          },
        },
        renderBlocks(view.blocks, host),
      ),
      h(
        "footer.dialog-foot",
        {},
        h(
          "button",
          { type: "button", onclick: () => close(view), dataset: { focus: "modal-close" } },
          text(view.close, view.submit ? "Cancel" : "Close"),
        ),
        view.submit &&
          h(
            "button.primary",
            {
              type: "submit",
              form: "modal-form",
              disabled: busy,
              title: "Ctrl+Enter",
              dataset: { focus: "modal-submit" },
            },
            busy ? "Sending…" : text(view.submit, "Submit"),
          ),
      ),
    );
  }

  function clearError(view, blockId) {
    if (!errors.get(view.id)?.[blockId]) return;
    delete errors.get(view.id)[blockId];
    const block = dialog.querySelector(`[data-block="${CSS.escape(blockId)}"]`);
    block?.classList.remove("wrong");
    block?.querySelector(".problem")?.remove();
  }

  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    if (top()) close(top());
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && top()) submit(top());
  });
  store.on("views", () => nextFrame(draw));
}

/** The inputs that must be filled and are not, as Slack checks before it asks the app. */
function missingOf(view, form) {
  const missing = {};
  for (const block of view.blocks) {
    if (block.type !== "input" || block.optional || !block.element) continue;
    const { type, ...value } = form.read(block.block_id, block.element);
    const [held] = Object.values(value);
    if (held === null || held === undefined || held === "" || (Array.isArray(held) && !held.length))
      missing[block.block_id] = "Please fill this in.";
    else if (block.element.min_length && String(held).length < block.element.min_length)
      missing[block.block_id] = `At least ${block.element.min_length} characters, please.`;
  }
  return missing;
}
