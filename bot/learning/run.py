"""Runs, taken up one at a time over all bot processes, and told of when they have ended.

A lease in the database lets one process at a time work on runs. What stops it, stops no run: the next one that gets
the lease goes on where the run folder ends.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from bot.errors import DeliveryError, EngineError, LearningError
from bot.learning.data.points import NotEnoughSignal
from bot.learning.figures import RunReport
from bot.learning.permission import is_on_hold
from bot.learning.reporting import report_of
from bot.learning.rollout.serving import Rollout
from bot.learning.steps import Steps
from bot.storage import runs as store
from bot.storage.db import Database
from bot.storage.learning_tables import ENDED, Run, RunState
from bot.storage.leases import drop_lease, renew_lease, take_lease
from bot.storage.tables import new_id, now

LEASE, LEASE_S, RENEW_S = "learning", 60.0, 15.0
LOOK_S, PAUSE_S = 1.0, 30.0
BY_CLOCK = {"schedule", "signal"}

log = logging.getLogger(__name__)
Hear = Callable[[RunReport], Awaitable[None]]


class LostLease(Exception):  # noqa: N818 - reads as a state
    """Another bot process has taken the work over."""


class Runner:
    """Brings queued runs to their ends, one at a time; *hear* gets the report of each."""

    def __init__(self, database: Database, rollout: Rollout, steps: Steps, *, hear: Hear) -> None:
        self._database = database
        self._rollout = rollout
        self._steps = steps
        self._hear = hear
        self._owner = new_id()
        self._cancelled: set[int] = set()
        self._work: asyncio.Task[None] | None = None
        self._run_id = 0

    async def work(self) -> None:
        """Work until cancelled; what is under way then goes on at the next start."""
        while True:
            try:
                await self._rollout.follow()
                await self.work_once()
            except EngineError as error:
                log.info("learning: the engine cannot be asked: %s", error)
                self._rollout.engine_restarted()
            except DeliveryError as error:
                log.warning("learning: %s", error)
                await asyncio.sleep(PAUSE_S)
            except LostLease:
                log.warning("learning: another process has taken the run over")
            except Exception:
                log.exception("learning: a run could not be worked on; trying again")
                await asyncio.sleep(PAUSE_S)
            await asyncio.sleep(LOOK_S)

    async def work_once(self) -> None:
        """Bring the oldest run that has not ended to its end, if there is one and nobody else does."""
        await self.look_at_hold()
        async with self._database.read() as session:
            run = await store.open_run(session)
        if run is not None and not (self._steps.is_paused and run.state == RunState.QUEUED):
            async with self._lease() as is_ours:
                if is_ours:
                    await self._bring(run.id)
        await self._report()

    async def cancel_open(self) -> int | None:
        """Cancel the run under way, whichever process works on it; return its number."""
        async with self._database.begin() as session:
            run = await store.open_run(session)
            if run is None:
                return None
            await store.end_run(session, run.id, RunState.CANCELLED, reason="It was cancelled.")
        self._cancel(run.id)
        return run.id

    def _cancel(self, run_id: int) -> None:
        if self._run_id == run_id and self._work is not None:
            self._cancelled.add(run_id)
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
        holder = asyncio.current_task()
        keeping = asyncio.create_task(self._keep(fence, holder))
        try:
            yield True
        except asyncio.CancelledError:
            if keeping.done() and not keeping.cancelled():
                raise LostLease from None
            raise
        finally:
            keeping.cancel()
            async with self._database.begin() as session:
                await drop_lease(session, LEASE, fence=fence)

    async def _keep(self, fence: int, holder: asyncio.Task[Any] | None) -> None:
        """Renew the lease; cancel the work when it is lost."""
        while True:
            await asyncio.sleep(RENEW_S)
            async with self._database.begin() as session:
                is_kept = await renew_lease(session, LEASE, fence=fence, seconds=LEASE_S)
                run = await session.get(Run, self._run_id)
            await self.look_at_hold()
            if run is not None and run.state in ENDED:
                self._cancel(run.id)
            if not is_kept:
                if holder is not None:
                    holder.cancel()
                return

    async def _bring(self, run_id: int) -> None:
        """Bring one run to its end, in words if not in an adapter."""
        self._run_id = run_id
        self._work = asyncio.create_task(self._steps.perform(run_id))
        try:
            await self._work
        except asyncio.CancelledError:
            self._work.cancel()
            with suppress(asyncio.CancelledError):
                await self._work
            if run_id not in self._cancelled:
                raise
            await self._end(run_id, RunState.CANCELLED, "It was cancelled.")
        except NotEnoughSignal as error:
            await self._end(run_id, RunState.CANCELLED, str(error))
        except (LearningError, EngineError) as error:
            await self._end(run_id, RunState.FAILED, str(error))
        except OSError as error:
            mend = "Make room or give the bot the right to write there, then start a run again."
            await self._end(run_id, RunState.FAILED, f"{error.filename or 'A file'}: {error.strerror or error}.", mend)
        finally:
            self._work = None

    async def _end(self, run_id: int, state: RunState, reason: str, mend: str = "") -> None:
        async with self._database.begin() as session:
            await store.end_run(session, run_id, state, reason=reason, mend=mend)
        log.info("learning: run %d %s", run_id, state)

    async def _report(self) -> None:
        """Tell of every ended run of which nobody has been told."""
        async with self._database.read() as session:
            runs = await store.unreported(session)
        for run in runs:
            if not (run.state == RunState.CANCELLED and run.trigger in BY_CLOCK):  # "not enough yet" is no news
                await self._hear(report_of(run))
            async with self._database.begin() as session:
                (await session.get_one(Run, run.id)).reported_at = now()
