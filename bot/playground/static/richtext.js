// Slack's rich_text block: what people's messages are made of.

import { codeBlock } from "./code.js";
import { h } from "./dom.js";
import { glyphOf } from "./emoji.js";
import { unknown } from "./elements.js";
import { emoji, link, mention } from "./inline.js";

/** Render a rich_text block. */
export function renderRichText(block, names) {
  return h(
    "div.rich",
    {},
    (block.elements ?? []).map((element) => renderPart(element, names)),
  );
}

function renderPart(element, names) {
  const content = element.elements ?? [];
  switch (element.type) {
    case "rich_text_section":
      return h(
        "p",
        {},
        content.map((piece) => renderPiece(piece, names)),
      );
    case "rich_text_preformatted":
      return codeBlock(content.map((piece) => piece.text ?? piece.url ?? "").join(""), element.language);
    case "rich_text_quote":
      return h(
        "blockquote",
        {},
        content.map((piece) => renderPiece(piece, names)),
      );
    case "rich_text_list":
      return h(
        element.style === "ordered" ? "ol" : "ul",
        { start: element.offset ? element.offset + 1 : null, class: `indent-${Math.min(element.indent ?? 0, 8)}` },
        content.map((item) =>
          h(
            "li",
            {},
            item.elements ? item.elements.map((piece) => renderPiece(piece, names)) : renderPiece(item, names),
          ),
        ),
      );
    default:
      return unknown("rich text", element);
  }
}

const PIECES = {
  text: (piece) => breakLines(piece.text),
  emoji: (piece) => (glyphOf(piece.name) ? emoji(piece.name, glyphOf(piece.name)) : `:${piece.name}:`),
  link: (piece) => link(piece.url, [piece.text || piece.url]),
  user: (piece, names) => mention("@", piece.user_id, null, names),
  channel: (piece, names) => mention("#", piece.channel_id, null, names),
  usergroup: (piece, names) => mention("!", `subteam^${piece.usergroup_id}`, piece.usergroup_id, names),
  broadcast: (piece, names) => mention("!", piece.range, null, names),
  date: (piece) => piece.fallback ?? new Date(piece.timestamp * 1000).toLocaleString(),
  color: (piece) => piece.value,
};

const TAGS = { bold: "strong", italic: "em", strike: "s", underline: "u", code: "code.inline" };

function renderPiece(piece, names) {
  const render = PIECES[piece.type];
  if (!render) return unknown("rich text", piece);
  const wrap = Object.keys(TAGS).filter((style) => piece.style?.[style]);
  return wrap.reduceRight((inner, style) => h(TAGS[style], {}, inner), render(piece, names));
}

const breakLines = (text) => text.split("\n").flatMap((line, index) => (index ? [h("br"), line] : [line]));
