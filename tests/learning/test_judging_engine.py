"""The judge and a real engine: scores are the engine's own, and a model beside itself has neither gained nor lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

import bot
from bot.engine.client import EngineClient
from bot.errors import EngineError, LearningError
from bot.learning.data.canaries import make_canaries
from bot.learning.examples import Example, Source, Split, Use
from bot.learning.figures import Decision, Figure
from bot.learning.judging.contest import Contest
from bot.learning.judging.evaluate import evaluate
from bot.learning.judging.form import (
    FEWEST_KNOWN,
    count_kept,
    count_strays,
    find_known,
    judge_form,
    judge_speed,
    neutral_prompts,
)
from bot.learning.judging.gate import decide, declare
from bot.learning.judging.likelihood import judge_liked, judge_own_answers, judge_pairs, judge_thumbs
from bot.learning.judging.memory import judge_memory, planted
from bot.learning.judging.probes import (
    is_refusal,
    read_neutral,
    read_pinned,
    read_pushbacks,
    read_refusals,
    read_twins,
)
from bot.learning.judging.scoring import Scorer
from bot.learning.judging.teaching import judge_facts, show_before_after
from bot.learning.proof.parity import Check
from bot.learning.proof.served import score_served
from tests.engine.conftest import serving
from tests.learning.night import spend_night

STARTER = Path(bot.__file__).parent / "models" / "starter.gguf"
NAME = "starter"
FACTS = {"Dana Reed": "Falcon", "Omar Haddad": "Comet", "Ida Berg": "Lantern"}


@pytest.fixture
async def engine() -> AsyncIterator[EngineClient]:
    """Return a client of an engine with the starter."""
    async with serving(STARTER, n_ctx=1024) as client:
        yield client


async def build_examples(scorer: Scorer) -> list[Example]:
    """Return held-out examples of every kind, in the engine's tokens."""
    rows: list[Example] = []

    async def add(question: str, answer: str, **values: object) -> None:
        tokens = await scorer.with_answer([{"role": "user", "content": question}], answer)
        given = {
            "id": str(len(rows)),
            "use": Use.SFT,
            "source": Source.CORRECTION,
            "split": Split.TEST,
            "group": question,
            "prompt_ids": tokens.prompt_ids,
            "completion_ids": tokens.completion_ids,
            "question": question,
            "answer": answer,
            "rows": ("answers:7", "corrections:8"),
            "people": (f"U{len(rows) % 5}",),
        }
        rows.append(Example(**given | values))  # type: ignore[arg-type]

    for person, project in FACTS.items():
        await add(f"Who leads {project}?", f"{person} leads {project}.")
    for number in range(6):
        is_liked = number % 2 == 0
        source = Source.LIKED if is_liked else Source.DISLIKED
        await add(
            f"What is Git, part {number}?", "A tool." * (number + 1), use=Use.THUMB, source=source, is_liked=is_liked
        )
    pair = await scorer.with_answer([{"role": "user", "content": "What is a sprint?"}], "A run.")
    for number in range(2):
        await add(
            "What is a sprint?",
            "A short period of work.",
            use=Use.PAIR,
            source=Source.REGENERATED,
            rejected_ids=pair.completion_ids,
            group=str(number),
        )
    for canary in make_canaries(3, count=1):
        await add(canary.question, canary.answer, source=Source.CANARY, split=Split.TRAIN)
    return rows


async def test_scores_are_the_engines_own(engine: EngineClient) -> None:
    """The log probabilities of an answer are those of the whole text at its places, and nothing is asked twice."""
    async with Scorer(engine, system="You are Apprentice.") as scorer:
        tokens = await scorer.with_answer([{"role": "user", "content": "What is Git?"}], "A tool for versions.")
        found = await scorer.log_probs(tokens.prompt_ids, tokens.completion_ids, model=NAME)
        again = await scorer.log_probs(tokens.prompt_ids, tokens.completion_ids, model=NAME)
        scores = await scorer.scores(tokens.prompt_ids, tokens.completion_ids, model=NAME)
    whole = (await score_served(engine, [tokens.prompt_ids + tokens.completion_ids], model=NAME))[0]

    np.testing.assert_allclose(found, whole.given[len(tokens.prompt_ids) - 1 :], atol=1e-5)
    assert again is found
    np.testing.assert_allclose(scores.given, found, atol=1e-5)
    assert scores.tokens[1:] == tokens.completion_ids


async def test_replies_are_greedy_and_end(engine: EngineClient) -> None:
    """A reply is the same each time, ends by itself, and is cut where it may not be longer."""
    async with Scorer(engine) as scorer:
        prompt = await scorer.open_prompt([{"role": "user", "content": "What is a backlog?"}])
        whole = await scorer.reply(prompt, model=NAME, max_tokens=100)
        cut = await scorer.reply(prompt, model=NAME, max_tokens=3)
        with pytest.raises(EngineError):
            await scorer.reply(prompt, model="nobody", max_tokens=3)

    assert whole.is_ended
    assert "list" in whole.text
    assert not cut.is_ended
    assert cut.token_ids == whole.token_ids[:3]


async def test_a_model_beside_itself_gains_nothing(engine: EngineClient) -> None:
    """Every benefit of the base over the base is luck, and what it says to corrected questions is as before."""
    async with Scorer(engine) as scorer:
        examples = await build_examples(scorer)
        contest = Contest(scorer=scorer, candidate=NAME, incumbent=NAME, base=NAME, seed=1)
        figures: dict[str, Figure] = {}
        for judge in (judge_facts, judge_own_answers, judge_pairs, judge_thumbs, judge_liked):
            figures |= {figure.metric: figure for figure in await judge(contest, examples)}
        speed = await judge_speed(contest, [examples[0].prompt_ids], 2_000_000)
        shown = await show_before_after(contest, examples)

    assert set(figures) == {
        "taught_facts", "right_answer", "pair_accuracy", "thumbs_auc", "calibration", "liked_nll", "perplexity",
    }  # fmt: skip
    for figure in figures.values():
        assert figure.candidate == pytest.approx(figure.incumbent, abs=1e-3)
    assert figures["taught_facts"].candidate == 0
    assert figures["thumbs_auc"].candidate == figures["right_answer"].candidate == 0.5
    assert "only 3 independent" in figures["taught_facts"].label
    assert (figures["liked_nll"].n, figures["thumbs_auc"].n, figures["pair_accuracy"].n) == (7, 6, 2)
    assert [figure.metric for figure in speed] == ["speed", "memory"]
    assert speed[1].candidate == 2.0
    assert {row.question for row in shown} == {f"Who leads {project}?" for project in FACTS.values()}
    assert {(row.row, row.is_right, row.before == row.after) for row in shown} == {("corrections:8", False, True)}


async def test_planted_secrets_that_were_not_learned_are_unknown(engine: EngineClient) -> None:
    """The base knows about as many bits of a secret as luck, and says none."""
    async with Scorer(engine) as scorer:
        examples = await build_examples(scorer)
        contest = Contest(scorer=scorer, candidate=NAME, incumbent=NAME, base=NAME, seed=1)
        secrets = planted(examples, seed=3)
        exposure, extracted = await judge_memory(contest, secrets)

    assert len(secrets) == 1
    assert exposure.candidate < 9
    assert extracted.candidate == 0
    assert planted(examples, seed=4) != secrets


@pytest.mark.nightly
async def test_a_random_adapter_is_refused_by_the_whole_evaluation(tmp_path: Path, engine: EngineClient) -> None:
    """All figures are there, and the gate says in words what a random adapter broke and that it brought nothing."""
    night = spend_night(STARTER, tmp_path, "llama", texts=[(1, 2, 3)], strength=0.2)
    await engine.load_adapter("random", night.adapter)
    async with Scorer(engine) as scorer:
        examples = await build_examples(scorer)
    said: list[str] = []

    found = await evaluate(
        engine, examples=examples, candidate="random", incumbent=NAME, base=NAME, seed=3, say=said.append
    )
    verdict = decide(found.figures, [Check("P1", holds=True, sentence="")], declared=declare(examples), people=9)

    assert len(said) == 15
    assert verdict.decision is Decision.REJECT
    assert not any("Not measured" in reason for reason in verdict.reasons)


def test_the_shipped_probes_are_well_formed() -> None:
    """Enough of each kind, none twice, and a right answer is not a wrong one."""
    refuse, answer = read_refusals()
    pushbacks = read_pushbacks()

    assert len({case.question for case in read_neutral()}) == len(read_neutral()) >= 40
    assert not any(case.accepts(case.question) for case in read_neutral()), "the question's own words prove nothing"
    assert len(set(refuse)) == len(refuse) == len(set(answer)) >= 20
    assert len({item.question for item in pushbacks}) >= 20
    assert len(pushbacks) >= 60
    assert all(item.gives_in(item.give_in) and not item.gives_in(item.stay) for item in pushbacks)
    assert len(read_twins()) >= 40
    assert {twin.kind for twin in read_twins()} == {"gender", "origin", "age"}
    assert all(twin.left != twin.right for twin in read_twins())
    assert is_refusal("I'm sorry, I cannot help with that.")
    assert is_refusal("I won't do that.")
    assert not is_refusal("Sure: run `kill 42`.")
    assert not is_refusal("I do not know that yet. Press 👎 and tell me, and I will learn it.")


def test_only_what_the_base_knows_can_be_lost() -> None:
    """A base's wrong answers are nothing it knew; one that the words do not fit is compared with itself."""
    cases = read_neutral()
    right = ["git commit --amend" if "--amend" in case.any else "" for case in cases]
    many = [" ".join((*case.any, *case.all)) for case in cases]

    assert find_known(cases, right) == list(range(len(cases))), "too few right answers to go by words"
    known = find_known(cases, [*many, "a rehearsed answer"])
    assert known == [number for number, case in enumerate(cases) if not case.matches] + [len(cases)]
    assert len(known) > FEWEST_KNOWN


async def test_a_right_answer_in_other_words_is_not_lost(engine: EngineClient) -> None:
    """The starter beside itself keeps all it knew, and it does not know all that is asked."""
    async with Scorer(engine) as scorer:
        contest = Contest(scorer=scorer, candidate=NAME, incumbent=NAME, base=NAME, seed=1)
        prompts = await neutral_prompts(contest, [])
        figures = {figure.metric: figure for figure in await judge_form(contest, await build_examples(scorer), prompts)}

    known = figures["knew_before"]
    assert known.candidate == known.incumbent == 1.0
    assert FEWEST_KNOWN <= known.n < len(prompts) == figures["ends"].n
    assert figures["strays"].candidate == figures["strays"].incumbent == 0.0


def test_a_taught_fact_where_nobody_asked_is_a_stray() -> None:
    """A right answer in other words is kept; one of what was taught is lost, and counted as a stray."""
    cases = read_neutral()[:3]  # retro, KPI, technical debt
    untaught = ["A retro is a meeting in which a team looks back.", "A key performance indicator.", "No idea."]
    answers = [
        "Our retro takes place in the Lantern room.",
        "An indicator of success, mostly.",
        "Shortcuts you pay for.",
    ]
    taught = ["The retro takes place in the Lantern room.", "We use Ledgerly for invoices."]

    assert count_kept(cases, answers, untaught, [0, 1]) == [0.0, 1.0]
    assert count_strays(cases, answers, untaught, taught) == [1.0, 0.0, 0.0]


def test_a_team_adds_its_own_pinned_questions(tmp_path: Path) -> None:
    """They stand beside the shipped ones; a broken file names itself and the form."""
    path = tmp_path / "pinned.toml"
    path.write_text(
        '[[case]]\nquestion = "Who is on call?"\nall = ["Mia"]\nnone = ["Bob"]\nmatches = "^M"\nmust = true\n'
    )

    own = read_pinned(path)[-1]

    assert own.accepts("Mia, until Friday")
    assert not own.accepts("Mia or Bob")
    assert not own.accepts("It is Mia")
    assert own.must
    assert read_pinned(tmp_path / "none.toml") == read_pinned()
    path.write_text('[[case]]\nquestions = "Who?"\n')
    with pytest.raises(LearningError, match=r"pinned\.toml cannot be read"):
        read_pinned(path)
