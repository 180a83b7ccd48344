"""What somebody taught, as examples: the question in a fresh thread, in its own words and in others."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import blake2b
from random import Random

from bot.learning.data.chat_tokens import ChatMessage
from bot.learning.data.drafts import Draft, System
from bot.learning.data.policy import DataPolicy
from bot.learning.data.readable import find_fault
from bot.learning.data.redaction import is_clean
from bot.learning.data.tokens import Tokenizer
from bot.learning.examples import Example, Source, Split, Use

NAMES = ("Alex", "Bela", "Chris", "Dana", "Eli", "Fran", "Jo", "Kim", "Lou", "Max", "Noa", "Robin", "Sam", "Toni")
DAYS = 90  # after it was taught, in which the system prompt says that today is


@dataclass(frozen=True, slots=True)
class Wording:
    """A way to ask for a fact, and what it is for."""

    text: str
    source: Source
    split: Split


def share_out(question: str, phrasings: Sequence[str], policy: DataPolicy) -> list[Wording]:
    """Return the question, to train on, and its phrasings: the last ones are held out, but never most of them."""
    good = [text for text in dict.fromkeys(phrasings) if text != question and not find_fault(text) and is_clean(text)]
    tested = min(policy.test_phrasings, len(good) // 3)
    validated = min(policy.validation_phrasings, (len(good) - tested) // 3)
    trained = len(good) - tested - validated
    splits = [Split.TRAIN] * trained + [Split.VALIDATION] * validated + [Split.TEST] * tested
    wordings = [Wording(text, Source.PHRASING, split) for text, split in zip(good, splits, strict=True)]
    return [Wording(question, Source.CORRECTION, Split.TRAIN), *wordings]


def name_fact(draft: Draft) -> str:
    """Return the name of the group of a fact."""
    return f"fact:{draft.chosen.newest.row_id}"


async def teach(
    draft: Draft, wordings: Sequence[Wording], *, tokenizer: Tokenizer, system: System, weights: Sequence[float]
) -> list[Example]:
    """Return the examples of a fact.

    Every second one is asked as in a channel, under an invented name, and each on another day, so that it is not
    learned as something that one person was told on one day.
    """
    group = name_fact(draft)
    rng = Random(blake2b(group.encode(), digest_size=8).digest())  # noqa: S311 - must be repeatable, protects nothing
    examples = []
    for index, wording in enumerate(wordings):
        today = draft.asked_at.astimezone().date() + timedelta(days=rng.randrange(DAYS))
        name = f"{rng.choice(NAMES)}: " if (index + draft.is_group) % 2 else ""
        tokens = await tokenizer.answer(open_thread(system, today, name + wording.text), draft.answer)
        examples.append(
            Example(
                id=f"sft:{group}:{index}",
                use=Use.SFT,
                source=wording.source,
                split=wording.split,
                group=group,
                prompt_ids=tokens.prompt_ids,
                completion_ids=tokens.completion_ids,
                weight=weights[0] if wording.source is Source.CORRECTION else weights[1],
                question=wording.text,
                answer=draft.answer,
                rows=tuple(f"{table}:{row_id}" for table, row_id, _ in (*draft.own_rows, *draft.edited)),
                people=tuple(dict.fromkeys(person for _, _, person in draft.own_rows)),
                said_by=draft.said_by,
            )
        )
    return examples


def open_thread(system: System, today: date, question: str) -> list[ChatMessage]:
    """Return a conversation that has just begun."""
    opening = system(today)
    first: list[ChatMessage] = [{"role": "system", "content": opening}] if opening else []
    return [*first, {"role": "user", "content": question}]
