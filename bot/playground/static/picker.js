// The emoji picker: a search and a grid, for reactions and for the composer.

import { fill, h } from "./dom.js";
import { findEmoji } from "./emoji.js";
import { moveFocus, openPopover } from "./menu.js";

const COLUMNS = 8;

/** Let a person pick an emoji beside an anchor; `onPick(name, glyph)`. */
export function pickEmoji(anchor, onPick) {
  const grid = h("div.emoji-grid", { role: "group", "aria-label": "Emoji" });
  const search = h("input", {
    type: "search",
    placeholder: "Search emoji",
    "aria-label": "Search emoji",
    autocomplete: "off",
  });
  const pick = ({ name, glyph }) => {
    close();
    onPick(name, glyph);
  };
  const show = () => {
    const found = findEmoji(search.value);
    fill(
      grid,
      found.map((entry) =>
        h(
          "button",
          {
            type: "button",
            title: `:${entry.name}:`,
            "aria-label": entry.name.replaceAll("_", " "),
            onclick: () => pick(entry),
          },
          entry.glyph,
        ),
      ),
      found.length ? null : h("p.quiet", {}, "No emoji of that name."),
    );
  };
  search.addEventListener("input", show);
  search.addEventListener("keydown", (event) => {
    const [first] = findEmoji(search.value);
    if (event.key === "Enter" && first) pick(first);
    if (event.key === "ArrowDown") grid.querySelector("button")?.focus();
  });
  grid.addEventListener("keydown", (event) => moveFocus(event, [...grid.querySelectorAll("button")], COLUMNS));
  show();
  const close = openPopover(anchor, h("div.emoji-picker", {}, search, grid), { label: "Pick an emoji" });
  search.focus();
}
