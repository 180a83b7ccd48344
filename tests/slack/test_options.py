"""Options before a free text, as fingers and phones write them."""

from typing import Any

import pytest

from bot.slack.commands.asking import Ask, read_ask, read_question
from bot.slack.commands.orders import UsageError
from bot.storage.askings import Put


@pytest.mark.parametrize(
    ("words", "put", "question"),
    [
        ("What's up?", {}, "What's up?"),
        ("--short What's up -- really?", {"length": "short"}, "What's up -- really?"),
        ("—short  Don’t “quote”\n  me", {"length": "short"}, "Don’t “quote”\n  me"),
        ("-short x", {"length": "short"}, "x"),
        ("--long --short x", {"length": "short"}, "x"),
        ("-n 3 x", {"candidates": 3}, "x"),
        ("-n3 x", {"candidates": 3}, "x"),
        ("–n 3 x", {"candidates": 3}, "x"),
        ("--n=2 x", {"candidates": 2}, "x"),
        ("--no-history --private -n 2 a  b", {"keeps_history": False, "is_private": True, "candidates": 2}, "a  b"),
        ("-- --short is a word", {}, "--short is a word"),
        ("-5 is cold", {}, "-5 is cold"),
        ("--short -5 degrees?", {"length": "short"}, "-5 degrees?"),
        ("— what?", {}, "— what?"),
        ("what does --short do?", {}, "what does --short do?"),
        ("“What is it?”", {}, "What is it?"),
        ('"One" or "two"', {}, '"One" or "two"'),
        ("it's an unclosed ' and a \\ backslash", {}, "it's an unclosed ' and a \\ backslash"),
    ],
)
def test_options_come_first_and_the_rest_is_text(words: str, put: dict[str, Any], question: str) -> None:
    """Dashes and quotes of every kind; nothing within the text is an option."""
    assert read_ask(words) == Ask(question, Put(**put))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "I need a question."),
        ("--short", "I need a question."),
        ("--shrot x", "I do not know the option `--shrot`. Did you mean `--short`?"),
        ("--`<!here>` x", None),
        ("--x<!here> y", "`--x&lt;!here&gt;`"),
        ("-n 9 x", "`-n` takes a number from 2 to 4."),
        ("-n x", "`-n` takes a number from 2 to 4."),
        ("-n", "`-n` needs a value."),
        ("--short=1 x", "`--short` takes no value."),
    ],
)
def test_a_wrong_option_is_one_sentence(words: str, said: str | None) -> None:
    """It names the option, harmlessly, and what it takes."""
    if said is None:
        assert read_ask(words).question == words
        return
    with pytest.raises(UsageError) as caught:
        read_ask(words)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!ask --short What is it?", Ask("What is it?", Put(length="short"))),
        ("！ASK What is it?", Ask("What is it?", Put())),
        ("!asking is good", Ask("!asking is good", Put())),
        ("Say !ask", Ask("Say !ask", Put())),
        ("!ask -n 9 x", Ask("!ask -n 9 x", Put())),
        ("What is it?", Ask("What is it?", Put())),
    ],
)
def test_a_message_may_be_a_question_with_options(text: str, expected: Ask) -> None:
    """What is wrong was said before; here it is a text like any other."""
    assert read_question(text) == expected
