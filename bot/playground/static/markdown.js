// Markdown as apps stream it: a small, safe renderer. Reads blocks, builds nodes, keeps the nodes of blocks that did not change.

import { h } from "./dom.js";
import { codeBlock } from "./code.js";
import { renderInline } from "./inline.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}(?:>|&gt;) ?/;
const ITEM = /^(\s*)([-*+•]|\d{1,9}[.)])(?:\s+(.*)|$)/;
const TABLE_LINE = /^\s*\|?\s*:?-{1,}:?\s*(\|\s*:?-{1,}:?\s*)*\|?\s*$/;
const DEEPEST = 8;

/** Show Markdown in an element; on the next call only the blocks that changed are built again. */
export function showMarkdown(element, text, names, { streaming = false } = {}) {
  const blocks = parseBlocks(text.replace(/\r\n?/g, "\n").split("\n"));
  const last = blocks.at(-1);
  if (streaming && last?.kind === "paragraph") last.text = closeOpenMarks(last.text);
  const fresh = blocks.map((block) => JSON.stringify(block));
  const shown = rendered.get(element) ?? [];
  let same = 0;
  while (same < fresh.length && same < shown.length && fresh[same] === shown[same]) same += 1;
  while (element.childElementCount > same) element.lastElementChild.remove();
  for (const block of blocks.slice(same)) element.append(renderBlock(block, names));
  rendered.set(element, fresh);
  return element;
}

const rendered = new WeakMap();

/** While text still streams in, an opened `**` or backtick is closed for the moment so that it does not flicker. */
function closeOpenMarks(text) {
  let settled = text.replace(/[*_`~]+$/, "");
  if ((settled.match(/`/g) ?? []).length % 2) return `${settled}\``;
  if ((settled.match(/\*\*/g) ?? []).length % 2) settled += "**";
  return settled;
}

/** Split lines into blocks: plain data, so that two renderings can be compared. */
export function parseBlocks(lines, depth = 0) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    const taken = takeBlock(lines, at, depth);
    if (taken.block) blocks.push(taken.block);
    at = taken.next;
  }
  return blocks;
}

function takeBlock(lines, at, depth) {
  const line = lines[at];
  if (!line.trim()) return { next: at + 1 };
  const fence = FENCE.exec(line);
  if (fence) return takeFence(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) return { block: { kind: "heading", level: heading[1].length, text: heading[2] }, next: at + 1 };
  if (RULE.test(line)) return { block: { kind: "rule" }, next: at + 1 };
  if (depth < DEEPEST && QUOTE.test(line)) return takeQuote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return takeList(lines, at, depth);
  if (line.includes("|") && TABLE_LINE.test(lines[at + 1] ?? "") && lines[at + 1].includes("-"))
    return takeTable(lines, at);
  return takeParagraph(lines, at, depth);
}

function takeFence(lines, at, [, mark, language]) {
  const close = new RegExp(`^ {0,3}${mark[0]}{${mark.length},}\\s*$`);
  let next = at + 1;
  while (next < lines.length && !close.test(lines[next])) next += 1;
  return { block: { kind: "code", language, text: lines.slice(at + 1, next).join("\n") }, next: next + 1 };
}

function takeQuote(lines, at, depth) {
  let next = at;
  while (next < lines.length && QUOTE.test(lines[next])) next += 1;
  const inside = lines.slice(at, next).map((line) => line.replace(QUOTE, ""));
  return { block: { kind: "quote", blocks: parseBlocks(inside, depth + 1) }, next };
}

function takeList(lines, at, depth) {
  const [, lead, marker] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(marker);
  const items = [];
  let item = null;
  let next = at;
  for (; next < lines.length; next += 1) {
    const line = lines[next];
    const found = ITEM.exec(line);
    const indent = /^\s*/.exec(line)[0].length;
    if (found && found[1].length <= lead.length + 1) {
      if (found[1].length < lead.length || /\d/.test(found[2]) !== ordered || RULE.test(line)) break;
      item = { lines: [found[3] ?? ""], indent: found[1].length + found[2].length + 1 };
      items.push(item);
    } else if (!line.trim()) {
      const follow = lines[next + 1] ?? "";
      if (!follow.trim() || (!/^\s/.test(follow) && !ITEM.test(follow))) break;
      item.lines.push("");
    } else if (indent > lead.length || !startsBlock(line)) {
      item.lines.push(line.slice(Math.min(indent, item.indent)));
    } else break;
  }
  const start = ordered ? Number.parseInt(marker, 10) : null;
  return { block: { kind: "list", start, items: items.map(({ lines: inside }) => listItem(inside, depth)) }, next };
}

function listItem(lines, depth) {
  const task = /^\[([ xX])\]\s+/.exec(lines[0]);
  const body = task ? [lines[0].slice(task[0].length), ...lines.slice(1)] : lines;
  return { done: task ? task[1] !== " " : null, blocks: parseBlocks(body, depth + 1) };
}

const startsBlock = (line) =>
  FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);

const splitRow = (line) =>
  line
    .trim()
    .replace(/^\||(?<!\\)\|$/g, "")
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll("\\|", "|"));

function takeTable(lines, at) {
  const align = splitRow(lines[at + 1]).map((cell) =>
    /^:-*:$/.test(cell) ? "center" : /-:$/.test(cell) ? "right" : null,
  );
  const rows = [];
  let next = at + 2;
  while (next < lines.length && lines[next].trim() && lines[next].includes("|")) rows.push(splitRow(lines[next++]));
  return { block: { kind: "table", head: splitRow(lines[at]), align, rows }, next };
}

function takeParagraph(lines, at, depth) {
  let next = at + 1;
  while (next < lines.length && lines[next].trim() && !(depth < DEEPEST && startsBlock(lines[next]))) next += 1;
  return {
    block: {
      kind: "paragraph",
      text: lines
        .slice(at, next)
        .map((line) => line.trim())
        .join("\n"),
    },
    next,
  };
}

const RENDERERS = {
  heading: (block, names) =>
    h(`h${Math.min(6, block.level + 1)}.level-${block.level}`, {}, renderInline(block.text, names)),
  rule: () => h("hr"),
  code: (block) => codeBlock(block.text, block.language),
  quote: (block, names) =>
    h(
      "blockquote",
      {},
      block.blocks.map((child) => renderBlock(child, names)),
    ),
  paragraph: (block, names) => h("p", {}, renderInline(block.text, names)),
  list: (block, names) =>
    h(
      block.start === null ? "ul" : "ol",
      { start: block.start },
      block.items.map((item) => renderItem(item, names)),
    ),
  table: (block, names) => renderTable(block, names),
};

function renderBlock(block, names) {
  return RENDERERS[block.kind](block, names);
}

function renderItem(item, names) {
  const [first, ...rest] = item.blocks;
  const lead = first?.kind === "paragraph" ? renderInline(first.text, names) : first && renderBlock(first, names);
  const box =
    item.done === null
      ? null
      : h("input", {
          type: "checkbox",
          checked: item.done,
          disabled: true,
          "aria-label": item.done ? "done" : "to do",
        });
  return h(
    box ? "li.task" : "li",
    {},
    box,
    lead,
    rest.map((block) => renderBlock(block, names)),
  );
}

function renderTable({ head, align, rows }, names) {
  const cell = (tag, text, column) =>
    h(tag, { class: align[column] ? `align-${align[column]}` : null }, renderInline(text ?? "", names));
  return h(
    "div.table-scroll",
    { tabindex: "0", role: "region", "aria-label": "Table" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          head.map((text, column) => cell("th", text, column)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            head.map((_, column) => cell("td", row[column], column)),
          ),
        ),
      ),
    ),
  );
}

/** Markdown once, for blocks that do not stream. */
export const renderMarkdown = (text, names) => showMarkdown(h("div.rich"), text, names);
