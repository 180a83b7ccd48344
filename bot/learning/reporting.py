"""What is said about a run when it has ended: one report for Slack, the page, the CLI and the database."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bot.engine.types import ModelInfo
from bot.errors import LearningError
from bot.language import N_
from bot.learning import sentences
from bot.learning.atomic import replacing
from bot.learning.cross_validation import CrossValidation
from bot.learning.data.report import DataReport
from bot.learning.figures import BeforeAfter, Decision, Figure, Role, RunReport, Verdict
from bot.learning.judging.evaluate import Evaluation
from bot.learning.plan import Outcome
from bot.learning.proof.parity import Check
from bot.learning.report_page import build_page
from bot.learning.since import find_since
from bot.storage.channels import is_private
from bot.storage.db import Database, Session
from bot.storage.learning_tables import Run, RunState
from bot.storage.preferences import find_unseen
from bot.storage.tables import now

CURVES, DATA_PICTURE, PAGE = "curves.png", "data.png", "report.html"

log = logging.getLogger(__name__)
SAID = {
    Decision.PROMOTE: N_("The new adapter is better and answers everybody from now on."),
    Decision.CANARY: N_("The new adapter is better on what it was tested on; some people get it first."),
    Decision.REJECT: N_("The new adapter was not good enough, so I did not put it to use."),
}
EARLIER_REFUSAL = N_("The new adapter was not good enough and is not used. Nothing has changed.")  # rows may keep it


@dataclass(slots=True)
class Step:
    """What is known about a run so far."""

    base: ModelInfo
    folder: Path
    data: DataReport
    started_at: datetime
    outcome: Outcome | None = None
    proofs: list[Check] = field(default_factory=list)
    evaluation: Evaluation | None = None
    crossed: CrossValidation = field(default_factory=CrossValidation)
    verdict: Verdict | None = None
    adapter: str = ""
    channel_id: str = ""  # whose own adapter it is to be; empty: everybody's
    is_private: bool = False
    unseen: Collection[str] = ()  # of whose words nothing is shown
    waits: timedelta = timedelta(0)  # for objections, before what is better is served
    shadow_answers: int = 0  # which it gives in shadow before that


async def note_readers(session: Session, step: Step) -> None:
    """Note what of a run's words not everybody who reads of it may see."""
    step.is_private = await is_private(session, step.channel_id)
    step.unseen = await find_unseen(session)


def build_report(run_id: int, step: Step, *, price_per_kwh: float) -> RunReport:
    """Return the report of a run that came to its decision, or of a dry one."""
    outcome, evaluation = step.outcome or Outcome(is_done=False), step.evaluation
    ended, energy = now(), add_energy(outcome.energy_kwh, step.crossed.energy_kwh)
    picture = step.folder / CURVES
    data_picture = step.folder / DATA_PICTURE
    return RunReport(
        run_id=run_id,
        channel_id=step.channel_id,
        is_private=step.is_private,
        adapter=step.adapter,
        outcome=say_outcome(step),
        decision=str(step.verdict.decision) if step.verdict else "",
        reasons=step.verdict.reasons if step.verdict else (),
        learned_from=step.data.learned_from,
        left_out=step.data.left_out,
        figures=(*(evaluation.figures if evaluation else ()), *step.crossed.figures),
        cross_validation=step.crossed.sentence,
        proofs=tuple((check.name, check.holds, check.sentence) for check in step.proofs),
        before_after=tuple(evaluation.before_after) if evaluation else (),
        seconds=(ended - step.started_at).total_seconds(),
        train_seconds=outcome.seconds,
        tokens_per_second=outcome.tokens_per_second,
        peak_memory_mb=outcome.peak_memory_mb,
        energy_kwh=energy,
        energy_source=outcome.energy_source,
        price=say_price(energy, price_per_kwh),
        picture=str(next((path for path in (picture, data_picture) if path.exists()), "")),
        base=step.base.id,
        base_sha256=step.base.sha256 or "",
        dataset_sha256=step.data.dataset_sha256,
        started_at=step.started_at.isoformat(),
        finished_at=ended.isoformat(),
    )


def say_outcome(step: Step) -> str:
    """Say in a sentence what became of a run."""
    if step.verdict is None:
        return N_("A dry run: this is what would be learned from.")
    is_better = step.verdict.decision is not Decision.REJECT
    if step.shadow_answers and is_better:
        return sentences.BETTER_IN_SHADOW.format(count=step.shadow_answers)
    if step.waits and is_better:
        minutes = round(step.waits.total_seconds() / 60)
        return sentences.BETTER_AND_WAITS.format(minutes=minutes)
    if step.channel_id and step.verdict.decision is Decision.PROMOTE:
        return N_("The channel's new adapter is better and answers everybody there from now on.")
    return SAID[step.verdict.decision]


def add_energy(energy_kwh: float | None, folds_kwh: float) -> float | None:
    """Return what the training and its folds took together, where it is known."""
    return None if energy_kwh is None else energy_kwh + folds_kwh


def say_price(energy_kwh: float | None, price_per_kwh: float) -> str:
    """Say what the energy cost, where both are known."""
    if energy_kwh is None or not price_per_kwh:
        return ""
    return sentences.PRICE.format(price=energy_kwh * price_per_kwh, each=price_per_kwh)


def write_page(folder: Path, report: RunReport, *, unseen: Collection[str] = ()) -> RunReport:
    """Write the run's page into its folder, without a private channel's words, and return the report that names it.

    Those of whom nothing shall be seen are left out as well.

    Where the disk takes none there is none: what was trained all night counts without it.
    """
    curves, data = (path.read_bytes() if path.exists() else None for path in (folder / CURVES, folder / DATA_PICTURE))
    page = folder / PAGE
    shown = report.for_reader_in("").without_words_of(unseen)
    try:
        with replacing(page) as draft:
            draft.write_text(build_page(shown, picture=curves, data_picture=data), encoding="utf-8")
    except LearningError as error:
        log.warning("learning: run %d has no page: %s", report.run_id, error)
        return report
    return replace(report, page=str(page))


def report_of(run: Run) -> RunReport:
    """Return what there is to say about a run, from its row; a failed one has its reason and mend."""
    empty = RunReport(run_id=run.id, channel_id=run.channel_id, is_private=bool(run.channel_id))
    report = read_run_report(run.report) if run.report else empty
    if run.report and run.state == RunState.DONE:
        return report
    return replace(
        report,
        outcome=run.reason,
        decision=str(run.state),
        mend=run.mend,
        reasons=(),
        started_at=run.started_at.isoformat() if run.started_at else "",
        finished_at=run.finished_at.isoformat() if run.finished_at else "",
    )


async def find_shown_report(database: Database, run: Run) -> RunReport:
    """Return what is shown of a run by now: no words of whoever wants none of theirs to be seen."""
    async with database.read() as session:
        unseen = await find_unseen(session)
        report = report_of(run).without_words_of(unseen)
        since = await find_since(session, report)
    return replace(report, outcome=since or report.outcome)


def row_of(figure: Figure, incumbent: str) -> dict[str, Any]:
    """Return a figure as a row of the database."""
    return {
        "incumbent": incumbent,
        "metric": figure.metric,
        "role": str(figure.role),
        "candidate_value": figure.candidate,
        "incumbent_value": figure.incumbent,
        "low": figure.low,
        "high": figure.high,
        "n": figure.n,
    }


def read_run_report(values: Mapping[str, Any]) -> RunReport:
    """Return the report that was stored as JSON."""
    known = {item.name for item in fields(RunReport)}
    kept = {name: value for name, value in values.items() if name in known}
    kept["figures"] = tuple(Figure(**figure | {"role": Role(figure["role"])}) for figure in kept.get("figures", ()))
    kept["before_after"] = tuple(BeforeAfter(**item) for item in kept.get("before_after", ()))
    kept["proofs"] = tuple((name, holds, sentence) for name, holds, sentence in kept.get("proofs", ()))
    kept["reasons"] = tuple(kept.get("reasons", ()))
    return RunReport(**kept)
