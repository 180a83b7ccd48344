"""`dataset`: what a training would learn from, and the queue in which reviewers decide about corrections."""

import asyncio
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.admin import reviews
from bot.errors import AdminError, LearningError
from bot.language import _
from bot.learning.control import Learning
from bot.learning.data.export import Format
from bot.learning.data.findings import find
from bot.slack.blocks import (
    REVIEW,
    REVIEW_NEXT,
    REVIEW_REJECT,
    Block,
    build_button,
    build_note,
    clip,
    context,
    list_reasons,
    plain,
    section,
)
from bot.slack.calls import Calls
from bot.slack.commands.order_buttons import done
from bot.slack.commands.order_words import read_words
from bot.slack.commands.orders import SILENCE, Call, Command, Reply, Role, UsageError
from bot.slack.delivery.render import escape
from bot.slack.delivery.uploads import send_file
from bot.slack.people.access import Access
from bot.slack.text import read_typed
from bot.slack.turns.answer_choice import make_safe
from bot.storage.admin_tables import ReviewState
from bot.storage.db import Database
from bot.storage.reviews import Candidate

TEXT = "text"
TEXT_LENGTH = 3000
LONGEST_LOOK_S = 1.5
VERBS = {"approve": ReviewState.APPROVED, "reject": ReviewState.REJECTED, "reopen": ReviewState.WAITING}


def build_dataset_commands(database: Database, learning: Learning, calls: Calls) -> list[Command]:
    """Build the command."""
    return [
        Command(
            name="dataset",
            usage=_("[stats | review | approve ID | reject ID | reopen ID | export sft|dpo|kto]"),
            purpose=_("what a training would learn from; reviewers approve, edit and reject corrections"),
            run=DatasetOrders(database, learning, calls).run,
            role=Role.REVIEWER,
            group=_("Run me"),
            words=("stats", "review", "export"),
            example="dataset review",
            roles={"export": Role.ADMIN},
        )
    ]


class DatasetOrders:
    """Looks at the data set and decides about its rows."""

    def __init__(self, database: Database, learning: Learning, calls: Calls) -> None:
        self._database = database
        self._learning = learning
        self._calls = calls

    async def run(self, call: Call) -> Reply:
        """Count, open the queue, decide, or send the data set."""
        words = read_words(call.words, "stats")
        if words.verb == "stats" and not words.rest:
            status = await self._learning.status()
            return Reply("\n".join((await self._learning.survey()).render(is_allowed=bool(status.allowed_by))))
        if words.verb == "review" and not words.rest:
            return await self._open(call)
        if words.verb in VERBS and len(words.parts) == 1:
            return await self._decide(words.verb, words.rest, call)
        if words.verb == "export" and words.rest in set(Format):
            text = await self._learning.export(Format(words.rest))
            title = _("The data set as {form}").format(form=words.rest)
            await send_file(self._calls, call.user_id, text, name=f"dataset-export-{words.rest}.jsonl", title=title)
            return Reply(_("It is in your direct messages with me."))
        raise UsageError(_("I do not understand that."))

    async def _open(self, call: Call) -> Reply:
        waiting = await reviews.list_waiting(self._database, most=1)
        if not waiting:
            return Reply(_("No correction waits for a reviewer."))
        if not call.trigger_id:
            return Reply(_("Open the queue with the slash command; Slack shows no form for an order in a thread."))
        opened = await self._calls.call("views.open", trigger_id=call.trigger_id, view=build_review(waiting[0]))
        flagged = await asyncio.to_thread(_flag, waiting[0].text)
        if flagged:
            view = build_review(waiting[0], flagged=flagged)
            await self._calls.call_if_possible("views.update", view_id=opened["view"]["id"], view=view)
        return SILENCE

    async def _decide(self, verb: str, correction_id: str, call: Call) -> Reply:
        decision = await reviews.decide(self._database, correction_id, VERBS[verb], by=call.user_id)
        undo = {state: word for word, state in VERBS.items()}.get(decision.before, "reopen")
        said = _("This correction is {state} now.").format(state=decision.state)
        return done(f"{said} {decision.tell_known()}".strip(), f"dataset {undo} {correction_id}")


async def find_flags(text: str) -> str:
    """Return what keeps a correction from being learned as it is, in words; nothing where it takes too long to say.

    What finds secrets is loaded the first time, which takes longer than Slack waits for a form.
    """
    try:
        async with asyncio.timeout(LONGEST_LOOK_S):
            return await asyncio.to_thread(_flag, text)
    except TimeoutError:
        return ""


def build_review(candidate: Candidate, note: str = "", *, flagged: str = "") -> dict[str, Any]:
    """Build the form about one correction: what is submitted is approved, as it stands in the field then."""
    seen = f"{candidate.correction_id}:{reviews.digest(candidate.text)}"
    buttons = [
        build_button(_("Reject"), REVIEW_REJECT, seen) | {"style": "danger"},
        build_button(_("Next"), REVIEW_NEXT, candidate.correction_id),
    ]
    return {
        "type": "modal",
        "callback_id": REVIEW,
        "private_metadata": seen,
        "title": plain(_("Review")),
        "submit": plain(_("Approve")),
        "close": plain(_("Done")),
        "blocks": [
            *build_note(note),
            context(f"{_name(candidate)} · <#{candidate.channel_id}> · {candidate.created_at:%Y-%m-%d}"),
            *_tell_writer(candidate),
            section("*" + _("Question") + f"*\n{escape(clip(candidate.question, 2000))}"),
            *_tell_answer(candidate),
            *_tell_approved(candidate),
            {
                "type": "input",
                "block_id": f"{TEXT}:{candidate.correction_id}",
                "label": plain(_("What I shall learn to say")),
                "element": {
                    "type": "plain_text_input",
                    "action_id": TEXT,
                    "multiline": True,
                    "max_length": TEXT_LENGTH,
                    "initial_value": candidate.text[:TEXT_LENGTH],
                },
            },
            *build_note(flagged),
            {"type": "actions", "elements": buttons},
        ],
    }


def _name(candidate: Candidate) -> str:
    """Name the author, where they want to be named."""
    return f"<@{candidate.user_id}>" if candidate.is_named else _("somebody who wants no name here")


def _tell_writer(candidate: Candidate) -> list[Block]:
    """Say that a reviewer wrote the words in the field, and what the author wrote."""
    if candidate.writer_id == candidate.user_id:
        return []
    said = _("<@{reviewer}> changed these words, so somebody else has to approve them. They were:")
    told = said.format(reviewer=candidate.writer_id)
    return [section(f"✏️ {told}\n{escape(clip(candidate.original, 2000))}")]


def _tell_answer(candidate: Candidate) -> list[Block]:
    """Say what was answered, where a reviewer may read it, and what was found wrong with it."""
    reason = list_reasons().get(candidate.reason, candidate.reason)
    told = [one for one in (reason, candidate.comment) if one]
    safe = make_safe(clip(candidate.answer, 2000), asked=candidate.question)
    answer = section("*" + _("I answered") + f"*\n{escape(safe)}")
    return [*([answer] if candidate.answer else []), *([section(f"👎 {escape(': '.join(told))}")] if told else [])]


def _tell_approved(candidate: Candidate) -> list[Block]:
    """Say what goes on counting until somebody decides."""
    told = "*" + _("Approved before, and what counts until this is") + "*"
    return [section(f"{told}\n{escape(clip(candidate.approved, 2000))}")] if candidate.approved else []


def build_end(note: str) -> dict[str, Any]:
    """Build what is shown when nothing waits any more."""
    shown: list[Block] = [*build_note(note), section(_("No other correction waits for a reviewer."))]
    return {"type": "modal", "title": plain(_("Review")), "close": plain(_("Done")), "blocks": shown}


def _flag(text: str) -> str:
    """Say what in a correction keeps it from being learned as it is; empty: nothing."""
    try:
        kinds = sorted({finding.kind for finding in find(text)})
    except LearningError:  # what finds secrets comes with the training extra
        return ""
    return _("⚠️ Not learned as it is: {kinds}. Edit it out.").format(kinds=", ".join(kinds)) if kinds else ""


def register_review(app: AsyncApp, *, database: Database, calls: Calls, access: Access) -> None:
    """Register the form; rights.py lets only reviewers press anything in it."""
    desk = ReviewDesk(database, calls, access)
    app.view(REVIEW)(desk.handle_approve)
    app.action(REVIEW_REJECT)(desk.handle_reject)
    app.action(REVIEW_NEXT)(desk.handle_next)


class ReviewDesk:
    """Decides about the correction in the form, and shows the next one."""

    def __init__(self, database: Database, calls: Calls, access: Access) -> None:
        self._database = database
        self._calls = calls
        self._access = access

    async def handle_approve(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Approve what stands in the field; where it was changed, that is learned instead."""
        correction_id, _colon, seen = str(view["private_metadata"]).partition(":")
        given = view["state"]["values"][f"{TEXT}:{correction_id}"][TEXT].get("value")
        then = await self._decide(correction_id, ReviewState.APPROVED, body, seen=seen, text=read_typed(given))
        await ack(response_action="update", view=then)

    async def handle_reject(self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        """Let nothing be learned from the correction."""
        correction_id, _colon, seen = str(action["value"]).partition(":")
        then = await self._decide(correction_id, ReviewState.REJECTED, body, seen=seen)
        await ack()
        await self._show(body, then)

    async def handle_next(self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        """Leave the correction to somebody else."""
        await ack()
        await self._show(body, await self._next(str(action["value"]), ""))

    async def _decide(
        self, correction_id: str, state: ReviewState, body: dict[str, Any], *, seen: str, text: str = ""
    ) -> dict[str, Any]:
        """Decide, and return the next form, with what is to be said; the same one where other words stand there now."""
        by = str(body["user"]["id"])
        try:
            is_alone = not await self._access.has_other_reviewer(by)
            decide = reviews.decide
            done = await decide(self._database, correction_id, state, by=by, text=text, seen=seen, is_alone=is_alone)
        except reviews.WordsChanged as error:
            return await self._again(correction_id, f"⚠️ {error}")
        except AdminError as error:
            return await self._next(correction_id, f"⚠️ {error}")
        if done.state is ReviewState.WAITING:
            note = _("Kept. Another reviewer has to approve your words; until then nothing changes.")
        elif done.is_own:
            note = _("Approved in your words: nobody else is here who could look at them.")
        else:
            note = _("Rejected.") if state is ReviewState.REJECTED else _("Approved.")
            note = f"{note} {done.tell_known()}".strip()
        return await self._next(correction_id, note)

    async def _show(self, body: dict[str, Any], view: dict[str, Any]) -> None:
        await self._calls.call_if_possible("views.update", view_id=body["view"]["id"], view=view)

    async def _again(self, correction_id: str, note: str) -> dict[str, Any]:
        found = await reviews.find_waiting(self._database, correction_id)
        if found is None:
            return await self._next(correction_id, note)
        return build_review(found, note, flagged=await find_flags(found.text))

    async def _next(self, correction_id: str, note: str) -> dict[str, Any]:
        waiting = await reviews.list_waiting(self._database, most=1, before_id=correction_id)
        if not waiting:
            return build_end(note)
        return build_review(waiting[0], note, flagged=await find_flags(waiting[0].text))
