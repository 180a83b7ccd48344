"""What the base model already says, learned again beside what is new, so that old skills stay.

The prompts ship with the product (`rehearsal.txt`); the answers are the served base's own, greedy and finished, so no
foreign text is learned and no person's either.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bot.engine.client import EngineClient
from bot.engine.types import AnswerOptions
from bot.errors import ContextOverflow, LearningError
from bot.learning.data.chat_tokens import ChatMessage, tokenize_answer

POOL = Path(__file__).parent / "rehearsal.txt"
AT_ONCE = 8
LONGEST_ANSWER = 320  # tokens; what is longer is not rehearsed
BACKGROUND = 2  # the engine's lowest class: people who wait for an answer go first


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A prompt of the pool with the base's answer; *question* is the last thing that was asked."""

    question: str
    answer: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]


async def rehearse(client: EngineClient, *, model: str, system: str, count: int, seed: int) -> list[Rehearsed]:
    """Return up to *count* answers of *model*, the base; fewer when the pool is empty or answers do not end."""
    threads = read_pool()
    Random(f"rehearsal/{seed}").shuffle(threads)  # noqa: S311 - must be repeatable, and protects nothing
    gate = asyncio.Semaphore(AT_ONCE)
    rehearsed: list[Rehearsed] = []
    while threads and len(rehearsed) < count:
        some, threads = threads[: count - len(rehearsed)], threads[count - len(rehearsed) :]
        answers = await asyncio.gather(*(_answer(client, model, system, thread, gate) for thread in some))
        rehearsed += [answer for answer in answers if answer]
    return rehearsed


async def _answer(
    client: EngineClient, model: str, system: str, thread: Sequence[str], gate: asyncio.Semaphore
) -> Rehearsed | None:
    """Let the model answer; None when it says nothing or does not come to an end."""
    messages: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
    for index, text in enumerate(thread):
        messages.append({"role": "assistant" if index % 2 else "user", "content": text})
    options = AnswerOptions(model=model, max_tokens=LONGEST_ANSWER, temperature=0.0, priority=BACKGROUND)
    try:
        async with gate:
            answer, reason = "", None
            async for chunk in client.chat(messages, options):
                answer += chunk.text
                reason = chunk.finish_reason or reason
            if reason != "stop" or not answer.strip():
                return None
            tokens = await tokenize_answer(client, messages, answer)
    except ContextOverflow:  # a small context, a long prompt
        return None
    except LearningError:  # its first characters melt with the template's last, as line breaks do
        return None
    return Rehearsed(thread[-1], answer, tokens.prompt_ids, tokens.completion_ids)


def read_pool(path: Path = POOL) -> list[list[str]]:
    """Return the threads of the pool: what a person says, what the assistant said to it, and so on to a question.

    Threads are parted by empty lines, one line a message; `\\n` within it starts a new line.
    """
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    threads = [[line.replace("\\n", "\n") for line in block.splitlines() if line[:1] != "#"] for block in blocks]
    return [thread for thread in threads if thread and len(thread) % 2]
