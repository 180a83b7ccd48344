"""The small checks that Block Kit's rules are made of: strings, text objects, lists, choices.

A check looks at one value, knows its JSON pointer, and reports what Slack would say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

Report = Callable[[str, str], None]  # (sentence, JSON pointer)
Check = Callable[[Any, str, Report], None]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a block, element or object."""

    check: Check
    is_required: bool = False


Shape = Mapping[str, Field]


def required(check: Check) -> Field:
    """A field that must be there."""
    return Field(check, is_required=True)


def optional(check: Check) -> Field:
    """A field that may be left out."""
    return Field(check)


def anything(value: Any, pointer: str, report: Report) -> None:
    """Accept whatever it is."""


def boolean(value: Any, pointer: str, report: Report) -> None:
    """Accept true and false."""
    if not isinstance(value, bool):
        report("must be a boolean", pointer)


def number(value: Any, pointer: str, report: Report) -> None:
    """Accept a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        report("must be an integer", pointer)


def string(longest: int, *, shortest: int = 1) -> Check:
    """Accept a string of some length."""

    def check(value: Any, pointer: str, report: Report) -> None:
        if not isinstance(value, str):
            report("must be a string", pointer)
        elif len(value) < shortest:
            report(f"must be more than {shortest - 1} characters", pointer)
        elif len(value) > longest:
            report(f"must be less than {longest + 1} characters", pointer)

    return check


def choice(*words: str) -> Check:
    """Accept one of a few words."""

    def check(value: Any, pointer: str, report: Report) -> None:
        if value not in words:
            report(f"must be one of: {', '.join(words)}", pointer)

    return check


def url(longest: int = 3000) -> Check:
    """Accept a web address."""
    fits = string(longest)

    def check(value: Any, pointer: str, report: Report) -> None:
        fits(value, pointer, report)
        if isinstance(value, str) and not value.startswith(("http://", "https://", "slack://")):
            report("must be a valid URL", pointer)

    return check


def items(check_item: Check, *, most: int, least: int = 1) -> Check:
    """Accept a list of a bounded number of things."""

    def check(value: Any, pointer: str, report: Report) -> None:
        if not isinstance(value, list):
            report("must be an array", pointer)
            return
        if len(value) > most:
            report(f"no more than {most} items allowed", pointer)
        if len(value) < least:
            report(f"no fewer than {least} items required", pointer)
        for number, item in enumerate(value[:most]):
            check_item(item, f"{pointer}/{number}", report)

    return check


def shaped(shape: Shape) -> Check:
    """Accept an object with these fields and no others."""

    def check(value: Any, pointer: str, report: Report) -> None:
        if not isinstance(value, dict):
            report("must be an object", pointer)
            return
        for name, field in shape.items():
            if value.get(name) is not None:
                field.check(value[name], f"{pointer}/{name}", report)
            elif field.is_required:
                report(f"missing required field: {name}", pointer)
        for name in value:
            if name not in shape:
                report(f"invalid additional property: {name}", pointer)

    return check


def typed(shapes: Callable[[], Mapping[str, Shape]], *, only: Collection[str] = ()) -> Check:
    """Accept an object whose type is known (and, with *only*, is allowed in this place)."""

    def check(value: Any, pointer: str, report: Report) -> None:
        if not isinstance(value, dict):
            report("must be an object", pointer)
            return
        kind = value.get("type")
        if kind is None:
            report("missing required field: type", pointer)
        elif not isinstance(kind, str) or kind not in shapes() or (only and kind not in only):
            report(f"unsupported type: {kind}", f"{pointer}/type")
        else:
            shaped({"type": optional(anything), **shapes()[kind]})(value, pointer, report)

    return check


def text(longest: int, *, kinds: Collection[str] = ("plain_text", "mrkdwn")) -> Check:
    """Accept a text object."""
    shape: Shape = {
        "type": required(choice(*kinds)),
        "text": required(string(longest)),
        "emoji": optional(boolean),
        "verbatim": optional(boolean),
    }
    return shaped(shape)


def plain(longest: int) -> Check:
    """Accept a plain_text object."""
    return text(longest, kinds=("plain_text",))
