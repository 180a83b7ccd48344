// Where a person writes. Enter sends, Shift+Enter breaks the line, Up edits the last own message; drafts outlive reloads.

import { createTray } from "./attach.js";
import { attachCompletion } from "./completion.js";
import { h } from "./dom.js";
import { fit } from "./editor.js";
import { icon } from "./icons.js";
import { pickEmoji } from "./picker.js";

const draftName = ({ store }, key) => `draft/${store.me.id}/${key}`;

export const hasDraft = (page, key) => Boolean(localStorage.getItem(draftName(page, key)));

/**
 * Build a composer for {channel, root}. `onSent(result)` runs after a message went out.
 * `slim` is the one-line form that stands inside a conversation.
 */
export function createComposer(page, { channel, root = null, label, slim = false, onSent, lastOwn }) {
  const key = draftName(page, root ? `${channel}/${root}` : channel);
  const field = h("textarea", {
    rows: 1,
    "aria-label": label,
    placeholder: label,
    dataset: { composer: root ? `${channel}/${root}` : channel },
  });
  field.value = localStorage.getItem(key) ?? "";
  const completion = attachCompletion(field, page.store, { commands: true });
  const send = h(
    "button.send",
    { type: "submit", "aria-label": "Send", title: "Send (Enter)" },
    icon("send", { filled: true }),
  );

  const settle = () => {
    fit(field);
    send.disabled = tray.isBusy || (!field.value.trim() && tray.isEmpty);
    if (field.value) localStorage.setItem(key, field.value);
    else localStorage.removeItem(key);
  };
  const tray = createTray(page, { onChange: () => settle() });
  const clear = (text = "") => {
    field.value = text;
    completion.close();
    settle();
  };

  async function submit() {
    const text = field.value;
    if (tray.isBusy || (!text.trim() && tray.isEmpty)) return;
    const files = tray.take();
    clear();
    const sent = await page.actions.send({ channel, thread_ts: root, text, files: files.map((file) => file.id) });
    if (!sent) tray.put(files);
    if (!sent && !field.value) clear(text);
    else if (sent) onSent?.(sent);
    page.store.emit("drafts");
  }

  field.addEventListener("input", () => {
    settle();
    if (field.value && !field.value.startsWith("/")) page.actions.typing(channel);
  });
  field.addEventListener("blur", () => page.store.emit("drafts"));
  field.addEventListener("keydown", (event) => {
    if (completion.handleKey(event) || event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    } else if (event.key === "ArrowUp" && !field.value && lastOwn?.()) {
      event.preventDefault();
      page.actions.startEditing(lastOwn());
    } else handleFormat(event, field);
  });

  const insert = (text) => {
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    field.focus();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const sigil = (text) =>
    insert(field.value && !/\s$/.test(field.value.slice(0, field.selectionStart)) ? ` ${text}` : text);
  const tool = (name, title, run) =>
    h("button.plain.tool", { type: "button", "aria-label": title, title, onclick: run }, icon(name));
  const tools = [
    tray.button,
    tool("smile", "Emoji", (event) => pickEmoji(event.currentTarget, (name, glyph) => insert(glyph))),
    tool("at", "Mention someone", () => sigil("@")),
    !slim &&
      tool("slash", "Run a command", () => {
        clear("");
        sigil("/");
      }),
  ];
  const form = h(
    slim ? "form.composer.slim" : "form.composer",
    {
      onsubmit: (event) => {
        event.preventDefault();
        submit();
        field.focus();
      },
    },
    completion.list,
    field,
    tray.list,
    tray.input,
    h(
      "div.composer-tools",
      {},
      tools,
      h("span.composer-hint", {}, h("b", {}, "Shift + Enter"), " for a new line"),
      send,
    ),
  );
  tray.listen(form, field);
  requestAnimationFrame(settle);
  form.focusField = () => field.focus();
  form.setShape = (shape) => {
    field.placeholder = shape.label;
    field.setAttribute("aria-label", shape.label);
    form.classList.toggle("slim", shape.slim);
  };
  return form;
}

const FORMATS = { b: "*", i: "_", e: "`" };

/** Ctrl+B, Ctrl+I and Ctrl+E put Slack's marks around the selection. */
function handleFormat(event, field) {
  const mark = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && FORMATS[event.key];
  if (!mark) return;
  event.preventDefault();
  const { selectionStart: start, selectionEnd: end } = field;
  field.setRangeText(mark + field.value.slice(start, end) + mark, start, end, "end");
  if (start === end) field.setSelectionRange(start + 1, start + 1);
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
