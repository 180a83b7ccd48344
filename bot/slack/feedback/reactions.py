"""Reactions to answers as votes: 👍 counts like the button, and taking it away takes the vote back."""

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.language import _
from bot.slack.blocks import FEEDBACK, PUBLIC, Block, build_button, build_note
from bot.slack.calls import Calls
from bot.slack.commands.orders import Role
from bot.slack.people.access import Access
from bot.storage.answers import AnswerRecord, load_answer
from bot.storage.askings import is_one_of_several, is_private
from bot.storage.db import Database, Session
from bot.storage.feedback import find_carried, find_earlier
from bot.storage.reacted import change_reaction
from bot.storage.tables import AnswerState, Audience, Vote

DISLIKED = "disliked"  # in Bolt's context: an answer that somebody has just given a thumb down
KINDS = {"reaction_added", "reaction_removed"}
SHOWN = "reactions.get"
LATE_S = 5.0  # after a reaction, most have been told
MOST = 1000

log = logging.getLogger(__name__)


class Unknown(Exception):  # noqa: N818 - reads as a state
    """Slack does not tell who somebody is just now, so nobody can say whether their vote counts."""


class Reactions:
    """Reads emoji as votes; *ups* and *downs* are their names."""

    def __init__(
        self, database: Database, calls: Calls, access: Access, *, ups: Collection[str], downs: Collection[str]
    ) -> None:
        self._database = database
        self._calls = calls
        self._access = access
        self.votes = {**dict.fromkeys(downs, Vote.DOWN), **dict.fromkeys(ups, Vote.UP)}
        # By answer and person: the time in Slack of the newest, and the votes that stand below the answer, in order.
        self._newest: OrderedDict[tuple[str, str], tuple[float, tuple[str, ...]]] = OrderedDict()

    async def take(self, event: dict[str, Any], team_id: str, bot_user_id: str) -> AnswerRecord | None:
        """Store or take back the vote that an event is, if it is one; return the answer of a new thumb down.

        Raises what prevents it. What comes again, or after a newer one of the same person, changes nothing.
        """
        emoji, item, user_id = str(event.get("reaction")).partition("::")[0], event.get("item") or {}, event.get("user")
        vote = self.votes.get(emoji)
        if vote is None or item.get("type") != "message" or event.get("item_user") != bot_user_id or not user_id:
            return None
        if user_id == bot_user_id:
            return None
        if not await self.counts(user_id, team_id):
            return None
        is_added, at = event["type"] == "reaction_added", float(event.get("event_ts") or 0)
        is_late = time.time() - at >= LATE_S
        shown = await self._look(item, user_id) if is_late or not is_added else None
        if is_late and shown is not None and (emoji in shown) is not is_added:
            return None
        place = team_id, str(item["channel"]), str(item["ts"])
        record = await self.vote(place, user_id=user_id, emoji=emoji, is_added=is_added, at=at, shown=shown or ())
        return record if is_added and vote is Vote.DOWN else None

    async def counts(self, user_id: str, team_id: str) -> bool:
        """Return whether somebody may vote; raise *Unknown* while Slack is away."""
        if not await self._access.is_known(user_id):
            raise Unknown
        return await self._access.role_of(user_id, team_id) >= Role.MEMBER

    def read(self, message: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """Return which votes stand below a message in Slack, by person."""
        shown: dict[str, tuple[str, ...]] = {}
        for one in message.get("reactions") or []:
            name = str(one["name"]).partition("::")[0]
            for user_id in one["users"] if name in self.votes else ():
                shown[user_id] = (*shown.get(user_id, ()), name)
        return shown

    async def _look(self, item: Mapping[str, Any], user_id: str) -> tuple[str, ...] | None:
        """Return which votes of somebody stand below a message in Slack; None where it does not tell.

        Another process may have stored what is newer, or this one before it was started anew.
        """
        if not self._calls.budget.has_spare(SHOWN):
            return None
        where = {"channel": item["channel"], "timestamp": item["ts"], "full": True}
        found = await self._calls.call_if_possible(SHOWN, **where)
        return None if found is None else self.read(found.get("message") or {}).get(user_id, ())

    async def vote(
        self, place: Sequence[str], *, user_id: str, emoji: str, is_added: bool, at: float, shown: Sequence[str]
    ) -> AnswerRecord | None:
        """Return the answer when its vote changed; who takes one of several away still thinks what the others say.

        What is *shown* says which these are, where nothing is remembered; of two answers they are the earlier one's.

        One that was given before another answer took its place stands below both in Slack, and is gone from both.
        """
        async with self._database.begin() as session:
            record = await self._find(session, place)
            if record is None:
                return None
            earlier = [] if is_added else await find_earlier(session, record.answer, user_id=user_id)
            own = self._newest.get((record.answer.id, user_id), (-1.0, ()))[1]
            others, seen, changed = tuple(name for name in shown if name not in own), [], None
            for one in (record.answer, *earlier):
                unknown = -1.0, () if one is record.answer and earlier else others
                known_at, before = self._newest.get((one.id, user_id), unknown)
                if at <= known_at:
                    continue
                standing = (*(name for name in before if name != emoji), *([emoji] if is_added else []))
                left = [self.votes[name] for name in standing]
                if await change_reaction(
                    session, one, user_id=user_id, vote=self.votes[emoji], left=left, is_added=is_added
                ):
                    changed = record
                seen.append((one.id, standing))
        for answer_id, standing in seen:
            self._note(answer_id, user_id, at, standing)
        return changed

    async def _find(self, session: Session, place: Sequence[str]) -> AnswerRecord | None:
        """Return the answer that a message carries, if thumbs count there; others who judge it wait."""
        team_id, channel_id, ts = place
        answer_id = await find_carried(session, team_id, channel_id, ts=ts)
        if answer_id is None or await is_one_of_several(session, answer_id):
            return None
        record = await load_answer(session, answer_id, is_locked=True)
        return record if record is not None and _can_be_judged(record) else None

    def forget(self) -> None:
        """Forget what stood below answers: nobody heard for a while what came and went."""
        self._newest.clear()

    def _note(self, answer_id: str, user_id: str, at: float, standing: tuple[str, ...]) -> None:
        """Remember what is stored: Slack keeps no order, and tells again what was not acknowledged."""
        self._newest[answer_id, user_id] = at, standing
        self._newest.move_to_end((answer_id, user_id))
        if len(self._newest) > MOST:
            self._newest.popitem(last=False)

    async def ask(self, record: AnswerRecord, user_id: str) -> None:
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
    is_answer = record.answer.state != AnswerState.FAILED and bool(record.message.text)
    return is_answer and not is_private(record.place)


def register_reactions(app: AsyncApp, reactions: Reactions) -> None:
    """Register what is heard of reactions; a vote is stored before Slack hears that it is known.

    Bolt acknowledges an event before it runs the listener: what a crash or a full disk loses then, is lost.
    """

    @app.middleware
    async def store_first(
        body: dict[str, Any],
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[None]],  # noqa: A002 - Bolt's name
    ) -> BoltResponse | None:
        event = body.get("event")
        try:
            if isinstance(event, dict) and event.get("type") in KINDS:
                own = str(context.team_id or ""), str(context.bot_user_id or "")
                context[DISLIKED] = await reactions.take(event, *own)
        except Exception as error:  # noqa: BLE001 - not acknowledged, so Slack sends it again
            log.warning("events: a vote could not be stored (%s); Slack will tell again", type(error).__name__)
            return BoltResponse(status=503)
        await next()
        return None

    @app.event("reaction_added")
    @app.event("reaction_removed")
    async def handle_reaction(event: dict[str, Any], context: AsyncBoltContext) -> None:
        if context.get(DISLIKED) is not None:
            await reactions.ask(context[DISLIKED], str(event["user"]))
