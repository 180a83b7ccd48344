// The drawer that shows what went by between Slack's side and the app: events, API calls, and how long they took.

import { copyText } from "./code.js";
import { h, nextFrame, reconcile } from "./dom.js";
import { createFaults } from "./faults.js";
import { icon } from "./icons.js";
import { renderJson } from "./json.js";
import { durationOf, preciseTimeOf } from "./time.js";

const KINDS = {
  all: "All",
  event: "Events",
  api: "API calls",
  interaction: "Interactions",
  command: "Commands",
  socket: "Socket",
  http: "HTTP",
  fault: "Faults",
};
const SHOWN = 300;
const LEAST_PX = 140;

/** Build the drawer with its two tabs; `toggle()` opens and closes it. */
export function createInspector(page) {
  const { store } = page;
  const view = { kind: "all", text: "", tab: "log", chosen: null, frozen: null };
  const rows = h("ol.log-rows", { "aria-label": "Events and calls" });
  const detail = h("section.log-detail", { "aria-label": "Details", hidden: true });
  const empty = h("p.empty", {}, "Nothing went by yet. Write to the app, and watch.");
  const count = h("span.quiet.log-count");
  const faults = createFaults(page);
  const log = h(
    "div.log",
    { role: "tabpanel", "aria-label": "Events and calls" },
    createFilters(page, view, { draw, count }),
    h(
      "div.log-split",
      {},
      h("div.log-list", { tabindex: "0", role: "region", "aria-label": "Log" }, rows, empty),
      detail,
    ),
  );
  const tabs = {
    log: tabButton("log", "Events & calls", "pulse"),
    faults: tabButton("faults", "Faults & clock", "bolt"),
  };
  const element = h(
    "section.inspector",
    { "aria-label": "Inspector", hidden: true },
    createGrip(),
    h(
      "header.inspector-head",
      {},
      h("div.tabs", { role: "tablist", "aria-label": "Inspector" }, tabs.log, tabs.faults),
      h(
        "button.plain.square",
        { type: "button", "aria-label": "Close inspector", title: "Close (Esc)", onclick: () => toggle(false) },
        icon("close"),
      ),
    ),
    log,
    faults,
  );

  function tabButton(name, label, drawing) {
    return h(
      "button.tab",
      {
        type: "button",
        role: "tab",
        onclick: () => {
          view.tab = name;
          draw();
        },
      },
      icon(drawing),
      label,
    );
  }

  function toggle(open = element.hidden) {
    element.hidden = !open;
    localStorage.setItem("inspector", open ? "open" : "");
    store.emit("inspector", open);
    draw();
    if (!open) document.getElementById("toggle-inspector")?.focus();
  }

  function entries() {
    const all = view.frozen ?? store.log;
    const text = view.text.toLowerCase();
    const fits = (entry) =>
      (view.kind === "all" || entry.kind === view.kind) &&
      (!text || JSON.stringify([entry.name, entry.status, entry.request, entry.response]).toLowerCase().includes(text));
    return all.filter(fits);
  }

  function draw() {
    if (element.hidden) return;
    for (const [name, tab] of Object.entries(tabs)) tab.setAttribute("aria-selected", String(view.tab === name));
    log.hidden = view.tab !== "log";
    faults.hidden = view.tab !== "faults";
    if (view.tab !== "log") return faults.draw();
    if (store.paused) view.frozen ??= [...store.log];
    else view.frozen = null;
    const found = entries();
    count.textContent = `${found.length} of ${(view.frozen ?? store.log).length}`;
    empty.hidden = found.length > 0;
    empty.textContent = store.log.length
      ? "Nothing here fits the filter."
      : "Nothing went by yet. Write to the app, and watch.";
    reconcile(
      rows,
      found
        .slice(-SHOWN)
        .reverse()
        .map((entry) => ({
          key: String(entry.id),
          sig: `${entry.rev}|${view.chosen === entry.id}`,
          build: () => h("li", {}, renderRow(entry)),
        })),
    );
    drawDetail();
    return undefined;
  }

  function renderRow(entry) {
    const chosen = view.chosen === entry.id;
    const state =
      entry.ok === false ? "bad" : entry.status === "pending" || entry.status?.startsWith("retry") ? "waiting" : "good";
    const toApp = entry.direction === "to_app";
    return h(
      "button.log-row",
      {
        type: "button",
        class: chosen ? "chosen" : "",
        "aria-expanded": String(chosen),
        dataset: { focus: `log/${entry.id}` },
        onclick: () => choose(entry),
      },
      h("span.log-time", {}, preciseTimeOf(entry.time)),
      h(
        toApp ? "span.arrow.to-app" : "span.arrow.from-app",
        { title: toApp ? "to the app" : "from the app" },
        toApp ? "→ app" : "app →",
      ),
      h("span.kind", { class: `kind-${entry.kind}` }, entry.kind),
      h("span.log-name", {}, entry.name),
      h("span.log-state", { class: state }, entry.status ?? (entry.ok === false ? "error" : "ok")),
      h("span.log-ms", {}, durationOf(entry.ms)),
    );
  }

  function choose(entry) {
    view.chosen = view.chosen === entry.id ? null : entry.id;
    draw();
  }

  function drawDetail() {
    const entry = store.log.find((known) => known.id === view.chosen);
    detail.hidden = !entry;
    if (!entry || detail.dataset.shown === `${entry.id}/${entry.rev}`) return;
    detail.dataset.shown = `${entry.id}/${entry.rev}`;
    const part = (title, value) =>
      value !== null &&
      value !== undefined && [
        h(
          "header",
          {},
          h("h3", {}, title),
          h(
            "button.plain",
            { type: "button", onclick: () => copyText(JSON.stringify(value, null, 2), `${title} copied`) },
            icon("copy"),
            "Copy",
          ),
        ),
        renderJson(value),
      ];
    detail.replaceChildren(
      h(
        "div.log-detail-head",
        {},
        h("strong", {}, entry.name),
        h(
          "button.plain.square",
          { type: "button", "aria-label": "Close details", onclick: () => choose(entry) },
          icon("close"),
        ),
      ),
      ...[
        part(entry.direction === "to_app" ? "Payload" : "Request", entry.request),
        part(entry.direction === "to_app" ? "Acknowledgement" : "Response", entry.response),
      ]
        .flat()
        .filter(Boolean),
    );
  }

  function createGrip() {
    const grip = h("div.grip", {
      role: "separator",
      tabindex: "0",
      "aria-orientation": "horizontal",
      "aria-label": "Height of the inspector",
      "aria-valuenow": "300",
      "aria-valuemin": String(LEAST_PX),
      "aria-valuemax": "2000",
    });
    const resize = (height) => {
      const fitting = Math.round(Math.max(LEAST_PX, Math.min(innerHeight - 160, height)));
      element.style.setProperty("--drawer", `${fitting}px`);
      grip.setAttribute("aria-valuenow", String(fitting));
    };
    grip.addEventListener("pointerdown", (down) => {
      grip.setPointerCapture(down.pointerId);
      const from = element.offsetHeight + down.clientY;
      const move = (event) => resize(from - event.clientY);
      grip.addEventListener("pointermove", move);
      grip.addEventListener("lostpointercapture", () => grip.removeEventListener("pointermove", move), { once: true });
    });
    grip.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 32, ArrowDown: -32 }[event.key];
      if (!step) return;
      event.preventDefault();
      resize(element.offsetHeight + step);
    });
    return grip;
  }

  store.on("log app faults clock", () => nextFrame(draw));
  if (localStorage.getItem("inspector") && matchMedia("(min-width: 900px)").matches)
    requestAnimationFrame(() => toggle(true));
  return Object.assign(element, { toggle });
}

function createFilters(page, view, { draw, count }) {
  const { store } = page;
  const kind = h(
    "select",
    {
      "aria-label": "Kind",
      onchange: (event) => {
        view.kind = event.target.value;
        draw();
      },
    },
    Object.entries(KINDS).map(([value, label]) => h("option", { value }, label)),
  );
  const text = h("input", {
    type: "search",
    placeholder: "Filter by text",
    "aria-label": "Filter by text",
    oninput: (event) => {
      view.text = event.target.value;
      draw();
    },
  });
  const pause = h("button", { type: "button", "aria-pressed": "false" });
  const drawPause = () => {
    pause.replaceChildren(icon(store.paused ? "play" : "pause"), store.paused ? "Resume" : "Pause");
    pause.setAttribute("aria-pressed", String(store.paused));
  };
  pause.addEventListener("click", () => {
    store.set({ paused: !store.paused }, "log");
    drawPause();
  });
  drawPause();
  return h(
    "div.log-filters",
    {},
    kind,
    text,
    count,
    pause,
    h("button", { type: "button", onclick: () => store.set({ log: [] }, "log") }, icon("trash"), "Clear"),
  );
}
