"""Real runs over a real engine, stored in English, and told whole to an admin who reads Chinese."""

import asyncio
import json
import re
from dataclasses import asdict, replace
from errno import ENOMEM
from pathlib import Path
from typing import Any

import pytest

from bot.language import speaking
from bot.learning.figures import Decision, RunReport
from bot.learning.judging.declaring import FACTS
from bot.learning.judging.gate import GateLimits, decide
from bot.learning.proof.parity import Check
from bot.learning.reporting import SAID, read_run_report, report_of
from bot.learning.run import explain_os_error
from bot.learning.training.recipe import Breadth
from bot.slack.home.learned import build_learned
from bot.slack.home.steering import build_steering
from bot.slack.learning.figures import render_figures, render_proofs
from bot.slack.learning.report import build_report
from bot.slack.learning.words import render_adapters, render_status
from tests.engine.conftest import serving
from tests.learning.feedback_rows import Team
from tests.learning.run_rig import Loop, configure, opened, teach, write_brief_model

HIGH, LOW = 99.0, -99.0
ANYTHING = GateLimits(  # harmless is whatever a random model becomes, so that what it did learn is a benefit
    alpha=HIGH,
    least_facts=LOW,
    least_answers=LOW,
    least_auc=HIGH,
    liked_hard=HIGH,
    liked_soft=HIGH,
    knowledge_soft=HIGH,
    knowledge_hard=HIGH,
    refusals_soft=HIGH,
    refusals_hard=HIGH,
    flattery_soft=HIGH,
    flattery_hard=HIGH,
    flattery_said_hard=HIGH,
    bias_soft=HIGH,
    bias_hard=HIGH,
    length_low=0.0,
    length_high=HIGH,
    length_hard_low=0.0,
    length_hard_high=HIGH,
    drift_hard=HIGH,
    form_soft=HIGH,
    form_hard=HIGH,
    exposure_mean=HIGH,
    exposure_one=HIGH,
)
ENGLISH = re.compile(r"[A-Za-z]{3,} [a-z]{2,}|[A-Z][a-z]+\.")
QUOTED = re.compile(r"`[^`]*`|<[^>]*>|TRAINING_[A-Z_]+")


def english_in(said: Any) -> list[str]:
    """Return the lines with English sentences among the texts of some blocks; names of things may be English."""
    if isinstance(said, dict):
        return english_in([value for key, value in said.items() if key in {"text", "elements", "fields", "confirm"}])
    if isinstance(said, list):
        return [line for item in said for line in english_in(item)]
    return [line for line in str(said).splitlines() if ENGLISH.search(QUOTED.sub("", line))]


async def spend_a_night(tmp_path: Path, **changes: Any) -> tuple[RunReport, list[str]]:
    """Teach, run, and return what is stored of it, and what English the Home and the commands say of it in Chinese."""
    model = write_brief_model(tmp_path / "tiny.gguf")
    async with serving(model, n_ctx=512) as client, opened(f"sqlite+aiosqlite:///{tmp_path}/rows.db") as database:
        loop, team = Loop(database, client, configure(tmp_path, model, folds=2, **changes)), Team()
        for number in range(4):
            liked = team.ask("ada", f"What is in box {number}?", "Only old paper, as far as I know.")
            team.vote("bo", liked, up=number > 1)
            team.vote("cy", liked, up=number != 1)
        await teach(database, team=team)
        run_id = await loop.queue()
        await loop.runner.work_once()
        report = report_of(await loop.run(run_id))
        status, adapters = await loop.learning.status(), await loop.learning.adapters()
        with speaking("zh"):
            said = [
                *english_in(build_steering(status, [report], adapters, is_choice=False)),
                *english_in(build_learned(status, report)),
                *english_in([render_status(status), render_adapters(adapters)]),
            ]
    return report, said


def had_it_learned(report: RunReport) -> RunReport:
    """Return what would be stored of a run if every corrected question were known, by the gate's own decision.

    A random model says something else to a greeting after training by chance: no pinned question got lost here.
    """
    known = {"candidate": 1.0, "low": 0.8, "high": 1.0}
    changes: dict[str, dict[str, Any]] = {
        FACTS: {**known, "details": {"p": 1e-6, "without": 0.9}},
        "pinned": {"details": {"lost": 0.0}},
    }
    figures = [
        replace(figure, **{**change, "details": {**figure.details, **change["details"]}})
        if (change := changes.get(figure.metric))
        else figure
        for figure in report.figures
    ]
    proofs = [Check(*proof) for proof in report.proofs]
    verdict = decide(figures, proofs, declared=frozenset({FACTS}), limits=ANYTHING, people=3)
    better = replace(
        report,
        figures=tuple(figures),
        decision=str(verdict.decision),
        reasons=verdict.reasons,
        outcome=SAID[verdict.decision],
    )
    return read_run_report(json.loads(json.dumps(asdict(better))))


def check_chinese(report: RunReport) -> None:
    """Every sentence of a report, also of what a long one leaves to its page, is in Chinese, and no number is lost."""
    with speaking("zh"):
        blocks = build_report(report.for_reader_in(""), state="waiting")
        figures = [render_figures([figure]) for figure in report.figures]
        proofs = [render_proofs([(name, False, sentence)]) for name, _holds, sentence in report.proofs]
    asked = {text for item in report.before_after for text in (item.question, item.taught)}
    left = [line for line in english_in([blocks, figures, proofs]) if not any(text in line for text in asked)]
    assert left == []
    numbers = re.findall(r"\d+%|\d+\.\d+", " ".join(report.reasons))
    assert numbers
    assert all(number in str(blocks) for number in numbers)


@pytest.mark.timeout(300)
async def test_a_whole_report_is_said_in_chinese(tmp_path: Path) -> None:
    """A refused run and one that gets served: outcome, reasons, labels, what was left out, folds and proofs."""
    report, said_elsewhere = await spend_a_night(tmp_path, breadth=Breadth(4, 0.0))
    better = had_it_learned(report)

    assert (report.decision, better.decision) == (Decision.REJECT, Decision.PROMOTE), better.reasons
    assert report.cross_validation
    assert report.left_out
    check_chinese(report)
    check_chinese(better)
    assert said_elsewhere == []
    page = await asyncio.to_thread(Path(report.page).read_text)
    assert report.outcome in page, "the page stays in English, for whoever gets it"


def test_what_ended_a_run_is_said_in_chinese() -> None:
    """A run that failed says why and what can be done; what the machine itself said stays."""
    reason, mend = explain_os_error(OSError(ENOMEM, "Cannot allocate memory", "/data/runs/3"))
    with speaking("zh"):
        blocks = build_report(RunReport(run_id=3, outcome=reason, mend=mend, decision="failed"))

    assert "/data/runs/3: Cannot allocate memory." in str(blocks)
    assert "请腾出内存，然后重新开始训练。" in str(blocks)
