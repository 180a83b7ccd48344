// What opens beside a button: menus and pickers, on the native popover (it closes on Esc and on a click elsewhere).

import { append, h } from "./dom.js";

const MARGIN = 8;

/** Show content beside an anchor; returns a function that closes it. */
export function openPopover(anchor, content, { label, role = "dialog", onClose } = {}) {
  const box = append(h("div.popover", { popover: "auto", role, "aria-label": label }), [content]);
  (anchor.closest("dialog") ?? document.body).append(box);
  box.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    const held = box.contains(document.activeElement) || document.activeElement === document.body;
    box.remove();
    anchor.setAttribute("aria-expanded", "false");
    if (held) anchor.focus();
    onClose?.();
  });
  box.showPopover();
  anchor.setAttribute("aria-expanded", "true");
  place(box, anchor.getBoundingClientRect());
  return () => box.isConnected && box.hidePopover();
}

function place(box, near) {
  const { width, height } = box.getBoundingClientRect();
  const below = near.bottom + 4;
  const fitsBelow = below + height + MARGIN <= innerHeight;
  const top = fitsBelow ? below : Math.max(MARGIN, near.top - height - 4);
  const left = near.left + width + MARGIN <= innerWidth ? near.left : Math.max(MARGIN, near.right - width);
  box.style.top = `${top}px`;
  box.style.left = `${Math.max(MARGIN, Math.min(left, innerWidth - width - MARGIN))}px`;
}

/** Open a menu of {label, icon?, hint?, danger?, checked?, run}; null entries are separators. */
export function openMenu(anchor, entries, { label = "Menu" } = {}) {
  const rows = entries.map((entry) => (entry ? menuRow(entry, () => close()) : h("hr", { role: "separator" })));
  const close = openPopover(anchor, rows, { label, role: "menu" });
  const items = rows.filter((row) => row.matches("[role^=menuitem]"));
  items[0]?.focus();
  items[0]?.parentElement.addEventListener("keydown", (event) => moveFocus(event, items));
}

function menuRow({ label, hint, danger, checked, run, content }, close) {
  const role = checked === undefined ? "menuitem" : "menuitemradio";
  const choose = () => {
    close();
    run();
  };
  return h(
    danger ? "button.menu-row.danger" : "button.menu-row",
    { type: "button", role, "aria-checked": checked === undefined ? null : String(checked), onclick: choose },
    content ?? label,
    hint && h("span.hint", {}, hint),
  );
}

/** Arrow keys, Home and End move through a list of buttons; `columns` makes it a grid. */
export function moveFocus(event, items, columns = 1) {
  const at = items.indexOf(document.activeElement);
  const steps = { ArrowDown: columns, ArrowUp: -columns, ...(columns > 1 ? { ArrowRight: 1, ArrowLeft: -1 } : {}) };
  let next = null;
  if (event.key in steps)
    next =
      columns > 1
        ? Math.min(Math.max(at + steps[event.key], 0), items.length - 1)
        : (at + steps[event.key] + items.length) % items.length;
  else if (event.key === "Home") next = 0;
  else if (event.key === "End") next = items.length - 1;
  if (next === null || !items.length) return false;
  event.preventDefault();
  items[next].focus();
  return true;
}
