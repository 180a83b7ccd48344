"""What the bot and the trainer tell each other, as files of the run folder; each is there whole or not at all.

`plan.json` says what to train, `progress.json` how far it is, `outcome.json` how it ended; `pause` exists while the
trainer is to hold still. Neither side needs the other's libraries.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from bot.learning.atomic import reading, replacing

PLAN, PROGRESS, OUTCOME, PAUSE = "plan.json", "progress.json", "outcome.json", "pause"
EXAMPLES, STEPS, DATA_REPORT = "examples.jsonl", "steps.jsonl", "data.json"
MARGINS = "margins.json"  # of a fold, in place of an adapter
PEFT_FOLDER, ADAPTER, CHECKPOINTS = "adapter", "adapter.gguf", "checkpoints"
PROOF_TEXTS, BASE_SCORES, ADAPTER_SCORES = "proof-texts.json", "scores-base.npz", "scores-adapter.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train: LoRA's shape, rates and length; *preference* is `none`, `kto` or `dpo`, decided by the data."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    sft_rate: float = 2e-4
    epochs: float = 3.0
    batch_rows: int = 8
    warmup: float = 0.05
    schedule: str = "linear"
    weight_decay: float = 0.0
    patience: int = 3
    preference: str = "none"
    preference_rate: float = 5e-6
    preference_epochs: float = 1.0
    beta: float = 0.1
    shelter: float = 0.0  # how far LoRA keeps from what ordinary text uses: small is far, 0 is plain LoRA
    soft_rehearsal: float = 0.0  # weight of the base's whole distribution on rehearsal; 0: its greedy tokens
    is_four_bit: bool = False  # QLoRA: TRAINING_BASE in 4 bits, on a GPU
    search: int = 0  # how many recipes around this one may be tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One training: on what, from what, until when (*deadline* in seconds since 1970, 0: as long as it takes)."""

    run_id: str
    model_path: str
    base_sha256: str
    template_sha256: str
    dataset_sha256: str
    training_base: str = ""
    recipe: Recipe = Recipe()
    seed: int = 1
    threads: int = 1
    deadline: float = 0.0
    watts: float = 0.0  # what the machine draws, where nobody can measure it
    is_fold: bool = False  # of a cross-validation: judged by its test split, and no adapter is left

    def write(self, folder: Path) -> None:
        """Write the plan into a run folder."""
        write_json(folder / PLAN, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the plan in a run folder."""
        with reading(folder / PLAN):
            values = json.loads((folder / PLAN).read_text())
            return cls(**values | {"recipe": Recipe(**values["recipe"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a trainer is; *phase* is loading, sft, kto, dpo, searching, exporting or scoring."""

    phase: str = "loading"
    step: int = 0
    steps: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None
    is_paused: bool = False
    at: float = 0.0

    def write(self, folder: Path) -> None:
        """Write the progress into a run folder."""
        write_json(folder / PROGRESS, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the progress in a run folder; None before the first word."""
        found: Self | None = _read(cls, folder / PROGRESS)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a training ended: *is_done* with its result in the folder, or not, with the reason and the mend.

    *ended_by* is `end`, `early` (the validation loss rose), or `deadline`.
    """

    is_done: bool
    reason: str = ""
    ended_by: str = "end"
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    first_loss: float | None = None
    last_loss: float | None = None
    validation_loss: float | None = None
    peak_memory_mb: float = 0.0
    energy_kwh: float | None = None
    energy_source: str = ""
    recipe: Recipe = Recipe()
    notes: tuple[str, ...] = ()
    weight_norms: dict[str, float] | None = None  # of the adapted base weights, by GGUF name: P5 needs them

    def write(self, folder: Path) -> None:
        """Write the outcome into a run folder."""
        write_json(folder / OUTCOME, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the outcome in a run folder; None while the trainer works, or when it was killed."""
        found: Self | None = _read(cls, folder / OUTCOME)
        if found is None:
            return None
        with reading(folder / OUTCOME):
            recipe: Any = found.recipe
            own = Recipe(**recipe) if isinstance(recipe, dict) else recipe
            return replace(found, recipe=own, notes=tuple(found.notes))


def write_json(path: Path, values: Any) -> None:
    """Write *values* as JSON, complete or not at all."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")


def _read(kind: type[Any], path: Path) -> Any:
    with reading(path):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        known = {field.name for field in fields(kind)}
        return kind(**{name: value for name, value in values.items() if name in known})
