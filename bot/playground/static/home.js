// The app's Home tab: a view that the app published for this person.

import { renderBlocks } from "./blocks.js";
import { h } from "./dom.js";
import { FormState } from "./form.js";

/** Build the tab; `draw(visible)` shows it or takes it away. */
export function createHome(page) {
  const { store, actions } = page;
  const element = h("div.home", { role: "tabpanel", "aria-label": "Home", tabindex: "0", hidden: true });
  let shown = null;

  element.draw = (visible) => {
    element.hidden = !visible;
    if (!visible || shown === store.home) {
      if (visible && !shown)
        element.replaceChildren(h("p.empty", {}, `${store.app.name} has not published its Home yet.`));
      return;
    }
    shown = store.home;
    const form = new FormState();
    const target = { view_id: shown.id };
    const host = {
      id: "home",
      store,
      form,
      act: (blockId, action) => actions.act(target, blockId, action, form.collect(shown.blocks)),
      options: (blockId, choice, value) => actions.options(target, blockId, choice, value),
    };
    const held = element.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    element.replaceChildren(renderBlocks(shown.blocks, host));
    if (held) element.querySelector(`[data-focus="${CSS.escape(held)}"]`)?.focus();
  };
  return element;
}
