"""`!stop` and `!retry`: an end to an answer, or another try at it."""

import time
from collections.abc import Callable

from bot.language import _
from bot.slack.commands.orders import SILENCE, Call, Command, Reply, Role
from bot.slack.turns.answering import Answering
from bot.slack.turns.elsewhere import Elsewhere, Ended, stop_here
from bot.slack.turns.pressing import is_anothers_choice
from bot.slack.turns.whisper import tell_kept
from bot.storage import inbox
from bot.storage.answers import newest_answer
from bot.storage.db import Database
from bot.storage.stopping import find_wanted


def build_turn_commands(database: Database, answering: Answering, wake: Callable[[], None]) -> list[Command]:
    """Build the two commands; *wake* lets the next answer begin."""
    orders = TurnOrders(database, answering, wake)
    return [
        Command(
            name="stop",
            usage="",
            purpose=_("in a thread: stop the answer that I am writing"),
            run=orders.stop,
            group=_("Ask me"),
            example="stop",
            is_uncounted=True,
        ),
        Command(
            name="retry",
            usage="",
            purpose=_("in a thread: answer the last question again"),
            run=orders.retry,
            group=_("Ask me"),
            example="retry",
        ),
    ]


class TurnOrders:
    """What can be done about the answers of a thread."""

    def __init__(self, database: Database, answering: Answering, wake: Callable[[], None]) -> None:
        self._database = database
        self._answering = answering
        self._wake = wake

    async def stop(self, call: Call) -> Reply:
        """Stop what is written for this person here, or, at the word of an admin, for anybody; the answer says so."""
        thread_ts = call.thread_ts or ""
        draft = self._answering.running(call.channel_id, thread_ts) if thread_ts else None
        if draft is None or draft.question.user_id != call.user_id:  # what only one sees is in no thread
            own = self._answering.running_for(call.user_id, call.channel_id, only_private=bool(thread_ts))
            draft = own or draft
        if draft is None or (draft.question.user_id != call.user_id and call.role < Role.ADMIN):
            return await self._stop_elsewhere(call)
        await stop_here(self._database, draft, call.user_id)
        return SILENCE if call.thread_ts else Reply(_("Stopped."))

    async def _stop_elsewhere(self, call: Call) -> Reply:
        async def is_admin() -> bool:
            return call.role >= Role.ADMIN

        elsewhere = Elsewhere(self._database)
        where = {"thread_ts": call.thread_ts or "", "until_ts": call.ts or ""}
        ended = await elsewhere.stop(call.channel_id, user_id=call.user_id, is_admin=is_admin, **where)
        if ended is Ended.NOTHING:
            return Reply(_("I am not writing anything here."), is_done=False)
        if ended is Ended.REFUSED:
            return Reply(tell_who_stops(), is_done=False)
        return SILENCE if call.thread_ts and ended is Ended.ASKED else Reply(_("Stopped."))

    async def retry(self, call: Call) -> Reply:
        """Put another answer to the thread's newest question in line, in place of the one that is there."""
        if call.thread_ts is None:
            said = _("Write {retry} in the thread that you mean.")
            return Reply(said.format(retry="`!retry`"), is_done=False)
        async with self._database.begin() as session:
            wanted = await find_wanted(session, call.channel_id)
            if any(row.kind == inbox.MESSAGE and row.thread_ts == call.thread_ts for row in wanted):
                return Reply(_("The answer to the last question here is still on its way."), is_done=False)
            record = await newest_answer(session, call.team_id, call.channel_id, call.thread_ts)
            if record is None:
                unknown = _("I know of no answer here: there is none, or what was said here is not stored any more.")
                return Reply(unknown, is_done=False)
            if not record.message.text:
                nothing = _(
                    "Nothing of that question is stored, so I cannot answer it again: please write it once more."
                )
                return Reply(nothing, is_done=False)
            if await is_anothers_choice(session, record, call.user_id):
                return Reply(tell_kept(), is_done=False)
            arrival = inbox.Arrival(
                event_id=f"again:{record.answer.id}",
                team_id=record.place.team_id,
                channel_id=record.place.channel_id,
                ts=call.ts or f"{time.time():.6f}",
                thread_ts=record.place.thread_ts,
                kind="again",
                payload={"answer_id": record.answer.id, "user_id": call.user_id},
            )
            is_new = await inbox.accept(session, arrival)
        self._wake()
        return SILENCE if is_new else Reply(_("Another answer is on its way already."), is_done=False)


def tell_who_stops() -> str:
    """Say who may stop an answer."""
    return _("Only whoever asked, or an admin, can stop this answer.")
