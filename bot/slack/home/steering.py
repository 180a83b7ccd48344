"""What admins see of the learning in their Home, as words and pictures, and what they can do about it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bot.language import _
from bot.learning.figures import Decision, Role, RunReport, say_value
from bot.learning.sentences import say_again
from bot.learning.since import is_gone
from bot.learning.views import AdapterLine, LearningStatus
from bot.slack.blocks import Block, clip, context, section
from bot.slack.delivery.render import escape
from bot.slack.home.controls import build_order
from bot.slack.home.pictures import draw_bar
from bot.slack.learning.report import tell_outcome, tell_picture
from bot.slack.learning.words import render_adapter, tell_details, tell_time
from bot.slack.setup.manifest import COMMAND

MOST_ADAPTERS, MOST_RUNS = 8, 5
OUTCOME = 200
MARKS = {Decision.PROMOTE: "✅", Decision.CANARY: "🐤", Decision.REJECT: "✋"}


def build_steering(
    status: LearningStatus,
    runs: Sequence[RunReport],
    adapters: Sequence[AdapterLine],
    *,
    is_choice: bool,
    picture_id: str = "",
) -> list[Block]:
    """Build it; *is_choice* says whether people may choose who answers them, *picture_id* shows the newest curves."""
    now = replace(status, last_run_id=None) if runs else status  # how it ended stands among the trainings
    parts = [
        ("", "\n".join(tell_details(now))),
        (_("Trainings"), _render_runs(runs[:MOST_RUNS], adapters) or _("None has ended yet.")),
        (_("Adapters"), "\n".join(map(render_adapter, adapters[:MOST_ADAPTERS])) or _("There is none yet.")),
    ]
    blocks = [section(f"*{title}*\n{text}" if title else text) for title, text in parts if text]
    if picture_id and runs:
        blocks.append({"type": "image", "slack_file": {"id": picture_id}, "alt_text": tell_picture(runs[0])})
    return [*blocks, *_build_buttons(status, is_choice=is_choice)]


def _render_runs(runs: Sequence[RunReport], adapters: Sequence[AdapterLine]) -> str:
    states = {adapter.run_id: adapter.shown for adapter in adapters}
    return "\n".join(render_run(report, states.get(report.run_id, "")) for report in runs)


def render_run(report: RunReport, state: str = "") -> str:
    """Say in a line or two how a run ended and what its adapter is now, with a picture of what it was for."""
    mark = MARKS.get(Decision(report.decision), "") if report.decision in set(Decision) else "⚪"
    mark = "⚪" if is_gone(report, state) else mark
    outcome = escape(clip(tell_outcome(report, state) or _("no outcome"), OUTCOME))
    lines = [f"{mark} *{report.run_id}*{_tell_end(report)}  {outcome}"]
    for figure in report.figures:
        if figure.role is Role.BENEFIT and figure.unit == "share":
            label = escape(clip(say_again(figure.label) or figure.metric, OUTCOME))
            change = f"{say_value(figure, figure.incumbent)} → {say_value(figure, figure.candidate)}"
            lines.append(f"`{draw_bar(figure.incumbent)}` → `{draw_bar(figure.candidate)}`  {change}  {label}")
    return "\n".join(lines)


def _tell_end(report: RunReport) -> str:
    try:
        return f"  {tell_time(datetime.fromisoformat(report.finished_at))}"
    except ValueError:
        return ""


def _build_buttons(status: LearningStatus, *, is_choice: bool) -> list[Block]:
    choice = build_order(
        _("Let nobody choose what answers") if is_choice else _("Let people choose what answers"),
        "adapters choice off" if is_choice else "adapters choice on",
        name="choice",
    )
    review = build_order(_("Review corrections"), "dataset review", name="review")
    if status.off_by or not status.allowed_by:
        hint = _("{command} says what training means, and asks.").format(command=f"`{COMMAND} train on`")
        return [context(hint), {"type": "actions", "elements": [review]}]
    buttons = [build_order(_("Train now"), "train now", name="train", style="primary")]
    if status.is_paused:
        buttons.append(build_order(_("Resume"), "train resume", name="pause"))
    else:
        buttons.append(build_order(_("Pause"), "train pause", name="pause"))
    if served := status.canary or status.active:
        unserved = _("{adapter} answers nobody any more.").format(adapter=served)
        order = f"adapters rollback {served}"
        buttons.append(build_order(_("Rollback"), order, name="rollback", question=unserved, style="danger"))
    return [{"type": "actions", "elements": [*buttons, review, choice]}]
