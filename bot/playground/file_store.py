"""The bytes of uploaded files: in memory, or in a folder beside the data file; what they are is the workspace's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bot.playground.errors import PlaygroundError


class FileStore:
    """Holds each file's bytes under its id."""

    def __init__(self, data: Path | None) -> None:
        self._folder = data.with_name(f"{data.name}.files") if data else None
        self._held: dict[str, bytes] = {}

    def put(self, file_id: str, content: bytes) -> None:
        """Keep a file's bytes; on disk they are there completely or not at all."""
        if self._folder is None:
            self._held[file_id] = content
            return
        draft = self._folder / f".{file_id}.{os.getpid()}.new"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(content)
            draft.replace(self._folder / file_id)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise PlaygroundError(f"The folder {self._folder} cannot be written: {error.strerror}.") from error

    def get(self, file_id: str) -> bytes | None:
        """Return a file's bytes; None when they are gone."""
        if self._folder is None:
            return self._held.get(file_id)
        try:
            return (self._folder / file_id).read_bytes()
        except OSError:
            return None

    def drop(self, file_id: str) -> None:
        """Forget one file."""
        self._held.pop(file_id, None)
        if self._folder is not None:
            (self._folder / file_id).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget every file."""
        self._held.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
