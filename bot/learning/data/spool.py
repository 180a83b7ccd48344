"""Examples on the disk while it is not yet known where each belongs: a data set need not fit into memory."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from bot.errors import LearningError
from bot.learning.examples import Example, dump_example, read_examples


class Spool:
    """A file beside the run's others; it is gone when the block ends."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f".{name}.draft"
        self.count = 0

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8")
        except OSError as error:
            raise _unwritable(self._path, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def add(self, example: Example) -> None:
        """Keep an example."""
        try:
            self._file.write(dump_example(example))
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self.count += 1

    def read(self) -> Iterator[Example]:
        """Yield what was kept, in its order."""
        self._file.flush()
        return read_examples(self._path)


def _unwritable(path: Path, error: OSError) -> LearningError:
    return LearningError(
        f"{path.parent} cannot be written ({error.strerror or error}): make room or give the bot the right to write."
    )
