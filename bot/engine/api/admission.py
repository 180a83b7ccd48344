"""Whether a call may enter: the queue's length, everybody's share of it, the expected wait, and the caller's budget.

A call that may not is refused at once, with the time after which another try makes sense. Knows the API's errors,
nothing of how an answer is made.
"""

import math
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager

from bot.engine.api.api_error import ApiError
from bot.engine.api.budgets import Budgets
from bot.engine.api.callers import is_user
from bot.engine.api.replies import build_backlog
from bot.engine.backlog import LONGEST_RETRY_SECONDS, Backlog
from bot.engine.types import Delta, EngineOptions, Request

RETRY_AFTER_SECONDS = 5
Deltas = AsyncGenerator[list[Delta], None]


class Admission:
    """Counts what is open, by user, and what every caller has used."""

    def __init__(self, options: EngineOptions) -> None:
        self._options = options
        self._open: Counter[str] = Counter()
        self._budgets = Budgets(
            requests_per_minute=options.requests_per_minute, tokens_per_minute=options.tokens_per_minute
        )

    @contextmanager
    def enter(
        self, backlog: Backlog, requests: Sequence[Request], *, caller: str, deadline_seconds: float = 0
    ) -> Iterator[None]:
        """Count *requests* as open while the block runs, or raise what there is against them."""
        user, count = requests[0].user, len(requests)
        self.check_room(backlog, user, count)
        self._check_wait(backlog, deadline_seconds)
        prompts = {request.prompt for request in requests}
        self.check_budget(caller, tokens=sum(map(len, prompts)))
        self._open[user] += count
        try:
            yield
        finally:
            self._open[user] -= count
            if not self._open[user]:
                del self._open[user]

    def check_room(self, backlog: Backlog, user: str, count: int) -> None:
        """Refuse what the queue has no room for, and a user's requests beyond what is still free of it.

        So one user alone can fill half of the queue, a second one half of the rest, and everybody finds room.
        """
        places, limit = self._options.max_sequences, self._options.queue_limit
        waiting = max(0, self._open.total() - places)
        if self._open.total() + count > places + limit:
            raise refuse_busy(backlog, "The engine's queue is full.", code="queue_full")
        if self._open[user] and self._open[user] + count > places + max(1, limit - waiting):
            raise refuse_busy(backlog, "Too many of your requests wait already.", param="user", code="queue_share_full")

    def _check_wait(self, backlog: Backlog, deadline_seconds: float) -> None:
        wait, longest = backlog.estimate() or 0.0, self._options.longest_wait_seconds
        if deadline_seconds and wait > deadline_seconds:
            message = f"The request would wait for about {wait:.0f} s, longer than its deadline allows."
            raise refuse_busy(backlog, message, code="deadline_unreachable")
        if longest and wait > longest:
            message = f"The request would wait for about {wait:.0f} s; more than {longest:g} s is not allowed."
            raise refuse_busy(backlog, message, code="wait_too_long")

    def check_budget(self, caller: str, *, tokens: int) -> None:
        """Charge a call and its prompt's tokens, or refuse it."""
        lack = self._budgets.accept(caller, requests=1, tokens=tokens)
        if lack is None:
            return
        kind, seconds = lack
        raise ApiError(
            429,
            f"You have used up your {kind} for this minute; there is enough again in {math.ceil(seconds)} s.",
            kind="rate_limit_error",
            param="user" if is_user(caller) else None,
            code="rate_limit_exceeded",
            headers={"Retry-After": str(math.ceil(seconds)), **self.describe(caller)},
        )

    def describe(self, caller: str) -> Mapping[str, str]:
        """Return what a caller has left, in the headers that OpenAI's clients know; none where nothing is limited."""
        return {
            f"x-ratelimit-{what}-{left.kind}": value
            for left in self._budgets.allowances(caller)
            for what, value in (
                ("limit", str(left.limit)),
                ("remaining", str(left.remaining)),
                ("reset", f"{left.reset_seconds:.3f}s"),
            )
        }

    async def meter(self, caller: str, deltas: Deltas) -> Deltas:
        """Pass *deltas* on and charge their tokens as they come."""
        async for step in deltas:
            if self._budgets.is_limited:
                self._budgets.charge(caller, tokens=sum(len(delta.token_ids) for delta in step))
            yield step


def refuse_busy(backlog: Backlog, message: str, *, code: str, param: str | None = None) -> ApiError:
    """Return the refusal for a request that comes too many, with what is known of the wait."""
    seconds = min(LONGEST_RETRY_SECONDS, backlog.retry_after(RETRY_AFTER_SECONDS))
    return ApiError(
        429,
        message,
        kind="rate_limit_error",
        param=param,
        code=code,
        headers={"Retry-After": str(seconds)},
        details=build_backlog(backlog),
    )
