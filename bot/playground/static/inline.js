// Text inside a line: emphasis, code, links, mentions, emoji. Two dialects, one scanner: Markdown and Slack's mrkdwn.
// Builds nodes only; links keep http, https and mailto, every other scheme stays visible text.

import { h } from "./dom.js";
import { glyphOf } from "./emoji.js";
import { formatDate, fullTimeOf } from "./time.js";

const REACH = 4000; // how far a closing mark may be: hostile text must not cost quadratic time
const DEEPEST = 12;
const URL = /https?:\/\/[^\s<>"'`|\\^{}]+/y;
const SLACK_TOKEN = /<([@#!])([A-Za-z0-9._^-]+)(?:\|([^>]*))?>/y;
const SLACK_DATE = /<!date\^(\d{1,12})\^([^|>^]{1,200})(?:\^([^|>]*))?\|([^>]*)>/y;
const SLACK_LINK = /<((?:https?:\/\/|mailto:)[^\s|>]+)(?:\|([^>]*))?>/y;
const MD_LINK =
  /(!?)\[((?:\\.|\[[^\]]*\]|[^\]\\[])*)\]\(\s*<?([^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*)>?(?:\s+"[^"]*")?\s*\)/y;
const EMOJI = /:([a-z0-9_+'-]+(?:::skin-tone-[2-6])?):/y;
const ENTITY = /&(amp|lt|gt|quot|#39|nbsp);/y;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", nbsp: "\u00a0" };
const WORD = /[\p{L}\p{N}]/u;

const MARKDOWN = { "***": ["strong", "em"], "**": ["strong"], __: ["strong"], "*": ["em"], _: ["em"], "~~": ["s"] };
const MRKDWN = { "*": ["strong"], _: ["em"], "~": ["s"] };

/** Render one run of text to nodes. `names` answers nameOf(user), channel(id), me: it is the store, or a stand-in. */
export function renderInline(text, names, { dialect = "markdown", depth = 0 } = {}) {
  const marks = dialect === "markdown" ? MARKDOWN : MRKDWN;
  const nodes = [];
  let plain = "";
  let at = 0;
  const flush = () => {
    if (plain) nodes.push(document.createTextNode(plain));
    plain = "";
  };
  const inner = (part) =>
    depth < DEEPEST ? renderInline(part, names, { dialect, depth: depth + 1 }) : [document.createTextNode(part)];
  while (at < text.length) {
    const found =
      (dialect === "markdown" && readEscape(text, at)) ||
      readCode(text, at) ||
      readToken(text, at, names) ||
      readLink(text, at, { dialect, inner }) ||
      readEmphasis(text, at, marks, inner) ||
      readSmall(text, at);
    if (!found) {
      plain += text[at];
      at += 1;
    } else {
      if (found.text !== undefined) plain += found.text;
      else {
        flush();
        nodes.push(found.node);
      }
      at = found.end;
    }
  }
  flush();
  return nodes;
}

function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function readEscape(text, at) {
  if (text[at] !== "\\" || !/[\\`*_{}[\]()#+\-.!~|<>&:"']/.test(text[at + 1] ?? "")) return null;
  return { text: text[at + 1], end: at + 2 };
}

function readCode(text, at) {
  if (text[at] !== "`") return null;
  let run = 1;
  while (text[at + run] === "`") run += 1;
  const fence = "`".repeat(run);
  for (let close = text.indexOf(fence, at + run); close > 0;) {
    let length = run;
    while (text[close + length] === "`") length += 1;
    if (length === run && close > at + run) {
      const code = text.slice(at + run, close);
      return { node: h("code.inline", {}, decode(code.replace(/^ (.*\S.*) $/s, "$1"))), end: close + run };
    }
    close = text.indexOf(fence, close + length);
  }
  return { text: fence, end: at + run };
}

/** Undo Slack's three escapes. */
export function decode(text) {
  return text.replace(/&(amp|lt|gt);/g, (_, name) => ENTITIES[name]);
}

function readToken(text, at, names) {
  if (text[at] !== "<") return null;
  const date = match(SLACK_DATE, text, at);
  if (date) {
    const [whole, ts, format, target, fallback] = date;
    const node = h("time", { title: fullTimeOf(ts) }, formatDate(ts, format) ?? decode(fallback));
    return { node: target ? link(decode(target), [node]) : node, end: at + whole.length };
  }
  const token = match(SLACK_TOKEN, text, at);
  if (!token) return null;
  const [whole, sigil, id, label] = token;
  return { node: mention(sigil, id, label, names), end: at + whole.length };
}

/** A mention as a chip: a person, a channel, a group or everyone. */
export function mention(sigil, id, label, names) {
  if (sigil === "@")
    return h(
      id === names.me?.id ? "span.mention.to-me" : "span.mention",
      { dataset: { user: id } },
      `@${names.nameOf(id)}`,
    );
  if (sigil === "#") {
    const name = names.channels?.get(id)?.name ?? label ?? id;
    return h("a.mention", { href: `#/${names.me?.id ?? ""}/${id}` }, `#${name}`);
  }
  const known = ["here", "channel", "everyone"].includes(id);
  return h(
    known ? "span.mention.to-me" : "span.mention",
    {},
    `@${(label ?? id).replace(/^@/, "").replace(/^subteam\^/, "")}`,
  );
}

function readLink(text, at, { dialect, inner }) {
  const first = text[at];
  if (first === "<") {
    const slack = match(SLACK_LINK, text, at);
    if (!slack) return null;
    return { node: link(decode(slack[1]), slack[2] ? inner(slack[2]) : [decode(slack[1])]), end: at + slack[0].length };
  }
  if (dialect === "markdown" && (first === "[" || (first === "!" && text[at + 1] === "["))) {
    const found = match(MD_LINK, text.slice(0, at + REACH), at);
    if (!found) return null;
    const [whole, image, label, target] = found;
    return { node: link(decode(target), image ? [label || target] : inner(label)), end: at + whole.length };
  }
  if (first === "h" && !WORD.test(text[at - 1] ?? "")) {
    const bare = match(URL, text, at);
    if (!bare) return null;
    const address = trimUrl(bare[0]);
    return { node: link(decode(address), [decode(address)]), end: at + address.length };
  }
  return null;
}

function trimUrl(address) {
  let url = address.replace(/(?:[.,:;!?*_~]|&gt;|&lt;)+$/, "");
  if (url.endsWith(")") && !url.includes("(")) url = url.slice(0, -1);
  return url;
}

/** A link, or its bare text when the target is not one that a message may open. */
export function link(target, content) {
  if (!isSafe(target))
    return h(
      "span.unlinked",
      { title: target },
      content,
      target && content.join?.("") !== target ? ` (${target})` : "",
    );
  return h("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, content);
}

export const isSafe = (target) => /^(https?:\/\/|mailto:)/i.test(target);

function readEmphasis(text, at, marks, inner) {
  const mark = Object.keys(marks).find((candidate) => text.startsWith(candidate, at));
  if (!mark) return null;
  const run = runLength(text, at, mark[0]);
  if (run > 3 || (marks === MRKDWN && run > 1)) return { text: text.slice(at, at + run), end: at + run };
  const before = text[at - 1] ?? "";
  const after = text[at + mark.length] ?? "";
  if (!after || /\s/.test(after)) return { text: mark, end: at + mark.length };
  const wordBound = mark[0] === "_" || marks === MRKDWN;
  if (wordBound && WORD.test(before)) return { text: mark, end: at + mark.length };
  const close = findClose(text, at + mark.length, mark, wordBound);
  if (close < 0) return { text: mark, end: at + mark.length };
  const content = inner(text.slice(at + mark.length, close));
  const node = marks[mark].reduceRight((child, tag) => [h(tag, {}, child)], content)[0];
  return { node, end: close + mark.length };
}

function findClose(text, from, mark, wordBound) {
  const end = Math.min(text.length, from + REACH);
  for (let at = from; at < end; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "`") at = skipCode(text, at, end);
    else if (text.startsWith(mark, at)) {
      const run = runLength(text, at, mark[0]);
      const isClose = run === mark.length || (run > mark.length && run !== 2 * mark.length && mark.length > 1);
      const last = run > mark.length ? at + run - mark.length : at;
      if (
        isClose &&
        last > from &&
        !/\s/.test(text[at - 1]) &&
        !(wordBound && WORD.test(text[last + mark.length] ?? ""))
      )
        return last;
      at += run - 1;
    }
  }
  return -1;
}

function runLength(text, at, character) {
  let run = 1;
  while (text[at + run] === character) run += 1;
  return run;
}

function skipCode(text, at, end) {
  const close = text.indexOf("`", at + 1);
  return close > 0 && close < end ? close : at;
}

function readSmall(text, at) {
  if (text[at] === "\n") return { node: h("br"), end: at + 1 };
  if (text[at] === "&") {
    const entity = match(ENTITY, text, at);
    return entity && { text: ENTITIES[entity[1]], end: at + entity[0].length };
  }
  if (text[at] === ":") {
    const short = match(EMOJI, text, at);
    const glyph = short && glyphOf(short[1]);
    return glyph ? { node: emoji(short[1], glyph), end: at + short[0].length } : null;
  }
  return null;
}

export const emoji = (name, glyph) =>
  h("span.emoji", { role: "img", "aria-label": name.replaceAll("_", " "), title: `:${name}:` }, glyph);
