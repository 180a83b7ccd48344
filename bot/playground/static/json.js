// JSON for reading: indented, with keys, strings and numbers told apart.

import { h } from "./dom.js";

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Show a value as coloured JSON. */
export function renderJson(value) {
  const text = JSON.stringify(value, null, 2) ?? "null";
  const code = h("code");
  let at = 0;
  for (const found of text.matchAll(TOKEN)) {
    const [whole, string, colon, word] = found;
    code.append(text.slice(at, found.index));
    const kind = string ? (colon ? "key" : "string") : word ? "word" : "number";
    code.append(h(`span.json-${kind}`, {}, string ?? whole), colon ?? "");
    at = found.index + whole.length;
  }
  code.append(text.slice(at));
  return h("pre.json", { tabindex: "0" }, code);
}
