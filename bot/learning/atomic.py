"""Files that are there completely or not at all, whatever stops who writes them; and what became of them since."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from bot.errors import LearningError
from bot.learning import sentences


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a draft beside *path* that takes its place, safe on the disk, when the block ends without an error."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        _flush(draft)
        draft.replace(path)
        _flush(path.parent)
    except OSError as error:
        raise LearningError(
            f"{path} cannot be written ({error.strerror or error}): make room or give the bot the right to write there."
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Read what was written to *path*; *LearningError* names it where it is something else now."""
    try:
        yield
    except (LearningError, OSError):  # whoever looks for what the system says names the file as well
        raise
    except Exception as error:
        raise LearningError(sentences.SPOILT.format(path=path, error=type(error).__name__)) from error


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """Yield what is written to: a pipe or device as it is, or a file that is whole or not there."""
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8") as file:
            yield file
    else:
        with replacing(path) as draft, draft.open("w", encoding="utf-8") as file:
            yield file


def _flush(path: Path) -> None:
    """Wait until what the system holds of a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
