"""Keeps the workspace in one JSON file: written atomically after changes, read at start."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from bot.playground.errors import PlaygroundError
from bot.playground.workspace import Workspace

logger = logging.getLogger(__name__)

SAVE_AFTER = 1.0  # seconds of real time; changes within them share one write


@dataclass(slots=True)
class Kept:
    """What the file holds; the number changes when older files can no longer be read."""

    workspace: Workspace
    format: Literal[1] = 1


class Snapshot:
    """Writes a workspace to its file soon after it changes; without a file it does nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._pending: asyncio.TimerHandle | None = None

    def load(self) -> Workspace | None:
        """Read the workspace of an earlier run, if there was one."""
        if self._path is None or not self._path.exists():
            return None
        return read_workspace(self._path)

    def schedule(self, workspace: Workspace) -> None:
        """Write the workspace soon."""
        if self._path is not None and self._pending is None:
            self._pending = asyncio.get_running_loop().call_later(SAVE_AFTER, self._save_or_complain, workspace)

    def save(self, workspace: Workspace) -> None:
        """Write the workspace now."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        if self._path is not None:
            write_workspace(self._path, workspace)

    def _save_or_complain(self, workspace: Workspace) -> None:
        try:
            self.save(workspace)
        except PlaygroundError as error:
            logger.error("%s", error)  # noqa: TRY400 - the sentence says it all; the next change tries again


def read_workspace(path: Path) -> Workspace:
    """Read a workspace; a file that is damaged in any way is refused as a whole."""
    try:
        workspace = TypeAdapter(Kept).validate_json(path.read_bytes()).workspace
    except OSError as error:
        raise PlaygroundError(f"The data file {path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"]) or "its start"
        raise PlaygroundError(
            f"The data file {path} is damaged at {place}; move it away to start with a fresh workspace."
        ) from error
    for messages in workspace.messages.values():
        for message in messages.values():
            message.streaming = False  # whoever streamed it is gone
    for session in workspace.sessions.values():
        session.status_text, session.loading_messages, session.is_bridged = None, [], False
        if session.status == "processing":
            session.status = "active"
    return workspace


def write_workspace(path: Path, workspace: Workspace) -> None:
    """Replace the file in one step, so that a crash leaves the old one or the new one."""
    document = json.dumps(asdict(Kept(workspace)), ensure_ascii=False)
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(document.encode("utf-8", "replace"))  # half a surrogate pair is not worth a crash
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise PlaygroundError(f"The data file {path} cannot be written: {error.strerror}.") from error
