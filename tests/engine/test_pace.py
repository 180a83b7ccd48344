"""How many prompt tokens go beside growing answers: fast machines keep the target time, slow ones whole blocks."""

import pytest

from bot.engine.batching.pace import FLOOR, TARGET_SECONDS, PrefillPace


def learn(pace: PrefillPace, *, rate: float, steps: int = 60) -> int:
    """Let steps of the chosen size take what a machine of *rate* tokens a second takes; return the last size."""
    for _ in range(steps):
        tokens = pace.budget()
        pace.observe(tokens, tokens / rate)
    return pace.budget()


@pytest.mark.parametrize("rate", [5_000.0, 9_000.0])
def test_a_fast_machine_keeps_the_target(rate: float) -> None:
    """Steps come to take the target time."""
    assert learn(PrefillPace(ceiling=512), rate=rate) / rate == pytest.approx(TARGET_SECONDS, rel=0.05)


def test_the_limits_hold() -> None:
    """However slow the machine, prompts go in whole blocks; however fast, they fit into a batch."""
    assert learn(PrefillPace(ceiling=512), rate=10.0) == FLOOR
    assert learn(PrefillPace(ceiling=512), rate=1e9) == 512


def test_a_change_of_speed_is_learned() -> None:
    """When the machine becomes slower, for example by other work, the pieces become smaller."""
    pace = PrefillPace(ceiling=512)
    before = learn(pace, rate=10_000.0)

    assert learn(pace, rate=5_000.0) == pytest.approx(before / 2, rel=0.05)


def test_a_step_that_was_held_up_changes_nothing() -> None:
    """A step now and then that had to wait for its core, and took ten times as long, leaves the pieces as they are."""
    pace = PrefillPace(ceiling=512)
    before = learn(pace, rate=4_000.0)
    for step in range(40):
        pace.observe(before, before / (400.0 if step % 4 == 0 else 4_000.0))

    assert pace.budget() == before


def test_single_tokens_teach_nothing_about_prompts() -> None:
    """A token by itself takes as long as many together; it must not make the pieces small."""
    pace = PrefillPace(ceiling=512)
    before = learn(pace, rate=8_000.0)
    for _ in range(100):
        pace.observe(1, 0.01)

    assert pace.budget() == before
