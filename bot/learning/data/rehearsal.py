"""What the base model already says, learned again beside what is new, so that old skills stay.

The prompts ship with the product (`rehearsal.txt`); the answers are the served base's own, greedy and finished, so no
foreign text is learned and no person's either. Where more are wanted than there are, they are asked in other words too.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from random import Random

from bot.engine.client import EngineClient
from bot.engine.types import AnswerOptions
from bot.errors import ContextOverflow, LearningError
from bot.learning.admissions import admits, is_taught
from bot.learning.data.chat_tokens import ChatMessage, tokenize_answer
from bot.learning.data.rewording import reword

POOL = Path(__file__).parent / "rehearsal.txt"
AT_ONCE = 8
LONGEST_ANSWER = 320  # tokens; what is longer is not rehearsed
TRIES = 2  # times as many prompts as answers are wanted
BACKGROUND = 2  # the engine's lowest class: people who wait for an answer go first


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A prompt with the base's answer: *question* is the last thing that was asked, *origin* how the pool has it."""

    question: str
    origin: str
    answer: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Prompt:
    thread: Sequence[str]
    origin: str


async def rehearse(
    client: EngineClient, *, model: str, system: str, count: int, seed: int, taught: Sequence[str] = ()
) -> list[Rehearsed]:
    """Return up to *count* answers of *model*, the base; fewer where answers do not end and no other words are left.

    That it does not know is not rehearsed where one of the *taught* questions may say it.
    """
    threads = read_pool()
    Random(f"rehearsal/{seed}").shuffle(threads)  # noqa: S311 - must be repeatable, and protects nothing
    most = max(len(threads), TRIES * count)  # a model whose answers do not end would be asked for ever
    asked = islice(chain((_Prompt(thread, thread[-1]) for thread in threads), _reword_all(threads, seed=seed)), most)
    gate = asyncio.Semaphore(AT_ONCE)
    rehearsed: list[Rehearsed] = []
    while len(rehearsed) < count and (some := list(islice(asked, count - len(rehearsed)))):
        answers = await asyncio.gather(*(_answer(client, model, system, prompt, gate) for prompt in some))
        rehearsed += [answer for answer in answers if answer and not _is_outdated(answer, taught)]
    return rehearsed


def _is_outdated(rehearsed: Rehearsed, taught: Sequence[str]) -> bool:
    return admits(rehearsed.answer) and is_taught(rehearsed.question, taught)


def _reword_all(threads: Sequence[Sequence[str]], *, seed: int) -> Iterator[_Prompt]:
    """Yield the threads again and again, each time with its last question in words that it did not have yet."""
    others = [(thread, reword(thread[-1], seed=seed)) for thread in threads]
    while others:
        left = []
        for thread, wordings in others:
            if (wording := next(wordings, None)) is not None:
                left.append((thread, wordings))
                yield _Prompt([*thread[:-1], wording], thread[-1])
        others = left


async def _answer(
    client: EngineClient, model: str, system: str, prompt: _Prompt, gate: asyncio.Semaphore
) -> Rehearsed | None:
    """Let the model answer; None when it says nothing or does not come to an end."""
    messages: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
    for index, text in enumerate(prompt.thread):
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
    return Rehearsed(prompt.thread[-1], prompt.origin, answer, tokens.prompt_ids, tokens.completion_ids)


def read_pool(path: Path = POOL) -> list[list[str]]:
    """Return the threads of the pool: what a person says, what the assistant said to it, and so on to a question.

    Threads are parted by empty lines, one line a message; `\\n` within it starts a new line.
    """
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    threads = [[line.replace("\\n", "\n") for line in block.splitlines() if line[:1] != "#"] for block in blocks]
    return [thread for thread in threads if thread and len(thread) % 2]
