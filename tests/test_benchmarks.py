"""What the benchmark computes from what it measured, and the model that it builds; nothing is timed here."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.arms import read_facts
from benchmarks.bench import Results, Row, in_turns, summarise
from benchmarks.client import Ask, Client, Reply, share_out
from benchmarks.figures import measure_drift, measure_ratio, measure_slope, quantile
from benchmarks.goals import judge
from benchmarks.picture import draw
from benchmarks.random_model import Shape, build_vocabulary, list_words, read_matrices, write_random_model
from benchmarks.report import render
from benchmarks.serving import build_plan, hide_folders, parse
from benchmarks.step_times import Reading, measure_steps, parse_metrics
from benchmarks.words import read_words
from bot.engine.llama.model import Model, start_backend

SMALL = Shape(vocabulary=1200, width=64, layers=2, heads=4, kv_heads=2, hidden=128, context=256)


def chunk(text: str, **more: object) -> bytes:
    """Return a streamed event."""
    return b"data: " + json.dumps({"choices": [{"text": text}], **more}).encode() + b"\n\n"


def test_a_ratio_is_one_of_medians_with_an_interval() -> None:
    """A single wild turn moves neither the ratio far nor the interval out of what was seen."""
    ratio = measure_ratio([10, 11, 12, 50, 11], [10, 10, 10, 10, 10])

    assert ratio.value == 1.1
    assert 1.0 <= ratio.low <= 1.1 <= ratio.high <= 5.0
    assert measure_ratio([3, 3], [2, 2]).low == 1.5


def test_a_drift_has_an_interval() -> None:
    """What is slower in every span is surely so, however spans differ; what varies at random is not told from none."""
    steady = [[1.0, 1.1, 1.2]] * 10
    slower = measure_drift(steady, [[2 * value for value in span] for span in steady], share=0.95)
    assert slower.value == slower.low == slower.high == pytest.approx(2.0)

    moody = measure_drift([[1.0], [3.0]] * 5, [[3.3], [1.1]] * 4 + [[], [1.1]], share=0.5)
    assert moody.low < 1.0 < moody.high
    same = measure_drift([[1.0], [3.0]] * 5, [[1.1], [3.3]] * 5, share=0.5)
    assert (same.low, same.high) == pytest.approx((1.1, 1.1))
    with pytest.raises(ValueError, match="early and late"):
        measure_drift([[]], steady, share=0.5)


def test_quantiles_and_slopes() -> None:
    """Between two values a quantile lies where its share says; nothing has no quantile."""
    assert quantile([4, 1, 3, 2], 0.5) == 2.5
    assert math.isnan(quantile([], 0.5))
    assert measure_slope([(0, 1), (1, 3), (2, 5)]) == 2


def test_turns_alternate() -> None:
    """No arm is always first."""
    assert [item for _, item in in_turns(["a", "b"], 3)] == ["a", "b", "b", "a", "a", "b"]


def test_a_reply_is_read_from_pieces_that_are_cut_anywhere() -> None:
    """An event counts at the moment that completes it; the usage says how many tokens there were."""
    usage = {"completion_tokens": 2, "prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 5}}
    whole = chunk("a") + chunk("b") + chunk("", usage=usage) + b"data: [DONE]\n\n"
    reply = Reply(0.0, [(1.0, whole[:9]), (2.0, whole[9:50]), (3.0, whole[50:])])
    reply.read()

    assert reply.text == "ab"
    assert reply.times[0] == 2.0
    assert (reply.completion_tokens, reply.prompt_tokens, reply.cached_tokens) == (2, 7, 5)


def test_tokens_that_come_together_are_counted() -> None:
    """A server may write several tokens into one event; the sum stays right."""
    assert share_out(3, [4, 5, 6]) == [1, 1, 1]
    assert share_out(10, [4, 4, 2]) == [4, 4, 2]
    assert sum(share_out(7, [1, 1, 1])) == 7


def test_an_error_in_a_stream_is_an_error() -> None:
    """A server that gives up in the middle is not counted as fast."""
    reply = Reply(0.0, [(1.0, chunk("a") + b'data: {"error": {"message": "no room"}}\n\n')], ended=2.0)

    assert summarise([reply.read()])["errors"] == 1
    assert reply.error == "no room"


@pytest.mark.parametrize("dialect", ["apprentice", "llama-server", "openai", "llama_cpp.server"])
def test_every_server_is_asked_for_the_same(dialect: str) -> None:
    """All get the same length and sampling; who takes only text gets the text."""
    client = Client(session=None, url="", dialect=dialect, end_tokens=(2,))
    body = client.build_body(Ask(tokens=(5, 6), text=" five six", max_tokens=9))

    assert (body["max_tokens"], body["temperature"], body["top_k"]) == (9, 0.7, 40)
    assert body["prompt"] == (" five six" if dialect == "llama_cpp.server" else [5, 6])
    assert ("ignore_eos" in body) == (dialect != "llama_cpp.server")


def test_metrics_become_milliseconds_of_a_step() -> None:
    """Two readings of the engine's counters give the mean of each part."""
    text = 'engine_step_seconds_sum{part="decode"} %s\nengine_step_seconds_count{part="decode"} %s\n'
    before, after = parse_metrics(text % (1.0, 10)), parse_metrics(text % (1.5, 20))

    assert measure_steps(before, after) == {"step_decode_ms": 50.0, "steps": 10.0}
    assert measure_steps(Reading({}), Reading({})) == {}


def test_words_are_one_token_each_and_come_back(tmp_path: Path) -> None:
    """The random model loads, and a text of its words gives exactly the tokens that it was made of."""
    path = write_random_model(tmp_path / "small.gguf", shape=SMALL)
    tokens, text = read_words(path).draw(50, seed="x")
    start_backend()
    model = Model(path, n_gpu_layers=0)
    try:
        assert (model.n_vocab, model.n_layer, model.n_ctx_train) == (1200, 2, 256)
        assert tuple(model.tokenize(text, add_special=False, parse_special=False)) == tokens
    finally:
        model.close()
    assert read_matrices(path) == ({"attn_q": (64, 64), "attn_v": (32, 64), "attn_output": (64, 64)}, 2)
    assert len(list_words(build_vocabulary(49_152)[0])) > 48_000


def build_rows() -> list[Row]:
    """Return a run of two rounds with one goal met and one missed."""
    rows = []
    for turn in range(2):
        for arm, speed in (("ours", 95.0), ("bare decode", 100.0), ("llama-server", 90.0)):
            rows.append(Row("W1", "starter", "16", arm, turn, {"decode_per_second": speed + turn, "errors": 0}))
        for arm, gap in (("ours", 100.0), ("llama-server", 1000.0)):
            values = {"longest_gap": gap, "computed_per_second": 50.0}
            rows.append(Row("W4", "starter", "8 + 1", arm, turn, values))
    return rows


def test_goals_stand_beside_what_was_measured() -> None:
    """Each goal says whether it is met, and only what was measured is judged."""
    verdicts = {verdict.goal: verdict for verdict in judge(build_rows())}

    assert not verdicts["W1, 16 at once: tokens/s over bare decode"].is_met
    assert verdicts["W1, 16 at once: tokens/s over llama-server"].is_met
    assert verdicts["W4: longest gap over llama-server"].measured.startswith("0.10")
    assert {goal[:2] for goal in verdicts} == {"W1", "W4"}


def test_a_report_and_a_picture_come_out(tmp_path: Path) -> None:
    """What was not measured leaves no empty table behind."""
    results = Results(build_rows(), {"W1 starter ours": "bot engine"}, ["a remark"])
    text = render(results, system="AVX2 = 1", command="make bench-serving")
    draw(results.rows, tmp_path / "serving.png")

    assert "**not met**" in text
    assert "W2" not in text
    assert "- a remark" in text
    assert (tmp_path / "serving.png").stat().st_size > 1000


def test_quick_leaves_what_was_given() -> None:
    """--quick chooses small numbers, but not against the command line; keys and folders are not repeated."""
    plan = build_plan(parse(["--quick", "--rounds", "7", "--workloads", "W4,W1"]))

    assert (plan.rounds, plan.answer_tokens, plan.workloads) == (7, 64, ("W1", "W4"))
    assert hide_folders(["--peer-key=secret"]) == ["--peer-key", "KEY"]
    assert hide_folders(["--peer-key", "secret", "--llama-server", "/a/b"]) == [
        *("--peer-key", "KEY", "--llama-server", "b")
    ]


def test_a_server_says_how_it_is_set_up() -> None:
    """What ours and llama-server write at their start is kept beside their command."""
    ours = "INFO The engine serves:\n  model          x\n  KV cache       2048 cells of f16\n  threads        1: two\n"
    theirs = "0.1 I srv    load_model: initializing, n_slots = 4, n_ctx_slot = 512, kv_unified = 'false'\n"

    assert read_facts(ours) == "KV cache 2048 cells of f16; threads 1: two"
    assert read_facts(theirs) == "n_slots = 4, n_ctx_slot = 512, kv_unified = 'false'"
