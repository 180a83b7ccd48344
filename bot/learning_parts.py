"""Puts the learning loop together from the settings: for the bot, and for `bot train` where no bot runs."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from pathlib import Path

from bot.engine.client import EngineClient
from bot.errors import ConfigError
from bot.learning.config import LearningConfig
from bot.learning.control import Learning
from bot.learning.data.policy import DataPolicy
from bot.learning.figures import RunReport
from bot.learning.judging.gate import GateLimits
from bot.learning.rollout.serving import Rollout
from bot.learning.rollout.shadow import Shadow
from bot.learning.rollout.watch import Event, Watch
from bot.learning.run import Runner
from bot.learning.steps import Steps
from bot.learning.window import Window
from bot.settings import Settings
from bot.storage.db import Database

LARGEST_LIMIT = 1000.0


@dataclass(frozen=True, slots=True)
class LearningParts:
    """The loop's parts: what people steer, what works, what serves, what watches."""

    learning: Learning
    runner: Runner
    rollout: Rollout
    watch: Watch


def build_learning(
    settings: Settings,
    database: Database,
    client: EngineClient,
    rollout: Rollout,
    *,
    model_path: Path | None,
    system: Callable[[date], str],
    is_busy: Callable[[], bool],
    hear: Callable[[RunReport], Awaitable[None]] | None,
    tell: Callable[[Event], Awaitable[None]],
    next_run: Callable[[], datetime | None],
) -> LearningParts:
    """Build the parts; nothing runs yet. *hear* gets the report of each run (None: another process tells),
    *tell* what the watch does.
    """
    config = read_config(settings, model_path)
    steps = Steps(database, client, rollout, config=config, system=system, is_busy=is_busy)
    runner = Runner(database, rollout, steps, hear=hear)
    learning = Learning(database, client, rollout, runner, config=config, system=system, next_run=next_run)
    shadow = Shadow(database, client, rollout.loaded, wanted=config.shadow_answers, patience=config.canary_time)
    watch = Watch(
        database,
        rollout,
        canary_time=config.canary_time,
        veto_time=config.veto_time,
        shadow=shadow if config.shadow_answers else None,
        tell=tell,
        is_off=bool(config.off_by),
    )
    return LearningParts(learning, runner, rollout, watch)


def read_config(settings: Settings, model_path: Path | None) -> LearningConfig:
    """Return the loop's configuration; raise *ConfigError* for a variable that cannot be read."""
    return LearningConfig(
        folder=(settings.data_dir / "learning").resolve(),
        model_path=model_path.resolve() if model_path else None,
        training_base=settings.training_base,
        off_by=settings.learning_off_by,
        needs_permission=not settings.is_playground,
        window=Window.parse(settings.training_window),
        threads=settings.training_threads,
        longest=timedelta(minutes=settings.training_max_minutes),
        search=settings.training_search,
        folds=settings.training_folds,
        watts=settings.training_watts,
        price_per_kwh=settings.training_price_per_kwh,
        canary_share=settings.canary_share,
        canary_time=timedelta(hours=settings.canary_hours),
        veto_time=timedelta(minutes=settings.veto_minutes),
        shadow_answers=settings.shadow_answers,
        channel_team_scale=settings.channel_team_scale,
        policy=read_policy(settings),
        limits=read_limits(settings.gate_limits, canary_from_people=settings.canary_from_people),
    )


def read_policy(settings: Settings) -> DataPolicy:
    """Return how a data set is made."""
    policy = DataPolicy() if settings.is_playground else DataPolicy().among_people()
    return replace(
        policy,
        least_points=settings.training_least_signal,
        needs_review=settings.review_before_training,
        uses_signs=settings.implicit_feedback,
    )


def read_limits(changes: Mapping[str, float], *, canary_from_people: int) -> GateLimits:
    """Return the gate's thresholds with *changes*; raise *ConfigError* for a name that it does not have."""
    known = {field.name for field in fields(GateLimits)} - {"canary_from_people"}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise ConfigError(f"GATE_LIMITS names {', '.join(unknown)}; the gate has {', '.join(sorted(known))}.")
    limits = replace(GateLimits(), **changes, canary_from_people=canary_from_people)
    for name in changes:
        value, most = getattr(limits, name), 1.0 if name.startswith("alpha") else LARGEST_LIMIT
        if not 0 <= value <= most:
            raise ConfigError(f"GATE_LIMITS: {name} is {value:g}, and must lie between 0 and {most:g}.")
    for low, high in _ordered(known):
        if getattr(limits, low) > getattr(limits, high):
            both = f"{low} ({getattr(limits, low):g}) is above {high} ({getattr(limits, high):g})"
            raise ConfigError(f"GATE_LIMITS: {both}; set both, or neither.")
    return limits


def _ordered(names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of thresholds of which the first may not be above the second."""
    yield from (("length_low", "length_high"), ("length_hard_low", "length_low"), ("length_high", "length_hard_high"))
    yield ("drift_warn", "drift_hard")
    for name in sorted(names):
        if name.endswith("_soft") and (hard := f"{name.removesuffix('_soft')}_hard") in names:
            yield name, hard
