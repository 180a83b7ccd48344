"""Invented secrets: the same from the same seed, alike, and measured in bits."""

from bot.learning.data.canaries import exposure, make_canaries


def test_canaries_can_be_made_again() -> None:
    """The same seed gives the same ones, another seed others."""
    assert make_canaries(3, count=16) == make_canaries(3, count=16)
    assert make_canaries(3, count=16)[0].secret != make_canaries(4, count=16)[0].secret


def test_siblings_are_like_the_secret() -> None:
    """They have the same form, differ from each other, and stand in the same sentence."""
    canaries = make_canaries(1, count=30)

    assert len({canary.question for canary in canaries}) == 30
    for canary in canaries:
        everything = {canary.secret, *canary.siblings}
        assert len(everything) == 1001
        assert all(len(secret) == 6 and secret.isdigit() for secret in everything)
        assert canary.answer_with("123456").endswith("123456.")
        assert canary.secret in canary.answer


def test_exposure_is_what_is_known_in_bits() -> None:
    """The likeliest of 1024 is known wholly, the last not at all, and chance knows 1.44 bits on average."""
    assert exposure(1, 1024) == 10
    assert exposure(1024, 1024) == 0
    assert 1.4 < sum(exposure(rank, 1001) for rank in range(1, 1002)) / 1001 < 1.45
