"""What is typed after the command: orders, misuse, and words that are about something else."""

import re

import pytest

from bot.slack.learning.orders import (
    ADAPTERS,
    CHANNEL,
    ME,
    TRAIN,
    USES,
    Misuse,
    Order,
    list_words,
    parse_order,
    split_comparison,
    split_rollback,
)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("train", Order(TRAIN, "status")),
        ("Train NOW", Order(TRAIN, "now")),
        ("  train   dry ", Order(TRAIN, "dry")),
        ("train off", Order(TRAIN, "off")),
        ("adapters", Order(ADAPTERS, "list")),
        ("adapters show", Order(ADAPTERS, "show")),
        ("adapters show run-7", Order(ADAPTERS, "show", "run-7")),
        ("adapters promote Run.7_b", Order(ADAPTERS, "promote", "Run.7_b")),
        ("adapters rollback", Order(ADAPTERS, "rollback")),
        ("adapters rollback it is rude now", Order(ADAPTERS, "rollback", "it is rude now")),
        ("adapters compare What is a PR?", Order(ADAPTERS, "compare", "What is a PR?")),
        ("learn-from-me", Order(ME, "status")),
        ("learn-from-me off", Order(ME, "off")),
        ("learn-from-channel on", Order(CHANNEL, "on")),
        ("learn-from-channel own", Order(CHANNEL, "own")),
        ("learn-from-channel shared", Order(CHANNEL, "shared")),
    ],
)
def test_orders(text: str, order: Order) -> None:
    """Topic, verb, and what belongs to it; case and spaces do not matter."""
    assert parse_order(text) == order


@pytest.mark.parametrize("text", ["", "help", "status", "training", "adapter list", "train-now"])
def test_what_is_no_order(text: str) -> None:
    """Other words are left to the rest of the command."""
    assert parse_order(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train faster", "I do not know `train faster`."),
        ("train now please", "I do not know `train now please`."),
        ("adapters promote", "`promote` needs more than that. For example: `adapters promote apprentice-7`"),
        ("adapters promote two words", "For example"),
        ("adapters compare", "For example: `adapters compare apprentice-6 apprentice-7: Who owns"),
        ("adapters list all", "I do not know `adapters list all`."),
        ("adapters delete `<x>`", "I do not know `adapters delete x`."),
        ("learn-from-me own", "I do not know `learn-from-me own`."),
        ("learn-from-me maybe", "I do not know `learn-from-me maybe`."),
    ],
)
def test_misuse_says_what_was_typed(text: str, said: str) -> None:
    """The sentence shows what was typed; the table of commands says the usage behind it."""
    found = parse_order(text)
    assert isinstance(found, Misuse)
    assert said in found.sentence


@pytest.mark.parametrize(
    ("text", "is_for_admins"),
    [
        ("train", False),
        ("train now", True),
        ("train on", True),
        ("adapters", True),
        ("adapters compare x", True),
        ("learn-from-me off", False),
        ("learn-from-channel", True),
    ],
)
def test_who_may(text: str, *, is_for_admins: bool) -> None:
    """Everybody sees how the training is and decides for themselves; the rest is for admins."""
    found = parse_order(text)
    assert isinstance(found, Order)
    assert found.is_for_admins is is_for_admins


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("What is a PR?", ((), "What is a PR?")),
        ("run-1: What is a PR?", (("run-1",), "What is a PR?")),
        ("run-1 run-2: a: b", (("run-1", "run-2"), "a: b")),
        ("Summary: what is a PR?", ((), "Summary: what is a PR?")),
        ("run-1 run-9: x", ((), "run-1 run-9: x")),
        ("run-1:", ((), "run-1:")),
        (": x", ((), ": x")),
    ],
)
def test_a_colon_is_not_always_about_adapters(words: str, expected: tuple[tuple[str, ...], str]) -> None:
    """Only adapters that exist stand before the question."""
    assert split_comparison(words, {"run-1", "run-2"}) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ("", "")),
        ("it is rude", ("", "it is rude")),
        ("run-1", ("run-1", "")),
        ("run-1 it is rude", ("run-1", "it is rude")),
        ("run-9 is rude", ("", "run-9 is rude")),
    ],
)
def test_a_rollback_may_name_its_adapter(words: str, expected: tuple[str, str]) -> None:
    """The first word is a name if there is such an adapter; the rest says why."""
    assert split_rollback(words, {"run-1", "run-2"}) == expected


def test_every_verb_of_the_usage_can_be_completed() -> None:
    """What the usage names first is what may be written, and completion offers it."""
    for topic, usage in USES.items():
        outer = re.sub(r"\[[^][]*\]", "", usage.removeprefix("[").removesuffix("]"))
        named = [part.split()[0] for part in outer.split("|")]
        assert set(named) <= set(list_words(topic))
        assert all(isinstance(parse_order(f"{topic} {word} x"), Order | Misuse) for word in list_words(topic))
