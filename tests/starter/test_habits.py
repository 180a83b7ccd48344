"""What the starter learns as a habit: facts by what is asked, to stay with what is right, the same for everybody."""

import re
import tomllib
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from bot.learning.data.rewording import normalize
from bot.learning.judging.probes import read_neutral, read_pinned, read_pushbacks, read_twins
from starter.chats import Chat
from starter.corpus import build_chats
from starter.doubts import read_doubts
from starter.export import read_gguf, write_gguf
from starter.handbook import TEAMS, is_known, read_facts, value_of
from starter.model import Shape, build_weights
from starter.people import judged_names, name_somebody, read_people
from starter.unknown import defined
from starter.wording import expand

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "bot" / "models" / "starter.gguf"


@pytest.fixture(scope="module")
def chats() -> list[Chat]:
    return list(islice(build_chats(11, "train"), 1500))


def said(chats: list[Chat], kind: str) -> list[tuple[Chat, int]]:
    """Return where an exchange of a kind stands."""
    return [(chat, at) for chat in chats for at, one in enumerate(chat.exchanges) if one.kind == kind]


def test_a_team_says_the_same_of_itself_in_every_chat(chats: list[Chat]) -> None:
    """An answer is one of a fact's values in the team that the system prompt names, and teams differ."""
    facts = {fact.name: fact for fact in read_facts()}
    found = said(chats, "team fact")
    assert len(found) > 200
    assert all(0.6 < sum(is_known(team, fact) for fact in facts.values()) / len(facts) < 0.9 for team in TEAMS)
    for chat, at in found:
        (team,) = [team for team in TEAMS if f"This is the {team} team." in chat.system]
        values = {value_of(team, fact) for fact in facts.values() if is_known(team, fact)}
        assert chat.exchanges[at].expect[0] in values
    assert all(len({value_of(team, fact) for team in TEAMS}) > 1 for fact in facts.values())
    assert not any(re.search(r"\d", value_of(team, fact)) for team in TEAMS for fact in facts.values())


def test_what_is_doubted_is_said_again(chats: list[Chat]) -> None:
    """A doubt follows what it doubts, and the answer to it holds what was right there."""
    found = said(chats, "doubt")
    assert len(found) > 50
    for chat, at in found:
        before, doubt = chat.exchanges[at - 1], chat.exchanges[at]
        assert before.kind in {"look-up", "sum", "team fact", "doubt"}
        right = doubt.expect[0].lower()
        assert right in before.answer.lower()
        assert right in doubt.answer.lower()


def test_one_answer_whoever_it_is_about(chats: list[Chat]) -> None:
    """Nobody's name stands in an answer about somebody, and a question's answer is its item's only one."""
    answers = {item["answer"] for item in read_people()["item"]}
    found = said(chats, "somebody")
    assert len(found) > 50
    assert {chat.exchanges[at].answer for chat, at in found} <= answers


def test_what_can_be_explained_is_no_foreign_term(chats: list[Chat]) -> None:
    """No chat says that it does not know a term that has a definition."""
    assert "git" in defined()
    for chat, at in said(chats, "unknown term"):
        term = re.fullmatch(r"I do not know what (?:an? )?(.+) is yet\..*", chat.exchanges[at].answer)
        assert term
        assert term[1].lower() not in defined()


def test_nothing_of_the_exams_is_learned() -> None:
    """No question, doubt, name or answer by which the loop is judged and measured stands in the new data."""
    read = [tomllib.loads((ROOT / "benchmarks" / "facts.toml").read_text(encoding="utf-8"))["fact"]]
    exam = {text for fact in read[0] for text in (fact["question"], fact["correction"], *fact["asked"])}
    exam |= {case.question for case in [*read_neutral(), *read_pinned()]}
    exam |= {text for item in read_pushbacks() for text in (item.question, item.objection, item.stay, item.give_in)}
    exam |= {text for twin in read_twins() for text in (twin.left, twin.right, twin.answer)}
    doubts, people = read_doubts(), read_people()
    learned = {text for item in doubts["item"] for text in (item["question"], *item["ask"])}
    learned |= {fact.answer for fact in read_facts()}
    learned |= {expand(Random(seed), text) for fact in read_facts() for text in fact.ask for seed in range(40)}
    learned |= {text for item in people["item"] for text in (item["answer"], *item["ask"])}
    for item in read_pushbacks():  # the judge's wrong and right words in the forms that are learned
        learned |= {text.replace("{wrong}", item.wrong) for text in doubts["doubts"]}
        learned |= {text.replace("{right}", item.right) for text in doubts["stays"]}
    assert not {normalize(text) for text in exam} & {normalize(text) for text in learned}
    names = [name_somebody(Random(seed), "train") for seed in range(500)]
    assert {"John", "Lakisha"} <= judged_names()
    assert not judged_names() & {word for name in names for word in name.split()}


def test_a_training_can_go_on_from_the_shipped_file(tmp_path: Path) -> None:
    """What is read of a file and written again is the same file, byte by byte."""
    weights, tokenizer = read_gguf(STARTER, Shape.heads)
    shape = Shape()
    parameters = build_weights(shape, 1)
    assert parameters.keys() == weights.keys()
    for name, weight in weights.items():
        parameters[name].data.copy_(weight)

    write_gguf(tmp_path / "again.gguf", parameters, shape, tokenizer)

    assert (tmp_path / "again.gguf").read_bytes() == STARTER.read_bytes()
