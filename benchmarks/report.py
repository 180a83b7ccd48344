"""A run as people read it: the machine, how each arm was started, a table for each workload, and the goals."""

import math
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.bench import Results, Row
from benchmarks.figures import median_of
from benchmarks.goals import Verdict, judge

# What a workload's table shows: the name in a row's values, the heading, and how a value is written.
COLUMNS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "W1": (
        ("decode_per_second", "tokens/s, all writing", "{:,.0f}"),
        ("tokens_per_second", "tokens/s, all in all", "{:,.0f}"),
        ("ttft_p50", "first token p50 ms", "{:,.0f}"),
        ("itl_p50", "gap p50 ms", "{:.1f}"),
        ("itl_p95", "p95", "{:.1f}"),
        ("itl_max", "max", "{:.0f}"),
        ("processor_ms", "processor ms a token, prompt included", "{:.2f}"),
        ("errors", "errors", "{:.0f}"),
    ),
    "W2": (
        ("ttft_p50", "first token p50 ms", "{:,.0f}"),
        ("ttft_p95", "p95", "{:,.0f}"),
        ("ttft_max", "max", "{:,.0f}"),
        ("itl_p50", "gap p50 ms", "{:.1f}"),
        ("itl_p95", "p95", "{:.1f}"),
        ("itl_max", "max", "{:,.0f}"),
        ("tokens_per_second", "tokens/s", "{:,.0f}"),
        ("cached_tokens", "prompt tokens saved", "{:,.0f}"),
        ("errors", "errors", "{:.0f}"),
    ),
    "W3": (
        ("saved", "prompt tokens saved", "{:.0%}"),
        ("warm_ttft_p50", "first token p50 ms", "{:,.0f}"),
        ("warm_ttft_p95", "p95", "{:,.0f}"),
        ("cold_ttft_p50", "cold p50 ms", "{:,.0f}"),
        ("ttft_share", "over cold", "{:.2f}"),
        ("errors", "errors", "{:.0f}"),
    ),
    "W4": (
        ("longest_gap", "longest gap ms", "{:,.0f}"),
        ("gap_p50", "gap p50 ms", "{:,.0f}"),
        ("gap_p95", "p95", "{:,.0f}"),
        ("long_ttft", "first token of the long one ms", "{:,.0f}"),
        ("computed_per_second", "tokens/s of everything", "{:,.0f}"),
        ("processor_seconds", "processor s", "{:.2f}"),
        ("errors", "errors", "{:.0f}"),
    ),
    "W5": (
        ("ttft_p50", "first token p50 ms", "{:,.0f}"),
        ("ttft_p95", "p95", "{:,.0f}"),
        ("itl_p95", "gap p95 ms", "{:.1f}"),
        ("tokens_per_second", "tokens/s", "{:,.0f}"),
        ("answers", "answers", "{:.0f}"),
        ("changes", "changes", "{:.0f}"),
        ("errors", "errors", "{:.0f}"),
    ),
    "W6": (
        ("wall_seconds", "all done s", "{:.1f}"),
        ("ttft_p50", "first token p50 ms", "{:,.0f}"),
        ("ttft_p95", "p95", "{:,.0f}"),
        ("itl_max", "longest gap ms", "{:,.0f}"),
        ("cached_tokens", "prompt tokens saved", "{:,.0f}"),
        ("preemptions", "preemptions", "{:.0f}"),
        ("errors", "failed requests", "{:.0f}"),
    ),
    "W7": (
        ("requests", "requests", "{:.0f}"),
        ("complete", "completed", "{:.0f}"),
        ("rss_end_mib", "memory MiB", "{:,.0f}"),
        ("rss_mib_per_minute", "MiB a minute", "{:+.1f}"),
        ("left_cells", "cells left", "{:.0f}"),
        ("errors", "errors", "{:.0f}"),
    ),
}
TITLES = {
    "W1": "W1: answers written at the same time",
    "W2": "W2: a team writes",
    "W3": "W3: threads of ten turns",
    "W4": "W4: eight streams and one long prompt",
    "W5": "W5: adapters change under load",
    "W6": "W6: twice as many conversations as fit",
    "W7": "W7: half of all requests cancelled",
}
PARTS = ("build", "plan", "decode", "sample", "deliver")


def render(results: Results, *, system: str, command: str) -> str:
    """Return the whole report in markdown."""
    verdicts = judge(results.rows)
    parts = [describe_machine(system, command), render_verdicts(verdicts)]
    parts += [render_workload(results.rows, workload) for workload in TITLES]
    parts += [render_steps(results.rows), render_configs(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def describe_machine(system: str, command: str) -> str:
    """Return where and when this was measured."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    when = f"{datetime.now(UTC):%d %B %Y %H:%M} UTC"
    cores = f"{os.cpu_count()} cores ({read_processor()}), Python {platform.python_version()}"
    return f"{when}; {cores}; load at the end {load}.\n{system}\nCommand: `{command}`"


def read_processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.machine())


def render_verdicts(verdicts: Sequence[Verdict]) -> str:
    """Return the goals as a table."""
    if not verdicts:
        return ""
    lines = ["### Goals", "", "| model | goal | measured | limit | |", "|---|---|---|---|---|"]
    for verdict in verdicts:
        shown = "met" if verdict.is_met else "**not met**"
        lines.append(f"| {verdict.model} | {verdict.goal} | {verdict.measured} | {verdict.limit} | {shown} |")
    met = sum(verdict.is_met for verdict in verdicts)
    return "\n".join(
        [*lines, "", f"{met} of {len(verdicts)} met. Ratios are of medians, with bootstrap 95 % intervals."]
    )


def render_workload(rows: Sequence[Row], workload: str) -> str:
    """Return the medians of a workload as a table, empty if it was not run."""
    chosen = [
        row for row in rows if row.workload == workload and any(name in row.values for name, _, _ in COLUMNS[workload])
    ]
    if not chosen:
        return ""
    columns = COLUMNS[workload]
    heads = " | ".join(("model", "case", "arm", *(head for _, head, _ in columns)))
    lines = [f"### {TITLES[workload]}", "", f"| {heads} |", "|---" * (len(columns) + 3) + "|"]
    for model, case, arm in dict.fromkeys((row.model, row.case, row.arm) for row in chosen):
        turns = [row.values for row in chosen if (row.model, row.case, row.arm) == (model, case, arm)]
        cells = [render_median([turn[name] for turn in turns if name in turn], form) for name, _, form in columns]
        lines.append(f"| {' | '.join((model, case, arm, *cells))} |")
    return "\n".join(lines)


def render_median(values: Sequence[float], form: str) -> str:
    """Return the median of a figure, nothing where there is none."""
    value = median_of(values)
    return "" if math.isnan(value) else form.format(value)


def render_steps(rows: Sequence[Row]) -> str:
    """Return what the engine says of its own steps in W1."""
    chosen = [row for row in rows if row.workload == "W1" and "steps" in row.values]
    if not chosen:
        return ""
    names = [part for part in PARTS if any(f"step_{part}_ms" in row.values for row in chosen)]
    lines = ["### Our steps in W1, mean ms by part, from `/metrics`", ""]
    lines += [f"| model | at once | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for model, case in dict.fromkeys((row.model, row.case) for row in chosen):
        turns = [row.values for row in chosen if (row.model, row.case) == (model, case)]
        values = [statistics.median(turn.get(f"step_{name}_ms", 0.0) for turn in turns) for name in names]
        lines.append(f"| {model} | {case} | {' | '.join(f'{value:.3f}' for value in values)} |")
    return "\n".join(lines)


def render_configs(results: Results) -> str:
    """Return how every arm was started, and the remarks."""
    lines = ["### How the arms were started", "", "```"]
    lines += [f"{name}: {command}" for name, command in results.configs.items()]
    lines.append("```")
    if results.notes:
        lines += ["", "### Remarks", "", *(f"- {note}" for note in results.notes)]
    return "\n".join(lines)
