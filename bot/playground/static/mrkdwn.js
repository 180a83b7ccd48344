// Slack's mrkdwn: text fields of messages and blocks. Fences, quotes and line marks; the rest is inline.

import { codeBlock } from "./code.js";
import { append, h } from "./dom.js";
import { decode, renderInline } from "./inline.js";

/** Render mrkdwn to a block of nodes. */
export function renderMrkdwn(text, names) {
  const root = h("div.rich");
  const parts = text.split(/```\n?([\s\S]*?)\n?```/);
  parts.forEach((part, index) => {
    if (index % 2) root.append(codeBlock(decode(part)));
    else if (part.trim()) append(root, renderLines(part.replace(/^\n|\n$/g, ""), names));
  });
  return root;
}

function renderLines(text, names) {
  const nodes = [];
  let quote = null;
  let lines = [];
  const flush = () => {
    if (lines.length)
      nodes.push(h(quote ? "blockquote" : "p", {}, renderInline(lines.join("\n"), names, { dialect: "mrkdwn" })));
    lines = [];
  };
  for (const line of text.split("\n")) {
    const marked = /^(?:>|&gt;) ?/.exec(line);
    if (Boolean(marked) !== quote) flush();
    quote = Boolean(marked);
    lines.push(marked ? line.slice(marked[0].length) : line);
  }
  flush();
  return nodes;
}

/** Render a Block Kit text object: plain_text or mrkdwn. */
export function renderText(object, names) {
  if (!object) return null;
  if (typeof object === "string") return h("span", {}, object);
  if (object.type === "mrkdwn")
    return object.verbatim ? h("div.rich", {}, decode(object.text)) : renderMrkdwn(object.text, names);
  return h("span", {}, object.emoji === false ? object.text : plainWithEmoji(object.text, names));
}

/** Plain text in which only emoji short names count. */
export function plainWithEmoji(text, names) {
  const parts = String(text ?? "").split(/(:[a-z0-9_+'-]+(?:::skin-tone-[2-6])?:)/);
  return parts.map((part, index) => (index % 2 ? renderInline(part, names, { dialect: "mrkdwn" }) : part));
}

/** The text as a person typed it, for editing: names instead of ids, no escapes. */
export function toTyped(text, names) {
  return decode(
    text
      .replace(/<@([A-Z0-9]+)(?:\|[^>]*)?>/g, (_, id) => `@${names.nameOf(id)}`)
      .replace(/<#([A-Z0-9]+)(?:\|([^>]*))?>/g, (_, id, label) => `#${names.channels.get(id)?.name ?? label ?? id}`)
      .replace(/<!(here|channel|everyone)(?:\|[^>]*)?>/g, "@$1")
      .replace(/<((?:https?:\/\/|mailto:)[^|>]+)(?:\|[^>]*)?>/g, "$1"),
  );
}

/** The text as it goes to the server: known @names and #channels become Slack's tokens. */
export function fromTyped(text, names) {
  const people = [...names.users.values()].flatMap((user) =>
    [user.display_name, user.real_name, user.name].filter(Boolean).map((name) => [name, user.id]),
  );
  const tokens = new Map(people.map(([name, id]) => [`@${name.toLowerCase()}`, `<@${id}>`]));
  for (const word of ["here", "channel", "everyone"]) tokens.set(`@${word}`, `<!${word}>`);
  for (const channel of names.channels.values())
    if (channel.name) tokens.set(`#${channel.name}`, `<#${channel.id}|${channel.name}>`);
  const longest = [...tokens.keys()]
    .sort((a, b) => b.length - a.length)
    .map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}<])(?:${longest.join("|")})(?![\\p{L}\\p{N}_-])`, "giu");
  return text
    .split(/(```[\s\S]*?```|`[^`\n]*`)/)
    .map((part, index) =>
      index % 2 ? part : part.replace(pattern, (found) => tokens.get(found.toLowerCase()) ?? found),
    )
    .join("");
}
