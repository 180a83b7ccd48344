// Block Kit's elements that do something when pressed: buttons, menus, thumbs; and images. A host receives the actions.

import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { fileUrl } from "./files.js";
import { icon } from "./icons.js";
import { isSafe } from "./inline.js";
import { INPUTS } from "./inputs.js";
import { openMenu } from "./menu.js";
import { renderText } from "./mrkdwn.js";

/**
 * Render one element. `slot` is {host, blockId, dispatches}; a host has store, form and act(blockId, action).
 * An element that is not known is shown as its JSON.
 */
export function renderElement(element, slot) {
  const render = ELEMENTS[element.type] ?? INPUTS[element.type];
  return render ? render(element, slot) : unknown("element", element);
}

/** What the page cannot draw stays visible as labelled JSON. */
export function unknown(noun, thing) {
  return h(
    "details.unknown",
    {},
    h("summary", {}, `${noun} of type “${thing?.type ?? "?"}”: not drawn here`),
    h("pre", {}, JSON.stringify(thing, null, 2)),
  );
}

const focusKey = (element, { blockId }) => ({ focus: `${blockId}/${element.action_id}` });

/** Ask the app's question first, if it set one; then send the action. */
export async function dispatch(element, { host, blockId }, action) {
  const { confirm } = element;
  if (confirm) {
    const agreed = await ask({
      title: confirm.title?.text ?? "Are you sure?",
      text: renderText(confirm.text, host.store),
      confirm: confirm.confirm?.text ?? "Yes",
      deny: confirm.deny?.text ?? "Cancel",
      danger: confirm.style === "danger",
    });
    if (!agreed) return false;
  }
  host.act(blockId, { type: element.type, action_id: element.action_id, ...action });
  return true;
}

function renderButton(element, slot) {
  const style = { primary: "primary", danger: "danger" }[element.style];
  const press = () => {
    dispatch(element, slot, { value: element.value, text: element.text });
    if (element.url && isSafe(element.url)) window.open(element.url, "_blank", "noopener");
  };
  return h(
    style ? `button.${style}` : "button",
    {
      type: "button",
      onclick: press,
      dataset: focusKey(element, slot),
      title: element.url ?? null,
      "aria-label": element.accessibility_label,
    },
    renderText(element.text, slot.host.store),
    element.url && icon("window"),
  );
}

function renderOverflow(element, slot) {
  const choose = (option) => {
    dispatch(element, slot, { selected_option: option });
    if (option.url && isSafe(option.url)) window.open(option.url, "_blank", "noopener");
  };
  const open = (event) =>
    openMenu(
      event.currentTarget,
      element.options.map((option) => ({
        content: renderText(option.text, slot.host.store),
        run: () => choose(option),
      })),
      { label: "More actions" },
    );
  return h(
    "button.square",
    {
      type: "button",
      "aria-label": "More actions",
      "aria-haspopup": "menu",
      onclick: open,
      dataset: focusKey(element, slot),
    },
    icon("more"),
  );
}

function renderFeedback(element, slot) {
  const { host } = slot;
  const buttons = h("span.thumbs", { role: "group", "aria-label": "Feedback" });
  const thumb = (side, drawing) => {
    const spec = element[`${side}_button`];
    const press = () => {
      host.setThumb?.(element.action_id, side);
      for (const other of buttons.children) other.setAttribute("aria-pressed", String(other === button));
      dispatch(element, slot, { value: spec.value, text: spec.text });
    };
    const button = h(
      `button.plain.thumb.${side}`,
      {
        type: "button",
        "aria-label": spec.accessibility_label ?? spec.text.text,
        title: spec.text.text,
        onclick: press,
        "aria-pressed": String(host.thumb?.(element.action_id) === side),
        dataset: { focus: `${slot.blockId}/${element.action_id}/${side}` },
      },
      drawing,
    );
    return button;
  };
  buttons.append(thumb("positive", icon("up")), thumb("negative", flipped(icon("up"))));
  return buttons;
}

function flipped(drawing) {
  drawing.classList.add("flipped");
  return drawing;
}

function renderIconButton(element, slot) {
  const seenBy = element.visible_to_user_ids;
  if (seenBy?.length && !seenBy.includes(slot.host.store.me.id)) return null;
  const press = () => dispatch(element, slot, { value: element.value, text: element.text });
  return h(
    "button.plain.thumb",
    {
      type: "button",
      "aria-label": element.accessibility_label ?? element.text?.text ?? element.icon,
      title: element.text?.text,
      onclick: press,
      dataset: focusKey(element, slot),
    },
    icon(element.icon === "trash" ? "trash" : "dot"),
  );
}

/** An image the page may load (its own or data:); anything else is its description with a link. */
export function renderImage({ image_url: url = "", slack_file: file, alt_text: alt = "image" }, { host }) {
  if (file) return h("img", { src: fileUrl(file.id ?? idIn(file.url), host.store), alt, loading: "lazy" });
  const own = url.startsWith("data:image/") || (isSafe(url) && new URL(url).origin === location.origin);
  if (own) return h("img", { src: url, alt, loading: "lazy" });
  return h(
    "span.image-stub",
    {},
    icon("link"),
    isSafe(url) ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, alt) : alt,
  );
}

const idIn = (url = "") => url.match(/[-/](F[A-Z0-9]+)(\/|$)/)?.[1] ?? "";

const ELEMENTS = {
  button: renderButton,
  workflow_button: renderButton,
  overflow: renderOverflow,
  feedback_buttons: renderFeedback,
  icon_button: renderIconButton,
  image: renderImage,
  mrkdwn: (element, { host }) => renderText(element, host.store),
  plain_text: (element, { host }) => renderText(element, host.store),
};
