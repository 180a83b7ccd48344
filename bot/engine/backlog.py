"""How many requests for one model are open, and how long one that waits would wait, judged by the latest answers.

An estimate is a promise to a person, so there is none before the first answer is complete. Pure: the clock comes in.
"""

import math
import time
from collections.abc import Callable

KEEP = 0.8
OVERDUE = 0.25  # an answer that takes longer than the others is expected to need this share of their time still
LONGEST_RETRY_SECONDS = 60


class Backlog:
    """The open requests of a model that answers *places* at once."""

    def __init__(self, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = places
        self._clock = clock
        self._begun: dict[str, float] = {}
        self._heard: set[str] = set()
        self._waiting: dict[str, None] = {}
        self._mean: float | None = None

    @property
    def answering(self) -> int:
        """How many are being answered."""
        return len(self._begun)

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    def enter(self, request_id: str) -> None:
        """Count a new request."""
        self._waiting[request_id] = None
        self._fill()

    def hear(self, request_id: str) -> None:
        """Note that a request's answer grows: it has the place, even if another seemed to be next."""
        self._heard.add(request_id)
        if request_id in self._waiting:
            del self._waiting[request_id]
            silent = next((other for other in self._begun if other not in self._heard), None)
            if silent is not None:
                self._begun[request_id] = self._begun.pop(silent)
                self._waiting = {silent: None} | self._waiting
            else:
                self._begun[request_id] = self._clock()

    def leave(self, request_id: str, *, is_complete: bool) -> None:
        """Forget a request; only complete answers teach how long one takes."""
        self._waiting.pop(request_id, None)
        self._heard.discard(request_id)
        begun = self._begun.pop(request_id, None)
        if is_complete and begun is not None:
            took = self._clock() - begun
            self._mean = took if self._mean is None else KEEP * self._mean + (1 - KEEP) * took
        self._fill()

    def _fill(self) -> None:
        """Give free places to those who wait longest; who it really is shows when they are heard."""
        while self._waiting and len(self._begun) < self._places:
            request_id = next(iter(self._waiting))
            del self._waiting[request_id]
            self._begun[request_id] = self._clock()

    def estimate(self, position: int | None = None) -> float | None:
        """Return the seconds until the one at *position* in the queue gets a place, by default one more request.

        None while nothing is known. The places are taken to become free one after the other, as long as the mean of
        the latest answers after they were begun.
        """
        if position is None:
            if len(self._begun) < self._places:
                return 0.0
            position = self.waiting + 1
        if self._mean is None:
            return None
        now, mean = self._clock(), self._mean
        left = sorted(max(begun + mean - now, OVERDUE * mean) for begun in self._begun.values())
        rounds, place = divmod(max(position, 1) - 1, self._places)
        return rounds * mean + (left[place] if place < len(left) else 0.0)

    def retry_after(self, default: int) -> int:
        """Return whole seconds after which another try makes sense."""
        estimate = self.estimate()
        return default if estimate is None else max(1, min(LONGEST_RETRY_SECONDS, math.ceil(estimate)))
