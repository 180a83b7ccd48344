"""What people can order with words: one table for the slash command, `!commands` in threads, help and completion.

An order is a name and what follows it. Whoever has orders to offer makes a *Command* of each; nothing here knows what
they do.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from bot.slack.blocks import Block


class Role(IntEnum):
    """What somebody may order; each may do what those below may."""

    NOBODY = 0  # guests, people of other organisations, and whom an admin has blocked
    MEMBER = 1
    REVIEWER = 2
    ADMIN = 3
    OWNER = 4


@dataclass(frozen=True, kw_only=True)
class Call:
    """An order as somebody gave it: *words* follow the command's name, *thread_ts* is None outside of threads."""

    user_id: str
    team_id: str
    channel_id: str
    words: str
    thread_ts: str | None = None
    trigger_id: str = ""
    role: Role = Role.MEMBER


@dataclass(frozen=True)
class Reply:
    """What only the person who asked sees, or, if it *is_for_all*, everybody in the channel."""

    text: str
    blocks: list[Block] = field(default_factory=list)
    is_done: bool = True
    is_for_all: bool = False


@dataclass(frozen=True, kw_only=True)
class Command:
    """One thing that can be ordered; *usage* is what may follow the name, *purpose* its line of help.

    *words* are those by which completion may continue after the name; *group* is the heading that it stands under.
    """

    name: str
    usage: str
    purpose: str
    run: Callable[[Call], Awaitable[Reply]]
    role: Role = Role.MEMBER
    group: str = ""
    words: Sequence[str] = ()


class Commands:
    """Every command, by its name."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._commands = {command.name: command for command in commands}

    def __iter__(self) -> Iterator[Command]:
        return iter(self._commands.values())

    def find(self, name: str) -> Command | None:
        """Return the command of that name."""
        return self._commands.get(name.lower())
