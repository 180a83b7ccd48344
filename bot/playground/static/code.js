// A block of code with its language and a copy button.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { toast } from "./toast.js";

/** Show code as it is; `language` is only a label. */
export function codeBlock(text, language = "") {
  const copy = h(
    "button.copy",
    { type: "button", "aria-label": "Copy code", title: "Copy code", onclick: () => copyText(text, "Code copied") },
    icon("copy"),
  );
  return h(
    "div.code",
    {},
    h("div.code-bar", {}, h("span", {}, language || "code"), copy),
    h("pre", { tabindex: "0", role: "region", "aria-label": `${language} code`.trim() }, h("code", {}, text)),
  );
}

/** Put text on the clipboard and say so. */
export async function copyText(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    toast(done);
  } catch {
    toast("The browser did not allow copying.", { bad: true });
  }
}
