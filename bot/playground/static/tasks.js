// What an agent is doing, as steps: task and plan chunks of a stream, and the blocks they become.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { link } from "./inline.js";
import { renderMarkdown } from "./markdown.js";
import { renderRichText } from "./richtext.js";

const WORDS = { pending: "waiting", in_progress: "in progress", complete: "done", error: "failed" };

/** Render the task and plan chunks of a streaming message. */
export function renderChunks(chunks, names) {
  const plan = chunks.filter((chunk) => chunk.type === "plan_update").at(-1);
  const tasks = new Map();
  for (const chunk of chunks)
    if (chunk.type === "task_update") tasks.set(chunk.id, { ...tasks.get(chunk.id), ...chunk });
  return renderPlan({ title: plan?.title, tasks: [...tasks.values()] }, names);
}

/** Render a plan: a title and its tasks. */
export function renderPlan({ title, tasks = [] }, names) {
  if (!title && !tasks.length) return null;
  return h(
    "div.plan",
    {},
    title && h("p.plan-title", {}, title),
    h(
      "ol.tasks",
      {},
      tasks.map((task) => renderTask(task, names, "li")),
    ),
  );
}

/** Render one task: its state, title, and what it found. */
export function renderTask(task, names, tag = "div") {
  const state = task.status ?? "pending";
  const mark =
    state === "complete"
      ? icon("check")
      : state === "error"
        ? icon("warn")
        : state === "in_progress"
          ? h("span.spinner")
          : icon("dot");
  return h(
    `${tag}.task-card.${state}`,
    {},
    h("span.task-mark", {}, mark, h("span.unseen", {}, WORDS[state])),
    h(
      "div",
      {},
      h("span.task-title", {}, task.title),
      detail(task.details, names),
      detail(task.output, names),
      task.sources?.length
        ? h(
            "p.sources",
            {},
            task.sources.map((source) => link(source.url, [source.text ?? source.url])),
          )
        : null,
    ),
  );
}

function detail(content, names) {
  if (!content) return null;
  return typeof content === "string" ? renderMarkdown(content, names) : renderRichText(content, names);
}
