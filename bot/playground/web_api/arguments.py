"""One call's arguments, however they travelled: as form, JSON or query, all text or already parsed."""

from __future__ import annotations

import json
from typing import Any

from bot.playground.entities import Json
from bot.playground.errors import SlackError

TRUE_WORDS = {"true", "1"}
DEEPEST = 100  # levels; Slack takes fewer


class Arguments:
    """Reads arguments by name and answers Slack's errors where one is missing or malformed."""

    def __init__(self, values: Json) -> None:
        self._values = {key: value for key, value in values.items() if value is not None}

    def has(self, name: str) -> bool:
        """Say whether the argument was given at all."""
        return name in self._values

    def all(self) -> Json:
        """Return every argument as it came."""
        return dict(self._values)

    def text(self, name: str) -> str | None:
        """Return an argument as text; None if absent or empty."""
        value = self._values.get(name)
        if value is None or isinstance(value, (dict, list)):
            return None
        return ("true" if value else "false") if isinstance(value, bool) else str(value) or None

    def required(self, name: str) -> str:
        """Return an argument that the method cannot do without."""
        value = self.text(name)
        if value is None:
            raise SlackError("invalid_arguments", messages=[f"[ERROR] missing required field: {name}"])
        return value

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return a required argument that must be one of a few words."""
        value = self.required(name)
        if value not in allowed:
            words = ", ".join(allowed)
            message = f"[ERROR] must be one of: {words} [json-pointer:/{name}]"
            raise SlackError("invalid_arguments", messages=[message])
        return value

    def boolean(self, name: str, *, default: bool = False) -> bool:
        """Return an argument as a truth value."""
        value = self.text(name)
        return default if value is None else value.lower() in TRUE_WORDS

    def limit(self, *, default: int, highest: int) -> int:
        """Return how many items are wanted, within what the method allows."""
        value = self.text("limit")
        if value is None:
            return default
        try:
            number = int(value)
        except ValueError:
            raise SlackError("invalid_limit") from None
        if number < 1:
            raise SlackError("invalid_limit")
        return min(number, highest)

    def words(self, name: str) -> list[str]:
        """Return a list that may have come as JSON or separated by commas."""
        value = self._values.get(name)
        if isinstance(value, list):
            return [str(item) for item in value]
        text = self.text(name) or ""
        if text.startswith("["):
            return [str(item) for item in self.json_list(name, error="invalid_arguments") or []]
        return [word.strip() for word in text.split(",") if word.strip()]

    def json_list(self, name: str, *, error: str) -> list[Any] | None:
        """Return a JSON array, or fail with *error*; None if absent."""
        value = self._parse(name, error=error)
        if value is not None and not isinstance(value, list):
            raise SlackError(error)
        return value

    def json_object(self, name: str, *, error: str) -> Json | None:
        """Return a JSON object, or fail with *error*; None if absent."""
        value = self._parse(name, error=error)
        if value is not None and not isinstance(value, dict):
            raise SlackError(error)
        return value

    def _parse(self, name: str, *, error: str) -> Any:
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        if not value.strip():
            return None
        try:
            return read_json(value)
        except ValueError:
            raise SlackError(error) from None


def read_json(text: str) -> Any:
    """Return what some JSON says; raise *ValueError* for what is none, or too deep for whoever goes through it."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("too deep") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
    if level:
        raise ValueError("too deep")
    return value
