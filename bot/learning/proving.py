"""The proofs of a finished adapter, over the engine that will serve it: what is served equals what was trained."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bot.engine.client import EngineClient
from bot.engine.files.checksum import hash_model
from bot.engine.files.gguf_header import read_header
from bot.errors import EngineBusy, EngineError, EngineUnavailable, UnknownModel
from bot.language import N_
from bot.learning import sentences
from bot.learning.atomic import reading
from bot.learning.examples import Example, Split
from bot.learning.plan import ADAPTER, ADAPTER_SCORES, BASE_SCORES, PROOF_TEXTS, Outcome, Plan, write_json
from bot.learning.proof.parity import Check, Measured, judge_adapter, judge_base, judge_trace
from bot.learning.proof.scores import load_scores, save_scores
from bot.learning.proof.served import Trial, score_served, try_adapter

SERVED_BASE = "served-base.npz"
TEXTS, LEAST_TOKENS, MOST_TOKENS = 8, 16, 256
TRIES = 5  # others' answers in the same batch change the last bits of a score: then it is tried again
QUIET_S, LOOK_S = 60.0, 0.5


def choose_texts(examples: Iterable[Example]) -> list[list[int]]:
    """Return a few conversations as token ids to compare models on, from what is not trained on first."""
    ranked = sorted(examples, key=lambda example: (example.split == Split.TRAIN, example.id))
    texts = [[*example.prompt_ids, *example.completion_ids][-MOST_TOKENS:] for example in ranked]
    return [text for text in texts if len(text) >= LEAST_TOKENS][:TEXTS]


async def prepare_proof(client: EngineClient, folder: Path, examples: Iterable[Example], *, base: str) -> None:
    """Write down the texts of the proofs and what the served base thinks of them, before anything is trained."""
    texts = choose_texts(examples)
    write_json(folder / PROOF_TEXTS, texts)
    save_scores(folder / SERVED_BASE, await score_served(client, texts, model=base))


async def prove(
    client: EngineClient, folder: Path, plan: Plan, outcome: Outcome, *, base: str, is_busy: Callable[[], bool]
) -> list[Check]:
    """Return P1 to P6; none after the first that fails is tried."""
    # Imported here: reading an adapter's file needs the gguf package of the training extra.
    from bot.learning.proof.adapter_file import judge_file
    from bot.learning.proof.export import Origin

    header = await asyncio.to_thread(read_header, Path(plan.model_path))
    with reading(folder / PROOF_TEXTS):
        texts = json.loads((folder / PROOF_TEXTS).read_text())
    trained_base, trained = load_scores(folder / BASE_SCORES), load_scores(folder / ADAPTER_SCORES)
    checks = [judge_base(load_scores(folder / SERVED_BASE), trained_base, base=header)]
    origin = Origin(plan.run_id, plan.base_sha256, plan.template_sha256, plan.dataset_sha256)
    adapter = folder / ADAPTER
    norms = outcome.weight_norms or {}
    checks.append(await asyncio.to_thread(judge_file, adapter, norms=norms, header=origin.values()))
    if not all(check.holds for check in checks):
        return checks
    sha256 = await asyncio.to_thread(hash_model, adapter)
    try:
        trial, is_quiet = await _try_quietly(client, texts, base=base, adapter=adapter, sha256=sha256, is_busy=is_busy)
    except (EngineUnavailable, EngineBusy, UnknownModel):
        raise  # an engine that is replaced says nothing about the adapter
    except EngineError as error:
        return [*checks, Check("P4 trial", holds=False, sentence=sentences.ENGINE_REFUSES.format(error=error))]
    tried = N_("The engine computed with it in a process of its own first.")
    checks.append(Check("P4 trial", holds=True, sentence=tried))
    checks += judge_adapter(Measured(trial.before, trained_base, trial.adapted, trained))
    trace = judge_trace(trial.before, trial.after)
    if not trace.holds and not is_quiet:
        sentence = N_("Others' answers were under way in every trial, so the base could not be compared bit by bit.")
        trace = Check("P6 trace", holds=True, sentence=sentence)
    return [*checks, trace]


async def _try_quietly(
    client: EngineClient,
    texts: Sequence[Sequence[int]],
    *,
    base: str,
    adapter: Path,
    sha256: str,
    is_busy: Callable[[], bool],
) -> tuple[Trial, bool]:
    """Try the adapter while nobody else asks, as far as that can be had; say whether it was so."""
    for _ in range(TRIES):
        waited = 0.0
        while is_busy() and waited < QUIET_S:
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S
        watcher = asyncio.create_task(_was_busy(is_busy))
        try:
            trial = await try_adapter(client, texts, base=base, adapter=adapter, sha256=sha256)
        finally:
            watcher.cancel()
            was_busy = any(await asyncio.gather(watcher, return_exceptions=True)) and not watcher.cancelled()
        if judge_trace(trial.before, trial.after).holds or not was_busy:
            return trial, not was_busy
    return trial, False


async def _was_busy(is_busy: Callable[[], bool]) -> bool:
    """Return True as soon as somebody asks; otherwise wait to be cancelled."""
    while not is_busy():  # noqa: ASYNC110 - a question, not an event
        await asyncio.sleep(LOOK_S / 10)
    return True
