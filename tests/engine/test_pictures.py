"""Pictures in the loop over real llama.cpp: read in place of tokens, remembered like tokens, mixed with nobody's."""

import ctypes
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from llama_cpp import mtmd_cpp

from bot.engine.batching.host_tier import HostTier
from bot.engine.llama.context import Context
from bot.engine.llama.model import Model, start_backend
from bot.engine.llama.mtmd import Eyes, PlacedContext, Points, read_rows
from bot.engine.types import Placed, Request, Sight
from tests.engine.test_loop import Rig, answer_alone, ask
from tests.engine.tiny_model import write_tiny_model
from tests.engine.tiny_projector import write_tiny_projector

BEFORE, AFTER = tuple(range(60, 75)), tuple(range(80, 89))


TIE = 0.05  # of log probability: batches of another size round otherwise
KINDS = {"mlp": 48, "gemma3": 64, "qwen2vl_merger": 64}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Return whose eyes: LLaVA's are read token by token, Gemma's at once, Qwen's stand in rows and columns."""
    return request.param


@pytest.fixture(scope="module")
def model(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """Return a tiny model."""
    start_backend()
    path = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf", has_places=kind.startswith("qwen"))
    loaded = Model(path, n_gpu_layers=0)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def eyes(kind: str, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Eyes]:
    """Return eyes over it."""
    path = write_tiny_projector(tmp_path_factory.mktemp("eyes") / "mmproj.gguf", kind=kind, side=KINDS[kind])
    opened = Eyes(model, path, threads=1, use_gpu=False)
    yield opened
    opened.close()


def build_rig(model: Model, **fields: object) -> Rig:
    """Return a loop over the context that the model needs."""
    return Rig(model, kind=PlacedContext if model.description.startswith("qwen2vl") else Context, **fields)


def paint(seed: int, *, width: int = 50, height: int = 40) -> Points:
    """Return a picture of noise."""
    return Points(width, height, np.random.default_rng(seed).bytes(3 * width * height))


def show(eyes: Eyes, request_id: str, *seeds: int, **fields: object) -> Request:
    """Return a request whose prompt has pictures between its words."""
    prompt, pictures = list(BEFORE), list[Placed]()
    for seed in seeds:
        for part in eyes.look(paint(seed)):
            if isinstance(part, Sight):
                eyes.see(part)
                pictures.append(Placed(len(prompt), part))
                prompt += part.ids
            else:
                prompt += part
        prompt += AFTER
    return ask(request_id, tuple(prompt), pictures=tuple(pictures), **fields)


def alone(model: Model, request: Request) -> tuple[int, ...]:
    """Return the answer of an engine that has never seen anything else."""
    rig = build_rig(model)
    (tokens,) = rig.run(replace(request, request_id="alone", scope=""))
    rig.context.close()
    return tokens


@pytest.fixture(params=[True, False], ids=["unified", "split"])
def rig(request: pytest.FixtureRequest, model: Model) -> Iterator[Rig]:
    """Return a loop over either kind of KV cache, with room in host memory."""
    built = build_rig(model, kv_unified=request.param, host=HostTier(1 << 30))
    yield built
    built.context.close()


def test_a_picture_is_what_it_shows(eyes: Eyes) -> None:
    """The same points give the same placeholders and rows, others share none; no placeholder is a token."""
    (first, again, other) = [
        next(part for part in eyes.look(paint(seed)) if isinstance(part, Sight)) for seed in (1, 1, 2)
    ]
    for sight in (first, again, other):
        eyes.see(sight)

    assert first.ids == again.ids
    assert np.array_equal(first.rows, again.rows)
    assert not set(first.ids) & set(other.ids)
    assert max(first.ids) < 0
    assert len(set(first.ids)) == len(first.ids) == len(first.rows)
    assert not np.allclose(first.rows, other.rows)


def test_it_is_read_as_llama_cpp_reads_it(eyes: Eyes, model: Model) -> None:
    """Two pictures between words, the first in two parts where it may be: the logits are those of its own helper."""
    ours, theirs = (
        build_rig(model, n_slots=4).context,
        Context(model, n_cells=4096, n_slots=4, n_batch=256, kv_unified=True, threads=1),
    )
    length, position = 0, ctypes.c_int32(0)
    for seed in (1, 2):
        for tokens in (BEFORE, AFTER):
            assert ours.decode([(1, np.array(tokens, dtype=np.int32), length, 1)]) == 0
            assert theirs.decode([(2, np.array(tokens, dtype=np.int32), position.value, 1)]) == 0
            assert np.abs(ours.logits(len(tokens) - 1) - theirs.logits(len(tokens) - 1)).max() < 0.05
            length, position.value = length + len(tokens), position.value + len(tokens)
        for part in eyes.look(paint(seed)):
            if isinstance(part, Sight):
                eyes.see(part)
                cuts = [0, len(part.ids) // 2 if part.is_causal and seed == 1 else 0, len(part.ids)]
                for start, stop in pairwise(sorted(set(cuts))):
                    assert read_rows(ours, 1, part, start, length + start, count=stop - start) == 0
                length += len(part.ids)
            else:
                assert ours.decode([(1, np.array(part, dtype=np.int32), length, 0)]) == 0
                length += len(part)
        evaluate(eyes, theirs, paint(seed), position)

    assert (length > position.value) == eyes.has_places
    ours.close()
    theirs.close()


def evaluate(eyes: Eyes, context: Context, points: Points, position: ctypes.c_int32) -> None:
    """Let llama.cpp's helper put a picture behind *position* of the slot 2."""
    data, marker = ctypes.cast(points.rgb, ctypes.POINTER(ctypes.c_uint8)), mtmd_cpp.mtmd_default_marker()
    bitmap = mtmd_cpp.mtmd_bitmap_init(points.width, points.height, data)
    text = mtmd_cpp.mtmd_input_text(text=marker, text_len=len(marker), add_special=False, parse_special=True)
    chunks = mtmd_cpp.mtmd_input_chunks_init()
    assert mtmd_cpp.mtmd_tokenize(eyes._eyes, chunks, ctypes.byref(text), (ctypes.c_void_p * 1)(bitmap), 1) == 0
    after = ctypes.byref(position)
    begin = position.value
    assert mtmd_cpp.mtmd_helper_eval_chunks(eyes._eyes, context._ctx, chunks, begin, 2, 256, False, after) == 0
    mtmd_cpp.mtmd_input_chunks_free(chunks)
    mtmd_cpp.mtmd_bitmap_free(bitmap)


def test_the_answer_depends_on_the_picture(rig: Rig, eyes: Eyes, model: Model) -> None:
    """The same picture twice gives the same answer, another one another, and none a third."""
    requests = [show(eyes, str(number), seed) for number, seed in enumerate((1, 1, 2))]
    first, again, other = (rig.run(request)[0] for request in requests)

    assert first == again == alone(model, requests[0])
    assert len({first, other, answer_alone(model, (*BEFORE, *AFTER))}) == 3


def test_nobody_sees_anothers_picture(rig: Rig, eyes: Eyes, model: Model) -> None:
    """Eight conversations at once, some with one or two pictures and some with none, answer as each would alone."""
    seen = [(1,), (2,), (), (3, 1), (2, 2), (), (4,), (1,)]
    requests = [show(eyes, str(number), *seeds, scope=f"thread {number}") for number, seeds in enumerate(seen)]

    assert rig.run(*requests) == [alone(model, request) for request in requests]


def test_a_thread_does_not_read_its_picture_again(rig: Rig, eyes: Eyes, model: Model) -> None:
    """The next turn begins after it and answers like a cold one; another picture in its place is read."""
    first = show(eyes, "first", 1, scope="thread")
    (answer,) = rig.run(first)
    turn = replace(first, request_id="turn", prompt=(*first.prompt, *answer, *range(5)))
    other = show(eyes, "other", 2, scope="thread")
    stranger = show(eyes, "stranger", 1, scope="another thread")

    assert rig.run(turn) == [alone(model, turn)]
    assert rig.last_of("turn").cached_tokens == len(turn.prompt) - 6
    assert rig.run(other) == [alone(model, other)]
    assert rig.last_of("other").cached_tokens <= first.pictures[0].start
    assert rig.run(stranger) == [alone(model, stranger)]
    assert rig.last_of("stranger").cached_tokens == 0


@pytest.mark.parametrize("host_bytes", [0, 1 << 30])
def test_preempted_answers_see_on(eyes: Eyes, model: Model, host_bytes: int) -> None:
    """When the cells run out somebody waits and goes on; answers part from their lonely ones at a tie, if at all."""
    rig = build_rig(model, n_cells=640, n_slots=8, host=HostTier(host_bytes))
    requests = [show(eyes, str(number), number % 3, max_tokens=150, scope=f"t{number}") for number in range(8)]

    answers = rig.run(*requests)
    margins = [find_margin(model, request, answer) for request, answer in zip(requests, answers, strict=True)]

    assert rig.loop.scheduler.preemptions > 0
    assert [margin for margin in margins if margin > TIE] == []
    rig.context.close()


def find_margin(model: Model, request: Request, answer: tuple[int, ...]) -> float:
    """Return by how much a lonely answer preferred its own token where the other one parts from it; zero if nowhere."""
    rig = build_rig(model)
    (expected,) = rig.run(replace(request, request_id="alone", scope="", top_logprobs=20))
    rig.context.close()
    parted = next((index for index, pair in enumerate(zip(answer, expected, strict=True)) if pair[0] != pair[1]), None)
    if parted is None:
        return 0.0
    scores = dict([item for delta in rig.deltas for item in delta.logprobs][parted].top)
    return scores[expected[parted]] - scores.get(answer[parted], -math.inf)


def test_others_go_on_while_a_picture_is_read(model: Model, eyes: Eyes) -> None:
    """A growing answer gets a token at least in every second step, and only part of a picture is read in one."""
    rig = build_rig(model, n_batch=64)
    rig.loop.submit(ask("growing", BEFORE, max_tokens=100))
    rig.loop.step()
    looking = show(eyes, "looking", 1, 2, 3, max_tokens=2)
    rig.loop.submit(looking)
    counts = [len(rig.tokens_of("growing"))]
    while not rig.tokens_of("looking"):
        rig.loop.step()
        counts.append(len(rig.tokens_of("growing")))

    assert all(later > earlier for earlier, later in zip(counts, counts[2:], strict=False))
    while rig.loop.step():
        pass
    assert rig.tokens_of("growing") == answer_alone(model, BEFORE, max_tokens=100)
    assert rig.tokens_of("looking") == alone(model, looking)
    rig.context.close()


def test_half_a_picture_counts_as_none(eyes: Eyes, model: Model) -> None:
    """Whoever leaves in the middle of one costs nobody anything, and the next one begins it anew."""
    for steps in range(1, 6):
        rig = build_rig(model, n_batch=16)
        rig.loop.submit(show(eyes, "leaving", 1, 2, scope="thread"))
        for _ in range(steps):
            rig.loop.step()
        rig.loop.cancel("leaving")
        rig.run()
        after = show(eyes, "after", 1, 2, scope="thread")

        assert rig.run(after) == [alone(model, after)]
        known = rig.last_of("after").cached_tokens
        assert known >= len(BEFORE)
        assert not any(placed.start < known < placed.stop for placed in after.pictures)
        rig.context.close()


def test_what_llama_cpp_would_not_survive_is_refused(model: Model, eyes: Eyes) -> None:
    """Rows that are not there, too many at once, slots that do not exist, points that are missing."""
    sight = next(part for part in eyes.look(paint(1)) if isinstance(part, Sight))
    context = Context(model, n_cells=64, n_slots=2, n_batch=32, kv_unified=True, threads=1)
    with pytest.raises(ValueError, match="not seen"):
        read_rows(context, 0, sight, 0, 0, count=1)
    eyes.see(sight)
    count = len(sight.ids)
    for slot, start, rows in ((2, 0, count), (-1, 0, count), (0, 0, count + 1), (0, -1, 1), (0, count, 1), (0, 0, 0)):
        with pytest.raises(ValueError, match=r"slot|rows"):
            read_rows(context, slot, sight, start, 0, count=rows)
    if not sight.is_causal:
        with pytest.raises(ValueError, match="only with the others"):
            read_rows(context, 0, sight, 0, 0, count=1)
    else:
        assert read_rows(context, 0, sight, 0, 0, count=min(count, 32)) == 0
    context.close()
    with pytest.raises(ValueError, match=r"does not exist|closed"):
        read_rows(context, 0, sight, 0, 0, count=1)
    for width, height, points in ((0, 1, b""), (2, 2, b"123"), (5000, 1, bytes(15000))):
        with pytest.raises(ValueError, match="other points"):
            eyes.look(Points(width, height, points))


@pytest.mark.parametrize(("width", "height"), [(32, 32), (2048, 32), (32, 2048), (2048, 2048), (33, 1999)])
def test_every_shape_can_be_seen(eyes: Eyes, width: int, height: int) -> None:
    """What the decoder hands over never ends the process."""
    for part in eyes.look(paint(1, width=width, height=height)):
        if isinstance(part, Sight) and len(part.ids) < 600:
            eyes.see(part)
            assert np.isfinite(part.rows).all()
