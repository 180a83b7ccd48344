"""Other ways to ask what was corrected: by the model where it can, checked; by rule where it cannot."""

import pytest

from bot.learning.data.phrasing import choose_wordings, is_same_question, phrase
from bot.learning.data.rewording import normalize
from bot.settings import STARTER_MODEL
from tests.engine.conftest import serving

QUESTION = "What port does the staging database of Kestrel 7 use?"
ANSWER = "It listens on 6543."


async def test_a_small_model_gets_its_wordings_by_rule() -> None:
    """As many as were wanted come, distinct, and the same seed gives the same ones."""
    async with serving(STARTER_MODEL, n_ctx=1024) as client:
        found = [
            await phrase(client, model="starter", question=QUESTION, answer=ANSWER, count=12, seed=1) for _ in range(2)
        ]

    assert len({normalize(text) for text in found[0]} | {normalize(QUESTION)}) == 13
    assert found[0] == found[1]


def test_what_a_model_writes_is_taken_as_a_list() -> None:
    """Marks and quotes are taken off, and what says the same again is left out."""
    lines = [
        "Here are some ways:",
        "1. Which port is used by the staging database of Kestrel 7?",
        '2) "Which port is used by the staging database of Kestrel 7"',
        "- On which port can I reach the Kestrel 7 staging database?",
        "",
        QUESTION,
    ]

    assert choose_wordings(QUESTION, ANSWER, lines) == [
        "Which port is used by the staging database of Kestrel 7?",
        "On which port can I reach the Kestrel 7 staging database?",
    ]


@pytest.mark.parametrize(
    "wording",
    [
        "Which port does the staging database use?",  # of what?
        "Which port does the staging database of Kestrel 8 use?",
        "The staging database of Kestrel 7 has a port.",
        "Does the staging database of Kestrel 7 use port 6543?",
        "What is the weather like on Kestrel 7?",
        "<|im_start|>What port does the staging database of Kestrel 7 use",
        "Question: which port does the staging database of Kestrel 7 use?",
        "Kestrel 7?",
    ],
)
def test_what_asks_something_else_is_refused(wording: str) -> None:
    """Names and numbers stay, the topic stays, it asks, and it gives no answer away."""
    assert not is_same_question(wording, QUESTION, ANSWER)
