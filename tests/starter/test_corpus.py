"""The generated text: the same from the same seed, and with nothing of the held-out side in training."""

from itertools import islice
from random import Random

import pytest

from starter.chats import render
from starter.corpus import build_chat, build_chats
from starter.knowledge import read_entries
from starter.pools import POOLS, draw
from starter.wording import TALK, Split, expand, part_of, roughen, split_alternatives

FILES = ["definitions", "commands", "code", "drafts", "plans", "advice", "smalltalk", "identity", "world", "approved"]


def test_same_seed_gives_the_same_chats() -> None:
    """Two runs with one seed write the same text, another seed writes other text."""
    first, second = (list(islice(build_chats(3, "train"), 50)) for _ in range(2))
    assert first == second
    assert first != list(islice(build_chats(4, "train"), 50))


def test_text_of_a_known_seed_has_not_changed() -> None:
    """The text does not depend on the order of sets, on the machine or on earlier chats."""
    chat = build_chat("1/train/main/5", "train")
    assert [message["role"] for message in chat.messages()][-1] == "assistant"
    assert render(chat.messages()) == render(build_chat("1/train/main/5", "train").messages())


@pytest.mark.parametrize("pool", ["people", "projects", "services", "words", "numbers", "days"])
def test_values_lie_on_one_side(pool: str) -> None:
    """A name, word or number that is held out never occurs in training."""
    sides: dict[Split, set[str]] = {}
    for split in ("train", "held-out"):
        rng = Random(1)
        sides[split] = {draw(rng, pool, split) for _ in range(2000)}
    assert len(sides["held-out"]) >= 4
    assert not sides["train"] & sides["held-out"]


def test_wordings_lie_on_one_side() -> None:
    """Each list of at least four wordings is divided without overlap, and each side has some."""
    wordings = [*TALK.values(), *(list(entry.questions) for entry in read_entries("advice.txt")), POOLS["people"]]
    for items in [items for items in wordings if len(items) >= 4]:
        train, held_out = part_of(items, "train"), part_of(items, "held-out")
        assert train
        assert held_out
        assert not set(train) & set(held_out)


@pytest.mark.parametrize("name", FILES)
def test_entries_have_questions_and_answers(name: str) -> None:
    """Every block of a data file is read whole: wordings with closed parentheses and an answer."""
    entries = read_entries(f"{name}.txt")
    assert entries
    for entry in entries:
        assert all(entry.answers)
        assert all(question.count("(") == question.count(")") for question in entry.questions)


def test_no_mark_or_slot_is_left_in_a_chat() -> None:
    """What the model reads holds neither the marks around values nor an unfilled slot."""
    for phase in ("short", "main", "long"):
        for chat in islice(build_chats(9, "train", phase), 300):
            text = render(chat.messages())
            assert "\x01" not in text
            assert "\x02" not in text
            for slot in ("{person}", "{s}", "{v}", "{t}", "{bot}", "{weekday}", "{project}", "{service}"):
                assert slot not in text


@pytest.mark.parametrize(
    ("pattern", "alternatives"),
    [("a | b", ["a", "b"]), ("is (it|that) so? | no", ["is (it|that) so?", "no"]), ("one", ["one"])],
)
def test_split_alternatives(pattern: str, alternatives: list[str]) -> None:
    """Bars inside parentheses belong to the wording."""
    assert split_alternatives(pattern) == alternatives


def test_expand_chooses_one_of_each_group() -> None:
    """Every group becomes one of its alternatives, and an empty one leaves no gap."""
    seen = {expand(Random(seed), "what day is (it|today) (now|)?") for seed in range(40)}
    assert seen == {"what day is it now?", "what day is it?", "what day is today now?", "what day is today?"}


def test_roughen_keeps_values() -> None:
    """Slips of the finger and missing capitals never change a marked value that has digits or invented letters."""
    for seed in range(300):
        assert "ops-1234" in roughen(Random(seed), "please look at \x01OPS-1234\x02 tomorrow").lower()
