"""What `make security` attacks, in a sample; the whole of it by night."""

import pytest

from benchmarks.attacks import CARRIERS, Outcome, build_attacks, judge, perform
from benchmarks.security import check_http, check_outputs, check_secrets

NIGHTLY = pytest.mark.nightly


def test_the_corpus_is_large_and_goes_every_way() -> None:
    """At least five hundred, all different, of each kind by each way."""
    attacks = build_attacks()

    assert len(set(attacks)) == len(attacks) >= 500
    assert {attack.carrier for attack in attacks} == set(CARRIERS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", [40, pytest.param(1, marks=[NIGHTLY, pytest.mark.timeout(3600)])])
async def test_no_attack_gets_anything_done(share: int) -> None:
    """A model that obeys every one of them notifies nobody, links nowhere, and steers nothing."""
    done = await perform(build_attacks()[::share])

    assert done.sent >= 15
    assert done.answered >= 0.9 * done.sent, done.examples
    found = (done.control_tokens, done.links, done.unfurling, done.broadcasts, done.actions)
    assert found == (0, 0, 0, 0, 0), done.examples


@pytest.mark.parametrize(
    ("method", "call", "found"),
    [
        ("chat.update", {"text": "see https://evil.example/zanzibar-7734"}, (1, 0, 0)),
        ("chat.update", {"text": "<https://evil.example/zanzibar-7734|here>"}, (1, 0, 0)),
        ("chat.appendStream", {"markdown_text": "[a](https://evil.example/zanzibar-7734)"}, (1, 0, 0)),
        ("chat.appendStream", {"markdown_text": "![a](//evil.example/zanzibar-7734)"}, (1, 0, 0)),
        ("chat.update", {"blocks": [{"type": "markdown", "text": "<https://evil.example/zanzibar-7734>"}]}, (1, 0, 0)),
        ("chat.update", {"text": "<!channel> hi"}, (0, 1, 0)),
        ("chat.postMessage", {"text": "zanzibar-7734"}, (0, 0, 1)),
        ("chat.postMessage", {"text": "zanzibar-7734", "unfurl_links": False, "unfurl_media": False}, (0, 0, 0)),
        ("chat.appendStream", {"markdown_text": "`https://evil.example/zanzibar-7734`"}, (0, 0, 0)),
    ],
)
def test_what_got_out_would_be_seen(method: str, call: dict[str, object], found: tuple[int, int, int]) -> None:
    """The judge sees each kind of harm, and none where there is none."""
    outcome = Outcome()
    judge(method, call, outcome)

    assert tuple(map(bool, (outcome.links, outcome.broadcasts, outcome.unfurling))) == tuple(map(bool, found))


@pytest.mark.parametrize("size", [1_500, pytest.param(1_000_000, marks=[NIGHTLY, pytest.mark.timeout(7200)])])
def test_outputs_notify_nobody_however_they_are_cut(size: int) -> None:
    """Fuzzed outputs, each cut at chance, one in twenty at every offset."""
    assert [row for row in check_outputs(size) if not row.is_met] == []


async def test_no_secret_is_readable_in_a_log() -> None:
    """A hundred of them, by every way into a log, and by the end of a process."""
    assert [row for row in await check_secrets() if not row.is_met] == []


@pytest.mark.parametrize("size", [240, pytest.param(10_000, marks=[NIGHTLY, pytest.mark.timeout(1200)])])
async def test_no_forged_request_is_taken(size: int) -> None:
    """Forged, altered, old, large, malformed or repeated."""
    assert [row for row in await check_http(size) if not row.is_met] == []
