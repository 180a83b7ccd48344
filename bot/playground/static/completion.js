// The list that opens while a name, a channel, an emoji or a command is typed. A combobox in ARIA's sense.

import { avatar } from "./avatar.js";
import { fill, h } from "./dom.js";
import { findEmoji } from "./emoji.js";
import { icon } from "./icons.js";

const SHOWN = 7;
let count = 0;

/** What fits the text before the caret: {start, choices: [{insert, label, hint, face}]} or null. */
export function findCompletions(text, caret, store, { commands = true } = {}) {
  const before = text.slice(0, caret);
  if (commands && /^\/(\w[\w-]*)?$/.test(before)) return { start: 0, choices: commandChoices(before, store) };
  const order = commands && /^(\/\w[\w-]*) +(?:([\w-]+) +)?([\w-]*)$/.exec(before);
  if (order) return hintChoices(order, before, store);
  const word = /(^|[\s(])([@#:])([\p{L}\p{N}_.+-]*(?: [\p{L}]+)?)$/u.exec(before);
  if (!word) return null;
  const [, lead, sigil, typed] = word;
  const start = word.index + lead.length;
  if (sigil === ":" && (typed.length < 2 || typed.includes(" "))) return null;
  const choices = { "@": personChoices, "#": channelChoices, ":": emojiChoices }[sigil](typed.toLowerCase(), store);
  return choices.length ? { start, choices } : null;
}

const commandChoices = (typed, store) =>
  store.app.commands
    .filter((entry) => entry.command.startsWith(typed))
    .map((entry) => ({
      insert: `${entry.command} `,
      label: entry.command,
      hint: [entry.usage_hint, entry.description].filter(Boolean).join(" · "),
      face: icon("slash"),
    }));

/** The words that the app's own usage hint has at this place: `a | b [c|d] | …`. Nothing is asked of the app. */
function hintChoices([, name, sub, typed], before, store) {
  const entry = store.app.commands.find((known) => known.command === name);
  const ways = splitHint((entry?.usage_hint ?? "").replace(/^\[([^[\]]*)\]$/, "$1"));
  const way = sub && ways.find((text) => text.split(" ")[0] === sub);
  if (sub && !way) return null;
  const words = sub ? splitHint(/\[(.*)\]/.exec(way)?.[1] ?? "") : ways;
  const choices = words
    .map((text) => ({ text, word: text.split(" ")[0] }))
    .filter(({ word }) => /^-{0,2}[a-z][\w-]*$/.test(word) && word.startsWith(typed) && word !== typed)
    .map(({ text, word }) => ({
      insert: `${word} `,
      label: word,
      hint: text.slice(word.length).trim(),
      face: icon("slash"),
    }));
  const start = before.length - typed.length;
  return choices.length ? { start, choices: choices.slice(0, SHOWN), isOffer: !typed } : null;
}

/** The parts between the bars that stand in no brackets. */
function splitHint(hint) {
  const parts = [""];
  let depth = 0;
  for (const sign of hint) {
    depth += { "[": 1, "]": -1 }[sign] ?? 0;
    if (sign === "|" && depth === 0) parts.push("");
    else parts[parts.length - 1] += sign;
  }
  return parts.map((part) => part.trim()).filter(Boolean);
}

function personChoices(typed, store) {
  const fits = (user) =>
    [user.name, user.real_name, user.display_name].some(
      (name) => name?.toLowerCase().startsWith(typed) || name?.toLowerCase().includes(` ${typed}`),
    );
  const people = [...store.users.values()].filter(fits).map((user) => ({
    insert: `@${store.nameOf(user.id)} `,
    label: store.nameOf(user.id),
    hint: user.is_bot ? "App" : user.real_name,
    face: avatar(user, "small"),
  }));
  const groups = ["here", "channel"]
    .filter((name) => typed && name.startsWith(typed))
    .map((name) => ({
      insert: `@${name} `,
      label: `@${name}`,
      hint: "Everyone in this channel",
      face: icon("people"),
    }));
  return [...people, ...groups].slice(0, SHOWN);
}

const channelChoices = (typed, store) =>
  [...store.channels.values()]
    .filter((channel) => channel.kind !== "im" && channel.name?.startsWith(typed))
    .slice(0, SHOWN)
    .map((channel) => ({
      insert: `#${channel.name} `,
      label: channel.name,
      hint: channel.topic,
      face: icon(channel.kind === "private" ? "lock" : "hash"),
    }));

const emojiChoices = (typed) =>
  findEmoji(typed, SHOWN).map(({ name, glyph }) => ({
    insert: `${glyph} `,
    label: `:${name}:`,
    face: h("span", {}, glyph),
  }));

/** Attach completion to a text field; returns {list, handleKey}: handleKey says whether it took the key. */
export function attachCompletion(field, store, { commands }) {
  const id = `completion-${(count += 1)}`;
  const list = h("ul.completion", { id, role: "listbox", "aria-label": "Suggestions", hidden: true });
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-controls", id);
  let found = null;
  let at = 0;

  const close = () => {
    found = null;
    list.hidden = true;
    field.removeAttribute("aria-activedescendant");
  };
  const choose = (choice) => {
    const caret = field.selectionStart;
    field.setRangeText(choice.insert, found.start, caret, "end");
    close();
    field.focus();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const draw = () => {
    fill(
      list,
      found.choices.map((choice, index) =>
        h(
          "li",
          {
            id: `${id}-${index}`,
            role: "option",
            "aria-selected": String(index === at),
            onpointerdown: (event) => {
              event.preventDefault();
              choose(choice);
            },
          },
          choice.face,
          h("strong", {}, choice.label),
          choice.hint && h("span.hint", {}, choice.hint),
        ),
      ),
    );
    list.hidden = false;
    field.setAttribute("aria-activedescendant", `${id}-${at}`);
    list.children[at]?.scrollIntoView({ block: "nearest" });
  };
  const look = () => {
    found = findCompletions(field.value, field.selectionStart, store, { commands });
    at = 0;
    if (found?.choices.length) draw();
    else close();
  };
  field.addEventListener("input", look);
  field.addEventListener("blur", close);

  return {
    list,
    close,
    handleKey(event) {
      if (!found) return false;
      const steps = { ArrowDown: 1, ArrowUp: -1 };
      if (event.key in steps) {
        at = (at + steps[event.key] + found.choices.length) % found.choices.length;
        draw();
      } else if (event.key === "Escape") close();
      else if (event.key === "Tab" || (event.key === "Enter" && !found.isOffer && !isWhole(found, field, at))) choose(found.choices[at]);
      else return false;
      event.preventDefault();
      event.stopPropagation();
      return true;
    },
  };
}

/** What is already written out in full is sent by Enter, not completed again. */
const isWhole = (found, field, at) =>
  field.value.slice(found.start, field.selectionStart).toLowerCase() === found.choices[at].insert.trim().toLowerCase();
