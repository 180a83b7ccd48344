"""A signed request is taken once, and again only when it could not be handled."""

import time

from slack_sdk.signature import SignatureVerifier

from bot.slack.signed import LONGEST_S, SIGNATURE, TIMESTAMP, Signed


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def headers(body: bytes, *, secret: str = "s3cret") -> dict[str, str]:
    """Sign a body as Slack does."""
    stamp = str(int(time.time()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    return {TIMESTAMP: stamp, SIGNATURE: str(signature)}


def test_once() -> None:
    """The same request again is known; another one is not; what could not be handled may come again."""
    gate, first, second = Signed("s3cret"), headers(b"one"), headers(b"two")

    assert gate.is_signed(first, b"one")
    assert not gate.is_signed(first, b"two")
    assert not gate.is_signed(headers(b"one", secret="other"), b"one")
    assert [gate.is_first(first), gate.is_first(first), gate.is_first(second)] == [True, False, True]
    gate.give_back(first)
    assert gate.is_first(first)


def test_nothing_is_remembered_for_longer_than_it_counts() -> None:
    """Memory is bounded by what comes in ten minutes."""
    clock = Clock()
    gate = Signed("s3cret", clock=clock)
    for number in range(100):
        assert gate.is_first({SIGNATURE: f"v0={number}"})
        clock.now += 10

    assert len(gate._seen) <= LONGEST_S / 10 + 1
