"""Is a question answered at all? Asked before anything of it is stored, and before the engine is."""

import logging
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.admin.budgets import CHANNEL, Budgets, Use, find_empty
from bot.errors import DeliveryError
from bot.language import _
from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.commands.orders import Role
from bot.slack.people.access import Access, tell_refusal
from bot.slack.throttle import Throttle
from bot.slack.turns.asides import tell_crowded
from bot.slack.turns.whisper import tell_kept, tell_off
from bot.storage.answers import load_answer
from bot.storage.db import Database
from bot.storage.feedback import is_kept
from bot.storage.inbox import let_again
from bot.storage.tables import Inbox
from bot.storage.thread_manners import change_manners, find_manners, leave_thread
from bot.storage.threads import Place, is_stored

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants an answer where; *is_bot* is another app that the settings allow."""

    user_id: str
    channel_id: str
    team_id: str = ""
    is_bot: bool = False


class Admission:
    """Lets in who may ask and has tokens left, and tells the others why not."""

    def __init__(
        self,
        database: Database,
        access: Access,
        calls: Calls,
        *,
        budgets: Budgets,
        throttle: Throttle | None = None,
    ) -> None:
        self._database = database
        self._access = access
        self._calls = calls
        self._budgets = budgets
        self._throttle = throttle or Throttle()

    async def is_refused(self, row: Inbox) -> bool:
        """Return whether an event gets no answer, and has been told so; raise a passing error while Slack is away."""
        asker = await self._find_asker(row)
        if not asker.user_id:  # the answer is gone
            return False
        refusal = await self.find_refusal(asker, is_counted=row.kind == "message")
        refusal = refusal or await self._find_off(row) or await self._find_choice(row, asker)
        if not refusal or await self._was_let_in(row):  # it goes on after a crash
            return False
        is_nobody = not asker.is_bot and bool(await self._refuse_role(asker))
        await self._tell(row, asker, refusal)
        async with self._database.begin() as session:
            await let_again(session, row)
            if is_nobody and row.kind == "message":  # others there have not called us
                await leave_thread(session, Place(row.team_id, row.channel_id, row.thread_ts), ts=row.ts)
        return True

    async def is_overruled(self, row: Inbox) -> bool:
        """Return whether somebody who may not ask wanted quiet in a thread: it goes on as before, and they hear why."""
        asker = Asker(str(row.payload["user_id"]), row.channel_id, row.team_id)
        refusal = await self._refuse_role(asker)
        if not refusal:
            return False
        if not row.payload.get("was_muted"):
            place = Place(row.team_id, row.channel_id, row.thread_ts)
            async with self._database.begin() as session:
                await change_manners(session, place, await find_manners(session, place), {"is_muted": False})
        await self._tell(row, asker, refusal)
        return True

    async def find_refusal(self, asker: Asker, *, is_counted: bool = False) -> str:
        """Return why somebody gets no answer, as a sentence for them; empty: they do.

        What came in as a message *is_counted* already; a command or a click is counted here.
        """
        if not asker.is_bot and (refusal := await self._refuse_role(asker)):
            return refusal
        crowd = None if is_counted else self._throttle.take(asker.user_id)
        if crowd is not None:
            return tell_crowded(crowd.full, crowd.seconds)
        channel_id = "" if asker.channel_id.startswith("D") else asker.channel_id
        empty = await find_empty(self._database, self._budgets, user_id=asker.user_id, channel_id=channel_id)
        return tell_empty(empty) if empty is not None else ""

    async def _refuse_role(self, asker: Asker) -> str:
        """Return why somebody may ask nothing at all; empty: they may. Raise a passing error while Slack is away."""
        role = await self._access.known_role_of(asker.user_id)  # who this is can be asked again
        return tell_refusal(role, Role.MEMBER) if role < Role.MEMBER else ""

    async def _find_off(self, row: Inbox) -> str:
        """Return why nothing is answered anew where an admin has switched it off; questions never came in there."""
        is_new = row.kind != "message" and row.attempts <= 1
        return tell_off() if is_new and await self._access.is_off(row.team_id, row.channel_id) else ""

    async def _find_choice(self, row: Inbox, asker: Asker) -> str:
        """Return why an answer is not replaced that whoever asked has come to like since somebody else pressed."""
        if row.kind == "message" or row.attempts > 1:  # before a crash it may have been begun
            return ""
        async with self._database.read() as session:
            record = await load_answer(session, str(row.payload.get("answer_id")))
            if record is None or record.message.user_id == asker.user_id:
                return ""
            is_liked = await is_kept(session, record.answer, asker_id=record.message.user_id)
        return tell_kept() if is_liked else ""

    async def _was_let_in(self, row: Inbox) -> bool:
        """Return whether a message is being answered already: what its own answer used up is no reason to refuse it."""
        async with self._database.read() as session:
            return row.kind == "message" and await is_stored(
                session, Place(row.team_id, row.channel_id, row.thread_ts), row.ts
            )

    async def _find_asker(self, row: Inbox) -> Asker:
        if row.kind == "message":
            event = row.payload["event"]
            user_id = str(event.get("user") or event.get("bot_id") or "")
            return Asker(user_id, row.channel_id, row.team_id, is_bot=bool(event.get("bot_id")))
        user_id = str(row.payload.get("user_id") or "")
        if not user_id:  # whoever asked the question pays for another answer to it
            async with self._database.read() as session:
                record = await load_answer(session, str(row.payload.get("answer_id")))
            user_id = record.message.user_id if record is not None else ""
        return Asker(user_id, row.channel_id, row.team_id)

    async def _tell(self, row: Inbox, asker: Asker, text: str) -> None:
        """Tell the person alone; a message that nobody else sees needs a thread that exists already."""
        thread: dict[str, Any] = {"thread_ts": row.thread_ts}
        try:
            if row.channel_id.startswith("D"):
                again = row.attempts > 1
                key = f"{row.event_id}/refusal"
                await self._calls.post(key, looks_first=again, channel=row.channel_id, text=text, **thread)
                return
            is_reply = row.thread_ts != row.ts
            await self._calls.call(
                "chat.postEphemeral",
                channel=row.channel_id,
                user=asker.user_id,
                text=text,
                **(thread if is_reply else {}),
            )
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError(is_passing=True) from error
            log.warning("turns: a refusal could not be shown (%s)", error_code(error))


def tell_empty(use: Use) -> str:
    """Say whose budget is used up, and when there is more; Slack shows the time in the reader's own time zone."""
    moment = f"<!date^{int(use.free_at.timestamp())}^{{date_short_pretty}}, {{time}}|{use.free_at:%Y-%m-%d %H:%M %Z}>"
    if use.kind == CHANNEL:
        sentence = _(
            "This channel has used what it may use of me today ({used} of {limit} tokens). I answer here again from "
            "{moment} on; in a direct message you can go on now."
        )
    else:
        sentence = _(
            "You have used what one person may use of me today ({used} of {limit} tokens). I answer you again from "
            "{moment} on; an admin can give you more (`budget`)."
        )
    return sentence.format(used=f"{use.used:,}", limit=f"{use.limit:,}", moment=moment)
