"""What is said about a run: the report for the admins' channel, and a word to each person whose 👎 is fixed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.language import _
from bot.learning.figures import BeforeAfter, Decision, RunReport
from bot.learning.reporting import CURVES
from bot.learning.sentences import say_again
from bot.learning.since import is_gone, say_since
from bot.slack.blocks import Block, build_button, clip, confirm, context, header, section
from bot.slack.calls import Calls, error_code
from bot.slack.delivery.render import escape
from bot.slack.feedback.verdicts import build_verdict_buttons
from bot.slack.learning.figures import render_cost, render_figures, render_proofs
from bot.slack.learning.words import tell_time
from bot.slack.people.rooms import Rooms
from bot.slack.turns.answer_choice import make_safe
from bot.storage.adapters import HELD

PROMOTE, ROLLBACK, VETO, NO_NEWS = "learning_promote", "learning_rollback", "learning_veto", "learning_no_news"
ACTIVE, CANARY, WAITING, REJECTED = "active", "canary", "waiting", "rejected"
STATE_OF = {str(Decision.PROMOTE): ACTIVE, str(Decision.CANARY): CANARY, str(Decision.REJECT): REJECTED}
MOST_QUESTIONS = 5
TEXT_LENGTH = 280
PEOPLE = ("U", "W")  # what the ids of people begin with
NOT_READY = "invalid_blocks"  # a picture that Slack has not processed yet
PROCESSING_S = (0.5, 1.0, 2.0, 4.0, 8.0)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Posted:
    """Where a report stands, and the picture that it shows."""

    channel_id: str
    ts: str
    picture_id: str = ""


def build_report(report: RunReport, *, state: str = "", picture_id: str = "", picture_note: str = "") -> list[Block]:
    """Build the report; *state* is the adapter's, where it is known: what it says and its buttons are true of that."""
    title = tell_outcome(report, state) or _("Run {run} has ended.").format(run=report.run_id)
    blocks = [header(title), context(_subject(report))]
    if len(title) > len(blocks[0]["text"]["text"]):
        blocks.append(section(escape(title)))
    if report.mend:
        blocks.append(section(f":wrench: {escape(say_again(report.mend))}"))
    state = WAITING if state == HELD else state or STATE_OF.get(report.decision, "")
    is_sound = all(holds for _, holds, _ in report.proofs)  # what is broken is not promoted by a button
    shown = state if is_sound or state != REJECTED else ""
    reasons = "\n".join(filter(None, (_reasons(report), _tell_next(report, shown))))
    blocks += [section(f"*{escape(_title_decision(report))}*\n{reasons}")] if reasons else []
    blocks += _counts(_("Learned from"), report) + _questions(report, is_gone=is_gone(report, state))
    for title, text in (
        (_("Figures"), render_figures(report.figures)),
        (_("Cross-validation"), escape(say_again(report.cross_validation))),
    ):
        blocks += [section(f"*{escape(title)}*\n{text}")] if text else []
    blocks += [context(line) for line in (render_proofs(report.proofs), render_cost(report)) if line]
    if picture_id:
        blocks.append({"type": "image", "slack_file": {"id": picture_id}, "alt_text": tell_picture(report)})
    blocks += [context(escape(picture_note))] if picture_note else []
    return blocks + build_adapter_buttons(report.adapter, shown)


def tell_outcome(report: RunReport, state: str = "") -> str:
    """Say what became of a run, and of its adapter by now: a report may come late, and is looked at again later."""
    return say_again(say_since(report, state) or report.outcome)


def tell_report(report: RunReport, state: str = "") -> str:
    """Say a whole report in a line, as a notification has it."""
    return _("Run {run}: {outcome}").format(run=report.run_id, outcome=tell_outcome(report, state) or _("ended"))


def build_adapter_buttons(adapter: str, state: str) -> list[Block]:
    """Build what can be done about an adapter in its state."""
    at_once = _("{adapter} will answer everybody at once.").format(adapter=adapter)
    shown = f"{adapter} {state}"  # somebody else may decide before this is pressed
    promote = build_button(_("Promote"), PROMOTE, shown) | {
        "style": "primary",
        "confirm": confirm(_("Promote it?"), at_once, _("Promote"), _("Cancel")),
    }
    rollback = build_rollback_button(adapter)
    unserved = _("{adapter} will not be served.").format(adapter=adapter)
    veto = build_button(_("Veto"), VETO, adapter) | {
        "style": "danger",
        "confirm": confirm(_("Veto it?"), unserved, _("Veto"), _("Cancel"), is_danger=True),
    }
    refused = _(
        "{adapter} was refused for the reasons above. It will answer everybody at once; Rollback takes it back."
    )
    anyway = build_button(_("Promote anyway"), PROMOTE, shown) | {
        "confirm": confirm(
            _("Against the gate?"),
            refused.format(adapter=adapter),
            _("Promote anyway"),
            _("Cancel"),
            is_danger=True,
        ),
    }
    by_state = {ACTIVE: [rollback], CANARY: [promote, rollback], WAITING: [promote, veto], REJECTED: [anyway]}
    buttons = by_state.get(state, [])
    return [{"type": "actions", "elements": buttons}] if buttons and adapter else []


def build_rollback_button(adapter: str) -> Block:
    """Build the button that takes an adapter back."""
    unserved = _("{adapter} answers nobody any more.").format(adapter=adapter)
    asked = confirm(_("Take it back?"), unserved, _("Roll back"), _("Cancel"), is_danger=True)
    return build_button(_("Rollback"), ROLLBACK, adapter) | {"style": "danger", "confirm": asked}


def tell_picture(report: RunReport) -> str:
    """Say what the picture of a run shows, to whoever cannot see it: its data, where nothing was trained."""
    if _shows_curves(report):
        return _("Curves of the training: how the loss fell on what was learned, and on what was held out")
    return _("The data of the run: how many examples there are of each kind, and what was left out")


async def find_shown(report: RunReport, target: str, rooms: Rooms) -> RunReport:
    """Return what of a report may be said to a person, or in a channel: its questions and answers are for members.

    Raise a passing *DeliveryError* while Slack does not tell who reads there.
    """
    shown = report.for_reader_in(target)
    is_ours = await (rooms.may_hear(target) if target.startswith(PEOPLE) else rooms.are_ours_in(target))
    return shown if is_ours else shown.without_words()


async def post_report(
    calls: Calls,
    *,
    channel_id: str,
    report: RunReport,
    picture: bytes | None,
    state: str = "",
    keep: Callable[[str], Awaitable[None]] | None = None,
) -> Posted:
    """Post the report and return where it stands; its picture goes into its thread, and from there into the report.

    Without the picture the report is complete all the same: a line says why it is not there. *keep* hears the picture's
    id in Slack, under which it can be shown elsewhere too.
    """
    text = tell_report(report, state)
    posted = await calls.post(
        f"report/{report.run_id}/{report.finished_at}",  # a bot that was killed may have posted it already
        looks_first=True,
        channel=channel_id,
        text=escape(text),
        blocks=build_report(report, state=state),
    )
    channel, ts = str(posted["channel"]), str(posted["ts"])
    if picture is None:
        return Posted(channel, ts)
    update = {"channel": channel, "ts": ts, "text": escape(text)}
    try:
        picture_id = await _upload(calls, picture, channel=channel, thread_ts=ts, report=report)
    except (SlackClientError, aiohttp.ClientError, TimeoutError) as error:
        note = _("The picture could not be uploaded ({error}).").format(error=error_code(error))
        shown = build_report(report, state=state, picture_note=note)
        await calls.call_if_possible("chat.update", **update, blocks=shown)
        return Posted(channel, ts)
    if keep is not None:
        await keep(picture_id)
    if await _show_picture(calls, update, build_report(report, state=state, picture_id=picture_id)):
        return Posted(channel, ts, picture_id)
    shown = build_report(report, state=state, picture_note=_("The picture is in this thread."))
    await calls.call_if_possible("chat.update", **update, blocks=shown)
    return Posted(channel, ts)


async def tell_taught(calls: Calls, *, person_id: str, items: Sequence[BeforeAfter], adapter: str, run_id: int) -> bool:
    """Tell somebody in a direct message which of their corrections are known now, and ask whether it is better.

    Return False when nothing was told; what a bot has told that was killed then is not told again.
    """
    fixed = [item for item in items if item.is_right]
    if not fixed:
        return False
    one, several = _("I have learned what you taught me."), _("I have learned {count} things you taught me.")
    text = one if len(fixed) == 1 else several.format(count=len(fixed))
    blocks = [header(text)]
    for item in fixed[:MOST_QUESTIONS]:
        blocks += [section(_question(item)), build_verdict_buttons(item.row.partition(":")[2], adapter)]
    if len(fixed) > MOST_QUESTIONS:
        blocks.append(context(_("… and {count} more.").format(count=len(fixed) - MOST_QUESTIONS)))
    blocks.append({"type": "actions", "elements": [build_button(_("Don't tell me such things"), NO_NEWS, person_id)]})
    key = f"taught/{run_id}/{person_id}"
    try:
        await calls.post(key, looks_first=True, waits=False, channel=person_id, text=text, blocks=blocks)
    except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
        log.info("slack: what was learned could not be told (%s)", error_code(error))
        return False
    return True


async def _upload(calls: Calls, picture: bytes, *, channel: str, thread_ts: str, report: RunReport) -> str:
    """Upload the picture in Slack's three steps; shared into the thread, all who see the report may see it."""
    title = _("Curves of run {run}") if _shows_curves(report) else _("Data of run {run}")
    answer = await calls.call(
        "files.upload.v2",
        file=picture,
        filename=f"run-{report.run_id}.png",
        title=title.format(run=report.run_id),
        alt_txt=tell_picture(report),
        channel=channel,
        thread_ts=thread_ts,
    )
    return str(answer["files"][0]["id"])


async def _show_picture(calls: Calls, update: dict[str, Any], blocks: list[Block]) -> bool:
    """Put the picture into the report; Slack refuses it until it has processed the file."""
    for pause in PROCESSING_S:
        try:
            await calls.call("chat.update", **update, blocks=blocks)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if error_code(error) != NOT_READY:
                log.info("slack: the picture of a report was not taken (%s)", error_code(error))
                return False
            await asyncio.sleep(pause)
        else:
            return True
    return False


def _shows_curves(report: RunReport) -> bool:
    return PurePath(report.picture).name == CURVES


def _subject(report: RunReport) -> str:
    """Say which run it was, of what, for whom, and when."""
    parts = [_("Run {run}").format(run=report.run_id)]
    if report.adapter:
        parts.append(_("adapter {adapter}").format(adapter=f"`{escape(report.adapter)}`"))
    if report.channel_id:
        parts.append(_("for {channel} alone").format(channel=f"<#{report.channel_id}>"))
    if report.base:
        parts.append(_("base {model}").format(model=f"`{escape(report.base)}`"))
    return " · ".join(parts) + _times(report)


def _title_decision(report: RunReport) -> str:
    decisions = {"promote": _("promote"), "canary": _("canary"), "reject": _("reject")}
    said = decisions.get(report.decision, report.decision)
    return _("Decision: {decision}").format(decision=said) if said else _("Decision")


def _times(report: RunReport) -> str:
    try:
        return f" · {tell_time(datetime.fromisoformat(report.finished_at))}"
    except ValueError:
        return ""


def _counts(title: str, report: RunReport) -> list[Block]:
    learned = [f"• {count:,} {escape(say_again(what))}" for what, count in report.learned_from.items()]
    left = _(", ").join(f"{count:,} {escape(say_again(what))}" for what, count in report.left_out.items())
    left_out = ["_" + _("Left out: {what}").format(what=left) + "_"] if left else []
    text = "\n".join([f"*{title}*", *learned, *left_out])
    return [section(text)] if learned or left else []


def _questions(report: RunReport, *, is_gone: bool) -> list[Block]:
    """Build before and after of a few corrected questions, and say how many of all are right."""
    asked = report.before_after
    if not asked:
        return []
    right = sum(item.is_right for item in asked)
    sentence = (
        _("*Before and after*: {right} of {all} corrected questions were right with it.")
        if is_gone
        else _("*Before and after*: {right} of {all} corrected questions are right now.")
    )
    title = section(sentence.format(right=right, all=len(asked)))
    return [title, *(section(_question(item, is_gone=is_gone)) for item in asked[:MOST_QUESTIONS])]


def _question(item: BeforeAfter, *, is_gone: bool = False) -> str:
    mark = "✅" if item.is_right else "❌"
    said = f"{item.question}\n{item.taught}"  # by people; what a model answers links to nothing else
    lines = (
        f"*{_short(item.question)}*",
        _("Taught: {text}").format(text=_short(item.taught)),
        _("Before: {text}").format(text=_short(item.before, said=said)),
        (_("With it {mark}: {text}") if is_gone else _("Now {mark}: {text}")).format(
            mark=mark, text=_short(item.after, said=said)
        ),
    )
    return "\n".join(lines)


def _short(text: str, *, said: str | None = None) -> str:
    shown = clip(" ".join(text.split()), TEXT_LENGTH)
    return escape(shown if said is None else make_safe(shown, asked=said)) or "_" + _("nothing") + "_"


def _tell_next(report: RunReport, state: str) -> str:
    """Say what may be done about an adapter that was refused, or that somebody did about it."""
    if report.decision != Decision.REJECT:
        return ""
    if state == ACTIVE:
        return _("It answers all the same, because somebody promoted it.")
    if state != REJECTED:
        return ""
    nothing = _("Nothing needs to be done: what answered before goes on, and the next training begins anew.")
    return f"{nothing}\n" + _("If you want it all the same, press “Promote anyway”.")


def _reasons(report: RunReport) -> str:
    return "\n".join(f"• {escape(say_again(reason))}" for reason in report.reasons)
