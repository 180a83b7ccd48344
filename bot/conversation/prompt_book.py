"""Every prompt that the assistant uses: the product's own, a team's in their place, and the personas.

`prompts/NAME.md` are the product's; a file of the same name in the team's folder (PROMPTS_DIR) stands in its place and
may use the same variables. `personas/NAME.md` of either folder are what a channel can choose. All of them are checked
when the book is opened; reading them anew keeps the old one of each file that is broken.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from bot.conversation.prompts import Prompt, read_prompt, render_day
from bot.errors import PromptError

SYSTEM = "system"
PERSONAS = "personas"
LENGTHS = ("short", "long")
CASES = "cases.toml"
PERSONA_VARIABLES = frozenset({"today"})
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")

Stamps = Mapping[Path, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Opening:
    """The first message of a conversation: the assistant's own prompt and, below it, the persona of the place."""

    text: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of reading the files anew: the prompts that are others now, and why some files stayed unread."""

    changed: tuple[str, ...]
    problems: tuple[str, ...]


class PromptBook:
    """The prompts of one process by their names; a persona's name begins with `personas/`."""

    def __init__(self, folder: Path, own: Path | None = None) -> None:
        self._folder = folder
        self._own = own
        self._prompts: dict[str, Prompt] = {}
        self._stamps: Stamps = {}
        self.problems: tuple[str, ...] = ()
        self.reload()
        if self.problems:
            raise PromptError("\n".join(self.problems))

    def get(self, name: str) -> Prompt:
        """Return the prompt of that name as it stands now; raise *PromptError* when there is none."""
        if name not in self._prompts:
            raise PromptError(f"There is no prompt {name}; there are {', '.join(self.names())}.")
        return self._prompts[name]

    def names(self) -> list[str]:
        """Return the names of all prompts, personas last."""
        return sorted(self._prompts, key=lambda name: (name.startswith(f"{PERSONAS}/"), name))

    def personas(self) -> list[str]:
        """Return the names that a channel can choose from."""
        return [name.removeprefix(f"{PERSONAS}/") for name in self.names() if name.startswith(f"{PERSONAS}/")]

    def persona(self, name: str) -> Prompt | None:
        """Return a persona; None when there is none of that name, or no more."""
        return self._prompts.get(f"{PERSONAS}/{name}")

    def path(self, name: str) -> Path:
        """Return the file that a prompt was read from."""
        return self._files()[name]

    def cases(self) -> Path:
        """Return the file of cases on which the prompts are tried: the team's own, or else the product's."""
        own = self._own / CASES if self._own else None
        return own if own is not None and own.is_file() else self._folder / CASES

    def open(self, day: date, *, persona: str = "") -> Opening:
        """Return how a conversation opens on a day; the persona comes last, so that all places share the beginning."""
        system, today = self.get(SYSTEM), render_day(day)
        chosen = self.persona(persona) if persona else None
        if chosen is None:
            return Opening(system.render(today=today), system.name, system.version)
        text = f"{system.render(today=today)}\n\n{chosen.render(today=today)}"
        return Opening(text, f"{system.name}+{persona}", f"{system.version}+{chosen.version}")

    def with_file(self, opening: Opening) -> Opening:
        """Return *opening* as the record of an answer names it when files were quoted by our prompt for them."""
        file = self.get("file")
        return Opening(opening.text, f"{opening.name}+{file.name}", f"{opening.version}+{file.version}")

    def with_length(self, opening: Opening, length: str) -> Opening:
        """Return *opening* for somebody who wants a `short` or a `long` answer; any other word changes nothing."""
        if length not in LENGTHS:
            return opening
        wanted = self.get(length)
        text = f"{opening.text}\n\n{wanted.render()}"
        return Opening(text, f"{opening.name}+{length}", f"{opening.version}+{wanted.version}")

    def system_on(self, day: date) -> str:
        """Return the assistant's own prompt as it stands on a day."""
        return self.open(day).text

    def has_changed(self) -> bool:
        """Return whether a file is there, gone, or another one since they were read."""
        try:
            return _stamp(self._files().values()) != self._stamps
        except PromptError as error:
            return self.problems != (str(error),)

    def reload(self) -> Reloaded:
        """Read every file anew; of one that is broken the old prompt stays."""
        try:
            files = self._files()
        except PromptError as error:
            self.problems, self._stamps = (str(error),), {}  # so that it is read anew as soon as it can be
            return Reloaded((), self.problems)
        self._stamps = _stamp(files.values())
        before, problems, found = dict(self._prompts), [], {}
        for name, path in files.items():
            try:
                found[name] = self._read(name, path)
            except (PromptError, OSError) as error:
                problems.append(str(error))
                if name in before:
                    found[name] = before[name]
        self._prompts, self.problems = found, tuple(problems)
        versions = {name: prompt.version for name, prompt in found.items()}
        old = {name: prompt.version for name, prompt in before.items()}
        changed = sorted(name for name in versions.keys() | old.keys() if versions.get(name) != old.get(name))
        return Reloaded(tuple(changed), self.problems)

    def _read(self, name: str, path: Path) -> Prompt:
        kind, _, short = name.rpartition("/")
        if not NAME.fullmatch(short):
            raise PromptError(f"{path}: a prompt's name has small letters, digits, - and _, at most 32 of them.")
        if kind == PERSONAS:
            return read_prompt(path, name, variables=PERSONA_VARIABLES)
        shipped = self._folder / f"{name}.md"
        if path == shipped:
            return read_prompt(path, name)
        if not shipped.is_file():
            known = ", ".join(sorted(file.stem for file in self._folder.glob("*.md")))
            raise PromptError(f"{path}: nobody uses a prompt of this name; there are {known}.")
        return read_prompt(path, name, variables=read_prompt(shipped, name).declared)

    def _files(self) -> dict[str, Path]:
        """Return the file of each prompt: a team's own comes before the product's."""
        files: dict[str, Path] = {}
        try:
            if self._own is not None and not self._own.is_dir():
                raise PromptError(f"PROMPTS_DIR: {self._own} is not a folder: name one, or leave it empty.")
            for folder in [self._folder, *([self._own] if self._own else [])]:
                files |= dict(_list(folder))
        except OSError as error:  # that nothing can be seen does not mean that nothing is there
            raise PromptError(f"{error.filename} cannot be listed ({error.strerror}).") from error
        return files


def _list(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()):
        if path.suffix == ".md" and path.name != "README.md":
            yield path.stem, path
    with suppress(FileNotFoundError):
        for path in sorted((folder / PERSONAS).iterdir()):
            if path.suffix == ".md":
                yield f"{PERSONAS}/{path.stem}", path


def _stamp(paths: Iterable[Path]) -> Stamps:
    stamps: dict[Path, tuple[int, int]] = {}
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        stamps[path] = (found.st_mtime_ns, found.st_size)
    return stamps
