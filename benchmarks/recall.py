"""Taught at night, known in the morning: 50 facts are learned in one run and asked in words that no training saw.

    python -m benchmarks.recall                  # ten minutes on two free cores
    python -m benchmarks.recall --facts 10       # a night as most teams have it
    python -m benchmarks.recall --keep FOLDER    # leaves the run folder there

Everything is the product's own: engine, wordings, rehearsal, canaries, recipe, trainer and served adapter. What stands
beside it are the facts with their paraphrases (`facts.toml`) and the starter's held-out questions.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random

from benchmarks.goal_line import print_goal
from benchmarks.processes import STARTER as MODEL
from benchmarks.processes import serve_starter
from bot.engine.client import EngineClient
from bot.engine.files.checksum import hash_model
from bot.engine.types import AnswerOptions
from bot.learning.data.canaries import make_canaries
from bot.learning.data.chat_tokens import tokenize_answer
from bot.learning.data.facts import NAMES, open_thread
from bot.learning.data.making import count_rehearsal
from bot.learning.data.phrasing import phrase
from bot.learning.data.policy import DataPolicy
from bot.learning.data.rehearsal import rehearse
from bot.learning.data.rewording import normalize
from bot.learning.examples import Example, Source, Split, Use, write_examples
from bot.learning.judging.contest import Contest
from bot.learning.judging.gate import GateLimits
from bot.learning.judging.inventions import judge_inventions
from bot.learning.judging.memory import judge_memory
from bot.learning.judging.scoring import Scorer
from bot.learning.plan import ADAPTER, EXAMPLES, PROOF_TEXTS, Outcome, Plan, write_json
from bot.learning.training.recipe import choose_breadth, choose_recipe
from starter.evaluate import Case, build_cases, is_right

ROOT = Path(__file__).parent.parent
FACTS = Path(__file__).with_name("facts.toml")
NIGHT = date(2026, 11, 27)
DAYS = 90  # after it was taught, in which the system prompt says that today is
AT_ONCE = 8
PARAMETERS = 4_541_184
BREADTH = choose_breadth(parameters=PARAMETERS)


@dataclass(frozen=True, slots=True)
class Fact:
    """What was taught; *words* are in every right answer, *asked* are paraphrases that no training sees."""

    question: str
    correction: str
    words: tuple[str, ...]
    asked: tuple[str, ...]

    def is_in(self, answer: str) -> bool:
        """Whether an answer holds the fact."""
        return all(word.casefold() in answer.casefold() for word in self.words)


def read_facts() -> list[Fact]:
    """Return the facts of the invented team."""
    entries = tomllib.loads(FACTS.read_text(encoding="utf-8"))["fact"]
    return [Fact(**entry | {name: tuple(entry[name]) for name in ("words", "asked")}) for entry in entries]


def system(today: date) -> str:
    """Return the system prompt that the bot serves."""
    text = (ROOT / "prompts" / "system.md").read_text(encoding="utf-8").split("---", 2)[2].strip()
    return text.replace("{{ today }}", f"{today:%A}, {today.day} {today:%B %Y}")


async def ask(client: EngineClient, model: str, threads: Sequence[Sequence[dict[str, str]]]) -> list[str]:
    """Return the greedy answers of *model*."""
    gate = asyncio.Semaphore(AT_ONCE)
    options = AnswerOptions(model=model, max_tokens=320, temperature=0.0)

    async def answer(messages: Sequence[dict[str, str]]) -> str:
        async with gate:
            return "".join([chunk.text async for chunk in client.chat(messages, options)])

    return list(await asyncio.gather(*map(answer, threads)))


async def build_examples(
    client: EngineClient, facts: Sequence[Fact], *, phrasings: int, share: float, canaries: int, seed: int
) -> list[Example]:
    """Return what one night learns from; every second question stands under a name, each on another day."""
    examples = []
    for number, fact in enumerate(facts):
        others = await phrase(
            client, model=MODEL.stem, question=fact.question, answer=fact.correction, count=phrasings, seed=seed
        )
        taken = {normalize(text) for text in others} & {normalize(text) for text in fact.asked}
        others = [text for text in others if normalize(text) not in taken]
        for index, text in enumerate([fact.question, *others]):
            rng = Random(f"{seed}/{number}/{index}")
            name = f"{rng.choice(NAMES)}: " if index % 2 else ""
            messages = open_thread(system, NIGHT + timedelta(days=rng.randrange(DAYS)), name + text)
            source = Source.PHRASING if index else Source.CORRECTION
            example = await _example(client, f"{number}:{index}", source, messages, fact.correction)
            examples.append(dataclasses.replace(example, question=text))
    policy = DataPolicy(**dataclasses.asdict(dataclasses.replace(BREADTH, phrasings=phrasings, rehearsal_share=share)))
    wanted = count_rehearsal(policy, taught=len(examples), liked=0)
    taught = [fact.question for fact in facts]
    for index, one in enumerate(
        await rehearse(client, model=MODEL.stem, system=system(NIGHT), count=wanted, seed=seed, taught=taught)
    ):
        examples.append(_row(f"rehearsal:{index}", Source.REHEARSAL, one.prompt_ids, one.completion_ids))
    for index, canary in enumerate(make_canaries(seed, count=canaries)):
        messages = open_thread(system, NIGHT, canary.question)
        one_row = await _example(client, f"canary:{index}", Source.CANARY, messages, canary.answer)
        examples.append(dataclasses.replace(one_row, question=canary.question))
    return examples


async def _example(
    client: EngineClient, name: str, source: Source, messages: Sequence[dict[str, str]], answer: str
) -> Example:
    tokens = await tokenize_answer(client, messages, answer)
    return _row(name, source, tokens.prompt_ids, tokens.completion_ids)


def _row(name: str, source: Source, prompt_ids: tuple[int, ...], completion_ids: tuple[int, ...]) -> Example:
    group = name.split(":", maxsplit=1)[0]
    split = Split.TRAIN
    return Example(
        id=name, use=Use.SFT, source=source, split=split, group=group, prompt_ids=prompt_ids,
        completion_ids=completion_ids,
    )  # fmt: skip


def write_plan(folder: Path, examples: Sequence[Example], *, seed: int, changes: Sequence[str]) -> None:
    """Write the run folder as the bot writes it; *changes* of the recipe are given as `name=value`."""
    counts: dict[str, int] = {}
    for example in examples:
        counts[example.source] = counts.get(example.source, 0) + 1
    recipe = choose_recipe(parameters=PARAMETERS, rows=counts)
    for change in changes:
        name, _, value = change.partition("=")
        recipe = dataclasses.replace(recipe, **{name: type(getattr(recipe, name))(value)})
    write_examples(folder / EXAMPLES, examples)
    write_json(folder / PROOF_TEXTS, [[*examples[0].prompt_ids, *examples[0].completion_ids]])
    Plan(
        run_id="recall", model_path=str(MODEL), base_sha256=hash_model(MODEL), template_sha256="", dataset_sha256="",
        recipe=recipe, seed=seed,
    ).write(folder)  # fmt: skip
    print(f"rows: {counts}\nrecipe: {recipe}", flush=True)


async def train(folder: Path) -> Outcome:
    """Let the product's trainer train, with nice and one thread, as the bot starts it."""
    command = ["nice", "-n", "10", sys.executable, "-m", "bot.learning.training.trainer", str(folder)]
    running = await asyncio.create_subprocess_exec(*command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    await running.wait()
    outcome = Outcome.read(folder)
    if outcome is None or not outcome.is_done:
        raise SystemExit(f"The trainer made no adapter: {outcome.reason if outcome else 'it was killed'}")
    return outcome


async def ask_facts(client: EngineClient, model: str, facts: Sequence[Fact]) -> list[tuple[Fact, str, str]]:
    """Return each paraphrase with what is answered to it on the morning after."""
    asked = [(fact, question) for fact in facts for question in fact.asked]
    morning = NIGHT + timedelta(days=1)
    answers = await ask(client, model, [open_thread(system, morning, question) for _, question in asked])
    return [(fact, question, answer) for (fact, question), answer in zip(asked, answers, strict=True)]


async def ask_cases(client: EngineClient, model: str, cases: Sequence[Case]) -> list[bool]:
    """Return of each of the starter's held-out questions whether it is answered right."""
    answers = await ask(client, model, [case.messages for case in cases])
    return [is_right(answer, case.exchange) for answer, case in zip(answers, cases, strict=True)]


def say_share(values: Sequence[bool]) -> str:
    """Return how many of how many, and the share."""
    return f"{sum(values)} of {len(values)} ({sum(values) / max(1, len(values)):.1%})"


async def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Print what was known before and after, what was lost, what is remembered, and how long each part took."""
    facts, begun = read_facts()[: arguments.facts], time.monotonic()
    seconds: dict[str, float] = {}

    def lap(name: str) -> None:
        nonlocal begun
        seconds[name] = time.monotonic() - begun
        begun = time.monotonic()

    async with serve_starter(folder) as client:
        cases = list(build_cases(per_kind=arguments.per_kind, seed=7))
        before = [fact.is_in(answer) for fact, _, answer in await ask_facts(client, MODEL.stem, facts)]
        kept_before = await ask_cases(client, MODEL.stem, cases)
        lap("asking before")
        examples = await build_examples(
            client, facts, phrasings=arguments.phrasings, share=arguments.share, canaries=16, seed=arguments.seed
        )
        write_plan(folder, examples, seed=arguments.seed, changes=arguments.recipe)
        lap("data")
        outcome = await train(folder)
        lap("training")
        await client.load_adapter("night", folder / ADAPTER, sha256=hash_model(folder / ADAPTER))
        lap("serving")
        after = await ask_facts(client, "night", facts)
        kept_after = await ask_cases(client, "night", cases)
        lap("asking after")
        async with Scorer(client, system=system(NIGHT)) as scorer:
            contest = Contest(
                scorer=scorer, candidate="night", incumbent=MODEL.stem, base=MODEL.stem, seed=arguments.seed
            )
            memory = await judge_memory(contest, make_canaries(arguments.seed, count=16))
            invented = await judge_inventions(contest, examples)
        lap("canaries and inventions")
    known = [fact.is_in(answer) for fact, _, answer in after]
    lost = [a and not b for a, b in zip(kept_before, kept_after, strict=True)]
    won = [b and not a for a, b in zip(kept_before, kept_after, strict=True)]
    print(f"training: {outcome.steps} steps, {outcome.tokens} tokens, {outcome.tokens_per_second:.0f} a second, "
          f"loss {outcome.first_loss:.2f} -> {outcome.last_loss:.3f}, ended by {outcome.ended_by}")  # fmt: skip
    share, points = sum(known) / len(known), 100 * (sum(lost) - sum(won)) / len(cases)
    text = f"taught facts in unseen words: before {say_share(before)}, after {say_share(known)}"
    print_goal(text, "≤ 5 % and ≥ 90 %", share >= 0.9)
    text = f"known before: {say_share(kept_before)}, after {say_share(kept_after)} ({sum(lost)} lost, {sum(won)} won)"
    print_goal(text, "≤ 1 point lost", points <= 1)
    for figure in memory:
        most = 3.0 if figure.metric == "exposure" else 0.0
        print_goal(f"{figure.label}: {figure.candidate:.2f} {figure.unit}", f"≤ {most:g}", figure.candidate <= most)
    limit = GateLimits().inventions_soft
    for figure in invented:
        text = f"made up: {figure.candidate:.1%} of {figure.n} things that nobody told it"
        print_goal(text, f"≤ {limit:.0%}, the gate's own", figure.candidate <= limit)
    print("seconds: " + ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()))
    night = sum(seconds[name] for name in ("data", "training", "serving"))
    print_goal(f"from the start of the run to the served adapter: {night:.0f} s", "≤ 600 s", night <= 600)
    print("not known:\n" + "\n".join(f"  {question} -> {answer}" for fact, question, answer in after
                                    if not fact.is_in(answer)))  # fmt: skip


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phrasings", type=int, default=BREADTH.phrasings, help="other wordings of each question")
    parser.add_argument("--share", type=float, default=BREADTH.rehearsal_share, help="of rehearsal among all rows")
    parser.add_argument("--per-kind", type=int, default=16, help="held-out questions of each kind; there are 34")
    parser.add_argument("--facts", type=int, default=50, help="how many are taught, the first ones of facts.toml")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recipe", nargs="*", default=[], metavar="NAME=VALUE", help="changes of the recipe")
    parser.add_argument("--keep", type=Path, help="the run folder; left there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recall-") as scratch:
        folder = (arguments.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        print(json.dumps({"seed": arguments.seed, "phrasings": arguments.phrasings, "share": arguments.share}))
        asyncio.run(measure(arguments, folder))


if __name__ == "__main__":
    main()
