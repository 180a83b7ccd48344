"""Why an answer is as it is, for those who can see it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.errors import ApprenticeError
from bot.language import _
from bot.learning.control import Learning
from bot.learning.sentences import say_again
from bot.learning.views import Why
from bot.slack.blocks import WHY, Block, context, plain, section
from bot.slack.calls import Calls
from bot.slack.delivery.render import escape
from bot.slack.learning.why_context import build_context, link_finder
from bot.slack.learning.words import tell_time
from bot.slack.newest import Newest
from bot.slack.people.access import Access
from bot.slack.turns.pressing import stands_in
from bot.storage.answers import load_answer
from bot.storage.contexts import load_context
from bot.storage.db import Database
from bot.storage.tables import AnswerState

SHORT_HASH = 16


def register_why(app: AsyncApp, *, database: Database, calls: Calls, learning: Learning, access: Access) -> None:
    """Register the button that explains an answer."""
    find_link = link_finder(calls)
    newest = Newest()  # somebody who presses quickly sees the last window alone

    @app.action(WHY)
    async def handle_why(ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        """Open the window first, for its trigger lives for three seconds only, and fill it then."""
        await ack()
        await newest.run(body["user"]["id"], partial(show, body, str(action.get("value"))))

    async def show(body: dict[str, Any], answer_id: str) -> None:
        opened = await calls.open_form(
            body["user"]["id"], trigger_id=body["trigger_id"], view=build_why([section(_("Looking it up…"))])
        )
        if opened is not None:
            blocks = await explain(body, answer_id)
            await calls.call_if_possible("views.update", view_id=opened["view"]["id"], view=build_why(blocks))

    async def explain(body: dict[str, Any], answer_id: str) -> list[Block]:
        async with database.read() as session:
            record = await load_answer(session, answer_id)
            context = await load_context(session, answer_id)
        if record is None or not stands_in(record, body):
            return [section(_("I cannot say anything about this answer: it is not known any more, or not from here."))]
        if record.answer.state == AnswerState.WRITING:
            return [section(_("This answer is still being written down. Please ask again in a moment."))]
        try:
            why = await learning.explain(answer_id)
        except ApprenticeError as error:
            return [section(f"⚠️ {escape(str(error))}")]
        if why is None:
            return [section(_("No model wrote this answer."))]
        is_ours = await access.is_ours(body["user"]["id"])
        read = await build_context(context, record.place, find_link=find_link, is_ours=is_ours)
        return render_why(why, read)


def build_why(blocks: list[Block]) -> dict[str, Any]:
    """Build the window around an explanation."""
    return {"type": "modal", "title": plain(_("Why this answer?")), "close": plain(_("Close")), "blocks": blocks}


def render_why(why: Why, read: Sequence[Block] = ()) -> list[Block]:
    """Say what made an answer: what it was made from, who wrote it, how sure it was, and what it took."""
    blocks = [
        section(_("*Model*\n`{model}`").format(model=escape(why.model)) + _hash(why.model_sha256)),
        section(_("*Learned*\n{learned}").format(learned=_learned(why))),
        section(_("*Instructions*\n{prompt}").format(prompt=_prompt(why))),
        section(_("*Kept in mind*\n{kept}").format(kept=_kept(why))),
        *read,
        *([section(sure)] if (sure := _certainty(why)) else []),
        section(_("*Tokens and time*\n{tokens}\n{times}").format(tokens=_tokens(why), times=_times(why))),
    ]
    if ended := " · ".join(part for part in (escape(why.sampling), _end(why)) if part):
        blocks.append(context(ended))
    return blocks


def _kept(why: Why) -> str:
    if not why.messages_total:
        return _("the question alone")
    return _("{used} of the {total} messages before the question").format(
        used=why.messages_used, total=why.messages_total
    )


def _learned(why: Why) -> str:
    chosen = ["_" + _("Whoever asked chose this in their preferences.") + "_"] if why.is_chosen else []
    if not why.adapter:
        return "\n".join([_("Nothing of your team: the base model answered."), *chosen])
    when = f", {tell_time(why.run_finished_at)}" if why.run_finished_at else ""
    run = _(" (run {run}{when})").format(run=why.run_id, when=when) if why.run_id is not None else ""
    head = _("Adapter `{adapter}`").format(adapter=escape(why.adapter))
    return "\n".join(
        [
            f"{head}{run}",
            *(f"• {count:,} {escape(say_again(what))}" for what, count in why.learned_from.items()),
            *chosen,
        ]
    )


def _prompt(why: Why) -> str:
    named = [(why.prompt_name, why.prompt_version), *why.other_prompts]
    return " · ".join(_versioned(name, version) for name, version in named if name) or _("none")


def _versioned(name: str, version: str) -> str:
    if not version:
        return f"`{escape(name)}`"
    return _("`{name}`, version `{version}`").format(name=escape(name), version=escape(version)[:SHORT_HASH])


def _certainty(why: Why) -> str:
    """Say which words were drawn although the model found others likelier: where to look first for a mistake."""
    if why.certainty is None:
        return ""
    head = _("*How sure it was*\n{sure:.0%} a token on average").format(sure=why.certainty)
    if not why.unsure:
        return _("{head}; no word stands out.").format(head=head)
    words = ", ".join(f"`{escape(word.replace('`', ''))}` {odds:.0%}" for word, odds in why.unsure)
    return _("{head}. Least sure of: {words}").format(head=head, words=words)


def _tokens(why: Why) -> str:
    return _("{read:,} read ({cached:,} remembered, {fresh:,} new), {written:,} written").format(
        read=why.prompt_tokens,
        cached=why.cached_tokens,
        fresh=max(why.prompt_tokens - why.cached_tokens, 0),
        written=why.completion_tokens,
    )


def _times(why: Why) -> str:
    times = [
        _("in the queue for {seconds:.1f} s").format(seconds=why.queued_seconds) if why.queued_seconds else "",
        ""
        if (first := why.first_token_seconds) is None
        else _("first word after {seconds:.1f} s").format(seconds=first),
        "" if why.seconds is None else _("whole answer after {seconds:.1f} s").format(seconds=why.seconds),
    ]
    return ", ".join(part for part in times if part) or _("no times are known")


def _end(why: Why) -> str:
    if why.is_stopped:
        return _("stopped by a person")
    if why.finish_reason == "length":
        return _("cut off at the length limit")
    return _("ended by itself") if why.finish_reason == "stop" else escape(why.finish_reason)


def _hash(sha256: str) -> str:
    return _("\nfile `{sha256}…`").format(sha256=escape(sha256)[:SHORT_HASH]) if sha256 else ""
