"""What a model file is before anybody parses it: its first bytes, and its checksum.

The checksum is remembered by path, size and time of change, because large files take minutes.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from bot.errors import ModelFileError

QUICK_BYTES = 64 * 1024 * 1024


def check_gguf(path: Path, setting: str) -> None:
    """Refuse what is not a GGUF file at all; *setting* is what named it."""
    if not path.is_file():
        raise ModelFileError(f"{path} does not exist or is not a file: set {setting} to a GGUF file.")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelFileError(f"{path} is not a GGUF file: {setting} must name one.")


def check_pinned(paths: Iterable[Path], pinned: Collection[str]) -> None:
    """Refuse a file that is not among *pinned*, if any are; read anew, since a time of change is easily forged."""
    for path in paths if pinned else ():
        sha256 = hash_model(path)
        if sha256 not in pinned:
            raise ModelFileError(f"{path} is not pinned: its SHA-256 is {sha256}, which MODEL_SHA256 does not name.")


def is_quick(path: Path) -> bool:
    """Whether hashing *path* is a matter of milliseconds."""
    return path.stat().st_size <= QUICK_BYTES


def recall_hash(path: Path, cache_dir: Path) -> str:
    """Return the SHA-256 of *path* if it is known or a matter of milliseconds, empty otherwise."""
    if is_quick(path):
        return hash_model(path)
    return _read(cache_dir / "checksums.json").get(_name(path), "")


def hash_model(path: Path, cache_dir: Path | None = None) -> str:
    """Return the SHA-256 of *path*, from *cache_dir* if the file has not changed since."""
    key = _name(path)
    store = cache_dir / "checksums.json" if cache_dir else None
    known = _read(store) if store else {}
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        if store and not is_quick(path):
            with suppress(OSError):  # of a full disk: then it is computed again the next time
                _write(store, known)
    return known[key]


def _name(path: Path) -> str:
    """Return what a checksum is remembered by."""
    stat = path.stat()
    return f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"


def _read(store: Path) -> dict[str, str]:
    try:
        found = json.loads(store.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(store: Path, known: dict[str, str]) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    draft = store.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(known, indent=1))
    draft.replace(store)
