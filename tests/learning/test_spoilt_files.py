"""Files of a run that something changed: whoever reads them names the file, instead of an error that nobody foresaw."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bot.errors import LearningError
from bot.learning.data.manifest import read_lineage
from bot.learning.data.report import MANIFEST, read_report
from bot.learning.examples import read_examples
from bot.learning.plan import BASE_SCORES, DATA_REPORT, EXAMPLES, OUTCOME, PLAN, PROGRESS, Outcome, Plan, Progress
from bot.learning.proof.scores import load_scores

READERS: dict[str, Callable[[Path], object]] = {
    DATA_REPORT: read_report,
    MANIFEST: lambda folder: list(read_lineage(folder)),
    EXAMPLES: lambda folder: list(read_examples(folder / EXAMPLES)),
    PLAN: Plan.read,
    PROGRESS: Progress.read,
    OUTCOME: Outcome.read,
    BASE_SCORES: lambda folder: load_scores(folder / BASE_SCORES),
}


@pytest.mark.parametrize("content", [b"[]", b"{}", b"null", b"[[1]]", b"{ torn", b"\xff\xfe", b"PK\x03\x04"])
@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_something_else_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    """Whatever became of it: a list, nothing, half of it, bytes."""
    (tmp_path / name).write_bytes(content)
    if (name, content) == (PROGRESS, b"{}"):  # every field of it has a value of its own
        assert Progress.read(tmp_path) == Progress()
        return
    with pytest.raises(LearningError, match=f"{tmp_path / name} is not what was written there .*Start a run again"):
        READERS[name](tmp_path)
