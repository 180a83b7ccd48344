"""Why an answer is as it is, for those who can see it."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.errors import ApprenticeError
from bot.learning.control import Learning
from bot.learning.views import Why
from bot.slack.actions import stands_in
from bot.slack.blocks import WHY, Block, context, plain, section
from bot.slack.calls import Calls
from bot.slack.learning_words import tell_time
from bot.slack.render import escape
from bot.storage.answers import load_answer
from bot.storage.db import Database
from bot.storage.tables import AnswerState

UNKNOWN = "I cannot say anything about this answer: it is not known any more, or it stands elsewhere."
UNFINISHED = "This answer is still being written down. Please ask again in a moment."
SHORT_HASH = 16


def register_why(app: AsyncApp, *, database: Database, calls: Calls, learning: Learning) -> None:
    """Register the button that explains an answer."""

    @app.action(WHY)
    async def handle_why(ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        """Open the window first, for its trigger lives for three seconds only, and fill it then."""
        await ack()
        opened = await calls.call_if_possible(
            "views.open", trigger_id=body["trigger_id"], view=build_why([section("Looking it up…")])
        )
        if opened is not None:
            blocks = await explain(body, str(action.get("value")))
            await calls.call_if_possible("views.update", view_id=opened["view"]["id"], view=build_why(blocks))

    async def explain(body: dict[str, Any], answer_id: str) -> list[Block]:
        async with database.read() as session:
            record = await load_answer(session, answer_id)
        if record is None or not stands_in(record, body):
            return [section(UNKNOWN)]
        if record.answer.state == AnswerState.WRITING:
            return [section(UNFINISHED)]
        try:
            why = await learning.explain(answer_id)
        except ApprenticeError as error:
            return [section(f"⚠️ {escape(str(error))}")]
        return [section(UNKNOWN)] if why is None else render_why(why)


def build_why(blocks: list[Block]) -> dict[str, Any]:
    """Build the window around an explanation."""
    return {"type": "modal", "title": plain("Why this answer?"), "close": plain("Close"), "blocks": blocks}


def render_why(why: Why) -> list[Block]:
    """Say what made an answer: model, what was learned, prompt, what was kept in mind, and what it took."""
    kept = f"{why.messages_used} of the {why.messages_total} messages before the question"
    blocks = [
        section(f"*Model*\n`{escape(why.model)}`{_hash(why.model_sha256)}"),
        section(f"*Learned*\n{_learned(why)}"),
        section(f"*Instructions*\n{_prompt(why)}"),
        section(f"*Kept in mind*\n{kept if why.messages_total else 'the question alone'}"),
        section(f"*Tokens and time*\n{_tokens(why)}\n{_times(why)}"),
    ]
    if why.sampling or why.finish_reason:
        ended = f" · ended by {escape(why.finish_reason)}" if why.finish_reason else ""
        blocks.append(context(f"{escape(why.sampling)}{ended}".removeprefix(" · ")))
    return blocks


def _learned(why: Why) -> str:
    if not why.adapter:
        return "Nothing of your team: the base model answered."
    when = f", {tell_time(why.run_finished_at)}" if why.run_finished_at else ""
    run = f" (run {why.run_id}{when})" if why.run_id is not None else ""
    return "\n".join([f"Adapter `{escape(why.adapter)}`{run}", *(f"• {escape(what)}" for what in why.learned_from)])


def _prompt(why: Why) -> str:
    version = f", version `{escape(why.prompt_version)[:SHORT_HASH]}`" if why.prompt_version else ""
    return f"`{escape(why.prompt_name)}`{version}" if why.prompt_name else "none"


def _tokens(why: Why) -> str:
    fresh = max(why.prompt_tokens - why.cached_tokens, 0)
    read = f"{why.prompt_tokens:,} read ({why.cached_tokens:,} remembered, {fresh:,} new)"
    return f"{read}, {why.completion_tokens:,} written"


def _times(why: Why) -> str:
    first = None if why.first_token_seconds is None else f"first word after {why.first_token_seconds:.1f} s"
    whole = None if why.seconds is None else f"whole answer after {why.seconds:.1f} s"
    return ", ".join(part for part in (first, whole) if part) or "no times are known"


def _hash(sha256: str) -> str:
    return f"\nfile `{escape(sha256)[:SHORT_HASH]}…`" if sha256 else ""
