"""A run's report as `bot train` and `bot adapters show` print it, and a run that was stopped before it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bot.cli import cli
from bot.cli_learning import render
from bot.errors import LearningError
from bot.learning.figures import Figure, Role, RunReport
from bot.settings import load_settings
from bot.storage.learning_tables import Run
from bot.storage.runs import queue_run
from tests.learning.run_rig import opened


def test_a_report_in_a_terminal() -> None:
    """Outcome, reasons, figures as per cent with their intervals in points, proofs, and what was not measured."""
    facts = Figure(
        metric="f",
        label="facts",
        role=Role.BENEFIT,
        candidate=0.9,
        incumbent=0.0,
        n=20,
        low=0.75,
        high=1.0,
        unit="share",
    )
    length = Figure(metric="l", label="length", role=Role.GUARD, candidate=31.0, incumbent=33.0, n=48, unit="tokens")

    said = render(
        RunReport(
            run_id=7,
            outcome="It is better.",
            reasons=("Facts are said.",),
            figures=(facts, length),
            proofs=(("P1", False, "They differ."),),
            learned_from={"corrected answers": 20},
        )
    )

    assert said.splitlines() == [
        "Run 7: It is better.",
        "  because  Facts are said.",
        "  learned  20 corrected answers",
        "  FAILS  They differ.",
        "  facts: 0% -> 90%  (+75 points to +100 points)",
        "  length: 33 -> 31 tokens",
    ]


@pytest.mark.parametrize(
    ("stopped", "order", "goes_on"),
    [
        ({}, ["--dry-run"], "`bot train`"),
        ({}, ["--channel", "G1"], "`bot train`"),
        ({"is_dry": True}, [], "`bot train --dry-run`"),
        ({"channel_id": "G1"}, [], "`bot train --channel G1`"),
    ],
)
def test_a_run_that_was_stopped_goes_on_for_its_own_order_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: dict[str, Any], order: list[str], goes_on: str
) -> None:
    """`--dry-run` says “train nothing”, and trained and served what a bot had left."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ENGINE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("bot.logs.set_up_logging", lambda *_, **__: None)

    async def stop_one() -> None:
        async with opened(load_settings().database()) as database, database.begin() as session:
            await queue_run(session, trigger="slack", by="U1", **stopped)

    async def find_state() -> str:
        async with opened(load_settings().database()) as database, database.read() as session:
            return str((await session.get_one(Run, 1)).state)

    asyncio.run(stop_one())
    result = CliRunner().invoke(cli, ["train", *order])

    assert isinstance(result.exception, LearningError)
    assert f"so nothing was done: {goes_on} goes on with it" in str(result.exception)
    assert asyncio.run(find_state()) == "queued"
