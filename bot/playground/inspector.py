"""The inspector's log: what went to the app and what came from it, with secrets shortened."""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from bot.playground.entities import Json

KEPT = 500
TOKEN = re.compile(r"\b(xox[a-z]|xapp)-[\w-]+")
DEEPEST = 40  # nobody looks further down, and some JSON has a thousand levels

Kind = Literal["event", "api", "socket", "command", "interaction", "http", "fault"]
Direction = Literal["to_app", "from_app"]


@dataclass(slots=True)
class LogEntry:
    """One exchange between the playground and the app; ok is None while it is pending."""

    id: int
    time: str
    kind: Kind
    name: str
    direction: Direction
    ok: bool | None
    status: str
    ms: float | None
    request: Json
    response: Json | None


class Inspector:
    """Keeps the latest exchanges and tells the pages about each."""

    def __init__(self, *, now: Callable[[], float], on_change: Callable[[Json], None]) -> None:
        self._now = now
        self._on_change = on_change
        self._numbers = itertools.count(1)
        self._entries: deque[LogEntry] = deque(maxlen=KEPT)

    def start(self, kind: Kind, name: str, *, request: Json, direction: Direction) -> LogEntry:
        """Log an exchange that is not answered yet."""
        entry = LogEntry(
            id=next(self._numbers),
            time=datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds"),
            kind=kind,
            name=name,
            direction=direction,
            ok=None,
            status="pending",
            ms=None,
            request=shorten_tokens(request),
            response=None,
        )
        self._entries.append(entry)
        self._on_change(asdict(entry))
        return entry

    def finish(
        self, entry: LogEntry, *, ok: bool | None, status: str, ms: float | None = None, response: Json | None = None
    ) -> None:
        """Log what became of an exchange; it may be called again as things go on."""
        entry.ok, entry.status, entry.ms = ok, status, None if ms is None else round(ms, 1)
        entry.response = None if response is None else shorten_tokens(response)
        self._on_change(asdict(entry))

    def note(self, kind: Kind, name: str, *, direction: Direction, ok: bool, status: str) -> None:
        """Log something that has no answer, such as a connection that opens."""
        self.finish(self.start(kind, name, request={}, direction=direction), ok=ok, status=status)

    def after(self, number: int) -> list[Json]:
        """Return the entries later than *number*, oldest first."""
        return [asdict(entry) for entry in self._entries if entry.id > number]

    def clear(self) -> None:
        """Forget every entry."""
        self._entries.clear()


def shorten_tokens(value: Any, *, levels: int = DEEPEST) -> Any:
    """Return a copy of some JSON in which every token is cut after its kind, as in xoxb-…, and what lies very deep."""
    if isinstance(value, str):
        return TOKEN.sub(r"\1-…", value)
    if isinstance(value, dict | list) and not levels:
        return "…"
    if isinstance(value, dict):
        return {key: shorten_tokens(item, levels=levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [shorten_tokens(item, levels=levels - 1) for item in value]
    return value
