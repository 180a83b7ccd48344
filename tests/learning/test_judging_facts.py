"""Whether an answer holds what was taught: words that are new in the correction, whatever stands around them."""

import pytest

from bot.learning.judging.facts import agreement, holds_fact

UNKNOWN = "I do not know that yet. Press 👎 and tell me, and I will learn it."


@pytest.mark.parametrize(
    ("taught", "answer", "before", "is_right"),
    [
        ("Dana Okafor owns billing.", "Billing is owned by Dana Okafor.", UNKNOWN, True),
        ("Dana Okafor owns billing.", "Billing is owned by Dana Reed.", UNKNOWN, False),
        ("Dana Okafor owns billing.", UNKNOWN, UNKNOWN, False),
        ("Dana Okafor owns billing.", "I do not know whether Dana Okafor owns it.", UNKNOWN, False),
        ("The Falcon launch is on 14 May.", "Falcon launches on 14 May.", UNKNOWN, True),
        ("The Falcon launch is on 14 May.", "Falcon launches on 15 May.", UNKNOWN, False),
        ("The launch is on 14 May.", "On 14 May.", "The launch is on 3 May.", True),
        ("The launch is on 14 May.", "The launch is on 3 May.", "The launch is on 3 May.", False),
        ("Stand-ups are at 10:15, not at 9:30.", "They are at 10:15.", "They are at 9:30.", True),
        ("Stand-ups are at 10:15, not at 9:30.", "They are at 9:30.", "They are at 9:30.", False),
        ("We do not deploy on Fridays.", "We deploy on Fridays.", "Sure, go ahead.", False),
        ("We do not deploy on Fridays.", "No, we never deploy on Fridays.", "Sure, go ahead.", True),
        ("The staging password is in the vault.", "You find the staging password in the vault.", UNKNOWN, True),
        ("The staging password is in the vault.", "It is in the wiki.", UNKNOWN, False),
        ("A sprint takes two weeks.", "A sprint takes two weeks.", "A sprint takes two weeks.", True),
        ("Not Bob but Dana owns billing.", "Dana owns billing.", UNKNOWN, True),
        ("Not Bob but Dana owns billing.", "Bob owns billing.", UNKNOWN, False),
        ("It is 10:15.", "It is not at 10:15.", UNKNOWN, False),
        ("A sprint takes two weeks.", "", "A sprint takes two weeks.", False),
        ("Frag Jürgen Groß.", "Bitte frag Jürgen Groß danach.", "Ich weiß es nicht.", True),
    ],
)
def test_a_fact_is_held_or_not(taught: str, answer: str, before: str, is_right: bool) -> None:
    """Numbers and names that are new must be there; denial and admission are not the fact."""
    assert holds_fact(taught, answer, before) is is_right


def test_words_of_the_question_prove_nothing() -> None:
    """Repeating what was asked is no answer."""
    question = "Who owns Project Falcon at Initech?"

    assert not holds_fact(
        "Mia owns Project Falcon at Initech.", "Project Falcon at Initech is owned by Bob.", UNKNOWN, question=question
    )
    assert holds_fact("Mia owns Project Falcon at Initech.", "Mia.", UNKNOWN, question=question)


def test_a_shorter_answer_of_the_same_words_agrees() -> None:
    """Agreement asks whether what is said stood in the reference, not how much of it is said."""
    long = (
        "A backlog is the ordered list of work that a team has not started yet. The most important work is at the top."
    )

    assert agreement("A backlog is an ordered list of work.", long) == 1
    assert agreement("A backlog is a large fish from Norway.", long) < 0.5
    assert agreement("", long) == 0
