"""Reactions that came or went while nobody heard it: what stands in Slack is compared with what is stored.

Slack does not say when somebody reacted. What is stored of a reaction stays until it is taken away, also where another
vote has overtaken it: what stands and is stored is no news. What stands below an answer whose person was forgotten
since, or got other rights, may be older than that, and counts no more.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from slack_sdk.errors import SlackApiError

from bot.slack.calls import Calls, is_passing
from bot.slack.feedback.reactions import SHOWN, Reactions, Unknown
from bot.storage.audit import FORGET, is_decided_since
from bot.storage.db import Database
from bot.storage.reacted import Reacted, list_reacted
from bot.storage.tables import Vote
from bot.storage.threads import Place

DECIDED = (FORGET, "users.")

log = logging.getLogger(__name__)


class MissedReactions:
    """Follows reactions that no event told of."""

    def __init__(self, database: Database, calls: Calls, reactions: Reactions) -> None:
        self._database = database
        self._calls = calls
        self._reactions = reactions

    def begin(self) -> None:
        """Take nothing for known that was heard before."""
        self._reactions.forget()

    async def follow(self, place: Place, there: Mapping[str, Mapping[str, Any]], *, bot_user_id: str) -> int:
        """Let reactions to answers in a thread, whose messages are *there*, count as they stand; return how many."""
        async with self._database.read() as session:
            answers = await list_reacted(session, place)
        count = 0
        for reacted in answers:
            if reacted.carriers <= there.keys() and self._is_news(reacted, [there[ts] for ts in reacted.carriers]):
                shown = await self._ask(place, reacted)
                if shown is None:
                    continue
                for user_id in sorted({*shown, *reacted.known} - {bot_user_id}):
                    count += await self._settle(place, reacted, user_id, shown.get(user_id, ()))
        return count

    def _is_news(self, reacted: Reacted, messages: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether others stand below an answer than are known, or Slack names only some."""
        every = [one for message in messages for one in message.get("reactions") or []]
        names = self._read(messages)
        stands = {user_id: {self._reactions.votes[name] for name in said} for user_id, said in names.items()}
        return stands != reacted.known or any(len(one["users"]) < int(one.get("count") or 0) for one in every)

    def _read(self, messages: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
        shown: dict[str, tuple[str, ...]] = {}
        for message in messages:
            for user_id, names in self._reactions.read(message).items():
                shown[user_id] = (*shown.get(user_id, ()), *names)
        return shown

    async def _ask(self, place: Place, reacted: Reacted) -> dict[str, tuple[str, ...]] | None:
        """Return all votes that stand below an answer, by person; None where Slack does not tell."""
        messages: list[Mapping[str, Any]] = []
        for ts in sorted(reacted.carriers):
            if self._calls.lacks(SHOWN):
                return None
            try:
                found = await self._calls.call(SHOWN, channel=place.channel_id, timestamp=ts, full=True)
            except SlackApiError as error:
                if is_passing(error):
                    raise
                return None
            messages.append(found.get("message") or {})
        return self._read(messages)

    async def _settle(self, place: Place, reacted: Reacted, user_id: str, names: Sequence[str]) -> bool:
        """Let somebody's reactions to an answer count as they stand; return whether their vote changed."""
        votes, known = self._reactions.votes, reacted.known.get(user_id, set())
        stand = {votes[name]: name for name in names}
        gone = [next((name for name in votes if votes[name] is vote), "") for vote in known - stand.keys()]
        new = [name for vote, name in stand.items() if vote not in known]
        if not await self._counts(place, user_id):
            return False
        if new and await self._is_decided(reacted, user_id):
            new = []
        where, record = (place.team_id, place.channel_id, reacted.ts), None
        old = [name for name in names if votes[name] in known]
        missed = [*((name, False, old) for name in gone if name), *((name, True, names) for name in new)]
        for number, (name, is_added, shown) in enumerate(missed):  # older than whatever is heard from here on
            changed = await self._reactions.vote(
                where, user_id=user_id, emoji=name, is_added=is_added, at=float(number), shown=shown
            )
            record = changed or record
        if record is not None and new and votes[new[-1]] is Vote.DOWN:
            await self._reactions.ask(record, user_id)
        return record is not None

    async def _counts(self, place: Place, user_id: str) -> bool:
        try:
            return await self._reactions.counts(user_id, place.team_id)
        except Unknown:
            log.warning("catch-up: Slack does not say who somebody is, whose reaction may have been missed")
            return False

    async def _is_decided(self, reacted: Reacted, user_id: str) -> bool:
        async with self._database.read() as session:
            return await is_decided_since(session, reacted.answer_id, actions=DECIDED, targets=[user_id])
