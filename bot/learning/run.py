"""Runs, taken up one at a time over all bot processes, and told of when they have ended.

A lease in the database lets one process at a time work on runs. What stops it, stops no run: the next one that gets
the lease goes on where the run folder ends. Beside it the engine is kept to what the database says is served.
"""

import asyncio
import errno
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.errors import DeliveryError, EngineBusy, EngineError, EngineUnavailable, LearningError, UnknownModel
from bot.language import N_, _
from bot.learning import sentences
from bot.learning.config import BY_CLOCK
from bot.learning.data.points import NotEnoughSignal
from bot.learning.erasing import TAKEN_BACK
from bot.learning.figures import RunReport
from bot.learning.forgetting import scrub_report
from bot.learning.permission import is_on_hold
from bot.learning.reporting import report_of
from bot.learning.rollout.serving import MOMENT, Rollout
from bot.learning.steps import Steps
from bot.learning.tidying import GONE_FOR_GOOD
from bot.signals import is_ending, outcome_of, rest
from bot.storage import runs as store
from bot.storage.adapters import QUEUE, adapter_of_run, set_aside
from bot.storage.audit import newest, record
from bot.storage.db import Database, Session
from bot.storage.learning_tables import ENDED, AdapterState, Run, RunState
from bot.storage.leases import drop_lease, renew_lease, take_lease, wait_in_line
from bot.storage.tables import new_id, now

LEASE, LEASE_S, RENEW_S = "learning", 60.0, 15.0
LOOK_S, PAUSE_S = 1.0, 30.0
TRIES = 3  # of a run that ends in something that may pass
OLD_NEWS = timedelta(days=3)  # what ended before is told to nobody any more
CANCELLED, LOST = N_("It was cancelled."), "lost"
CANCEL = "training.cancel"  # what the audit log calls it

log = logging.getLogger(__name__)
Hear = Callable[[RunReport], Awaitable[None]]


class LostLease(Exception):  # noqa: N818 - reads as a state
    """Another bot process has taken the work over."""


class Runner:
    """Brings queued runs to their ends, one at a time; *hear* gets the report of each, None leaves that to another."""

    def __init__(self, database: Database, rollout: Rollout, steps: Steps, *, hear: Hear | None) -> None:
        self._database = database
        self._rollout = rollout
        self._steps = steps
        self._hear = hear
        self._owner = new_id()
        self._work: asyncio.Task[None] | None = None
        self._run_id = 0
        self._stopped = ""  # why the work under way was cancelled
        self._tries: Counter[int] = Counter()
        self._not_before = 0.0

    def use_model(self, path: Path) -> None:
        """Learn for another file from the next run on."""
        self._steps.use_model(path)

    async def work(self) -> None:
        """Work until cancelled; what is under way then goes on at the next start."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._work_on_runs())

    async def _follow(self) -> None:
        """Keep the engine to what is served, also while a run is under way."""
        is_away = False
        while True:
            try:
                await self._rollout.stay_apart()
                await self._rollout.loaded.follow()
                is_away = False
            except EngineError as error:
                if not is_away:
                    log.info("learning: the engine cannot be asked: %s", error)
                is_away = True
                self._rollout.loaded.engine_restarted()
            except Exception:
                log.exception("learning: the engine could not be kept to what is served; trying again")
                await rest(PAUSE_S)
            await rest(LOOK_S)

    async def _work_on_runs(self) -> None:
        while True:
            try:
                await self.work_once()
            except DeliveryError as error:
                log.warning("learning: %s", error)
                await rest(PAUSE_S)
            except LostLease:
                log.warning("learning: another process has taken the run over")
            except Exception:
                log.exception("learning: the runs could not be looked at; trying again")
                await rest(PAUSE_S)
            await rest(LOOK_S)

    async def work_once(self) -> None:
        """Bring the oldest run that has not ended to its end, if there is one and nobody else does."""
        await self.look_at_hold()
        async with self._database.read() as session:
            run = await store.open_run(session)
            is_news = self._hear is not None and bool(await store.unreported(session))
        if run is not None and (time.monotonic() < self._not_before or self._is_held_back(run)):
            run = None
        if run is None and not is_news:
            return
        async with self._lease() as is_ours:
            if is_ours and run is not None:
                await self._bring(run.id)
            if is_ours:
                await self._report()

    def _is_held_back(self, run: Run) -> bool:
        return self._steps.is_paused and run.state == RunState.QUEUED

    async def cancel_open(self, *, by: str = "", reason: str = CANCELLED, is_begun: bool = False) -> int | None:
        """Cancel the run under way, whichever process works on it; return its number.

        *by* somebody it is refused where another was cancelled by somebody else a moment ago: two who order it at once
        mean the same run. With *is_begun* one that only waits in line, and has read nothing, goes on.
        """
        async with self._database.begin() as session:
            await wait_in_line(session, QUEUE)
            run = await store.open_run(session)
            if run is None or (is_begun and run.state == RunState.QUEUED):
                return None
            if by:
                await _check_is_meant(session, run.id, by=by)
                record(session, CANCEL, by=by, target=str(run.id))
            await _end(session, run.id, RunState.CANCELLED, reason)
        if self._run_id == run.id:
            self._stop(CANCELLED)
        await self._steps.drop_rest(run.id)  # also where whoever worked on it is gone
        return run.id

    def _stop(self, reason: str) -> None:
        if self._work is not None and not self._work.cancelling():  # a second word would interrupt its clearing up
            self._stopped = reason
            self._work.cancel()

    async def look_at_hold(self) -> None:
        """Hold still, or go on, as people want it."""
        async with self._database.read() as session:
            self._steps.is_paused = await is_on_hold(session)

    @asynccontextmanager
    async def _lease(self) -> AsyncIterator[bool]:
        async with self._database.begin() as session:
            fence = await take_lease(session, LEASE, owner=self._owner, seconds=LEASE_S)
        if fence is None:
            yield False
            return
        keeping = asyncio.create_task(self._keep(fence))
        try:
            yield True
        finally:
            keeping.cancel()
            try:
                async with self._database.begin() as session:
                    await drop_lease(session, LEASE, fence=fence)
            except Exception as error:  # noqa: BLE001 - it must not hide what ended the work: the bot may be ending
                log.warning("learning: the lease could not be given back (%s); it runs out", type(error).__name__)

    async def _keep(self, fence: int) -> None:
        """Renew the lease; stop the work when it is lost, or when somebody ended the run."""
        until = time.monotonic() + LEASE_S
        while True:
            await rest(RENEW_S)
            asked = time.monotonic()
            try:
                async with self._database.begin() as session:
                    is_kept = await renew_lease(session, LEASE, fence=fence, seconds=LEASE_S)
                    run = await session.get(Run, self._run_id)
                await self.look_at_hold()
                until = asked + LEASE_S
            except Exception as error:  # noqa: BLE001 - whatever the database says: nobody else may work meanwhile
                log.warning("learning: the lease could not be renewed (%s)", type(error).__name__)
                is_kept, run = asked + RENEW_S < until, None
            if run is not None and run.state in ENDED:
                self._stop(CANCELLED)
            if not is_kept:
                self._stop(LOST)
                return

    async def _bring(self, run_id: int) -> None:
        """Bring one run to its end, in words if not in an adapter."""
        self._run_id, self._stopped = run_id, ""
        self._work = asyncio.create_task(self._steps.perform(run_id))
        try:
            await outcome_of(self._work)
        except asyncio.CancelledError:
            if not self._stopped or is_ending():  # the bot ends, whoever stopped the work before
                raise
            if self._stopped == LOST:
                raise LostLease from None
            await self._end(run_id, RunState.CANCELLED, CANCELLED)
        except NotEnoughSignal as error:
            await self._end(run_id, RunState.CANCELLED, str(error))
        except (EngineUnavailable, EngineBusy, UnknownModel) as error:  # it was replaced, and learns of adapters soon
            mend = N_("Look why the engine stopped (its lines are in the bot's log), then start a run again.")
            await self._try_again(run_id, str(error), mend)
        except (LearningError, EngineError) as error:
            await self._end(run_id, RunState.FAILED, str(error))
        except OSError as error:
            await self._end(run_id, RunState.FAILED, *explain_os_error(error))
        except Exception as error:
            log.exception("learning: run %d met what nobody foresaw", run_id)
            reason = sentences.NOT_FORESEEN.format(error=type(error).__name__)
            await self._try_again(run_id, reason, N_("The bot's log says where; start a run again."))
        finally:
            self._work = None

    async def _try_again(self, run_id: int, reason: str, mend: str) -> None:
        """Go on with a run in a while, or end it after a few times."""
        self._tries[run_id] += 1
        if self._tries[run_id] >= TRIES:
            await self._end(run_id, RunState.FAILED, reason, mend)
            return
        log.warning("learning: run %d goes on in %.0f s: %s", run_id, PAUSE_S, reason)
        self._not_before = time.monotonic() + PAUSE_S

    async def _end(self, run_id: int, state: RunState, reason: str, mend: str = "") -> None:
        async with self._database.begin() as session:
            await _end(session, run_id, state, reason, mend)
            is_cancelled = (await session.get_one(Run, run_id)).state == RunState.CANCELLED
            made = await adapter_of_run(session, run_id)
        is_served = made is not None and made.state not in GONE_FOR_GOOD
        await self._steps.drop_rest(run_id, is_cancelled=is_cancelled and not is_served)
        log.info("learning: run %d %s", run_id, state)

    async def _report(self) -> None:
        """Tell of every ended run of which nobody has been told."""
        if self._hear is None:
            return
        async with self._database.read() as session:
            runs = await store.unreported(session)
            made = [await adapter_of_run(session, run.id) for run in runs]
        for run, adapter in zip(runs, made, strict=True):
            waits = adapter is not None and adapter.state == AdapterState.WAITING  # for whoever hears of it to object
            is_old = run.finished_at is not None and now() - run.finished_at > OLD_NEWS and not waits
            is_dull = run.state == RunState.CANCELLED and run.trigger in BY_CLOCK  # "not enough yet" is no news
            if not is_old and not is_dull:
                await self._tell(self._hear, run)
            async with self._database.begin() as session:
                (await session.get_one(Run, run.id)).reported_at = now()

    async def _tell(self, hear: Hear, run: Run) -> None:
        """Tell of a run; only a Slack that is away makes it worth another try, for the report may stand there."""
        try:
            await hear(report_of(run))
        except DeliveryError as error:
            if error.is_passing:
                raise
            log.warning("learning: the report of run %d was not taken: %s", run.id, error)
        except Exception:
            log.exception("learning: run %d could not be told of", run.id)


async def _check_is_meant(session: Session, run_id: int, *, by: str) -> None:
    """Refuse to cancel a run that somebody may not know of: the one before it was under way a moment ago."""
    last = await newest(session, {CANCEL})
    if last is not None and last.actor != by and now() - last.at < MOMENT:
        sentence = _(
            "Somebody else cancelled run {before} a moment ago; run {run} came after it and goes on. If you mean that "
            "one, say so again in a few seconds."
        )
        raise LearningError(sentence.format(before=last.target, run=run_id))


async def _end(session: Session, run_id: int, state: RunState, reason: str, mend: str = "") -> None:
    """End a run, and with it what it made and nobody judged."""
    await wait_in_line(session, QUEUE)
    await store.end_run(session, run_id, state, reason=reason, mend=mend)
    await set_aside(session, run_id, by="run", reason=reason)
    if reason == TAKEN_BACK:  # what it learned is quoted there
        await scrub_report(session, run_id)


def explain_os_error(error: OSError) -> tuple[str, str]:
    """Return what the system refused, and the mend."""
    place: Any = error.filename or "A file of the run"
    mends = {
        errno.ENOENT: N_("Put it back, or see what removes it, then start a run again."),
        errno.ENOMEM: N_("Free memory, then start a run again."),
    }
    usual = N_("Make room or give the bot the right to write there, then start a run again.")
    return f"{place}: {error.strerror or type(error).__name__}.", mends.get(error.errno or 0, usual)
