"""What is kept of the adapters that are served, so that an engine that was replaced serves them again.

`adapters.json` in the state folder, and beside it the copies that were tried, named by their SHA-256. What it says is
checked against the files; a damaged state costs the adapters, never the start. Knows files, nothing of llama.cpp.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)

STATE_NAME, COPIES_NAME = "adapters.json", "adapters"
TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAdapter:
    """An adapter that passed its trial; *tries* counts the starts that did not get past loading it."""

    name: str
    root: str
    sha256: str
    model_sha256: str
    llama_cpp: str
    created: int
    tries: int = 0


def has_state(folder: Path | None) -> bool:
    """Whether there may be adapters to serve again."""
    return folder is not None and (folder / STATE_NAME).exists()


class AdapterStore:
    """The adapters of one engine and of those that come after it, in a folder that is nobody else's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copies = folder / COPIES_NAME

    @staticmethod
    def build(name: str, root: Path, *, sha256: str, model_sha256: str, created: int) -> KeptAdapter:
        """Return what is worth knowing about an adapter that was tried just now."""
        return KeptAdapter(
            name=name,
            root=str(root),
            sha256=sha256,
            model_sha256=model_sha256,
            llama_cpp=version("llama_cpp_python"),
            created=created,
        )

    def keep(self, adapter: KeptAdapter, copy: Path) -> None:
        """Remember an adapter and take a copy of its tried file."""
        self._copies.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = self._copy(adapter)
        if not target.exists():
            draft = target.with_suffix(".draft")
            with copy.open("rb") as source, _open_private(draft) as file:
                while chunk := source.read(1024 * 1024):
                    file.write(chunk)
                _settle(file)
            draft.replace(target)
        self._write([*(kept for kept in self._read() if kept.name != adapter.name), adapter])

    def forget(self, name: str) -> None:
        """Let go of an adapter, and of its file when no other name has the same."""
        kept = [adapter for adapter in self._read() if adapter.name != name]
        self._write(kept)
        wanted = {self._copy(adapter) for adapter in kept}
        for path in self._copies.glob("*"):
            if path not in wanted:
                path.unlink(missing_ok=True)

    def recall(self, model_sha256: str) -> Iterator[tuple[KeptAdapter, Path]]:
        """Yield what can be served again without a new trial; call `settle` after each that was loaded.

        One at which the process ended again and again while it was loaded is not tried for ever.
        """
        for adapter in self._read():
            fault = self._find_fault(adapter, model_sha256)
            if fault:
                log.warning("The adapter %s is not served again: %s. Load it again.", adapter.name, fault)
                self.forget(adapter.name)
                continue
            self._replace(replace(adapter, tries=adapter.tries + 1))
            yield adapter, self._copy(adapter)

    def settle(self, adapter: KeptAdapter) -> None:
        """Note that an adapter was loaded."""
        self._replace(replace(adapter, tries=0))

    def _find_fault(self, adapter: KeptAdapter, model_sha256: str) -> str:
        if adapter.model_sha256 != model_sha256:
            return "the model is another one"
        if adapter.llama_cpp != version("llama_cpp_python"):
            return "llama.cpp is another version"
        if adapter.tries >= TRIES:
            return "the engine ended while it loaded it"
        try:
            with self._copy(adapter).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return f"its copy cannot be read ({error.strerror})"
        return "" if found == adapter.sha256 else "its copy was changed"

    def _copy(self, adapter: KeptAdapter) -> Path:
        return self._copies / f"{adapter.sha256}.gguf"

    def _replace(self, adapter: KeptAdapter) -> None:
        self._write([adapter if kept.name == adapter.name else kept for kept in self._read()])

    def _read(self) -> list[KeptAdapter]:
        """Return what was remembered; what cannot be understood is lost, and the log says so."""
        try:
            entries = json.loads((self._folder / STATE_NAME).read_bytes())
            return [_check(KeptAdapter(**entry)) for entry in entries]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, RecursionError) as error:
            path = self._folder / STATE_NAME
            log.warning("%s cannot be read (%s): no adapter is served again.", path, type(error).__name__)
            return []

    def _write(self, adapters: list[KeptAdapter]) -> None:
        draft = self._folder / f"{STATE_NAME}.draft"
        with _open_private(draft) as file:
            file.write(json.dumps([asdict(adapter) for adapter in adapters], indent=1).encode())
            _settle(file)
        draft.replace(self._folder / STATE_NAME)


def _check(adapter: KeptAdapter) -> KeptAdapter:
    """Refuse values of another kind, above all a checksum that is a path."""
    texts = (adapter.name, adapter.root, adapter.sha256, adapter.model_sha256, adapter.llama_cpp)
    if not all(isinstance(text, str) for text in texts) or not isinstance(adapter.created, int):
        raise TypeError("a value is of another kind")
    if not isinstance(adapter.tries, int) or len(bytes.fromhex(adapter.sha256)) != 32:
        raise ValueError("a value is out of range")
    return adapter


def _open_private(path: Path) -> BinaryIO:
    """Return *path*, emptied, for writing, with mode 0600 whatever the umask and whoever made it."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _settle(file: BinaryIO) -> None:
    """See to it that what was written survives a crash of the machine."""
    file.flush()
    os.fsync(file.fileno())
