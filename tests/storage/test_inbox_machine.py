"""The inbox, the answers and the outbox under any order of deliveries and crashes: each question answered once.

A model of what Slack holds is compared with the real tables; the process may end between any two steps.
"""

import asyncio
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select

from bot.storage import inbox, workers
from bot.storage.answers import begin_answer, has_outcome, update_answer
from bot.storage.db import Database
from bot.storage.tables import AnswerState, Inbox
from bot.storage.threads import Place
from tests.builders import arrival, said

THREADS = 4
STEPS = ("claim", "begin", "send", "note", "finish")


class Turn:
    """One turn that a process works on, and how far it came."""

    def __init__(self, row: Inbox) -> None:
        self.row = row
        self.answer_id = ""
        self.was_begun = False
        self.step = 1


class InboxMachine(RuleBasedStateMachine):
    """Delivers, works and crashes; *slack* is what stands in each thread, by the key of the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.database = Database(f"sqlite+aiosqlite:///{Path(self.folder.name) / 'test.db'}")
        self.loop.run_until_complete(self.database.migrate())
        self.asked: dict[str, list[str]] = {}
        self.slack: dict[str, list[tuple[str, str]]] = {}
        self.turns: list[Turn] = []
        self.count = 0

    @rule(thread=st.integers(0, THREADS - 1), copies=st.integers(1, 4), has_twin=st.booleans())
    def deliver(self, thread: int, copies: int, *, has_twin: bool) -> None:
        """Bring a new question up to four times, a mention with its twin of another id."""
        self.count += 1
        thread_ts, ts = f"{thread}.0", f"{1000 + self.count}.0"
        self.asked.setdefault(thread_ts, []).append(ts)
        for copy in range(copies):
            twin = "t" if has_twin and copy % 2 else ""
            self._run(self._put(f"Ev{self.count}{twin}", thread_ts, ts))

    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        """Bring one turn one step on."""
        if self.turns:
            self._advance(data.draw(st.sampled_from(self.turns)))
        else:
            self._run(self._claim())

    @rule()
    def claim(self) -> None:
        """Claim whatever is ready."""
        self._run(self._claim())

    @rule()
    def crash(self) -> None:
        """End the process between two steps, and begin anew."""
        self.turns.clear()
        self._run(self._recover())

    @invariant()
    def nothing_is_doubled_or_out_of_order(self) -> None:
        """Slack never shows two answers to a question, nor one before its turn."""
        for thread_ts, shown in self.slack.items():
            answered = [ts for ts, _ in shown]
            assert answered == self.asked[thread_ts][: len(answered)]

    def teardown(self) -> None:
        """Work until nothing waits: every question has its answer."""
        try:
            while self.turns or self._run(self._claim()):
                for turn in list(self.turns):
                    self._advance(turn)
            assert {thread: [ts for ts, _ in shown] for thread, shown in self.slack.items()} == self.asked
            assert self._run(self._count()) == self.count
        finally:
            self.loop.run_until_complete(self.database.close())
            self.loop.close()
            self.folder.cleanup()

    def _run(self, work):
        return self.loop.run_until_complete(work)

    async def _put(self, event_id: str, thread_ts: str, ts: str) -> None:
        payload = {"event": {"user": f"U{ts}", "text": "hello"}}
        async with self.database.begin() as session:
            await inbox.accept(session, arrival(event_id=event_id, ts=ts, thread_ts=thread_ts, payload=payload))

    async def _claim(self) -> int:
        async with self.database.begin() as session:
            claimed = await inbox.claim_ready(session, limit=8)
        self.turns += [Turn(rows[-1]) for rows in claimed]
        return len(claimed)

    async def _recover(self) -> None:
        async with self.database.begin() as session:
            await workers.recover(session)

    async def _count(self) -> int:
        async with self.database.read() as session:
            return await session.scalar(select(func.count()).select_from(Inbox)) or 0

    def _advance(self, turn: Turn) -> None:
        step = STEPS[turn.step]
        turn.step += 1
        self._run(getattr(self, f"_{step}")(turn))

    async def _begin(self, turn: Turn) -> None:
        async with self.database.begin() as session:
            message = await said(session, ts=turn.row.ts, place=Place("T1", "C1", turn.row.thread_ts))
            if await has_outcome(session, message.id):
                turn.step = STEPS.index("finish")
                return
            answer, turn.was_begun = await begin_answer(session, message)
            turn.answer_id = answer.id

    async def _send(self, turn: Turn) -> None:
        shown = self.slack.setdefault(turn.row.thread_ts, [])
        if not (turn.was_begun and turn.answer_id in {key for _, key in shown}):  # whoever is in doubt looks first
            shown.append((turn.row.ts, turn.answer_id))

    async def _note(self, turn: Turn) -> None:
        async with self.database.begin() as session:
            await update_answer(session, turn.answer_id, state=AnswerState.COMPLETE, text="hi")

    async def _finish(self, turn: Turn) -> None:
        self.turns.remove(turn)
        async with self.database.begin() as session:
            await inbox.finish(session, turn.row.id)


QUIET = list(HealthCheck)


@pytest.mark.parametrize(
    ("examples", "steps"), [(2, 40), pytest.param(200, 50, marks=[pytest.mark.nightly, pytest.mark.timeout(7200)])]
)
def test_every_question_is_answered_once(examples: int, steps: int) -> None:
    """Whatever the order of deliveries, steps and crashes."""
    plan = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(InboxMachine, settings=plan)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=[pytest.mark.nightly, pytest.mark.timeout(3600)])])
async def test_events_delivered_again_and_again_are_one_job_each(database: Database, count: int) -> None:
    """Each comes one to four times, mentions with a twin of another id, in any order, a hundred to a commit."""
    chance = random.Random(count)
    events = [(number, copy) for number in range(count) for copy in range(chance.randint(1, 4))]
    chance.shuffle(events)
    for start in range(0, len(events), 100):
        async with database.begin() as session:
            for number, copy in events[start : start + 100]:
                event_id = f"Ev{number}{'t' if copy % 2 else ''}"
                await inbox.accept(session, arrival(event_id=event_id, ts=f"{number}.0", thread_ts=f"{number}.0"))

    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Inbox)) == count
