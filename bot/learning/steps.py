"""The steps of one run, from the first look at the data to the decision.

    queued -> collecting -> training -> proving -> judging -> done, or failed or cancelled with the reason

Each step leaves its result in the run folder, so that a step that is done is not done again. The engine serves what it
served until the very last one.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from bot.engine.client import EngineClient
from bot.engine.files.checksum import hash_model
from bot.engine.types import ModelInfo
from bot.errors import EngineBusy, EngineUnavailable, LearningError
from bot.learning.config import LearningConfig
from bot.learning.data.build import build_dataset
from bot.learning.data.manifest import read_lineage
from bot.learning.data.report import DataReport, read_report
from bot.learning.examples import read_examples
from bot.learning.figures import Decision, Figure, Verdict
from bot.learning.judging.evaluate import evaluate
from bot.learning.judging.gate import decide, declare
from bot.learning.plan import ADAPTER, EXAMPLES, Outcome, Plan, Progress
from bot.learning.proving import SERVED_BASE, prepare_proof, prove, say_failures
from bot.learning.reporting import Step, build_report, write_page
from bot.learning.rollout.serving import PREFIX, Rollout
from bot.learning.trainer_process import train
from bot.learning.training.recipe import choose_recipe
from bot.learning.training_extra import check_training_extra
from bot.storage import adapters as adapter_store
from bot.storage import runs as store
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState, Run, RunState
from bot.storage.tables import now

LOOK_S = 1.0
ENGINE_PATIENCE_S = 600.0
PEOPLE_TIME = timedelta(days=30)


class Steps:
    """Performs runs; *is_busy* says whether people wait for answers, *system* is the assistant's prompt on a day."""

    def __init__(
        self,
        database: Database,
        client: EngineClient,
        rollout: Rollout,
        *,
        config: LearningConfig,
        system: Callable[[date], str],
        is_busy: Callable[[], bool],
    ) -> None:
        self._database = database
        self._client = client
        self._rollout = rollout
        self._config = config
        self._system = system
        self._is_busy = is_busy
        self.is_paused = False

    def is_held(self) -> bool:
        """Return whether the trainer has to hold still."""
        return self.is_paused or self._is_busy()

    async def perform(self, run_id: int) -> None:
        """Bring a run to its decision, or raise why there is none."""
        folder = self._config.run_folder(run_id)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        base = await self._served_base()
        async with self._database.begin() as session:
            run = await session.get_one(Run, run_id)
            run.started_at = run.started_at or now()
            started_at, is_dry, seed, by_clock = (
                run.started_at,
                run.is_dry,
                run.seed,
                run.trigger in {"schedule", "signal"},
            )
        data = await self._collect(run_id, folder, base, seed=seed)
        if is_dry:
            await self._finish(run_id, Step(base, folder, data, started_at))
            return
        plan = await self._plan(run_id, folder, base, data, seed=seed, until=self._deadline(started_at, by_clock))
        outcome = await self._train(run_id, folder)
        if not outcome.is_done:
            raise LearningError(outcome.reason)
        await self._judge(run_id, plan, outcome, Step(base, folder, data, started_at, outcome))

    async def _served_base(self) -> ModelInfo:
        """Return the served base, which must be the file that is trained on; wait for an engine that starts."""
        patience = time.monotonic() + ENGINE_PATIENCE_S
        while True:
            try:
                base = (await self._client.models())[0]
                if base.sha256:
                    break
            except (EngineUnavailable, EngineBusy, IndexError):
                if time.monotonic() > patience:
                    raise
            if time.monotonic() > patience:
                raise LearningError(
                    "The model's server does not say which file it serves: learning needs the bot's own engine."
                )
            await asyncio.sleep(LOOK_S)
        path = self._config.model_path
        if (
            path is None
            or await asyncio.to_thread(hash_model, path, self._config.folder.parent / "cache") != base.sha256
        ):
            raise LearningError(
                "The served model is not the file that MODEL_PATH names, and only a file at hand can be trained on: "
                "set MODEL_PATH to the very GGUF that the engine serves."
            )
        return base

    def _deadline(self, started_at: datetime, by_clock: bool) -> float:
        """Return until when it may train: the window's end for what began by itself."""
        latest = started_at + self._config.longest
        if by_clock:
            latest = min(latest, self._config.window.end_after(started_at.astimezone()))
        return latest.timestamp()

    async def _enter(self, run_id: int, state: RunState, **values: Any) -> None:
        async with self._database.begin() as session:
            await store.update_run(session, run_id, state=state, **values)

    async def _collect(self, run_id: int, folder: Path, base: ModelInfo, *, seed: int) -> DataReport:
        known = read_report(folder)
        if known is not None and (folder / SERVED_BASE).exists():
            return known
        await self._enter(run_id, RunState.COLLECTING, base_sha256=base.sha256 or "")
        data = await build_dataset(
            self._database,
            self._client,
            folder,
            policy=self._config.policy,
            base_model=base.id,
            seed=seed,
            system=self._system,
            say=self._note(run_id).count,
        )
        await prepare_proof(self._client, folder, read_examples(folder / EXAMPLES), base=base.id)
        async with self._database.begin() as session:
            await store.save_examples(session, run_id, read_lineage(folder))
            values = {"dataset_sha256": data.dataset_sha256, "template_sha256": data.template_sha256}
            await store.update_run(session, run_id, **values)
        return data

    async def _plan(
        self, run_id: int, folder: Path, base: ModelInfo, data: DataReport, *, seed: int, until: float
    ) -> Plan:
        check_training_extra()
        recipe = choose_recipe(parameters=int(str(base.meta.get("n_params") or 0)), rows=data.sources)
        recipe = replace(recipe, search=self._config.search)
        plan = Plan(
            run_id=str(run_id),
            model_path=str(self._config.model_path),
            training_base=str(self._config.training_base or ""),
            base_sha256=base.sha256 or "",
            template_sha256=data.template_sha256,
            dataset_sha256=data.dataset_sha256,
            recipe=recipe,
            seed=seed,
            threads=self._config.threads or max(1, (os.cpu_count() or 2) - 1),
            deadline=until,
            watts=self._config.watts,
        )
        plan.write(folder)
        return plan

    async def _train(self, run_id: int, folder: Path) -> Outcome:
        await self._enter(run_id, RunState.TRAINING)

        async def note(progress: Progress) -> None:
            async with self._database.begin() as session:
                await store.update_run(session, run_id, progress=asdict(progress))

        return await train(folder, is_busy=self.is_held, on_progress=note)

    def _note(self, run_id: int) -> "Note":
        return Note(self._database, run_id)

    async def _judge(self, run_id: int, plan: Plan, outcome: Outcome, step: Step) -> None:
        """Prove, evaluate, decide, and let people have it, or not."""
        await self._enter(run_id, RunState.PROVING)
        step.proofs = await prove(self._client, step.folder, plan, outcome, base=step.base.id, is_busy=self._is_busy)
        adapter = await self._save_adapter(run_id, plan, step.folder)
        if not all(check.holds for check in step.proofs):
            reason = str(say_failures(step.proofs))
            await self._settle(run_id, adapter, step, Verdict(Decision.REJECT, (reason,)))
            return
        await self._enter(run_id, RunState.JUDGING)
        examples = list(read_examples(step.folder / EXAMPLES))
        async with self._database.read() as session:
            active = await adapter_store.adapter_in(session, AdapterState.ACTIVE)
            people = await adapter_store.count_people(session, since=now() - PEOPLE_TIME)
        await self._rollout.ensure_loaded(adapter)
        step.evaluation = await evaluate(
            self._client,
            examples=examples,
            candidate=adapter.name,
            incumbent=active.name if active is not None else step.base.id,
            base=step.base.id,
            seed=plan.seed,
            say=self._note(run_id).say,
            system=self._system(now().astimezone().date()),
            pinned=self._config.folder.parent / "pinned.toml",
            adapter_bytes=(step.folder / ADAPTER).stat().st_size,
        )
        verdict = decide(
            step.evaluation.figures,
            step.proofs,
            declared=declare(examples),
            limits=self._config.limits,
            people=people,
        )
        async with self._database.begin() as session:
            rows = [_row_of(figure, active.name if active else "") for figure in step.evaluation.figures]
            adapter_store.save_evaluations(session, adapter.id, rows)
        await self._settle(run_id, adapter, step, verdict)

    async def _save_adapter(self, run_id: int, plan: Plan, folder: Path) -> Adapter:
        sha256 = await asyncio.to_thread(hash_model, folder / ADAPTER)
        async with self._database.begin() as session:
            known = await adapter_store.adapter_of_run(session, run_id)
            if known is None:
                known = Adapter(
                    run_id=run_id,
                    name=f"{PREFIX}{run_id}",
                    path=str((folder / ADAPTER).resolve()),
                    sha256=sha256,
                    base_sha256=plan.base_sha256,
                    state=AdapterState.BUILT,
                    canary_share=0.0,
                    watch={},
                )
                session.add(known)
            return known

    async def _settle(self, run_id: int, adapter: Adapter, step: Step, verdict: Verdict) -> None:
        """Do what the gate decided; the run is done only afterwards, so that a crash decides it again."""
        step.verdict, step.adapter = verdict, adapter.name
        if verdict.decision is Decision.REJECT:
            async with self._database.begin() as session:
                await adapter_store.move_adapter(
                    session, adapter, AdapterState.REJECTED, by="gate", reasons=verdict.reasons
                )
            await self._rollout.unload(adapter.name)
        elif self._config.veto_time:
            watch = {"decision": str(verdict.decision)}
            async with self._database.begin() as session:
                await adapter_store.move_adapter(
                    session,
                    adapter,
                    AdapterState.WAITING,
                    by="gate",
                    reasons=verdict.reasons,
                    canary_share=self._config.canary_share,
                    watch=watch,
                )
        elif verdict.decision is Decision.CANARY:
            share = self._config.canary_share
            await self._rollout.start_canary(adapter, share=share, by="gate", reasons=verdict.reasons)
        elif adapter.state != AdapterState.ACTIVE:
            await self._rollout.promote(adapter.name, by="gate", reasons=verdict.reasons)
        await self._finish(run_id, step)

    async def _finish(self, run_id: int, step: Step) -> None:
        report = await asyncio.to_thread(build_report, run_id, step, price_per_kwh=self._config.price_per_kwh)
        report = await asyncio.to_thread(write_page, step.folder, report)
        async with self._database.begin() as session:
            await store.update_run(session, run_id, report=asdict(report))
            await store.end_run(session, run_id, RunState.DONE, reason=report.outcome)


class Note:
    """Says in a run's row how far it is, at most once a second."""

    def __init__(self, database: Database, run_id: int) -> None:
        self._database = database
        self._run_id = run_id
        self._writing: asyncio.Task[None] | None = None

    def say(self, phase: str) -> None:
        """Note what is done now."""
        self.count(phase, 0, 0)

    def count(self, phase: str, done: int, total: int) -> None:
        """Note what is done now, and how much of it."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write({"phase": phase, "step": done, "steps": total}))

    async def _write(self, progress: dict[str, Any]) -> None:
        async with self._database.begin() as session:
            await store.update_run(session, self._run_id, progress=progress)
        await asyncio.sleep(1)


def _row_of(figure: Figure, incumbent: str) -> dict[str, Any]:
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
