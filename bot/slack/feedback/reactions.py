"""Reactions to answers as votes: 👍 counts like the button, and taking it away takes the vote back."""

from collections.abc import Collection
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.language import _
from bot.slack.blocks import FEEDBACK, PUBLIC, Block, build_button, build_note
from bot.slack.calls import Calls
from bot.slack.commands.orders import Role
from bot.slack.people.access import Access
from bot.storage.answers import AnswerRecord, load_answer
from bot.storage.askings import is_private
from bot.storage.db import Database
from bot.storage.feedback import REACTION, current_vote, find_carried, save_vote
from bot.storage.tables import AnswerState, Audience, Vote


class Reactions:
    """Reads emoji as votes; *ups* and *downs* are their names."""

    def __init__(
        self, database: Database, calls: Calls, access: Access, *, ups: Collection[str], downs: Collection[str]
    ) -> None:
        self._database = database
        self._calls = calls
        self._access = access
        self._votes = {**dict.fromkeys(downs, Vote.DOWN), **dict.fromkeys(ups, Vote.UP)}

    async def take(self, event: dict[str, Any], team_id: str, bot_user_id: str) -> None:
        """Store or take back the vote that an event is, if it is one."""
        emoji, item, user_id = str(event.get("reaction")).partition("::")[0], event.get("item") or {}, event.get("user")
        vote = self._votes.get(emoji)
        if vote is None or item.get("type") != "message" or event.get("item_user") != bot_user_id or not user_id:
            return
        if user_id == bot_user_id or await self._access.role_of(user_id, team_id) < Role.MEMBER:
            return
        is_added = event["type"] == "reaction_added"
        place = team_id, str(item["channel"])
        record = await self._vote(place, str(item["ts"]), user_id=user_id, vote=vote, is_added=is_added)
        if record is not None and is_added and vote is Vote.DOWN:
            await self._ask(record, user_id)

    async def _vote(
        self, place: tuple[str, str], ts: str, *, user_id: str, vote: Vote, is_added: bool
    ) -> AnswerRecord | None:
        """Return the answer when its vote changed."""
        async with self._database.begin() as session:
            answer_id = await find_carried(session, *place, ts=ts)
            record = await load_answer(session, answer_id, is_locked=True) if answer_id else None
            if record is None or not _can_be_judged(record):
                return None
            current = await current_vote(session, record.answer.id, user_id=user_id)
            now = Vote.NONE if current is None else Vote(current.vote)
            if is_added and now is not vote:
                await save_vote(session, record.answer, user_id=user_id, vote=vote, source=REACTION)
                return record
            if not is_added and current is not None and now is vote and current.source == REACTION:
                await save_vote(session, record.answer, user_id=user_id, vote=Vote.NONE, source=REACTION)
                return record
        return None

    async def _ask(self, record: AnswerRecord, user_id: str) -> None:
        """Ask whoever disliked it what was wrong: a reaction opens no form, but a button does."""
        text = _("👎 Noted. What should I have said?")
        await self._calls.call_if_possible(
            "chat.postEphemeral",
            channel=record.place.channel_id,
            thread_ts=record.place.thread_ts,
            user=user_id,
            text=text,
            blocks=[*build_note(text), build_form_button(record)],
        )


def build_form_button(record: AnswerRecord) -> Block:
    """Build the button that opens the form of a thumb down."""
    rest = f":{PUBLIC}" if record.answer.audience == Audience.PUBLIC else ""
    button = build_button(_("Tell me more"), FEEDBACK, f"down:{record.answer.id}{rest}")
    return {"type": "actions", "elements": [button]}


def _can_be_judged(record: AnswerRecord) -> bool:
    """Return whether thumbs count here: not on an error, what only its asker sees, or what was not to be stored."""
    is_answer = record.answer.state in {AnswerState.COMPLETE, AnswerState.STOPPED} and bool(record.message.text)
    return is_answer and not is_private(record.place)


def register_reactions(app: AsyncApp, reactions: Reactions) -> None:
    """Register what is heard of reactions."""

    @app.event("reaction_added")
    @app.event("reaction_removed")
    async def handle_reaction(event: dict[str, Any], context: AsyncBoltContext) -> None:
        await reactions.take(event, str(context.team_id or ""), str(context.bot_user_id or ""))
