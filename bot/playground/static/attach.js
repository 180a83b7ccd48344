// Files that go out with the next message: chosen, dropped or pasted. They are uploaded at once and sent with the text.

import { api } from "./api.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";
import { attempt, toast } from "./toast.js";

const MOST = 10;

/** Build the tray of a composer; `onChange` runs whenever what lies in it changes. */
export function createTray(page, { onChange }) {
  let files = [];
  let coming = 0;
  const list = h("ul.tray", { "aria-label": "Files to send" });
  const input = h("input", { type: "file", multiple: true, hidden: true, "aria-label": "Choose files" });
  const button = h(
    "button.plain.tool",
    { type: "button", "aria-label": "Attach files", title: "Attach files", onclick: () => input.click() },
    icon("clip"),
  );

  const show = () => {
    list.hidden = !files.length && !coming;
    fill(
      list,
      files.map((file) => h("li", {}, icon("file"), h("span.tray-name", {}, file.name), remover(file))),
      coming > 0 && h("li.quiet", {}, "Uploading…"),
    );
    onChange();
  };
  const remover = (file) =>
    h(
      "button.plain",
      {
        type: "button",
        "aria-label": `Remove ${file.name}`,
        onclick: () => {
          files = files.filter((other) => other !== file);
          show();
        },
      },
      icon("close"),
    );

  async function add(chosen) {
    const room = MOST - files.length - coming;
    if (chosen.length > room) toast(`A message takes at most ${MOST} files.`, { bad: true });
    for (const file of [...chosen].slice(0, Math.max(0, room))) {
      if (file.size > page.store.limits.file) {
        toast(`${file.name} is too large: the playground takes ${page.store.limits.file / 1e6} MB.`, { bad: true });
        continue;
      }
      coming += 1;
      show();
      const stored = await attempt(api.upload(page.store.me.id, file));
      coming -= 1;
      if (stored) files.push(stored);
      show();
    }
  }

  input.addEventListener("change", () => {
    add([...input.files]);
    input.value = "";
  });
  list.hidden = true;

  return {
    list,
    button,
    input,
    get isEmpty() {
      return files.length === 0;
    },
    get isBusy() {
      return coming > 0;
    },
    /** Take everything out of the tray. */
    take() {
      const taken = files;
      files = [];
      show();
      return taken;
    },
    /** Put files back that could not be sent. */
    put(back) {
      files = [...back, ...files];
      show();
    },
    /** Let files be dropped on `target` and pasted into `field`. */
    listen(target, field) {
      const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
      target.addEventListener("dragover", (event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        target.classList.add("dropping");
      });
      target.addEventListener("dragleave", () => target.classList.remove("dropping"));
      target.addEventListener("drop", (event) => {
        target.classList.remove("dropping");
        if (!hasFiles(event)) return;
        event.preventDefault();
        add([...event.dataTransfer.files]);
      });
      field.addEventListener("paste", (event) => {
        const pasted = [...(event.clipboardData?.files ?? [])];
        if (!pasted.length) return;
        event.preventDefault();
        add(pasted);
      });
    },
  };
}
