"""Which model file is served, and another in its place: tried at once, taken back when it does not work.

While the engine changes, no new answer begins and those under way are completed first; what people write meanwhile
waits as always.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from bot.errors import AdminError, EngineError
from bot.language import _
from bot.storage.audit import record
from bot.storage.db import Database

CHOICE = "model.json"
MOST_LISTED = 50
NO_MODEL = re.compile(  # but a later part of one whose first file is named, or what lets one see
    r"-(?!00001)\d{5}-of-\d{5}\.gguf$|mmproj", re.IGNORECASE
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF that could be served; *name* is how one chooses it."""

    name: str
    path: Path
    gigabytes: float
    is_served: bool


class ModelSwitch:
    """Serves one model file after another.

    *serve* lets the engine serve a file and returns when it answers, *hold* keeps answers from beginning while its
    block runs, *tell* says to the learning loop which file it is now. The choice is kept in *folder* for the next
    start, for as long as the settings name the same file as now (*configured*).
    """

    def __init__(
        self,
        database: Database,
        *,
        current: Path,
        configured: Path,
        folders: Sequence[Path],
        folder: Path,
        serve: Callable[[Path], Awaitable[None]],
        hold: Callable[[], AbstractAsyncContextManager[None]],
        tell: Callable[[Path], None],
    ) -> None:
        self._database = database
        self._current = current.resolve()
        self._configured = configured.resolve()
        self._folders = folders
        self._choice = folder / CHOICE
        self._serve = serve
        self._hold = hold
        self._tell = tell
        self._switching = asyncio.Lock()

    def list_files(self) -> Sequence[ModelFile]:
        """Return what can be served, by name."""
        patterns = ("*.gguf", "*/*.gguf")
        there = [path for folder in self._folders for pattern in patterns for path in folder.glob(pattern)]
        found = {path.resolve() for path in there if not NO_MODEL.search(path.name)}
        found |= {self._current, self._configured}  # the settings' own may lie elsewhere
        return [
            ModelFile(path.name, path, path.stat().st_size / 1e9, path == self._current)
            for path in sorted(found, key=lambda path: path.name.lower())[:MOST_LISTED]
            if path.is_file()
        ]

    def before(self) -> Path | None:
        """Return the file that `back` would serve."""
        path = _read(self._choice, "before")
        return path if path is not None and path != self._current and path.is_file() else None

    async def switch(self, name: str, *, by: str) -> str:
        """Serve the file called *name*; return the name of the one before."""
        matching = [file for file in self.list_files() if file.name == name]
        if len(matching) != 1:
            raise AdminError(_("There is no model file called {name}; `model` names them all.").format(name=name[:80]))
        if matching[0].is_served:
            raise AdminError(_("{name} is served already.").format(name=name))
        return await self._change(matching[0].path, by=by)

    async def back(self, *, by: str) -> str:
        """Serve the file that was served before the last switch; return the name of the one that was."""
        path = self.before()
        if path is None:
            raise AdminError(_("Nothing was served before, so there is nothing to go back to."))
        return await self._change(path, by=by)

    async def _change(self, path: Path, *, by: str) -> str:
        if self._switching.locked():
            raise AdminError(_("The model is being changed already; wait until that has ended."))
        async with self._switching, self._hold():
            old = self._current
            try:
                await self._serve(path)
            except EngineError as error:
                log.warning("model: %s cannot be served, going back to %s: %s", path.name, old.name, error)
                await self._serve(old)
                sentence = _("{name} cannot be served ({reason}); {old} answers as before.")
                raise AdminError(sentence.format(name=path.name, reason=error, old=old.name)) from error
            try:
                _write(self._choice, path=path, before=old, configured=self._configured)
            except OSError as error:  # the next start would serve the old one, and nobody would know why
                await self._serve(old)
                sentence = _("That {name} is served cannot be kept ({reason}), so {old} answers as before.")
                raise AdminError(sentence.format(name=path.name, reason=error.strerror, old=old.name)) from error
            self._current = path
            self._tell(path)
        async with self._database.begin() as session:
            record(session, "model.switch", by=by, target=path.name, before=old.name)
        return old.name


def find_choice(file: Path, configured: Path) -> Path | None:
    """Return the file that an admin chose instead of *configured*; None where that is gone, or the settings changed."""
    chosen = _read(file, "path")
    if chosen is None or _read(file, "configured") != configured.resolve():
        return None
    moved = file.parent / "models" / chosen.name  # DATA_DIR was moved, and its models with it
    chosen = moved if moved.is_file() and not chosen.is_file() else chosen
    if not chosen.is_file():
        log.warning("model: %s, which an admin chose, is gone: %s is served instead", chosen, configured)
        return None
    if chosen != configured.resolve():
        log.info("model: %s is served, as an admin chose, instead of %s", chosen, configured)
    return chosen


def _read(file: Path, name: str) -> Path | None:
    try:
        return Path(json.loads(file.read_text())[name])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(file: Path, **paths: Path) -> None:
    """Keep what was chosen, as a whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps({name: str(path) for name, path in paths.items()}))
    draft.replace(file)
