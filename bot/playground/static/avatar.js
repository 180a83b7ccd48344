// Faces: people get their colour and initials (or the emoji they chose), the app gets its own mark.

import { h } from "./dom.js";
import { emojiText } from "./emoji.js";

/** Draw the face of a user. */
export function avatar(user, size = "") {
  const glyph = user.avatar ? emojiText(user.avatar) : initialsOf(user);
  const isText = /^[\p{L}\p{N}]/u.test(glyph);
  return h(
    "span.avatar",
    {
      class: [size, user.is_bot ? "app" : "", isText ? "" : "glyph"].join(" "),
      "aria-hidden": "true",
      style: { "--face": `#${(user.color || "6b6b76").replace("#", "")}` },
    },
    glyph,
  );
}

function initialsOf(user) {
  const words = (user.real_name || user.display_name || user.name || "?").split(/\s+/);
  return (words[0][0] + (words.length > 1 ? words.at(-1)[0] : "")).toUpperCase();
}
