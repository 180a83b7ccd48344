"""What can be asked and done about learning: one function each, for Slack's commands and buttons and for the CLI."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from bot.engine.client import EngineClient
from bot.engine.types import AnswerOptions
from bot.errors import EngineError, LearningError
from bot.language import N_, _
from bot.learning.channels import ask_for_own, check_wants_own, give_up_own, new_since
from bot.learning.config import LearningConfig
from bot.learning.data.export import Format, Survey, export_dataset, survey
from bot.learning.data.points import count_points
from bot.learning.figures import RunReport
from bot.learning.forgetting import CANCELLED, Forgotten, forget_everywhere
from bot.learning.permission import PAUSE, RESUME, find_permission, is_on_hold, take_back_permission
from bot.learning.reporting import find_shown_report, report_of
from bot.learning.rollout.loading import PREFIX
from bot.learning.rollout.may_serve import check_judged, check_not_tainted, check_nothing_came_of
from bot.learning.rollout.serving import Rollout
from bot.learning.run import Runner
from bot.learning.since import find_since
from bot.learning.training_extra import check_training_extra
from bot.learning.views import AdapterLine, LearningStatus, Why, check_on, list_adapters
from bot.learning.why import explain
from bot.storage import adapters as adapter_store
from bot.storage import runs as store
from bot.storage.audit import ALLOW, record
from bot.storage.channels import own_channels
from bot.storage.choices import CHANNEL, load_opted_out, newest_choice, save_choice
from bot.storage.db import Database
from bot.storage.learning_tables import AdapterState, RunState
from bot.storage.leases import wait_in_line
from bot.storage.preferences import choosable_adapters, let_choose, may_choose

COMPARE_TOKENS = 400
QUEUE = "learning-queue"


class Learning:
    """The learning loop as people steer it. Every method that changes something writes an audit row with *by*.

    What cannot be done raises *LearningError* whose sentence says why and what to do. *next_run* says when the clock
    starts the next run.
    """

    def __init__(
        self,
        database: Database,
        client: EngineClient,
        rollout: Rollout,
        runner: Runner,
        *,
        config: LearningConfig,
        system: Callable[[date], str],
        next_run: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        self._database = database
        self._client = client
        self._rollout = rollout
        self._runner = runner
        self._config = config
        self._system = system
        self._next_run = next_run

    async def status(self) -> LearningStatus:
        """Return how the learning is."""
        async with self._database.read() as session:
            permission = await find_permission(session, needs_one=self._config.needs_permission)
            run, last = await store.open_run(session), await store.last_run(session, channel_id="")
            is_paused = await is_on_hold(session)
            became = await find_since(session, report_of(last)) if last else ""
            since = await store.last_learned_at(session)
            channels = dict.fromkeys(await own_channels(session), "")
            served = await adapter_store.served_adapters(session)
            agreed = (await load_opted_out(session)).agreed
        answering = [adapter for adapter in served if not self._rollout.puts_aside(adapter)]
        common = {adapter.state: adapter for adapter in answering if not adapter.channel_id}
        active, canary = common.get(AdapterState.ACTIVE), common.get(AdapterState.CANARY)
        channels |= {adapter.channel_id: adapter.name for adapter in answering if adapter.channel_id}
        counted = await count_points(self._database, policy=self._config.policy, since=since)
        progress = run.progress if run else {}
        return LearningStatus(
            off_by=self._config.off_by,
            allowed_by=permission.by if permission else "",
            allowed_at=permission.at if permission else None,
            is_paused=is_paused,
            run_id=run.id if run else None,
            run_state=str(run.state) if run else "",
            run_channel=run.channel_id if run else "",
            is_run_dry=run.is_dry if run else False,
            phase=str(progress.get("phase", "")),
            step=int(progress.get("step", 0)),
            steps=int(progress.get("steps", 0)),
            active=active.name if active else "",
            canary=canary.name if canary else "",
            canary_share=canary.canary_share if canary else 0.0,
            put_aside=tuple(adapter.name for adapter in served if adapter not in answering),
            next_run=self._next_run() if not self._config.off_by and permission and not is_paused else None,
            points=counted.points,
            points_needed=counted.points_needed,
            last_run_id=last.id if last else None,
            is_last_dry=last.is_dry if last else False,
            last_outcome=(became or last.reason or str(last.state)) if last else "",
            last_mend=last.mend if last else "",
            last_ended_at=last.finished_at if last else None,
            agreed=len(agreed) if self._config.policy.needs_consent else None,
            channels=channels,
        )

    async def allow(self, *, by: str) -> None:
        """Keep that an admin acknowledged what training on the workspace's conversations means."""
        await self._record(ALLOW, by=by)

    async def forbid(self, *, by: str) -> None:
        """Take the permission back; a run under way is cancelled."""
        async with self._database.begin() as session:
            await take_back_permission(session, by=by)
        while await self._runner.cancel_open() is not None:
            pass

    async def request_run(self, *, by: str, trigger: str, is_dry: bool = False, channel_id: str = "") -> int:
        """Queue a run, everybody's or a channel's own, and return its number.

        *is_dry* builds the data set and its report only.
        """
        check_on(self._config.off_by)
        if not is_dry:
            check_training_extra()
        async with self._database.begin() as session:
            await wait_in_line(session, QUEUE)
            if await find_permission(session, needs_one=self._config.needs_permission) is None:
                raise LearningError(_("Nobody has allowed training yet: an admin can, with `/apprentice train on`."))
            await check_wants_own(session, channel_id)
            run = await store.open_run(session)
            if run is not None:
                sentence = _("Run {run} is under way ({state}); one at a time.")
                raise LearningError(sentence.format(run=run.id, state=run.state))
            run = await store.queue_run(session, trigger=trigger, by=by, is_dry=is_dry, channel_id=channel_id)
            record(session, "training.run", by=by, target=str(run.id), trigger=trigger, is_dry=is_dry)
            return run.id

    async def queue_channels(self, *, by: str, trigger: str) -> list[int]:
        """Queue a run for each channel that wants its own adapter and has said enough since the last; for after one
        for everybody, whose adapter is mixed in.
        """
        async with self._database.read() as session:
            since = {channel: await new_since(session, channel) for channel in await own_channels(session)}
        queued = []
        for channel, moment in since.items():
            policy = self._config.policy.for_channel(channel)
            if (await count_points(self._database, policy=policy, since=moment)).is_enough:
                async with self._database.begin() as session:
                    run = await store.queue_run(session, trigger=trigger, by=by, channel_id=channel)
                    record(session, "training.run", by=by, target=str(run.id), trigger=trigger, channel=channel)
                    queued.append(run.id)
        return queued

    async def cancel_run(self, *, by: str) -> int:
        """Cancel the run under way and return its number."""
        run_id = await self._runner.cancel_open(by=by)
        if run_id is None:
            raise LearningError(_("No run is under way."))
        async with self._database.read() as session:
            await check_nothing_came_of(session, run_id)
        return run_id

    async def pause(self, *, by: str) -> None:
        """Let no scheduled run begin, and hold the one under way still."""
        await self._record(PAUSE, by=by)
        await self._runner.look_at_hold()

    async def resume(self, *, by: str) -> None:
        """Undo *pause*."""
        await self._record(RESUME, by=by)
        await self._runner.look_at_hold()

    async def adapters(self) -> Sequence[AdapterLine]:
        """Return every adapter, newest first."""
        async with self._database.read() as session:
            return await list_adapters(session, puts_aside=self._rollout.puts_aside)

    async def report(self, name: str = "") -> RunReport:
        """Return the report of the run named by its number or its adapter's name; empty: the newest ended run's."""
        async with self._database.read() as session:
            run = await store.find_run(session, name) if name else await store.last_run(session)
        if run is None:
            unknown = _("There is no run {name}.").format(name=repr(name[:64]))
            raise LearningError(unknown if name else _("No run has ended yet."))
        if run.state not in {RunState.DONE, RunState.FAILED, RunState.CANCELLED}:
            sentence = _("Run {run} is under way ({state}); its report comes when it has ended.")
            raise LearningError(sentence.format(run=run.id, state=run.state))
        return await find_shown_report(self._database, run)

    async def reports(self, *, most: int) -> Sequence[RunReport]:
        """Return the reports of the newest runs for everybody that have ended, the newest first."""
        async with self._database.read() as session:
            return [report_of(run) for run in await store.recent_runs(session, most=most)]

    async def promote(self, name: str, *, by: str, seen: str = "") -> str:
        """Serve an adapter to everybody, or to its channel, from the next question on; return what it replaced.

        Refused if it is not any more in the state in which it was *seen* below a report; empty: in none.
        """
        async with self._database.read() as session:
            await check_judged(session, name)
        state = AdapterState(seen) if seen else None
        return await self._rollout.promote(name, by=by, reasons=[N_("Somebody decided so.")], seen=state)

    async def rollback(self, *, by: str, reason: str = "", name: str = "") -> tuple[str, str]:
        """Take back the canary, or else the active adapter, or just the one called *name* if it is served.

        Return what was taken back and what is served now. A *reason* that begins with a name means that adapter: a
        mistyped one must not take back another.
        """
        first, _blank, rest = reason.strip().partition(" ")
        if not name and (first.lower().startswith(PREFIX) or reason.strip().isdecimal()):
            name, reason = first, rest
        return await self._rollout.roll_back(by=by, reasons=[reason[:500] or N_("Somebody decided so.")], name=name)

    async def veto(self, name: str, *, by: str, reason: str = "") -> None:
        """Take out an adapter that waits for objections, or a canary, before everybody gets it."""
        await self._rollout.veto(name, by=by, reason=reason[:500] or N_("Somebody objected."))

    async def compare(
        self, question: str, names: Sequence[str] = (), *, channel_id: str = ""
    ) -> Sequence[tuple[str, str]]:
        """Return what the base and each named adapter (none named: those that are served) answer to *question*.

        A channel's own adapter may know what only its people could read: it answers in *channel_id* alone.
        """
        async with self._database.read() as session:
            named = [await adapter_store.find_adapter(session, name) for name in names]
            wanted = [adapter for adapter in named if adapter is not None]
            if len(wanted) < len(names):
                raise LearningError(_("Not every one of these adapters exists; `/apprentice adapters` names them all."))
            served = [one for one in await adapter_store.served_adapters(session) if not self._rollout.puts_aside(one)]
        for adapter in wanted:
            check_not_tainted(adapter)
            self._rollout.check_apart(adapter)
        if foreign := [adapter for adapter in wanted if adapter.channel_id not in {"", channel_id}]:
            sentence = _("{adapter} answers in its own channel only: compare it there.")
            raise LearningError(sentence.format(adapter=foreign[0].name))
        wanted = wanted or [adapter for adapter in served if adapter.channel_id in {"", channel_id}]
        base = (await self._client.models())[0].id
        answers = [("the base", await self._ask(base, question))]
        for adapter in wanted:
            async with self._rollout.loaded.lending(adapter):
                answers.append((adapter.name, await self._ask(adapter.name, question)))
        return answers

    async def _ask(self, model: str, question: str) -> str:
        system = self._system(datetime.now().astimezone().date())
        messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        options = AnswerOptions(model=model, temperature=0.0, max_tokens=COMPARE_TOKENS, scope="compare")
        return "".join([chunk.text async for chunk in self._client.chat(messages, options)])

    async def explain(self, answer_id: str) -> Why | None:
        """Return why an answer is as it is; None when it is not known."""
        async with self._database.read() as session:
            return await explain(session, answer_id)

    async def choose(self, kind: str, subject_id: str, *, is_allowed: bool, by: str) -> None:
        """Let a `person`'s or a `channel`'s words be learned from, or not."""
        async with self._database.begin() as session:
            await save_choice(session, kind=kind, subject_id=subject_id, is_allowed=is_allowed, by=by)
            record(session, "training.choice", by=by, target=f"{kind}:{subject_id}", is_allowed=is_allowed)
            if kind == CHANNEL and not is_allowed:
                await give_up_own(session, subject_id, by=by)

    async def choose_own(self, channel_id: str, *, is_wanted: bool, by: str) -> None:
        """Let a channel have an adapter of its own from the next runs on, or what everybody gets, at once."""
        async with self._database.begin() as session:
            await (ask_for_own if is_wanted else give_up_own)(session, channel_id, by=by)
            record(session, "training.own-adapter", by=by, target=channel_id, is_wanted=is_wanted)

    async def let_choose(self, *, is_allowed: bool, by: str) -> None:
        """Let people choose who answers them, or not; what they have chosen counts again when they may."""
        async with self._database.begin() as session:
            await let_choose(session, is_allowed=is_allowed, by=by)
            record(session, "adapter.choice", by=by, is_allowed=is_allowed)

    async def choosable(self) -> Sequence[str] | None:
        """Return the adapters that people may choose beside the base; None: admins do not let them."""
        async with self._database.read() as session:
            if not await may_choose(session):
                return None
        try:
            base = (await self._client.models())[0].sha256 or ""
        except EngineError:
            base = ""
        async with self._database.read() as session:
            found = await choosable_adapters(session, base_sha256=base)
        return [adapter.name for adapter in found if not self._rollout.puts_aside(adapter)]

    async def owes_training(self) -> bool:
        """Return whether what was served was taken back, for words that went, and nothing stands in its place yet."""
        async with self._database.read() as session:
            return await store.owes_training(session)

    def use_model(self, path: Path) -> None:
        """Learn for another file from now on: it is what the engine serves."""
        self._config = replace(self._config, model_path=path)
        self._runner.use_model(path)

    async def survey(self) -> Survey:
        """Return what a training would learn from now, and what it would leave out."""
        known: dict[str, Any] = {"policy": self._config.policy, "system": self._system}
        return await survey(self._database, **known, say=_say_nothing)

    async def export(self, form: Format) -> str:
        """Return the data set as JSON lines."""
        check_on(self._config.off_by)
        async with self._database.read() as session:
            permission = await find_permission(session, needs_one=self._config.needs_permission)
        known: dict[str, Any] = {"policy": self._config.policy, "system": self._system}
        is_allowed = permission is not None
        with StringIO() as file:
            await export_dataset(self._database, file, form=form, is_allowed=is_allowed, **known, say=_say_nothing)
            return file.getvalue()

    async def forget(self, user_id: str, *, by: str) -> Forgotten:
        """Delete all that is known of somebody; a run that has begun may have read their words, so it is cancelled."""
        await self._runner.cancel_open(reason=CANCELLED, is_begun=True)
        return await forget_everywhere(self._database, user_id, by=by, folder=self._config.folder)

    async def is_chosen(self, kind: str, subject_id: str) -> bool | None:
        """Return what was chosen for a person or a channel; None when nothing was."""
        async with self._database.read() as session:
            chosen = await newest_choice(session, kind=kind, subject_id=subject_id)
        return None if chosen is None else chosen.is_allowed

    async def learns_from(self, channel_id: str) -> bool:
        """Return whether a channel may be learned from; where people are real, nothing chosen means no."""
        chosen = await self.is_chosen(CHANNEL, channel_id)
        return not self._config.policy.needs_consent if chosen is None else chosen

    async def _record(self, action: str, *, by: str) -> None:
        async with self._database.begin() as session:
            record(session, action, by=by)


def _say_nothing(_phase: str, _done: int, _total: int) -> None:
    """Nobody watches the progress."""
