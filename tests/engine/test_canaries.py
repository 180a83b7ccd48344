"""Conversations that carry a secret word each: under pressure, cancels and an adapter nobody ever sees another's.

Every answer is also compared with the one that a lone, cold engine gives: what was read of a foreign cache would show
there long before a whole word did.
"""

import random
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.engine.chat.prompt import PromptEncoder
from bot.engine.chat.template import Message
from bot.engine.loaded import build_encoder
from bot.engine.types import Request
from tests.engine.lanes_rig import GREEDY, LanesRig, make_word, tokens_of

SYSTEM = Message("system", "You are a helpful assistant.")
TELLS = (
    "Please remember this word: {}",
    "Say after me: {}",
    "The project is called {}",
    "My name is {}",
)
ASKS = ("What is the code word?", "Say it again.", "What is the project called?", "What is my name?")
MAX_TOKENS, LONG_TOKENS = 24, 90


@dataclass
class Talk:
    """One conversation: its secret, what was said, and the requests that were made of it."""

    number: int
    word: str
    form: int
    messages: list[Message] = field(default_factory=list)
    asked: list[tuple[tuple[int, ...], int, tuple[int, ...], bool]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def lane(self) -> int:
        """Return the lane that answers this conversation."""
        return self.number % 5 == 0

    def next_prompt(self, encoder: PromptEncoder) -> tuple[tuple[int, ...], int]:
        """Say the next thing; return the tokens and how many of them are everybody's."""
        text = ASKS[self.form] if self.messages else TELLS[self.form].format(self.word)
        self.messages = [*(self.messages or [SYSTEM]), Message("user", text)]
        prompt = encoder.encode(self.messages)
        return prompt.tokens, prompt.shared_length


def build_request(talk: Talk, turn: int, prompt: tuple[int, ...], **fields: object) -> Request:
    """Return a greedy request; every fourth conversation gets long answers, every third gives way to the others."""
    is_long = talk.number % 4 == 0
    length, priority = LONG_TOKENS if is_long else MAX_TOKENS, 2 if talk.number % 3 == 0 else 0
    chosen = {"max_tokens": length, "ignore_eos": is_long, "sampling": GREEDY, "priority": priority} | fields
    return Request(request_id=f"{talk.number}.{turn}", prompt=prompt, **chosen)


def hold_talks(rig: LanesRig, talks: list[Talk], rng: random.Random) -> int:
    """Let twelve conversations at a time take three turns each; leave some answers half-way, and count those."""
    encoder = build_encoder(rig.model)
    waiting, open_talks, turns, left = list(talks), {}, Counter[int](), 0
    while waiting or open_talks:
        while waiting and len(open_talks) < 12:
            talk = waiting.pop()
            open_talks[talk.number] = None
            submit(rig, talk, encoder, open_talks, turn=0)
        rig.step()
        for name, deltas in rig.take().items():
            talk = talks[int(name.split(".")[0])]
            entry = open_talks[talk.number]
            if entry is None or entry[0] != name:
                continue
            entry[1].extend(deltas)
            is_left = deltas[-1].finish_reason is None and rng.random() < 0.015
            if is_left:
                rig.lanes[talk.lane].loop.cancel(name)
                left += 1
            elif deltas[-1].finish_reason is None:
                continue
            finish(talk, entry, rig, is_left=is_left)
            turns[talk.number] += 1
            if turns[talk.number] == 3:
                del open_talks[talk.number]
            else:
                submit(rig, talk, encoder, open_talks, turn=turns[talk.number])
    return left


def submit(rig: LanesRig, talk: Talk, encoder: PromptEncoder, open_talks: dict, *, turn: int) -> None:
    """Ask a conversation's next question."""
    tokens, shared = talk.next_prompt(encoder)
    name = f"{talk.number}.{turn}"
    open_talks[talk.number] = (name, [], tokens)
    request = build_request(
        talk, turn, tokens, scope=f"talk {talk.number}", shared_length=shared, user=str(talk.number % 7)
    )
    rig.lanes[talk.lane].loop.submit(request)


def finish(talk: Talk, entry: tuple, rig: LanesRig, *, is_left: bool) -> None:
    """Write an answer down, as whoever reads it would."""
    _, deltas, prompt = entry
    assert not deltas[-1].error
    text = "".join(delta.text for delta in deltas)
    talk.texts.append(text)
    talk.messages.append(Message("assistant", text))
    talk.asked.append((prompt, talk.lane, tokens_of(deltas), is_left))


def compare_with_cold(rig: LanesRig, talks: list[Talk]) -> tuple[int, list[float]]:
    """Answer everything again, alone and without a cache; return how much is equal, and the margins where it is not."""
    equal, margins = 0, []
    for talk in talks:
        for turn, (prompt, lane, tokens, _) in enumerate(talk.asked):
            deltas = rig.answer(build_request(talk, turn, prompt, top_logprobs=2), lane=lane)
            cold = tokens_of(deltas)[: len(tokens)]
            if cold == tokens:
                equal += 1
                continue
            at = next(index for index, pair in enumerate(zip(cold, tokens, strict=False)) if pair[0] != pair[1])
            top = [item for delta in deltas for item in delta.logprobs][at].top
            margins.append(top[0][1] - top[1][1])
    return equal, margins


@pytest.mark.parametrize("kv_unified", [True, False], ids=["unified", "split"])
@pytest.mark.parametrize("number", [24, pytest.param(1_000, marks=[pytest.mark.nightly, pytest.mark.timeout(7200)])])
def test_no_secret_shows_up_elsewhere(tmp_path: Path, kv_unified: bool, number: int) -> None:
    """Interleaved conversations with few cells: own words come back, others' never, and all answers equal cold ones."""
    rng = random.Random(number)
    words = list(dict.fromkeys(make_word(rng) for _ in range(number * 2)))[:number]
    talks = [Talk(index, word, rng.randrange(4)) for index, word in enumerate(words)]
    cells = 384 if kv_unified else 384 * 8
    rig = LanesRig(tmp_path, host_bytes=4_000_000, kv_unified=kv_unified, n_cells=cells, n_slots=8, running=4)
    left = hold_talks(rig, talks, rng)
    schedulers = [lane.loop.scheduler for lane in rig.lanes]
    pressure = {
        "preempted": sum(scheduler.preemptions for scheduler in schedulers),
        "evicted": sum(scheduler.evictions for scheduler in schedulers),
        "saved": sum(scheduler.slots.saves for scheduler in schedulers),
        "loaded": sum(scheduler.slots.loads for scheduler in schedulers),
    }
    rig.close()
    cold = LanesRig(tmp_path, n_cells=512, n_slots=1, running=1)
    equal, margins = compare_with_cold(cold, talks)
    cold.close()
    anybodys = re.compile("|".join(words))
    foreign = [
        (talk.number, found)
        for talk in talks
        for text in talk.texts
        for found in anybodys.findall(text)
        if found != talk.word
    ]
    own = sum(any(talk.word in text for text in talk.texts) for talk in talks)
    total = sum(len(talk.asked) for talk in talks)

    kind = "unified" if kv_unified else "split"
    print(f"\ncanaries ({kind} KV): {number} conversations, {total} answers, {left} left half-way, {pressure},")
    print(f"own word seen in {own}, foreign words seen {len(foreign)}, equal to cold {equal},")
    print(f"margins where not {[round(margin, 4) for margin in margins]}")
    assert foreign == []
    assert own > number / 3
    assert equal >= 0.99 * total - 2  # near ties: two are more than a hundredth of a small sample
    assert all(margin < 0.1 for margin in margins)
    assert pressure["evicted"] > 0
    assert pressure["preempted"] > 0 or not kv_unified
    assert left > 0
