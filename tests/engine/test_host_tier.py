"""Host memory, classes and deadlines over real llama.cpp: whatever gave way goes on as if it had not."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.engine.batching.host_tier import HostTier
from bot.engine.llama.model import Model, start_backend
from tests.engine.test_loop import Rig, ask, prompts

STORY = (
    "The deploy of the shop failed on Monday because the disk was full. Anna repaired it in the evening, and Ben wrote "
    "down how. On Tuesday the shop was slow again. What failed on Monday?"
)
STARTER = Path(__file__).parents[2] / "bot" / "models" / "starter.gguf"


@pytest.fixture(scope="module", params=["tiny", "starter"])
def model(request: pytest.FixtureRequest, tiny_model: Path) -> Iterator[Model]:
    """Return the tiny random model, then the one that is shipped."""
    start_backend()
    loaded = Model(tiny_model if request.param == "tiny" else STARTER, n_gpu_layers=0)
    yield loaded
    loaded.close()


def crowd(rig: Rig, number: int) -> None:
    """Let so many strangers ask that everything idle has to give way."""
    rig.run(*(ask(f"crowd {number}.{n}", tuple(range(n, n + 200)), scope=f"stranger {n}") for n in range(3)))


def say(model: Model, text: str) -> tuple[int, ...]:
    """Return somebody's words in a conversation, up to where the answer begins."""
    marked = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    return tuple(model.tokenize(marked, add_special=False, parse_special=True))


def converse(rig: Rig, model: Model) -> list[tuple[int, ...]]:
    """Answer the turns of one thread, with a crowd after each; return the answers."""
    prompt, answers = (), []
    for turn, words in enumerate((STORY, "Who repaired it?", "When did the shop's deploy fail?")):
        prompt = (*prompt, *say(model, words))
        answers += rig.run(ask(f"turn {turn}", prompt, scope="thread", max_tokens=10))
        crowd(rig, turn)
        prompt = (*prompt, *answers[-1])
    return answers


@pytest.mark.parametrize("kv_unified", [True, False], ids=["unified", "split"])
def test_a_thread_goes_on_from_host_memory_as_if_it_had_stayed(model: Model, kv_unified: bool) -> None:
    """Each turn is loaded back, only new tokens are decoded, and the greedy answers are the ones without."""
    cells = 512 if kv_unified else 512 * 3
    with_host = Rig(model, n_cells=cells, n_slots=3, max_running=2, host=HostTier(10**9), kv_unified=kv_unified)
    without = Rig(model, n_cells=cells, n_slots=3, max_running=2, kv_unified=kv_unified)
    roomy = Rig(model, n_cells=16_384, n_slots=16, kv_unified=kv_unified)

    answers = converse(with_host, model)

    assert answers == converse(roomy, model) == converse(without, model)
    cached = [[rig.last_of(f"turn {turn}").cached_tokens for turn in range(3)] for rig in (with_host, roomy, without)]
    assert cached[0] == cached[1]
    assert cached[0][1] > 60
    assert cached[2] == [0, 0, 0]
    assert with_host.loop.scheduler.slots.loads >= 2
    for rig in (with_host, without, roomy):
        rig.context.close()


def test_a_damaged_state_is_computed_again(model: Model) -> None:
    """What does not come back whole costs time, and changes nothing."""
    rig = Rig(model, n_cells=512, n_slots=3, max_running=2, host=HostTier(10**9))
    clean = Rig(model, n_cells=512, n_slots=3, max_running=2)
    prompt, more = say(model, STORY), say(model, "Who repaired it?")
    rig.run(ask("one", prompt, scope="thread", max_tokens=1))
    crowd(rig, 0)
    for saved in rig.loop.scheduler.host._held:
        saved.state = saved.state[: len(saved.state) // 2]

    (answer,) = rig.run(ask("two", (*prompt, *more), scope="thread", max_tokens=10))

    assert [answer] == clean.run(ask("two", (*prompt, *more), max_tokens=10))
    assert rig.last_of("two").cached_tokens == 0
    held = [rig.context.length(slot) for slot in range(3)]
    assert held == [rig.loop.scheduler.pool.length(slot) for slot in range(3)]
    rig.context.close()
    clean.context.close()


def test_bytes_are_known_before_and_forgotten_with_the_lane(model: Model) -> None:
    """A state has the size that was counted for it; nothing outlives its loop, and another loop finds nothing."""
    host = HostTier(10**9)
    rig = Rig(model, n_cells=512, n_slots=3, max_running=2, host=host)
    other = Rig(model, n_cells=512, n_slots=3, max_running=2, host=host)
    prompt = tuple(range(150))
    rig.run(ask("one", prompt, scope="thread", max_tokens=1))
    crowd(rig, 0)

    assert [len(saved.state) for saved in host._held] == [saved.size for saved in host._held]
    assert host.used == sum(len(saved.state) for saved in host._held) > 0
    other.run(ask("two", (*prompt, 1), scope="thread"))
    assert other.last_of("two").cached_tokens == 0
    rig.loop.shut_down("The adapter was unloaded.")
    assert host.used == 0
    rig.context.close()
    other.context.close()


def test_a_class_that_gave_way_answers_as_if_it_had_not(model: Model) -> None:
    """A background answer that made room for three people ends with the same tokens."""
    rig, quiet = (Rig(model, n_cells=1024, n_slots=3, max_running=1) for _ in range(2))
    asked = [say(model, STORY), *prompts(3)]
    rig.loop.submit(ask("background", asked[0], max_tokens=60, priority=2))
    for number in range(3):
        for _ in range(15):
            rig.loop.step()
        rig.loop.submit(ask(f"person {number}", asked[number + 1], max_tokens=5))

    rig.run()

    assert rig.loop.scheduler.preemptions == 3
    assert [rig.tokens_of("background")] == quiet.run(ask("background", asked[0], max_tokens=60))
    rig.context.close()
    quiet.context.close()


def test_a_deadline_ends_what_waits_and_what_grows(model: Model) -> None:
    """An answer that has begun ends as it is, one that has not is an error; both say why, and free what they held."""
    rig = Rig(model, n_cells=1024, n_slots=3, max_running=1)
    deadline = time.monotonic() + 0.3
    rig.loop.submit(ask("growing", prompts(1)[0], max_tokens=800, deadline=deadline))
    rig.loop.submit(ask("waiting", prompts(1)[0], max_tokens=5, deadline=deadline))
    while rig.loop.step():
        time.sleep(0.002)  # so that no machine writes 800 tokens in time

    ends = {name: rig.last_of(name) for name in ("growing", "waiting")}
    assert (ends["growing"].finish_reason, ends["growing"].stop_reason) == ("length", "deadline")
    assert 0 < len(rig.tokens_of("growing")) < 800
    assert (ends["waiting"].finish_reason, ends["waiting"].stop_reason) == ("error", "deadline")
    assert rig.tokens_of("waiting") == ()
    assert rig.loop.scheduler.pool.used() == 0
    rig.context.close()


def test_the_queue_is_published_in_its_order(model: Model) -> None:
    """Any thread can read whose turn comes when; the tuple is replaced as a whole."""
    rig = Rig(model, n_cells=1024, n_slots=3, max_running=1)
    for number, user in enumerate("aab"):
        rig.loop.submit(ask(str(number), prompts(1)[0], max_tokens=30, user=user))
    rig.loop.submit(ask("later", prompts(1)[0], max_tokens=3, priority=1))

    rig.loop.step()
    first = rig.loop.waiting_order
    rig.run()

    assert first == ("2", "1", "later")
    assert rig.loop.waiting_order == ()
    rig.context.close()
