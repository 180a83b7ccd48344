"""Reads the fields of a JSON body one by one, refusing what is wrong by name; what nobody asked for is refused last.

Knows JSON and error texts, nothing of models.
"""

from collections.abc import Mapping
from typing import NoReturn

from bot.engine.api_error import ApiError

NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "modalities": (["text"],),
    "parallel_tool_calls": (True, False),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
}


class Fields:
    """The fields of one request that are still to be read."""

    def __init__(self, body: object) -> None:
        if not isinstance(body, dict):
            raise ApiError(400, "The body must be a JSON object.")
        self._left = {name: value for name, value in body.items() if value is not None}

    def take(self, name: str) -> object:
        """Return a field's value, None when it is absent."""
        return self._left.pop(name, None)

    def text(self, name: str, default: str = "", *, limit: int = 256) -> str:
        """Return a short text."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, str) or len(value) > limit:
            refuse(name, f"must be a text of at most {limit} characters")
        return value

    def flag(self, name: str) -> bool:
        """Return a yes or no, no by default."""
        value = self.take(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            refuse(name, "must be true or false")
        return value

    def integer(self, name: str, default: int | None = None, *, low: int, high: int) -> int | None:
        """Return a whole number between *low* and *high*."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            refuse(name, f"must be a whole number from {low} to {high}")
        return value

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """Return a number between *low* and *high*."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            refuse(name, f"must be a number from {low:g} to {high:g}")
        return float(value)

    def finish(self) -> None:
        """Refuse every field that was not read, unless its value asks for nothing."""
        for name, value in self._left.items():
            if name not in NEUTRAL:
                raise ApiError(400, f"Unrecognized request argument: {name}.", param=name, code="unknown_parameter")
            if value not in NEUTRAL[name]:
                message = f"{name} is not supported by this engine yet."
                raise ApiError(400, message, param=name, code="unsupported_parameter")


def refuse(name: str, reason: str) -> NoReturn:
    """Raise the error for a wrong value; the value itself is not repeated."""
    raise ApiError(400, f"{name} {reason}.", param=name, code="invalid_value")
