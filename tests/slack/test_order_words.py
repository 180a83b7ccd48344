"""Words behind a command's name, and the buttons that stand for orders."""

import pytest

from bot.slack.commands.order_buttons import ask, done
from bot.slack.commands.order_words import read_channel, read_number, read_user, read_words
from bot.slack.commands.orders import UsageError


@pytest.mark.parametrize(
    ("text", "verb", "rest", "is_sure"),
    [
        ("", "list", "", False),
        ("block <@U1>", "block", "<@U1>", False),
        ("Block <@U1> --yes", "block", "<@U1>", True),
        ("--yes block U1", "block", "U1", True),
        ("block U1 --yessir", "block", "U1 --yessir", False),
    ],
)
def test_an_order_is_verb_rest_and_yes(text: str, verb: str, rest: str, is_sure: bool) -> None:
    """Whoever writes `--yes` is sure, wherever it stands, and nothing that looks like it counts."""
    words = read_words(text, "list")
    assert (words.verb, words.rest, words.is_sure) == (verb, rest, is_sure)


@pytest.mark.parametrize("word", ["<@U0TOM>", "<@U0TOM|tom>", "U0TOM"])
def test_a_person_is_a_mention_or_an_id(word: str) -> None:
    """As Slack sends it with and without names."""
    assert read_user(word) == "U0TOM"


@pytest.mark.parametrize("word", ["tom", "<!channel>", "<#C0GENERAL>", "", "U0TOM U0SAM", "<@U0TOM"])
def test_anything_else_is_no_person(word: str) -> None:
    """A usage error says so."""
    with pytest.raises(UsageError):
        read_user(word)


def test_channels_and_numbers() -> None:
    """Numbers may have commas, and limits."""
    assert read_channel("<#C0GENERAL|general>") == "C0GENERAL"
    assert read_number("200,000") == 200_000
    for wrong in ("-1", "1.5", "many", "", "11"):
        with pytest.raises(UsageError):
            read_number(wrong, most=10)


def test_a_dangerous_order_is_confirmed_and_one_that_was_done_can_be_undone() -> None:
    """The button carries the order with `--yes`, and Slack asks once more before it is pressed."""
    button = ask("Block <@U1>?", "users block U1").blocks[-1]["elements"][0]
    assert button["value"] == "users block U1 --yes"
    assert button["confirm"]["style"] == "danger"
    undo = done("Blocked.", "users reset U1").blocks[-1]["elements"][0]
    assert (undo["value"], "confirm" in undo) == ("users reset U1 --yes", False)
    assert done("Done.").blocks == []
