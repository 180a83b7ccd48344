// Builds DOM nodes. Text always becomes a text node, so nothing that people or apps write can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** Build an element: `h("button.primary", {onclick, "aria-label": "…"}, "text", child, [more])`. */
export function h(spec, props, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(props ?? {})) setProp(element, name, value);
  append(element, children);
  return element;
}

function setProp(element, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (name === "class") element.classList.add(...String(value).split(" ").filter(Boolean));
  else if (name === "dataset") Object.assign(element.dataset, value);
  else if (name === "style") for (const [key, entry] of Object.entries(value)) element.style.setProperty(key, entry);
  else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "value" || name === "checked" || name === "selected" || name === "disabled") element[name] = value;
  else element.setAttribute(name, value === true ? "" : value);
}

/** Append strings, nodes and nested lists of both; skip null, undefined and false. */
export function append(parent, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
  return parent;
}

/** Replace all children of a node. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  return append(parent, children);
}

/** Build an icon from a path in a 20 × 20 box; icons are decoration, so they are hidden from assistive technology. */
export function drawing(path, { filled = false } = {}) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", filled ? "icon filled" : "icon");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

/**
 * Make the children of a container match `items` ({key, sig, build, update?}) while touching only what changed.
 * An item with `update` is patched in place and never rebuilt, which keeps what a person is typing in it.
 */
export function reconcile(container, items) {
  const wanted = new Set(items.map((item) => item.key));
  const present = new Map();
  for (const element of [...container.children]) {
    if (wanted.has(element.dataset.key)) present.set(element.dataset.key, element);
    else element.remove();
  }
  let cursor = container.firstElementChild;
  for (const item of items) {
    let element = present.get(item.key);
    if (!element) {
      element = mark(item.build(), item);
      container.insertBefore(element, cursor);
    } else if (item.update) {
      item.update(element);
    } else if (signatures.get(element) !== item.sig) {
      const fresh = mark(item.build(), item);
      if (element === cursor) cursor = fresh;
      swap(element, fresh);
      element = fresh;
    }
    if (element === cursor) cursor = cursor.nextElementSibling;
    else if (element.nextElementSibling !== cursor) container.insertBefore(element, cursor);
  }
}

const signatures = new WeakMap();

function mark(element, item) {
  element.dataset.key = item.key;
  signatures.set(element, item.sig);
  item.update?.(element);
  return element;
}

/** Replace a node; focus inside it moves to the node's counterpart (`data-focus`), or to the new node itself. */
function swap(old, fresh) {
  const active = document.activeElement;
  const held = old.contains(active);
  const mark = held ? active.dataset.focus : null;
  const wasActive = old.getAttribute("tabindex") === "0";
  old.replaceWith(fresh);
  if (wasActive) fresh.setAttribute("tabindex", "0");
  if (!held) return;
  const target = (mark && fresh.querySelector(`[data-focus="${CSS.escape(mark)}"]`)) || fresh;
  target.focus({ preventScroll: true });
}

const queued = new Set();

/** Run a function once before the next frame, however often it is asked for; a hidden window has no frames, so it waits shortly. */
export function nextFrame(task) {
  if (queued.has(task)) return;
  queued.add(task);
  const run = () => {
    if (!queued.delete(task)) return;
    task();
  };
  if (document.hidden) setTimeout(run, 100);
  else requestAnimationFrame(run);
}
