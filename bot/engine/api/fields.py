"""Reads the fields of a JSON body one by one, refusing what is wrong by name; what nobody asked for is refused last.

Knows JSON and error texts, nothing of models.
"""

from collections.abc import Callable, Mapping
from typing import NoReturn

from bot.engine.api.api_error import ApiError

MAX_DEPTH = 64
NEUTRAL: Mapping[str, tuple[object, ...]] = {  # what these ask for by any other value is not done here
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "modalities": (["text"],),
    "moderation": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "suffix": ("",),
    "verbosity": ("medium",),
    "web_search_options": (),
}
HARMLESS: Mapping[str, Callable[[object], bool]] = {  # no answer depends on these
    "metadata": lambda value: isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
    "prediction": lambda value: isinstance(value, dict),
    "prompt_cache_options": lambda value: isinstance(value, dict),
    "prompt_cache_retention": lambda value: isinstance(value, str),
}


class Fields:
    """The fields of one request that are still to be read."""

    def __init__(self, body: object) -> None:
        if not isinstance(body, dict):
            raise ApiError(400, "The body must be a JSON object.")
        self._left = {name: value for name, value in body.items() if value is not None}
        for name, value in self._left.items():
            check_depth(value, name)

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
        return check_unicode(value, name)

    def flag(self, name: str) -> bool:
        """Return a yes or no, no by default."""
        return self.optional_flag(name) is True

    def optional_flag(self, name: str) -> bool | None:
        """Return a yes or no, or that nothing was said."""
        value = self.take(name)
        if not isinstance(value, bool | None):
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
            if name in HARMLESS:
                if not HARMLESS[name](value):
                    refuse(name, "has the wrong type")
                continue
            if name not in NEUTRAL:
                raise ApiError(400, f"Unrecognized request argument: {name}.", param=name, code="unknown_parameter")
            if value not in NEUTRAL[name]:
                message = f"{name} is not supported by this engine."
                raise ApiError(400, message, param=name, code="unsupported_parameter")


def refuse(name: str, reason: str) -> NoReturn:
    """Raise the error for a wrong value; the value itself is not repeated."""
    raise ApiError(400, f"{name} {reason}.", param=name, code="invalid_value")


def check_unicode(text: str, name: str) -> str:
    """Return *text*, refusing half characters: llama.cpp's tokenizer would end the process at one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        refuse(name, "contains half of a surrogate pair")
    return text


def check_depth(value: object, name: str) -> None:
    """Refuse what is nested so deeply that reading it could exhaust the stack."""
    layer = [value]
    for _ in range(MAX_DEPTH):
        nested = [item.values() if isinstance(item, dict) else item for item in layer if isinstance(item, dict | list)]
        layer = [item for items in nested for item in items]
        if not layer:
            return
    refuse(name, f"is nested deeper than {MAX_DEPTH} levels")


def check_json(value: object, name: str) -> None:
    """Refuse JSON with half characters in it."""
    if isinstance(value, str):
        check_unicode(value, name)
    if isinstance(value, dict):
        for key in value:
            check_unicode(key, name)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        check_json(item, name)
