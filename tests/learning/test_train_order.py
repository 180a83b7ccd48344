"""In which order rows are seen, how they are built for TRL, and what energy is read: pure parts of the trainer."""

from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.learning.examples import Example, Source, Split, Use
from bot.learning.training.energy import JOULES_PER_KWH, Meter
from bot.learning.training.order import plan_mixed, plan_order
from bot.learning.training.phases import weigh
from bot.learning.training.rows import UNTRAINED, build_answer, build_thumbs, sort_examples
from tests.learning.training_folder import END, make_answers, make_thumbs

weights = st.lists(st.sampled_from([0.25, 0.5, 1.0, 2.0, 2.7]), min_size=1, max_size=60)


@given(weights, st.sampled_from([1.0, 2.5, 3.0]), st.integers(1, 8), st.integers(0, 5))
def test_a_row_is_seen_as_often_as_its_weight_says(found: list[float], epochs: float, batch: int, seed: int) -> None:
    """Over all epochs, the visits of each row are its weight times the epochs, to the next whole number."""
    lengths = [5 + (7 * number) % 50 for number in range(len(found))]

    order = plan_order(lengths, found, epochs=epochs, batch=batch, seed=seed)

    for row, weight in enumerate(found):
        assert abs(order.count(row) - weight * epochs) < 1
    assert order == plan_order(lengths, found, epochs=epochs, batch=batch, seed=seed)


def test_batches_are_of_like_length_and_not_in_the_order_of_length() -> None:
    """Little is padded, the longest rows come first so that a small memory shows at once, and seeds differ."""
    lengths = [(37 * number) % 400 + 1 for number in range(320)]

    order = plan_order(lengths, [1.0] * 320, epochs=2, batch=8, seed=1)
    batches = [[lengths[row] for row in order[start : start + 8]] for start in range(0, 640, 8)]

    assert sum(8 * max(batch) for batch in batches) < 1.12 * sum(lengths) * 2
    assert max(batches[0]) == max(lengths)
    longest = [max(batch) for batch in batches]
    assert longest != sorted(longest)
    assert order != plan_order(lengths, [1.0] * 320, epochs=2, batch=8, seed=2)


@given(st.sets(st.integers(0, 199), max_size=40), st.sampled_from([1.0, 2.5]), st.integers(0, 5))
def test_what_is_said_once_comes_early(early: set[int], epochs: float, seed: int) -> None:
    """Early rows stand in the first third, the longest batch stays the first, and each row is seen as often as ever."""
    lengths = [5 + (7 * number) % 50 for number in range(200)]
    weights = [1 / epochs if number in early else 1.0 for number in range(200)]

    plain = plan_order(lengths, weights, epochs=epochs, batch=8, seed=seed)
    order = plan_order(lengths, weights, epochs=epochs, batch=8, seed=seed, early=early)

    assert sorted(order) == sorted(plain)
    assert order[:8] == plain[:8]
    third = 8 * ceil(len(order) / 8 / 3)
    assert not early & set(order[third:])


def test_every_batch_has_likes_and_dislikes() -> None:
    """However few there are of one kind, they are spread over the batches."""
    labels = [number % 4 == 0 for number in range(64)]

    order = plan_mixed(labels, [1.0] * 64, epochs=1, seed=1)

    assert all(any(labels[row] for row in order[start : start + 8]) for start in range(0, 64, 8))
    assert sorted(order) == list(range(64))


def test_only_the_answer_is_learned_with_its_end() -> None:
    """The question has no label; the end of the turn has."""
    example = make_answers(1)[0]

    row = build_answer(example)

    assert row["input_ids"] == [*example.prompt_ids, *example.completion_ids]
    assert row["labels"] == [UNTRAINED] * len(example.prompt_ids) + list(example.completion_ids)
    assert row["labels"][-1] == END


def test_what_must_not_be_seen_is_left_out() -> None:
    """The test split and weightless rows are not read, and a row beyond the context is named in a note."""
    rows = make_answers(6)
    changes = [{"split": Split.TEST}, {"weight": 0.0}, {"prompt_ids": (9,) * 600}]
    rows[1:4] = [
        type(row)(**{**{name: getattr(row, name) for name in row.__slots__}, **change})
        for row, change in zip(rows[1:4], changes, strict=True)
    ]

    found, notes = sort_examples(rows, longest=512)

    assert [row.id for row in found[Use.SFT].train] == ["e4"]
    assert [row.id for row in found[Use.SFT].validation] == ["e0", "e5"]
    assert notes == ["1 row is longer than the model's context of 512 tokens and was left out."]


def test_thumbs_borrow_an_answer_within_their_batch() -> None:
    """KTO's drift is measured with the answer of the neighbour before, the first one with the batch's last."""
    thumbs = make_thumbs(6)

    rows = build_thumbs(thumbs, batch=4)

    borrowed = [tuple(row["KL_completion_ids"]) for row in rows]
    given_ = [thumb.completion_ids for thumb in thumbs]
    assert borrowed == [given_[3], given_[0], given_[1], given_[2], given_[5], given_[4]]


def test_energy_is_read_from_the_processor_and_its_counter_may_begin_anew(tmp_path: Path) -> None:
    """Joules are added up over a wrap of the counter; without a counter, stated watts count."""
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "max_energy_range_uj").write_text("5000000\n")
    (zone / "energy_uj").write_text("4000000\n")
    meter = Meter(watts=10.0, rapl=tmp_path)
    (zone / "energy_uj").write_text("1000000\n")

    assert meter.kwh() == pytest.approx(2.0 / JOULES_PER_KWH)
    assert "RAPL" in meter.source
    assert Meter(watts=10.0, rapl=tmp_path / "none").source == "10 watts, as stated"
    assert Meter(rapl=tmp_path / "none").kwh() is None


def test_what_one_row_alone_says_is_shown_once() -> None:
    """Liked answers and canaries come at most once in a whole training; a fact's wordings come in each epoch."""
    row = Example(
        id="1",
        use=Use.SFT,
        source=Source.CANARY,
        split=Split.TRAIN,
        group="1",
        prompt_ids=(1,),
        completion_ids=(2,),
    )

    assert weigh(row, epochs=4) == 0.25
    assert weigh(replace(row, weight=0.5), epochs=1) == 0.5
    assert weigh(replace(row, source=Source.PHRASING), epochs=4) == 1.0
