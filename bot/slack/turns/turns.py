"""The worker: takes accepted events from the inbox, one at a time per thread, in order; threads run side by side."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress

from bot.errors import DeliveryError, QuestionChanged
from bot.signals import rest
from bot.slack.commands.bang import ORDER
from bot.slack.commands.thread_orders import ThreadOrders
from bot.slack.listeners import Listeners
from bot.slack.people.gating import Verdict
from bot.slack.people.speech import Speech, who
from bot.slack.turns.admission import Admission
from bot.slack.turns.answering import Answering
from bot.slack.turns.asides import Asides
from bot.slack.turns.duty import Duty
from bot.slack.turns.shares import Shares
from bot.slack.workspaces import Workspaces
from bot.storage import inbox
from bot.storage.db import Database
from bot.storage.hold import holding
from bot.storage.stopping import find_stopping, follows_a_stop, is_half_written
from bot.storage.tables import Inbox, new_id, now
from bot.storage.troubles import is_away
from bot.storage.waiting import find_before

MAX_RUNNING = 64
BESIDE = (ORDER, Verdict.CROWDED)  # what no answer must hold up
GRACE_S = 20.0
ORDERS_FIRST_S, AGAIN_S = 20.0, 0.1
LAST_WORDS_S = 3.0
POLL_S = 1.0
IDLE_S = 30.0  # for so long what somebody puts in at the terminal may lie there
LONGEST_ANSWER_S = 300.0
PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0

log = logging.getLogger(__name__)


class Turns:
    """Has everything answered that the inbox holds, until it is cancelled."""

    def __init__(
        self,
        database: Database,
        answering: Answering,
        asides: Asides,
        admission: Admission,
        *,
        speech: Speech,
        duty: Duty,
        workspaces: Workspaces | None = None,
    ) -> None:
        self._database = database
        self._answering = answering
        self.asides = asides
        self._admission = admission
        self._speech = speech
        self._workspaces = workspaces
        self._duty = duty
        duty.on_recover, duty.on_release = self.wake, self._let_go
        self._poll_s = None if database.is_sqlite else POLL_S  # other processes put events in, and nobody wakes us
        self._wake = asyncio.Event()
        self._is_held = False
        self.orders: ThreadOrders | None = None  # who carries out `!NAME`
        self.earlier: Callable[[Inbox], Awaitable[None]] | None = None  # takes in what was said before it
        self.meanwhile: Callable[[Inbox], Awaitable[None]] | None = None  # what became of it while nobody was there
        self._began_at = now()
        self.listeners = Listeners(database, lambda: self._duty.hold)  # which a stop waits for as well
        self._tasks: set[asyncio.Task[None]] = set()
        self._shares = Shares(on_wait=self.wake)
        self._ordered: set[asyncio.Task[None]] = set()  # beside the answers: an order may have to wait for these

    def wake(self) -> None:
        """Say that the inbox has something new."""
        self._wake.set()

    def is_busy(self) -> bool:
        """Return whether answers are under way."""
        return bool(self._tasks)

    def when_dismissing(self, act: Callable[[], None]) -> None:
        """Let *act* be done whenever this process takes another for dead."""
        self._duty.on_dismissal = act

    @property
    def worker_id(self) -> str:
        """Return by what name this process answers."""
        return self._duty.hold.worker_id

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """Let no answer begin while the block runs, and those under way end first; what comes in waits."""
        self._is_held = True
        try:
            under_way = set(self._tasks)
            if under_way:
                await asyncio.wait(under_way, timeout=LONGEST_ANSWER_S)
            yield
        finally:
            self._is_held = False
            self.wake()

    async def run(self) -> None:
        """Work until cancelled; then let the answers under way end, for a while or until cancelled again."""
        if recovered := await self._enlist():
            log.info("turns: %d unfinished from an earlier run", recovered)
        keeping = asyncio.create_task(self._duty.keep())
        try:
            while True:
                self._wake.clear()
                try:
                    pause = await self._claim()
                except Exception:  # whatever the database suffers from, it may get better
                    log.exception("turns: the inbox cannot be read; trying again")
                    await rest(PAUSE_S)
                else:
                    await self._sleep(pause)
        finally:
            try:
                await self._wind_down()
            finally:
                keeping.cancel()

    async def _enlist(self) -> int:
        """Begin the duty, however long the database is away or full; return how much is taken over."""
        while True:
            try:
                return await self._duty.begin()
            except Exception as error:  # noqa: BLE001 - whatever the database suffers from, it may get better
                log.warning("turns: the database takes nothing (%s); trying again", type(error).__name__)
            await rest(PAUSE_S)

    async def _wind_down(self) -> None:
        """Let what is under way end, if it does so soon; other answers go on in the next process."""
        under_way = self._tasks | self._ordered | self._duty.under_way | self.listeners.under_way
        try:
            if under_way:
                await asyncio.wait(under_way, timeout=GRACE_S)
        finally:
            self._let_go()
            for task in self.listeners.under_way:
                task.cancel()
            if under_way:
                await asyncio.wait(under_way, timeout=LAST_WORDS_S)
            await self._duty.end()

    def _let_go(self) -> None:
        """End what is under way here, because it is not ours any more."""
        for task in self._tasks | self._ordered | self._duty.under_way:
            task.cancel()

    async def _sleep(self, seconds: float | None) -> None:
        """Wait until there is something new, or until what waits for more has waited enough."""
        longest = self._poll_s or IDLE_S
        seconds = longest if seconds is None else min(longest, seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # `wait_for` forgets that it was cancelled where both come at once
                await self._wake.wait()

    async def _stop(self) -> None:
        """End what somebody wanted to end whose wish came to another process."""
        async with self._database.read() as session:
            rows = await find_stopping(session, self._duty.hold.worker_id)
        for row in rows:
            draft = self._answering.running(row.channel_id, row.thread_ts)
            if draft is not None:  # what was deleted lost its words
                draft.stop.set() if row.payload else draft.lose(row.ts)

    async def _claim(self) -> float | None:
        """Begin what is ready; return how long until something else will be, None when nobody knows."""
        if self._poll_s is not None:
            await self._stop()
        running = len(self._tasks) - self._shares.waiting  # one person's many must not take everybody's places
        free = 0 if self._is_held else MAX_RUNNING - running
        if free <= 0:
            await self._claim_orders()
            return None
        moment = now()  # the same for both, so that nothing becomes ready between them unseen
        async with self._database.read() as session:
            is_ready = bool(await inbox.find_ready(session, limit=1, moment=moment))
            next_at = await inbox.next_ready_at(session, after=moment)
        if is_ready:
            async with self._database.begin() as session:
                turns = await inbox.claim_ready(session, limit=free, worker_id=self._duty.hold.worker_id)
            self._begin(turns)
        return None if next_at is None else max(0.0, (next_at - now()).total_seconds())

    async def _claim_orders(self) -> None:
        """Begin what must not wait although no answer can begin now: to stop one, and to hear that there is no room."""
        for kind in BESIDE:
            async with self._database.read() as session:
                if not await inbox.has_waiting(session, kind):
                    continue
            async with self._database.begin() as session:
                turns = await inbox.claim_kind(session, kind, limit=MAX_RUNNING, worker_id=self._duty.hold.worker_id)
            self._begin(turns)

    def _begin(self, turns: Sequence[Sequence[Inbox]]) -> None:
        for rows in turns:
            with holding(self._duty.hold):
                task = asyncio.create_task(self._take(rows))
            running = self._ordered if rows[-1].kind in BESIDE else self._tasks
            running.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._ordered.discard(task)
        self._wake.set()

    async def _take(self, rows: Sequence[Inbox]) -> None:
        """Bring one turn to its outcome, however long Slack or the database are away.

        A cancelled one stays in the inbox, for the next start.
        """
        attempts, pause = max(row.attempts for row in rows), PAUSE_S
        while True:
            try:
                await self._bring(rows, attempts=attempts)
            except DeliveryError as error:
                if not error.is_passing:
                    raise
                log.warning("turns: Slack cannot be reached; trying again in %.0f s", pause)
                if self._workspaces is not None:
                    self._workspaces.doubt(rows[-1].team_id)
            except Exception as error:
                attempts += not is_away(error)
                log.exception("turns: an event could not be brought to its end; trying again in %.0f s", pause)
            else:
                return
            await rest(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _bring(self, rows: Sequence[Inbox], *, attempts: int) -> None:
        claimed = [row.id for row in rows]
        if self.earlier is not None:
            await self.earlier(rows[0])
        await self._let_orders_first(rows[0])
        async with self._place_of(rows[-1]):
            async with self._database.read() as session:
                # What was said before it may have come in since it was claimed.
                is_early = rows[0].kind not in BESIDE and await inbox.has_earlier(session, rows[0])
                # By a process that was stopped, or by what has made way for it.
                is_begun = attempts > 1 or await is_half_written(session, rows[-1])
                is_begun = is_begun or await follows_a_stop(session, rows[-1])
                rows = [] if is_early else await inbox.still_there(session, rows, is_begun=is_begun)
            if rows:
                await self._answer(rows, attempts=attempts)
        async with self._database.begin() as session:
            await (inbox.put_back if is_early else inbox.finish)(session, claimed)

    async def _let_orders_first(self, row: Inbox) -> None:
        """Let be done what the same person has ordered before, such as that nothing of theirs be stored.

        After an absence their orders and questions, of whatever threads, are there at once.
        """
        if self.orders is None or row.kind not in {inbox.MESSAGE, ORDER}:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(ORDERS_FIRST_S):
                while await self._has_order_before(row, self.orders):
                    await rest(AGAIN_S)

    async def _has_order_before(self, row: Inbox, orders: ThreadOrders) -> bool:
        async with self._database.read() as session:
            return any(orders.is_decided(one) for one in await find_before(session, row, ORDER))

    def _place_of(self, row: Inbox) -> AbstractAsyncContextManager[None]:
        """Return what waits until a person may have one more answer; of a flood all else costs nothing until then."""
        is_beside = row.kind == ORDER or self.asides.knows(row.kind)
        return nullcontext() if is_beside else self._shares.of(who(row.payload))

    async def _answer(self, rows: Sequence[Inbox], *, attempts: int) -> None:
        is_gone = self._workspaces is not None and await self._workspaces.enter(rows[-1].team_id) is None
        await self._speech.address(who(rows[-1].payload))
        try:
            if is_gone:
                log.info("turns: the app is no longer installed where an event came from")
            elif rows[-1].kind == ORDER and self.orders is not None:
                await self.orders.take(rows[-1])
            elif rows[-1].kind == Verdict.HUSH and await self._admission.is_overruled(rows[-1]):
                log.info("turns: somebody who may ask nothing wanted quiet in a thread")
            elif self.asides.knows(rows[-1].kind):
                await self.asides.tell(rows[-1])
            elif not await self._admission.is_refused(rows[-1]):
                await self._answer_as_it_stands(rows, attempts=attempts)
        except DeliveryError:
            raise
        except Exception as error:
            if attempts < inbox.MAX_ATTEMPTS or is_away(error):
                raise
            error_id = new_id()
            log.exception("turns: error %s, after %d attempts", error_id, attempts)
            await self._apologise(rows[-1], error_id)

    async def _answer_as_it_stands(self, rows: Sequence[Inbox], *, attempts: int) -> None:
        """Answer what is still there of some messages, in its newest words."""
        if self.meanwhile is not None and (attempts > 1 or rows[0].received_at < self._began_at):
            for row in rows:
                if row.kind == inbox.MESSAGE:
                    await self.meanwhile(row)
            async with self._database.read() as session:
                rows = await inbox.still_there(session, rows, is_begun=True)
        while rows:
            with suppress(QuestionChanged):
                await self._answering.answer(rows, attempts=attempts)
                return
            async with self._database.read() as session:
                rows = await inbox.still_there(session, rows, is_begun=attempts > 1)

    async def _apologise(self, row: Inbox, error_id: str) -> None:
        try:
            await self._answering.apologise(row, error_id=error_id)
        except DeliveryError as error:
            if error.is_passing:
                raise
            log.warning("turns: error %s could not be shown", error_id)
