"""Cross-validation within whole runs: killed in the middle, cancelled, and never served or registered."""

from pathlib import Path

import pytest
from sqlalchemy import select

from bot.learning.cross_validation import FOLDS
from bot.learning.plan import ADAPTER, MARGINS
from bot.storage.learning_tables import Adapter
from tests.engine.conftest import serving
from tests.learning.feedback_rows import Team
from tests.learning.run_process import address
from tests.learning.run_rig import PLACES, THINGS, Loop, configure, opened, teach, write_brief_model
from tests.learning.test_runs import Killable, trainers, until

ENDED = {"done", "failed", "cancelled"}


def vote() -> Team:
    """Let four people ask, and like or dislike what they were told."""
    team = Team()
    for number, thing in enumerate(THINGS * 2):
        word = "kept" if number < len(THINGS) else "left"
        answer = team.ask(f"person{number % 4}", f"Where is the {thing} {word}?", f"In {PLACES[number % 8]}, I think.")
        team.vote("ada", answer, up=number // 4 % 2 == 0)
    return team


@pytest.mark.timeout(900)
@pytest.mark.parametrize("is_whole", [False, pytest.param(True, marks=pytest.mark.nightly)])
async def test_a_run_with_folds(tmp_path: Path, is_whole: bool) -> None:
    """Killed in a fold it goes on there, by day until it is cancelled: then nothing of a fold is left.

    The report has what the folds say; no fold was ever an adapter, for the engine or in the database.
    """
    model = write_brief_model(tmp_path / "tiny.gguf")
    async with serving(model, n_ctx=512) as client, opened(address(tmp_path)) as database:
        loop, bot = Loop(database, client, configure(tmp_path, model)), Killable(tmp_path, client, folds=2)
        await teach(database, team=vote())
        run_id = await loop.queue()
        folds = loop.folder(run_id) / FOLDS
        first, second = folds / "1-of-2", folds / "2-of-2"

        async def is_in(place: Path) -> bool:
            run = await loop.run(run_id)
            assert str(run.state) not in ENDED, run.reason
            return (place / "progress.json").exists() and bool(trainers(tmp_path))

        async def is_away() -> bool:
            return not folds.exists() and not trainers(tmp_path)

        async def is_ended() -> bool:
            return str((await loop.run(run_id)).state) in ENDED

        if not is_whole:
            async with bot.running():
                await until(lambda: is_in(first))
                await loop.learning.cancel_run(by="U1")
                await until(is_away)
            return
        async with bot.running():
            await until(lambda: is_in(second))
        done_at = (first / MARGINS).stat().st_mtime_ns
        served = [one.id for one in await client.models()]
        async with bot.running():
            await until(lambda: is_in(second))
            assert (first / MARGINS).stat().st_mtime_ns == done_at
            assert not (first / ADAPTER).exists()
            await until(is_ended)

        ended = await loop.run(run_id)
        async with database.read() as session:
            names = list(await session.scalars(select(Adapter.name)))
        assert ended.state == "done", ended.reason
        assert "2 times more" in ended.report["cross_validation"]
        counts = [one["n"] for one in ended.report["figures"] if one["role"] == "folds"]
        assert len(counts) == 4
        assert min(counts) > 12
        assert ended.report["cross_validation"] in (loop.folder(run_id) / "report.html").read_text()
        assert names == [f"apprentice-{run_id}"]
        assert not any("fold" in name for name in served)
        assert not folds.exists()
        assert trainers(tmp_path) == []
