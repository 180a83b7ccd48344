"""The misfortunes that tests and the page's panel can switch on, and when each of them strikes.

It decides; whoever asks lets the misfortune happen.
"""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from bot.playground.entities import Json


@dataclass(frozen=True, slots=True)
class Param:
    """One setting of a fault, as the panel shows it."""

    key: str
    label: str
    type: Literal["number", "text", "select"]
    default: float | str
    options: tuple[str, ...] = ()


METHODS = Param("methods", "Methods (empty: all; chat.* works)", "text", "")
REFUSALS = (
    "unknown_method",
    "missing_scope",
    "not_authorized",
    "access_denied",
    "invalid_auth",
    "token_revoked",
    "account_inactive",
    "channel_not_found",
    "is_archived",
    "not_in_channel",
    "message_not_found",
    "internal_error",
)
TIMES = Param("times", "How often (0: until switched off)", "number", 0)
PERCENT = Param("percent", "Percent of those that it could strike", "number", 100)


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault that can happen, with its words and settings."""

    name: str
    label: str
    description: str
    schema: tuple[Param, ...]
    enabled: bool = False


FAULTS = (
    FaultKind(
        "latency",
        "Slow Web API",
        "Every call is answered late.",
        (Param("seconds", "Seconds", "number", 1.0), METHODS, TIMES, PERCENT),
    ),
    FaultKind(
        "drop_connection",
        "Dropped connection",
        "The connection breaks without an answer, before or after the call has taken effect.",
        (Param("when", "When", "select", "before", ("before", "after")), METHODS, TIMES, PERCENT),
    ),
    FaultKind(
        "lost_answer",
        "Lost answer",
        "The call takes effect and its answer never comes; after a while the connection breaks.",
        (
            Param("seconds", "Seconds until it breaks", "number", 2.0),
            Param("methods", "Methods", "text", "chat.postMessage,chat.startStream"),
            TIMES,
            PERCENT,
        ),
    ),
    FaultKind(
        "rate_limit",
        "Rate limit",
        "Calls are answered 429 with Retry-After.",
        (Param("retry_after", "Retry after (s)", "number", 1), METHODS, TIMES, PERCENT),
    ),
    FaultKind(
        "rate_tiers",
        "Slack's rate tiers",
        "Each method takes as many calls a minute as its tier promises, and a channel one message a second.",
        (Param("percent", "Percent of the tier", "number", 100),),
    ),
    FaultKind(
        "server_error",
        "Server error",
        "Calls are answered with a 5xx status and no JSON.",
        (Param("status", "Status", "number", 503), METHODS, TIMES, PERCENT),
    ),
    FaultKind(
        "missing_method",
        "Missing method",
        "The workspace lacks these methods, or the app the right to call them, at all or in some places.",
        (
            Param("methods", "Methods", "text", "chat.startStream,chat.appendStream,chat.stopStream"),
            Param("error", "Error", "select", "unknown_method", REFUSALS),
            TIMES,
        ),
    ),
    FaultKind(
        "duplicate_events",
        "Duplicate events",
        "Every event is delivered twice, although the app has acknowledged it.",
        (TIMES, PERCENT),
    ),
    FaultKind(
        "late_redelivery",
        "Late redelivery",
        "Every event comes again after a while, although the app has acknowledged it.",
        (
            Param("seconds", "Seconds until the last time", "number", 368),
            Param("copies", "How often it comes again", "number", 1),
            TIMES,
            PERCENT,
        ),
    ),
    FaultKind(
        "reorder_events",
        "Reordered events",
        "Events are held back for up to this long, each for another while, so that later ones overtake them.",
        (Param("seconds", "Seconds at most", "number", 0.5), TIMES, PERCENT),
    ),
    FaultKind(
        "disconnected",
        "No connection to the app",
        "Open sockets are cut, new ones are refused, and HTTP deliveries fail, as long as this is on.",
        (),
    ),
    FaultKind(
        "partition",
        "Partition",
        "Nothing comes through in either direction: sockets, deliveries and every call are cut, as long as this is on.",
        (),
    ),
    FaultKind(
        "stream_expiry",
        "Stream expiry",
        "Slack ends a stream that has not been stopped after a while; switching this off makes streams immortal.",
        (Param("seconds", "Seconds", "number", 300),),
        enabled=True,
    ),
    FaultKind(
        "slow_files",
        "Slow files",
        "An uploaded picture cannot stand in a block before a while has passed, as in Slack.",
        (Param("seconds", "Seconds", "number", 3.0),),
    ),
)
KINDS = {kind.name: kind for kind in FAULTS}


@dataclass(slots=True)
class FaultState:
    """Whether a fault is on, its settings, and how often it has struck since, and in all."""

    enabled: bool
    params: dict[str, Any] = field(default_factory=dict)
    struck: int = 0
    total: int = 0


class Faults:
    """The switches of all faults."""

    def __init__(self, initial: Mapping[str, Mapping[str, Any]]) -> None:
        self._states: dict[str, FaultState] = {}
        self._random = random.Random()  # noqa: S311 - for misfortunes
        self.reset()
        for name, params in initial.items():
            self.switch(name, enabled=True, params=params)

    def reset(self) -> None:
        """Bring every fault back to how a playground starts."""
        self._states = {
            kind.name: FaultState(kind.enabled, {param.key: param.default for param in kind.schema}) for kind in FAULTS
        }

    def switch(self, name: str, *, enabled: bool, params: Mapping[str, Any]) -> None:
        """Switch a fault on or off; raises ValueError with a sentence for a wrong name or setting."""
        kind = KINDS.get(name)
        if kind is None:
            raise ValueError(f"There is no fault named {name}; there are {', '.join(KINDS)}.")
        known = {param.key: param for param in kind.schema}
        unknown = set(params) - set(known)
        if unknown:
            raise ValueError(f"The fault {name} has no setting {', '.join(sorted(unknown))}.")
        checked = {key: _check(known[key], value) for key, value in params.items()}
        state = self._states[name]
        state.enabled, state.struck = enabled, 0
        state.params.update(checked)

    def strike(self, name: str, method: str | None = None) -> dict[str, Any] | None:
        """Return the settings if the fault happens now (to *method*), and count it."""
        state = self._states[name]
        if not state.enabled or (method is not None and not _covers(state.params.get("methods", ""), method)):
            return None
        percent = state.params.get("percent", 100)
        if percent < 100 and self.draw() * 100 >= percent:
            return None
        times = state.params.get("times", 0)
        state.struck += 1
        state.total += 1
        if times and state.struck >= times:
            state.enabled = False
        return state.params

    @property
    def is_cut(self) -> bool:
        """Say whether the app cannot be reached."""
        return self.is_on("disconnected") or self.is_on("partition")

    def seed(self, seed: int) -> None:
        """Let chance take the same course again."""
        self._random.seed(seed)

    def draw(self) -> float:
        """Return a number from 0 to 1 by chance."""
        return self._random.random()

    def is_on(self, name: str) -> bool:
        """Say whether a fault is switched on, without letting it happen."""
        return self._states[name].enabled

    def count(self, name: str) -> int:
        """Return how often a fault has struck."""
        return self._states[name].total

    def setting(self, name: str, key: str) -> Any:
        """Return one setting of a fault."""
        return self._states[name].params[key]

    def to_json(self) -> list[Json]:
        """Return all faults as the panel shows them."""
        return [
            {
                "name": kind.name,
                "label": kind.label,
                "description": kind.description,
                "enabled": self._states[kind.name].enabled,
                "params": dict(self._states[kind.name].params),
                "schema": [asdict(param) for param in kind.schema],
            }
            for kind in FAULTS
        ]


def _covers(patterns: str, method: str) -> bool:
    wanted = [pattern.strip() for pattern in patterns.split(",") if pattern.strip()]
    return not wanted or any(fnmatch.fnmatchcase(method, pattern) for pattern in wanted)


def _check(param: Param, value: Any) -> float | str:
    if param.type == "number":
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = -1.0
        if not 0 <= number <= 1_000_000:
            raise ValueError(f"“{param.label}” must be a number from 0 to 1,000,000.")
        return number
    text = str(value)
    if param.type == "select" and text not in param.options:
        raise ValueError(f"“{param.label}” must be one of {', '.join(param.options)}.")
    return text
