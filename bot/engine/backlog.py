"""How many requests for one model are open, and how long one more would wait, judged by the latest answers.

Pure: times come in as numbers. An estimate is a promise to a person, so there is none before the first answer is
complete.
"""

KEEP = 0.9
LONGEST_RETRY_SECONDS = 60


class Backlog:
    """The open requests of a model that answers *places* at once."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._begun: dict[str, float | None] = {}
        self._mean: float | None = None

    @property
    def answering(self) -> int:
        """How many are being answered."""
        return min(len(self._begun), self._places)

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._begun) - self.answering

    def enter(self, request_id: str) -> None:
        """Count a new request."""
        self._begun[request_id] = None

    def hear(self, request_id: str, now: float) -> None:
        """Note that a request's answer grows."""
        if self._begun[request_id] is None:
            self._begun[request_id] = now

    def leave(self, request_id: str, now: float, *, is_complete: bool) -> None:
        """Forget a request; only complete answers teach how long one takes."""
        begun = self._begun.pop(request_id)
        if is_complete and begun is not None:
            took = now - begun
            self._mean = took if self._mean is None else KEEP * self._mean + (1 - KEEP) * took

    def estimate(self) -> float | None:
        """Return the seconds until one more request would get a place, None while nothing is known."""
        if len(self._begun) < self._places:
            return 0.0
        return None if self._mean is None else (self.waiting + 1) * self._mean / self._places

    def retry_after(self, default: int) -> int:
        """Return whole seconds after which another try makes sense."""
        estimate = self.estimate()
        return default if estimate is None else max(1, min(LONGEST_RETRY_SECONDS, round(estimate)))
