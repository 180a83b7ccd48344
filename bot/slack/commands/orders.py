"""What people can order with words: one table for the slash command, `!commands` in threads, help and completion.

An order is a name and what follows it. Whoever has orders to offer makes a *Command* of each; nothing here knows what
they do.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import IntEnum
from typing import Any

from bot.errors import ApprenticeError
from bot.slack.blocks import Block
from bot.slack.setup.manifest import COMMAND

SLASH = f"{COMMAND} "
BANG = "!"
LIKENESS = 0.6  # of a mistyped name, so that the right one is suggested


class Role(IntEnum):
    """What somebody may order; each may do what those below may."""

    NOBODY = 0  # people of other organisations, bots, and whom Slack does not know
    BARRED = 1  # guests, and members who were blocked or deactivated: they take back what is theirs, and no more
    MEMBER = 2
    REVIEWER = 3
    ADMIN = 4
    OWNER = 5


@dataclass(frozen=True, kw_only=True)
class Call:
    """An order as somebody gave it: *words* follow the command's name, *thread_ts* is None outside of threads.

    The words are as Slack sent them, people and channels as `<@U…>` and `<#C…>`, only `&lt;` and its like read. *lead*
    is what stood before the name, *ts* the message that an order in a thread is.
    """

    user_id: str
    team_id: str
    channel_id: str
    words: str
    thread_ts: str | None = None
    trigger_id: str = ""
    role: Role = Role.MEMBER
    lead: str = SLASH
    ts: str = ""
    files: Sequence[Mapping[str, Any]] = ()  # of that message, as Slack announces them
    source_ts: str = ""  # of the message that the words are, where they are not the order's own
    is_ours: bool = False  # the words are our own, so that no person has named what they link to
    whisper: Callable[["Reply"], Awaitable[None]] | None = None

    async def tell(self, reply: "Reply") -> None:
        """Say something to this person while the order is still being carried out."""
        if self.whisper is not None:
            await self.whisper(reply)

    def whispering(self, whisper: Callable[["Reply"], Awaitable[None]]) -> "Call":
        """Return the call with a way to say something on the way."""
        return replace(self, whisper=whisper)

    def written(self, order: str) -> str:
        """Return an order as this person writes it here, as code."""
        return f"`{self.lead}{order}`"


@dataclass(frozen=True)
class Reply:
    """What only the person who asked sees, or, if it *is_for_all*, everybody in the channel.

    An empty one says nothing: whoever carried the order out has shown it already.
    """

    text: str
    blocks: list[Block] = field(default_factory=list)
    is_done: bool = True
    is_for_all: bool = False


SILENCE = Reply("")


class UsageError(ApprenticeError):
    """That is not how it is written; raised by a command with one sentence, its usage is said behind it."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One thing that can be ordered; *usage* is what may follow the name, *purpose* its line of help.

    *words* are those by which completion may continue after the name; *group* is the heading that it stands under;
    *example* is one order, without the lead; *roles* are those that certain first words need, beyond *role*; what
    *is_uncounted* works however much somebody has ordered; what *is_written* by the model takes its time, and what the
    person asks after it waits for no such order.

    Texts are built in English and said in the language of the reader, so they stand as `_("…")` where they are built.
    """

    name: str
    usage: str
    purpose: str
    run: Callable[[Call], Awaitable[Reply]]
    role: Role = Role.MEMBER
    group: str = ""
    words: Sequence[str] = ()
    example: str = ""
    roles: Mapping[str, Role] = field(default_factory=dict)
    is_uncounted: bool = False
    is_written: bool = False

    def needs(self, words: str) -> Role:
        """Return the role that somebody needs who orders this with *words*."""
        first = words.split(maxsplit=1)[0].lower() if words.strip() else ""
        return max(self.role, self.roles.get(first, Role.NOBODY))


class Commands:
    """Every command, by its name."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._commands: dict[str, Command] = {}
        for command in commands:
            if command.name in self._commands:
                raise ValueError(f"Two commands are called {command.name}.")
            self._commands[command.name] = command

    def __iter__(self) -> Iterator[Command]:
        return iter(self._commands.values())

    def find(self, name: str) -> Command | None:
        """Return the command of that name."""
        return self._commands.get(name.lower())

    def for_role(self, role: Role) -> list[Command]:
        """Return what somebody may order."""
        return [command for command in self if command.role <= role]

    def nearest(self, name: str, role: Role, *, likeness: float = LIKENESS) -> Command | None:
        """Return the command that somebody probably meant."""
        names = [command.name for command in self.for_role(role)]
        found = get_close_matches(name.lower(), names, n=1, cutoff=likeness)
        return self._commands[found[0]] if found else None
