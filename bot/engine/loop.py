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
from bot.engine.cells import CellPool
from bot.engine.llama import Context, Model
from bot.engine.metrics import EngineMetrics
from bot.engine.pace import PrefillPace
from bot.engine.scheduler import Move, Piece, Plan, Scheduler
from bot.engine.types import Delta, Request
from bot.errors import EngineError

log = logging.getLogger(__name__)

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


@dataclass(slots=True)
class Mailbox:
    """Commands from other threads, and the bell that wakes the loop."""

    commands: deque[Submit | Cancel] = field(default_factory=deque)
    bell: threading.Event = field(default_factory=threading.Event)

    def put(self, command: Submit | Cancel) -> None:
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
        )
        self._name = name
        self._model = model
        self._context = context
        self._deliver = deliver
        self._metrics = metrics
        self._pace = PrefillPace(ceiling=context.n_batch)
        self._mailbox = Mailbox(bell=bell or threading.Event())
        self._answers: dict[str, Answer] = {}
        self._spilled: dict[str, bytes] = {}
        self._deltas: list[Delta] = []

    def submit(self, *requests: Request) -> None:
        """Begin *requests* together at the next step; callable from any thread."""
        self._mailbox.put(Submit(requests, time.monotonic()))

    def cancel(self, request_id: str) -> None:
        """Free what a request holds within one step; callable from any thread."""
        self._mailbox.put(Cancel(request_id))

    def step(self) -> bool:
        """Take commands, plan, decode, sample and deliver; return whether there may be more to do at once."""
        self._take_commands()
        started = time.perf_counter()
        plan = self.scheduler.plan(self._pace.budget())
        self._move_cache(plan)
        planned = time.perf_counter()
        decoded = self._decode(plan.pieces) if plan.pieces else ()
        computed = time.perf_counter()
        self._sample(decoded)
        sampled = time.perf_counter()
        self._flush()
        self._measure(plan, (started, planned, computed, sampled, time.perf_counter()))
        return self.scheduler.has_work

    def _take_commands(self) -> None:
        while self._mailbox.commands:
            command = self._mailbox.commands.popleft()
            if isinstance(command, Submit):
                for request in command.requests:
                    answer = Answer(self.scheduler.add(request), self._model, arrived=command.arrived)
                    self._answers[request.request_id] = answer
            elif self.scheduler.finish(command.request_id):
                self._forget(command.request_id, outcome="cancelled")

    def _move_cache(self, plan: Plan) -> None:
        for move in plan.moves:
            if not self._perform(move):
                raise EngineError(f"llama.cpp could not {move.kind} {move.length} tokens of the KV cache.")

    def _perform(self, move: Move) -> bool:
        match move.kind:
            case "copy":
                self._context.copy(move.source, move.slot, length=move.length)
            case "save":
                self._spilled[move.request_id] = self._context.save(move.slot)
            case "load":
                return self._context.load(move.slot, self._spilled.pop(move.request_id), length=move.length)
            case "drop":
                self._spilled.pop(move.request_id, None)
            case "trim":
                return self._context.trim(move.slot, move.length)
        return True

    def _decode(self, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
        """Decode what is planned; return the pieces that are in the cache now with their logits ready."""
        tokens = [
            (
                piece.sequence.slot,
                piece.sequence.tokens[piece.start : piece.start + piece.count],
                piece.start,
                piece.outputs,
            )
            for piece in pieces
        ]
        code = self._context.decode(tokens)
        if code == 0:
            self.scheduler.commit(pieces)
            return pieces
        self.scheduler.retract(pieces)
        if code == 1:
            if not self.scheduler.make_room():
                self._fail(pieces[0], "The conversation does not fit into the KV cache.")
        elif code == -1:
            self._suspect(pieces)
        else:
            raise EngineError(f"llama.cpp failed while decoding (code {code}).")
        return ()

    def _suspect(self, pieces: tuple[Piece, ...]) -> None:
        """A batch was refused as invalid: fail the piece at fault alone, and let the others go on one by one."""
        if len(pieces) == 1:
            self._fail(pieces[0], "llama.cpp refused this conversation's tokens.")
            return
        for piece in pieces:
            self.scheduler.pool.extend(piece.sequence.slot, piece.count)
            self._sample(self._decode((piece,)))

    def _fail(self, piece: Piece, reason: str) -> None:
        request_id = piece.sequence.request.request_id
        self.scheduler.finish(request_id)
        self._deltas.append(Delta(request_id, finish_reason="error", error=reason))
        self._forget(request_id, outcome="error")

    def _sample(self, pieces: Sequence[Piece]) -> None:
        """Draw the next token of every piece that reached the end of its sequence."""
        end = 0
        for piece in pieces:
            end += piece.count
            answer = self._answers[piece.sequence.request.request_id]
            if piece.outputs > int(piece.wants_logits):
                answer.score(self._context, piece, end - piece.count)
            if not piece.wants_logits:
                continue
            self._measure_wait(answer)
            delta = answer.advance(self._context, end - 1)
            self._deltas.append(delta)
            if delta.finish_reason:
                self.scheduler.finish(delta.request_id)
                self._forget(delta.request_id, outcome=delta.finish_reason)

    def _measure_wait(self, answer: Answer) -> None:
        """Record what a reader waits for: the first token, and each one after it."""
        now = time.monotonic()
        wait = self._metrics.first_token_seconds if answer.is_first else self._metrics.token_gap_seconds
        wait.observe(now - answer.waits_since)
        answer.waits_since = now

    def _forget(self, request_id: str, *, outcome: str) -> None:
        answer = self._answers.pop(request_id)
        answer.close()
        sequence = answer.sequence
        self._metrics.requests.labels(outcome).inc()
        self._metrics.tokens.labels("cached").inc(sequence.cached)
        self._metrics.tokens.labels("generated").inc(sequence.generated)

    def _flush(self) -> None:
        if self._deltas:
            deltas, self._deltas = self._deltas, []
            self._deliver(deltas)

    def _measure(self, plan: Plan, times: tuple[float, ...]) -> None:
        total = sum(piece.count for piece in plan.pieces)
        if not total:
            return
        parts = ("plan", "decode", "sample", "deliver")
        for part, begin, end in zip(parts, times, times[1:], strict=False):
            self._metrics.step_seconds.labels(part).observe(end - begin)
        self._pace.observe(total, times[2] - times[1])
        self._metrics.batch_tokens.observe(total)
        self._metrics.tokens.labels("prompt").inc(sum(piece.prompt_tokens for piece in plan.pieces))
        self._metrics.show_state(
            self._name,
            running=len(self.scheduler.running),
            waiting=len(self.scheduler.waiting),
            preemptions=self.scheduler.preemptions,
            evictions=self.scheduler.evictions,
            cells_used=self.scheduler.pool.used(),
        )

    def shut_down(self, reason: str) -> None:
        """Tell every open request why it ends; the loop's thread calls this last."""
        for request_id in list(self._answers):
            self.scheduler.finish(request_id)
            self._deltas.append(Delta(request_id, finish_reason="cancelled", error=reason))
            self._forget(request_id, outcome="cancelled")
        self._flush()
