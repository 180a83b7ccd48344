"""The one thread that owns llama.cpp: takes commands, decodes and samples step by step, and delivers what came out.

Knows tokens only; it must not know HTTP or asyncio. Others reach it through `submit` and `cancel`; `lanes.py` steps it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bot.engine.answer import Answer
from bot.engine.batch import BatchItem
from bot.engine.batching.cells import CellPool
from bot.engine.batching.host_tier import HostTier
from bot.engine.batching.pace import PrefillPace
from bot.engine.batching.plan import Piece, Plan
from bot.engine.batching.scheduler import Scheduler
from bot.engine.batching.sequence import Phase
from bot.engine.growth import Drawn, Growth
from bot.engine.llama.context import Context
from bot.engine.llama.model import Model
from bot.engine.metrics import PARTS, EngineMetrics
from bot.engine.moves import perform_moves, read_picture
from bot.engine.types import Delta, Request
from bot.errors import EngineError

log = logging.getLogger(__name__)

# A small model makes a token in 0.3 ms; writing each by itself costs more than making it. No eye sees eight.
HOLD_SECONDS = 0.008
Deliver = Callable[[Sequence[Delta]], None]


@dataclass(frozen=True, slots=True)
class Submit:
    """Begin requests, all in the same step."""

    requests: tuple[Request, ...]
    arrived: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """Forget a request; nobody reads its answer any more."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Keep nothing of a scope as cache."""

    scope: str


@dataclass(slots=True)
class Mailbox:
    """Commands from other threads, and the bell that wakes the loop."""

    commands: deque[Submit | Cancel | Forget] = field(default_factory=deque)
    bell: threading.Event = field(default_factory=threading.Event)

    def put(self, command: Submit | Cancel | Forget) -> None:
        """Leave a command and ring."""
        self.commands.append(command)
        self.bell.set()


class EngineLoop:
    """Continuous batching over one context."""

    def __init__(
        self,
        model: Model,
        context: Context,
        *,
        max_running: int,
        deliver: Deliver,
        metrics: EngineMetrics,
        name: str = "",
        host: HostTier | None = None,
        bell: threading.Event | None = None,
    ) -> None:
        pool = CellPool(context.n_cells if context.is_unified else context.n_ctx_slot, unified=context.is_unified)
        self.scheduler = Scheduler(
            pool,
            n_slots=context.n_slots,
            max_running=max_running,
            n_batch=context.n_batch,
            max_outputs=context.max_outputs,
            can_trim=model.can_trim,
            host=host,
            measure=context.state_size,
        )
        self._model = model
        self._context = context
        self._deliver = deliver
        self._metrics = metrics
        self._state = metrics.lane(name)
        self._pace = PrefillPace(ceiling=context.n_batch)
        self._mailbox = Mailbox(bell=bell or threading.Event())
        self._places = max_running
        self.waiting_order: tuple[str, ...] = ()  # replaced as a whole, so that any thread may read it
        self._growth: Growth | None = None
        self._answers: dict[str, Answer] = {}
        self._deltas: list[Delta] = []
        self._flushed = 0.0

    def submit(self, *requests: Request) -> None:
        """Begin *requests* together at the next step; callable from any thread."""
        self._mailbox.put(Submit(requests, time.monotonic()))

    def cancel(self, request_id: str) -> None:
        """Free what a request holds within one step; callable from any thread."""
        self._mailbox.put(Cancel(request_id))

    def forget(self, scope: str) -> None:
        """Keep nothing of a scope from the next step on; callable from any thread."""
        self._mailbox.put(Forget(scope))

    def step(self) -> bool:
        """Take commands, build a batch, decode, sample and deliver; return whether there may be more to do at once."""
        self._take_commands()
        self._expire()
        begun = time.perf_counter()
        growth = self._grow_on()
        if not growth:
            self._flush()  # nothing that was held waits for a step that may take longer
        plan = None if growth else self._plan()
        built = time.perf_counter()
        drawn = self._grow(growth) if growth else self._decode(plan.pieces) if plan else ()
        decoded = time.perf_counter()
        self._sample(drawn)
        sampled = time.perf_counter()
        if not growth or self._growth is not growth or sampled - self._flushed > HOLD_SECONDS:
            self._flush()
        work = plan or (growth if drawn else None)
        if work:
            self._measure(drawn, work, (begun, built, decoded, sampled, time.perf_counter()))
        if not self._growth or not growth:
            self._show_state()
        return self.scheduler.has_work

    def _take_commands(self) -> None:
        while self._mailbox.commands:
            self._stop_growing()
            command = self._mailbox.commands.popleft()
            if isinstance(command, Submit):
                for request in command.requests:
                    answer = Answer(self.scheduler.add(request), self._model, arrived=command.arrived)
                    self._answers[request.request_id] = answer
            elif isinstance(command, Forget):
                self.scheduler.forget(command.scope)
            elif self.scheduler.finish(command.request_id):
                self._deltas = [delta for delta in self._deltas if delta.request_id != command.request_id]
                self._forget(command.request_id, outcome="cancelled")

    def _expire(self) -> None:
        for sequence in self.scheduler.expire(time.monotonic()):
            self._end(self._answers[sequence.request.request_id].cut())

    def _plan(self) -> Plan | None:
        """Plan a step, move the cache and lay out the batch; None if there is nothing to decode."""
        plan = self.scheduler.plan(self._pace.budget())
        lost = perform_moves(self._context, plan.moves)
        if lost:  # their saved states were damaged: they are computed anew from the next step on
            self.scheduler.retract(plan.pieces)
            for slot in lost:
                self.scheduler.lose(slot)
        if lost or not plan.pieces:
            return None
        if not plan.pieces[0].picture:
            self._context.build([_item(piece) for piece in plan.pieces])
        return plan

    def _grow_on(self) -> Growth | None:
        """Lay out one more token of every answer, if that is all that planning could come to."""
        if self._growth and not (self.scheduler.is_settled and self._growth.build(self._context)):
            self._stop_growing()
        return self._growth

    def _grow(self, growth: Growth) -> Sequence[Drawn]:
        """Decode one more token of every answer; on a failure the next step plans anew and finds who is at fault."""
        if self._context.compute():
            growth.retract()
            self._stop_growing()
            return ()
        growth.commit()
        return growth.drawn

    def _decode(self, pieces: tuple[Piece, ...]) -> Sequence[Drawn]:
        """Decode the batch of *pieces*; return whose next token can be sampled, and where its logits are."""
        code = read_picture(self._context, pieces[0]) if pieces[0].picture else self._context.compute()
        if code == 0:
            self.scheduler.commit(pieces)
            return self._read(pieces)
        self.scheduler.retract(pieces)
        if code == 1:
            return self._shrink(pieces)
        if code == -1:
            return self._suspect(pieces)
        raise EngineError(f"llama.cpp failed while decoding (code {code}).")

    def _read(self, pieces: tuple[Piece, ...]) -> Sequence[Drawn]:
        """Score prompts where that was asked for, and see who reached the end of its tokens."""
        drawn: list[Drawn] = []
        end = 0
        for piece in pieces:
            end += piece.count
            answer = self._answers[piece.sequence.request.request_id]
            if piece.outputs > int(piece.wants_logits):
                answer.score(self._context, piece, end - piece.count)
            if piece.wants_logits:
                drawn.append((answer, end - 1))
        if end == len(drawn) == len(self.scheduler.running):
            self._growth = Growth([answer for answer, _ in drawn], self.scheduler.pool)
        return drawn

    def _shrink(self, pieces: tuple[Piece, ...]) -> Sequence[Drawn]:
        """llama.cpp found no cells: somebody gives way before the next step, or the last one goes on by halves."""
        if self.scheduler.make_room():
            return ()
        (piece,) = pieces
        is_whole = piece.picture and not piece.picture.sight.is_causal
        if piece.count > 1 and not is_whole:
            return self._decode_alone(Piece(piece.sequence, piece.start, piece.count // 2, wants_logits=False))
        self._fail(piece, "The conversation does not fit into the KV cache.")
        return ()

    def _suspect(self, pieces: tuple[Piece, ...]) -> Sequence[Drawn]:
        """A batch was refused as invalid: fail the piece at fault alone, and let the others go on one by one."""
        if len(pieces) == 1:
            self._fail(pieces[0], "llama.cpp refused this conversation's tokens.")
            return ()
        for piece in pieces:
            if piece.sequence.phase is Phase.RUNNING:  # else it gave way to one before it
                self._sample(self._decode_alone(piece))
        return ()

    def _decode_alone(self, piece: Piece) -> Sequence[Drawn]:
        self.scheduler.pool.extend(piece.sequence.slot, piece.count)
        if not piece.picture:
            self._context.build([_item(piece)])
        return self._decode((piece,))

    def _fail(self, piece: Piece, reason: str) -> None:
        self._end(Delta(piece.sequence.request.request_id, finish_reason="error", error=reason))

    def _end(self, delta: Delta) -> None:
        """Deliver an answer's last delta and free what it holds."""
        self._deltas.append(delta)
        self.scheduler.finish(delta.request_id)
        self._forget(delta.request_id, outcome=str(delta.finish_reason))

    def _sample(self, drawn: Sequence[Drawn]) -> None:
        """Draw everybody's next token."""
        for answer, index in drawn:
            delta = answer.advance(self._context, index)
            if delta.finish_reason:
                self._end(delta)
            else:
                self._deltas.append(delta)

    def _forget(self, request_id: str, *, outcome: str) -> None:
        self._stop_growing()
        answer = self._answers.pop(request_id)
        answer.close()
        self._metrics.requests[outcome] += 1
        self._metrics.tokens["cached"] += answer.sequence.cached

    def _stop_growing(self) -> None:
        if self._growth:
            self._growth.end()
            self._growth = None

    def _flush(self) -> None:
        if self._deltas:
            deltas, self._deltas = self._deltas, []
            self._flushed = time.perf_counter()
            self._deliver(deltas)

    def _measure(self, drawn: Sequence[Drawn], work: Plan | Growth, times: tuple[float, ...]) -> None:
        """Record a step."""
        metrics = self._metrics
        for part, begin, end in zip(PARTS, times, times[1:], strict=False):
            metrics.step_seconds[part].observe(end - begin)
        now = time.monotonic()
        if isinstance(work, Plan):
            total, sequences = sum(piece.count for piece in work.pieces), len(work.pieces)
            self._pace.observe(total, times[2] - times[1])
            metrics.tokens["prompt"] += sum(piece.prompt_tokens for piece in work.pieces)
            self._measure_waits(drawn, now)
        else:
            total = sequences = len(drawn)
            metrics.token_gap_seconds.observe(work.wait(now), total)
            if self._growth is not work:
                work.end()
            self._state.cells_used = self.scheduler.pool.used()
        metrics.batch_tokens.observe(total)
        metrics.batch_fill.observe(sequences / self._places)
        metrics.tokens["generated"] += len(drawn)

    def _measure_waits(self, drawn: Sequence[Drawn], now: float) -> None:
        """Record what a reader waits for: the first token, and each one after it."""
        for answer, _ in drawn:
            wait = self._metrics.first_token_seconds if answer.is_first else self._metrics.token_gap_seconds
            wait.observe(now - answer.waits_since)
            answer.waits_since, answer.is_first = now, False

    def _show_state(self) -> None:
        scheduler, state = self.scheduler, self._state
        self.waiting_order = scheduler.waiting_order
        state.running, state.waiting = len(scheduler.running), len(scheduler.waiting)
        state.preemptions, state.evictions = scheduler.preemptions, scheduler.evictions
        state.cells_used, state.host_bytes = scheduler.pool.used(), scheduler.slots.host_bytes
        state.swapped_out, state.swapped_in = scheduler.slots.saves, scheduler.slots.loads
        waits = (a.waits_since for a in self._answers.values() if a.sequence.phase is Phase.WAITING)
        state.oldest_wait = min(waits, default=None) if state.waiting else None

    @property
    def longest_step(self) -> float | None:
        """The seconds that no step should take, None before anything was measured; any thread may ask."""
        return self._pace.longest_step()

    def shut_down(self, reason: str) -> None:
        """Tell every open request why it ends; the loop's thread calls this last."""
        self._take_commands()  # what was submitted a moment ago is told, too
        for request_id in list(self._answers):
            self._end(Delta(request_id, finish_reason="cancelled", error=reason))
        self.scheduler.slots.close()
        self._flush()


def _item(piece: Piece) -> BatchItem:
    """Return a piece as the batch takes it."""
    sequence = piece.sequence
    return sequence.slot, sequence.tokens[piece.start : piece.start + piece.count], piece.start, piece.outputs
