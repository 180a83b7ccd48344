"""What came of reading a file: its text, or why there is none."""

from dataclasses import dataclass
from enum import StrEnum


class Trouble(StrEnum):
    """Why there is no text of a file; people are told in words."""

    DAMAGED = "damaged"
    LOCKED = "locked"
    EMPTY = "empty"
    HEAVY = "heavy"


class Unreadable(Exception):  # noqa: N818 - reads as a state
    """There is no text to be had."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Extract:
    """A file's text; *pages* are where each page begins, empty where lines are counted."""

    text: str
    pages: tuple[int, ...] = ()
    is_cut: bool = False
