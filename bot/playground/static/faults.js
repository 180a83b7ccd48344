// The panel that makes Slack misbehave on purpose, moves its clock, and starts the workspace anew.

import { ask } from "./dialog.js";
import { h, reconcile } from "./dom.js";
import { icon } from "./icons.js";
import { toast } from "./toast.js";

const STEPS = [
  ["+10 s", 10],
  ["+1 min", 60],
  ["+5 min", 300],
  ["+1 h", 3600],
];

/** Build the panel; `draw()` brings it up to date. */
export function createFaults(page) {
  const { store, actions } = page;
  const list = h("ul.faults");
  const now = h("strong.clock-now");
  const clock = h(
    "div.panel-card",
    {},
    h("h3", {}, icon("clock"), "Clock"),
    h("p", {}, now),
    h(
      "div.row",
      {},
      STEPS.map(([label, seconds]) => h("button", { type: "button", onclick: () => actions.advance(seconds) }, label)),
    ),
    h("p.quiet", {}, "Moves the workspace's time: streams expire, statuses run out, retries come due."),
  );
  const workspace = h(
    "div.panel-card",
    {},
    h("h3", {}, icon("broken"), "Connection and workspace"),
    h(
      "div.row",
      {},
      h("button", { type: "button", onclick: refresh }, "Refresh the socket"),
      h("button.danger", { type: "button", onclick: reset }, "Reset the workspace…"),
    ),
    h(
      "p.quiet",
      {},
      "Slack asks an app to reconnect now and then; a refresh does it at once. A reset brings back the seed workspace.",
    ),
  );
  const element = h(
    "div.fault-panel",
    { role: "tabpanel", "aria-label": "Faults and clock", hidden: true },
    h("div.panel-card.wide", {}, h("h3", {}, icon("bolt"), "Faults"), list),
    clock,
    workspace,
  );

  async function refresh() {
    if (await actions.refresh()) toast("The app was asked to reconnect.");
  }

  async function reset() {
    const agreed = await ask({
      title: "Reset the workspace",
      text: "All messages, threads and reactions of this playground are removed. What the app stored on its own stays with the app.",
      confirm: "Reset",
      danger: true,
    });
    if (agreed && (await actions.reset())) location.reload();
  }

  element.draw = () => {
    const { clock: time } = store;
    const offset = time.offset_s ? ` (${Math.round(time.offset_s)} s ahead)` : "";
    now.textContent = new Date(page.now() * 1000).toLocaleTimeString() + offset;
    const none = { key: "none", sig: "", build: () => h("li.quiet", {}, "This server offers no faults.") };
    reconcile(
      list,
      store.faults.length
        ? store.faults.map((fault) => ({
            key: fault.name,
            sig: JSON.stringify(fault),
            build: () => renderFault(fault, actions),
          }))
        : [none],
    );
  };
  return element;
}

function renderFault(fault, actions) {
  const params = { ...fault.params };
  const save = (enabled) => actions.setFault(fault.name, enabled, params);
  const box = h("input", {
    type: "checkbox",
    role: "switch",
    checked: fault.enabled,
    dataset: { focus: `fault/${fault.name}` },
    onchange: (event) => save(event.target.checked),
  });
  return h(
    fault.enabled ? "li.fault.on" : "li.fault",
    {},
    h("label.switch", {}, box, h("span", {}, h("strong", {}, fault.label), h("small", {}, fault.description))),
    h(
      "div.fault-params",
      {},
      (fault.schema ?? []).map((spec) => renderParam(fault, spec, params, () => fault.enabled && save(true))),
    ),
  );
}

function renderParam(fault, spec, params, changed) {
  const held = params[spec.key] ?? spec.default ?? "";
  const keep = (event) => {
    params[spec.key] = spec.type === "number" ? Number(event.target.value) : event.target.value;
    changed();
  };
  const props = { dataset: { focus: `fault/${fault.name}/${spec.key}` }, onchange: keep };
  const field =
    spec.type === "select"
      ? h(
          "select",
          props,
          (spec.options ?? []).map((option) =>
            h("option", { value: option, selected: option === held }, String(option)),
          ),
        )
      : h("input", { ...props, type: spec.type === "number" ? "number" : "text", step: "any", value: held });
  params[spec.key] = held;
  return h("label.param", {}, h("span", {}, spec.label), field);
}
