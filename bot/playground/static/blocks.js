// Block Kit's layout blocks. A host is {id, store, form, act, errors?}; what is inside a block is drawn by elements and inputs.

import { h } from "./dom.js";
import { renderElement, renderImage, unknown } from "./elements.js";
import { link } from "./inline.js";
import { renderMarkdown } from "./markdown.js";
import { renderText } from "./mrkdwn.js";
import { renderRichText } from "./richtext.js";
import { renderPlan, renderTask } from "./tasks.js";

/** Render a list of blocks; one that is not known is shown as labelled JSON, never dropped. */
export function renderBlocks(blocks, host) {
  return h(
    "div.blocks",
    {},
    (blocks ?? []).map((block, index) => renderBlock(block, host, index)),
  );
}

function renderBlock(block, host, index) {
  const render = BLOCKS[block?.type];
  if (!render) return unknown("block", block);
  return render(block, host, block.block_id ?? `block-${index}`);
}

function renderSection(block, host, blockId) {
  const slot = { host, blockId, dispatches: true };
  return h(
    "div.section",
    {},
    h(
      "div.section-text",
      {},
      block.text && renderText(block.text, host.store),
      block.fields &&
        h(
          "div.section-fields",
          {},
          block.fields.map((field) => h("div", {}, renderText(field, host.store))),
        ),
    ),
    block.accessory && h("div.accessory", {}, renderElement(block.accessory, slot)),
  );
}

const renderRow = (kind) => (block, host, blockId) =>
  h(
    `div.${kind}`,
    {},
    (block.elements ?? []).map((element) => renderElement(element, { host, blockId, dispatches: true })),
  );

function renderInput(block, host, blockId) {
  const error = host.errors?.[blockId];
  const ids = { label: `${host.id}-${blockId}-label`, note: `${host.id}-${blockId}-note` };
  const slot = {
    host,
    blockId,
    dispatches: Boolean(block.dispatch_action),
    label: block.label?.text,
    describedBy: ids.note,
  };
  return h(
    error ? "div.input.wrong" : "div.input",
    { dataset: { block: blockId } },
    h(
      "div.label",
      { id: ids.label },
      renderText(block.label, host.store),
      block.optional && h("span.quiet", {}, " (optional)"),
    ),
    block.element ? renderElement(block.element, slot) : unknown("input", block),
    h(
      "div.note",
      { id: ids.note },
      error ? h("p.problem", { role: "alert" }, error) : null,
      block.hint && h("p.quiet", {}, renderText(block.hint, host.store)),
    ),
  );
}

function renderTable(block, host) {
  const [head, ...rows] = block.rows ?? [];
  const align = (column) => block.column_settings?.[column]?.align;
  const cell = (tag, content, column) =>
    h(
      tag,
      { class: align(column) ? `align-${align(column)}` : null },
      content.type === "rich_text" ? renderRichText(content, host.store) : (content.text ?? ""),
    );
  const line = (tag, cells) =>
    h(
      "tr",
      {},
      cells.map((content, column) => cell(tag, content, column)),
    );
  return h(
    "div.rich",
    {},
    h(
      "div.table-scroll",
      { tabindex: "0", role: "region", "aria-label": "Table" },
      h(
        "table",
        {},
        head && h("thead", {}, line("th", head)),
        h(
          "tbody",
          {},
          rows.map((cells) => line("td", cells)),
        ),
      ),
    ),
  );
}

function renderFigure(block, host) {
  return h("figure", {}, block.title && h("figcaption", {}, renderText(block.title, host.store)), renderImage(block, { host }));
}

/** Render Slack's older attachments: a coloured bar beside text, fields or blocks. */
export function renderAttachments(attachments, host) {
  const text = (value) => value && renderText({ type: "mrkdwn", text: value }, host.store);
  const colours = { good: "#2eb67d", warning: "#ecb22e", danger: "#e01e5a" };
  return h(
    "div.attachments",
    {},
    attachments.map((one) =>
      h(
        "div.attachment",
        {
          style: {
            "--bar":
              colours[one.color] ??
              (/^#?[0-9a-f]{3,8}$/i.test(one.color ?? "") ? `#${one.color.replace("#", "")}` : "var(--line)"),
          },
        },
        text(one.pretext),
        one.author_name && h("small", {}, one.author_name),
        one.title && h("strong", {}, one.title_link ? link(one.title_link, [one.title]) : one.title),
        text(one.text ?? (one.blocks ? null : one.fallback)),
        one.fields?.length
          ? h(
              "div.section-fields",
              {},
              one.fields.map((field) => h("div", {}, h("strong", {}, field.title), text(field.value))),
            )
          : null,
        one.blocks?.length ? renderBlocks(one.blocks, host) : null,
        one.image_url && renderImage({ image_url: one.image_url, alt_text: one.fallback ?? "image" }, { host }),
        one.footer && h("small", {}, one.footer),
      ),
    ),
  );
}

const BLOCKS = {
  section: renderSection,
  actions: renderRow("actions"),
  context: renderRow("context"),
  context_actions: renderRow("context-actions"),
  divider: () => h("hr"),
  header: (block, host) => h("h2.block-header", {}, renderText(block.text, host.store)),
  rich_text: (block, host) => renderRichText(block, host.store),
  markdown: (block, host) => renderMarkdown(block.text ?? "", host.store),
  image: renderFigure,
  input: renderInput,
  table: renderTable,
  plan: (block, host) => renderPlan(block, host.store),
  task_card: (block, host) => renderTask(block, host.store),
};
