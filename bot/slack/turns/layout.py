"""Stored answers as they may be shown: with links to what people wrote, and in as many messages as it takes."""

from bot.slack.blocks import Block, build_answer_buttons, build_note
from bot.slack.calls import Calls
from bot.slack.delivery.posts import Posts, Target
from bot.slack.turns.answer_choice import make_safe
from bot.slack.turns.words import tell_cut
from bot.storage.answers import AnswerRecord, update_answer
from bot.storage.db import Database
from bot.storage.tables import Audience
from bot.storage.threads import load_history


class Layout:
    """Shows stored answers."""

    def __init__(self, database: Database, calls: Calls) -> None:
        self._database = database
        self._calls = calls

    async def read(self, record: AnswerRecord) -> str:
        """Return an answer as it may be shown: with links to what people wrote in its thread, and no others."""
        async with self._database.read() as session:
            history = await load_history(session, record.message.thread_id, before_ts=record.message.ts)
        asked = "\n".join([*(said.text for said in history), record.message.text])
        return make_safe(record.answer.text, asked=asked)

    async def show(
        self,
        record: AnswerRecord,
        text: str,
        *,
        is_explained: bool,
        above: list[Block] | None = None,
        is_again: bool = False,
    ) -> None:
        """Show *text* where an answer stands, with *above* above its buttons; raise *DeliveryError* if Slack does not.

        Raises *AnswerRemoved* where somebody deleted it. *is_again*: another press may have shown it already.
        """

        async def remember(reply_ts: list[str]) -> None:
            async with self._database.begin() as session:
                await update_answer(session, record.answer.id, reply_ts=reply_ts)

        place, is_direct = record.place, record.answer.audience == Audience.DIRECT
        target = Target(place.channel_id, place.thread_ts, record.message.user_id, place.team_id, is_direct)
        buttons = build_answer_buttons(
            record.answer.id,
            is_public=record.answer.audience == Audience.PUBLIC,
            is_explained=is_explained,
            is_group=not is_direct,
        )
        posts = Posts(
            self._calls,
            target,
            key=record.answer.id,
            reply_ts=list(record.answer.reply_ts),
            on_reply=remember,
            is_again=is_again,
        )
        await posts.close(text, [*build_note(tell_cut(record.answer.finish_reason)), *(above or []), *buttons])
