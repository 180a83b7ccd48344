"""The steps of one run, from the first look at the data to the decision.

    queued -> collecting -> training -> proving -> judging -> done, or failed or cancelled with the reason

Each step leaves its result in the run folder or the run's row, so that a step that is done is not done again. The
engine serves what it served until the very last one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bot.engine.client import EngineClient
from bot.engine.files.checksum import hash_model
from bot.engine.machine.hardware import count_usable_cores
from bot.engine.types import ModelInfo
from bot.errors import LearningError
from bot.language import N_
from bot.learning import sentences
from bot.learning.channels import check_wants_own, go_to_all
from bot.learning.config import LearningConfig
from bot.learning.cross_validation import cross_validate
from bot.learning.data.build import build_dataset
from bot.learning.data.manifest import read_lineage
from bot.learning.data.report import DataReport, read_report
from bot.learning.erasing import check_goes_on, check_none_erased, save_report
from bot.learning.examples import Example, read_examples
from bot.learning.figures import Decision, RunReport, Verdict
from bot.learning.judging.evaluate import Evaluation, evaluate
from bot.learning.judging.gate import decide, declare
from bot.learning.mixture import Mixture, check_mixture, mix_with_everybodys, read_shared
from bot.learning.noting import Note
from bot.learning.permission import find_permission
from bot.learning.plan import ADAPTER, EXAMPLES, Outcome, Plan, Progress
from bot.learning.proving import SERVED_BASE, prepare_proof, prove
from bot.learning.reporting import Step, build_report, note_readers, read_run_report, row_of, write_page
from bot.learning.rollout.loading import PREFIX
from bot.learning.rollout.may_serve import check_may_serve, check_undecided
from bot.learning.rollout.serving import Rollout
from bot.learning.served_base import find_served_base
from bot.learning.starts import count_start
from bot.learning.tidying import drop_rest
from bot.learning.trainer_process import train
from bot.learning.training.recipe import choose_breadth, choose_recipe
from bot.learning.training_extra import check_training_extra
from bot.storage import adapters as adapter_store
from bot.storage import runs as store
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState, Run, RunState
from bot.storage.leases import wait_in_line
from bot.storage.tables import now

HOLD_S = 1.0
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

    def use_model(self, path: Path) -> None:
        """Learn for another file from the next run on."""
        self._config = replace(self._config, model_path=path)

    def is_held(self) -> bool:
        """Return whether the trainer has to hold still."""
        return self.is_paused or self._is_busy()

    async def perform(self, run_id: int) -> None:
        """Bring a run to its decision, or raise why there is none."""
        folder = self._config.run_folder(run_id)
        await asyncio.to_thread(count_start, folder)
        async with self._noting(run_id) as note:
            cache = self._config.folder.parent / "cache"
            base = await find_served_base(self._client, model_path=self._config.model_path, cache=cache, say=note.say)
        run = await self._begin(run_id, base)
        if run.report.get("decision"):  # it was decided when something stopped it
            await self._settle(run_id)
            return
        data = await self._collect(run, folder, base)
        step = Step(base, folder, data, run.started_at or now(), channel_id=run.channel_id)
        async with self._database.read() as session:
            await note_readers(session, step)
        if run.is_dry:
            await self._finish(run_id, await self._report(run_id, step))
            return
        plan = await self._plan(run, step)
        await self._enter(run_id, RunState.TRAINING)
        step.outcome = await self._train(run_id, folder)
        if not step.outcome.is_done:
            raise LearningError(step.outcome.reason)
        await self._judge(run_id, plan, step)
        await self._settle(run_id)

    async def _begin(self, run_id: int, base: ModelInfo) -> Run:
        """Return a run that begins or goes on; its base must be the one that it began with."""
        async with self._database.begin() as session:
            run = await session.get_one(Run, run_id)
            run.started_at = run.started_at or now()
            if run.base_sha256 and run.base_sha256 != base.sha256:
                now_hash, then_hash = str(base.sha256)[:12], run.base_sha256[:12]
                raise LearningError(sentences.OTHER_MODEL.format(now=base.id, now_hash=now_hash, then_hash=then_hash))
            await check_wants_own(session, run.channel_id)
            run.base_sha256 = base.sha256 or ""
            return run

    @asynccontextmanager
    async def _noting(self, run_id: int) -> AsyncIterator[Note]:
        """Note how far a step is while the block runs."""
        note = Note(self._database, run_id)
        try:
            yield note
        finally:
            await note.close()

    async def _enter(self, run_id: int, state: RunState) -> None:
        """Begin a step of a run that nobody has ended, as soon as nobody holds it, where training is allowed still."""
        while self.is_paused:  # noqa: ASYNC110 - a question, not an event
            await asyncio.sleep(HOLD_S)
        async with self._database.begin() as session:
            await check_goes_on(session, run_id)
            # Whoever said `train off` may have died before the run was ended, or it was queued in that very moment.
            permission = await find_permission(session, needs_one=self._config.needs_permission)
            if permission is None or self._config.off_by:  # or the bot was started anew with learning switched off
                raise LearningError(N_("Training was switched off before the run had ended."))
            await check_none_erased(session, run_id)
            await store.update_run(session, run_id, state=state, progress={})

    async def _collect(self, run: Run, folder: Path, base: ModelInfo) -> DataReport:
        data = await asyncio.to_thread(read_report, folder)
        if data is not None and (folder / SERVED_BASE).exists():
            return data
        await self._enter(run.id, RunState.COLLECTING)
        if data is None:
            breadth = self._config.breadth or choose_breadth(parameters=_count_parameters(base))
            policy = self._config.policy.for_channel(run.channel_id)
            async with self._noting(run.id) as note:
                data = await build_dataset(
                    self._database,
                    self._client,
                    folder,
                    policy=replace(policy, **asdict(breadth)),
                    base_model=base.id,
                    seed=run.seed,
                    system=self._system,
                    say=note.count,
                )
        async with self._database.begin() as session:
            await check_goes_on(session, run.id)  # somebody may have been forgotten, who is not to be named here
            await store.save_examples(session, run.id, read_lineage(folder))
            values = {"dataset_sha256": data.dataset_sha256, "template_sha256": data.template_sha256}
            await store.update_run(session, run.id, **values)
        await prepare_proof(self._client, folder, read_examples(folder / EXAMPLES), base=base.id)
        return data

    async def _plan(self, run: Run, step: Step) -> Plan:
        check_training_extra()
        base, data = step.base, step.data
        recipe = choose_recipe(parameters=_count_parameters(base), rows=data.sources, pairs=data.others_pairs)
        plan = Plan(
            run_id=str(run.id),
            model_path=str(self._config.model_path),
            training_base=str(self._config.training_base or ""),
            base_sha256=base.sha256 or "",
            template_sha256=data.template_sha256,
            dataset_sha256=data.dataset_sha256,
            recipe=replace(recipe, search=self._config.search),
            seed=run.seed,
            threads=self._config.threads or max(1, count_usable_cores() - 1),
            deadline=self._deadline(run, step),
            watts=self._config.watts,
        )
        await asyncio.to_thread(plan.write, step.folder)
        return plan

    def _deadline(self, run: Run, step: Step) -> float:
        """Return until when to train; a channel's turn may come when its night is over."""
        queued_at = run.created_at if run.channel_id else None
        until = self._config.deadline(step.started_at, trigger=run.trigger, queued_at=queued_at)
        if run.channel_id and until <= time.time():
            over = N_("The night was over before this channel's turn came; the next one tries again.")
            raise LearningError(over)
        return until

    async def drop_rest(self, run_id: int, *, is_cancelled: bool = False) -> None:
        """Remove what a run that has ended would have gone on from."""
        await asyncio.to_thread(drop_rest, self._config.run_folder(run_id), is_cancelled=is_cancelled)

    async def _train(self, run_id: int, folder: Path, where: str = "") -> Outcome:
        async def note(progress: Progress) -> None:
            async with self._database.begin() as session:
                values = asdict(progress) | {"phase": f"{where}{progress.phase}"}
                await store.update_run(session, run_id, progress=values)

        return await train(folder, is_busy=self.is_held, on_progress=note)

    async def _judge(self, run_id: int, plan: Plan, step: Step) -> None:
        """Prove, evaluate and decide; the decision is in the run's row before anything follows from it."""
        await self._enter(run_id, RunState.PROVING)
        adapter = await self._save_adapter(run_id, plan, step)
        step.adapter = adapter.name
        await self._rollout.loaded.make_room()
        outcome = step.outcome or Outcome(is_done=True)
        step.proofs = await prove(self._client, step.folder, plan, outcome, base=step.base.id, is_busy=self._is_busy)
        if adapter.mixed_with:
            step.proofs.append(await asyncio.to_thread(check_mixture, adapter, outcome))
        if not all(check.holds for check in step.proofs):
            failed = tuple(check.sentence for check in step.proofs if not check.holds)
            step.verdict = Verdict(Decision.REJECT, failed)
            await self._report(run_id, step)
            return
        await self._enter(run_id, RunState.JUDGING)
        examples = await asyncio.to_thread(lambda: list(read_examples(step.folder / EXAMPLES)))
        folds, training = self._config.folds, partial(self._train, run_id)
        step.crossed = await cross_validate(step.folder, plan, outcome, examples, most=folds, train=training)
        await self._rollout.loaded.follow()  # what is compared with must be served
        async with self._database.read() as session:
            active = await adapter_store.find_answering(session, step.channel_id)
            people = await adapter_store.count_people(session, since=now() - PEOPLE_TIME)
        incumbent = active.name if active is not None else ""
        await self._rollout.loaded.ensure_loaded(adapter)
        step.evaluation = await self._evaluate(run_id, plan, step, examples, incumbent=incumbent)
        figures = (*step.evaluation.figures, *step.crossed.figures)
        declared, limits = declare(examples), self._config.limits
        verdict = decide(figures, step.proofs, declared=declared, limits=limits, people=people)
        step.verdict = go_to_all(verdict) if step.channel_id else verdict
        await self._report(run_id, step, rows=[row_of(figure, incumbent) for figure in figures])

    async def _evaluate(
        self, run_id: int, plan: Plan, step: Step, examples: list[Example], *, incumbent: str
    ) -> Evaluation:
        shared = await read_shared(self._database, step.folder.parent) if step.channel_id else []
        async with self._noting(run_id) as note:
            return await evaluate(
                self._client,
                examples=examples,
                candidate=step.adapter,
                incumbent=incumbent or step.base.id,
                base=step.base.id,
                seed=plan.seed,
                say=note.say,
                system=self._system(now().astimezone().date()),
                pinned=self._config.folder.parent / "pinned.toml",
                adapter_bytes=(step.folder / ADAPTER).stat().st_size,
                shared=shared,
            )

    async def _save_adapter(self, run_id: int, plan: Plan, step: Step) -> Adapter:
        async with self._database.read() as session:
            known = await adapter_store.adapter_of_run(session, run_id)
        if known is not None:
            return known
        name, made = f"{PREFIX}{run_id}", Mixture(step.folder / ADAPTER)
        if step.channel_id:
            scale = self._config.channel_team_scale
            made = await mix_with_everybodys(
                self._database, step.folder, name=name, base_sha256=plan.base_sha256, scale=scale
            )
        sha256 = await asyncio.to_thread(hash_model, made.path)
        async with self._database.begin() as session:
            adapter = Adapter(
                run_id=run_id,
                name=name,
                path=str(made.path.resolve()),
                sha256=sha256,
                base_sha256=plan.base_sha256,
                channel_id=step.channel_id,
                mixed_with=made.mixed_with,
                state=AdapterState.BUILT,
                canary_share=0.0,
                watch={},
            )
            await check_may_serve(session, adapter)  # what is mixed into it may have been taken back meanwhile
            session.add(adapter)
            return adapter

    async def _report(self, run_id: int, step: Step, *, rows: Sequence[dict[str, Any]] = ()) -> RunReport:
        """Keep what there is to say about a run, with its decision; from here on it is not judged again."""
        step.waits, step.shadow_answers = self._config.veto_time, self._config.shadow_answers
        report = await asyncio.to_thread(build_report, run_id, step, price_per_kwh=self._config.price_per_kwh)
        report = await asyncio.to_thread(write_page, step.folder, report, unseen=step.unseen)
        async with self._database.begin() as session:
            adapter = await adapter_store.adapter_of_run(session, run_id)
            if adapter is not None:
                adapter_store.save_evaluations(session, adapter.id, rows)
            await save_report(session, run_id, report)
        return report

    async def _settle(self, run_id: int) -> None:
        """Do what the gate decided, once; the run is done only afterwards, so that a crash does the rest."""
        await self._enter(run_id, RunState.JUDGING)
        async with self._database.read() as session:
            report = read_run_report((await session.get_one(Run, run_id)).report)
            adapter = await adapter_store.adapter_of_run(session, run_id)
        if adapter is not None and adapter.state == AdapterState.BUILT:
            await self._follow_decision(adapter, Decision(report.decision), list(report.reasons))
        await self._finish(run_id, report)

    async def _follow_decision(self, adapter: Adapter, decision: Decision, reasons: list[str]) -> None:
        share = self._config.canary_share
        if decision is Decision.REJECT:
            await self._move(adapter, AdapterState.REJECTED, reasons)
            await self._rollout.loaded.unload(adapter.name)
        elif self._config.veto_time or self._config.shadow_answers:
            watch = {"decision": str(decision)}
            await self._move(adapter, AdapterState.WAITING, reasons, canary_share=share, watch=watch)
        elif decision is Decision.CANARY:
            await self._rollout.start_canary(adapter, share=share, by="gate", reasons=reasons)
        else:
            await self._rollout.promote(adapter.name, by="gate", reasons=reasons)

    async def _move(self, adapter: Adapter, state: AdapterState, reasons: list[str], **values: Any) -> None:
        async with self._database.begin() as session:
            await wait_in_line(session, adapter_store.QUEUE)
            fresh = await adapter_store.find_adapter(session, adapter.name)
            if fresh is not None:
                check_undecided(fresh, seen=adapter.state)
                await adapter_store.move_adapter(session, fresh, state, by="gate", reasons=reasons, **values)

    async def _finish(self, run_id: int, report: RunReport) -> None:
        async with self._database.begin() as session:
            await store.end_run(session, run_id, RunState.DONE, reason=report.outcome)


def _count_parameters(base: ModelInfo) -> int:
    """Return how many parameters the served model has; 0 where it does not say."""
    return int(str(base.meta.get("n_params") or 0))
