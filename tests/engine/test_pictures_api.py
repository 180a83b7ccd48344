"""Pictures over the API: the official client's, what is refused and why, and an mmproj that cannot be used."""

import asyncio
import base64
import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from PIL import Image

from bot.engine.loaded import load_model
from bot.engine.sight.decoder import Decoder, PictureRefused
from bot.engine.types import EngineOptions
from bot.errors import ModelFileError
from tests.engine.conftest import serving
from tests.engine.test_openai_client import connect
from tests.engine.tiny_model import write_tiny_model
from tests.engine.tiny_projector import write_tiny_projector

pytestmark = pytest.mark.asyncio(loop_scope="module")
PARTS_ONLY = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}{% if part.type == 'text' %}"
    "{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


def write(image: Image.Image, kind: str = "PNG", **options: object) -> str:
    """Return a picture's file in base64."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return base64.b64encode(file.getvalue()).decode()


def noise(seed: int, *, width: int = 60, height: int = 40) -> Image.Image:
    """Return a picture of noise."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def part(data: str, kind: str = "png") -> dict[str, object]:
    """Return a picture as OpenAI's clients send it."""
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}


def about(*pictures: dict[str, object], words: str = "What is this?") -> list[dict[str, object]]:
    """Return a conversation about some pictures."""
    return [{"role": "user", "content": [{"type": "text", "text": words}, *pictures]}]


@pytest.fixture(scope="module")
def mmproj(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an mmproj for the tiny model."""
    return write_tiny_projector(tmp_path_factory.mktemp("mmproj") / "mmproj-tiny.gguf")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def official(tiny_model: Path, mmproj: Path) -> AsyncIterator[AsyncOpenAI]:
    """Return the official client of an engine that sees."""
    async with (
        serving(tiny_model, mmproj_path=mmproj) as client,
        connect(client, max_retries=0) as opened,
    ):
        yield opened


async def answer(official: AsyncOpenAI, messages: list[dict[str, object]], **options: object) -> tuple[str, int]:
    """Return a greedy answer and how many tokens of its prompt were known."""
    extra = {"cache_salt": options.pop("scope", ""), "ignore_eos": True}
    chosen = {"model": "tiny", "temperature": 0, "max_tokens": 16, "extra_body": extra, **options}
    said = await official.chat.completions.create(messages=messages, **chosen)
    return said.choices[0].message.content, said.usage.prompt_tokens_details.cached_tokens


async def test_the_official_client_shows_pictures(official: AsyncOpenAI) -> None:
    """Streamed or not, the same picture gives the same answer, in a cache or not; the model says that it sees."""
    one, two = part(write(noise(1))), part(write(noise(2)))
    (first, _), (other, _), (text, _) = [
        await answer(official, messages) for messages in (about(one), about(two), about())
    ]
    assert len({first, other, text}) == 3

    stream = await official.chat.completions.create(
        model="tiny", messages=about(one), temperature=0, max_tokens=16, stream=True, extra_body={"ignore_eos": True}
    )
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == first
    answers = await asyncio.gather(*(answer(official, about(one), scope=f"t{n}") for n in range(3)))
    assert [text for text, _ in answers] == [first] * 3
    again, known = await answer(official, about(one), scope="t1")
    assert (again, known > 16) == (first, True)
    changed, known = await answer(official, about(two), scope="t1")
    assert (changed, known < 16) == (other, True)
    jpeg, _ = await answer(official, about(part(write(noise(1), "WEBP", lossless=True), "webp")))
    assert jpeg == first  # what is shown counts, not how it was packed
    (model,) = (await official.models.list()).data
    assert (model.input_modalities, model.meta["mmproj"]) == (["text", "image"], "mmproj-tiny.gguf")


async def test_a_threads_next_turn_knows_its_picture(official: AsyncOpenAI) -> None:
    """It begins where the answer ended; n answers to one picture are as good as one."""
    messages = about(part(write(noise(1))))
    first, _ = await answer(official, messages, scope="thread")
    messages += [{"role": "assistant", "content": first}, {"role": "user", "content": "And now?"}]
    cold, _ = await answer(official, messages)

    assert await answer(official, messages, scope="thread") == (cold, pytest.approx(45, abs=20))
    many = await official.chat.completions.create(model="tiny", messages=messages, n=3, temperature=0, max_tokens=4)
    assert len({choice.message.content for choice in many.choices}) == 1


REFUSED = [
    (about({"type": "image_url", "image_url": {"url": "http://localhost/cat.png"}}), "fetches nothing"),
    (about({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}), "fetches nothing"),
    (about({"type": "image_url", "image_url": "data:image/png;base64,AAAA"}), "must have a url"),
    (about({"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,AAAA"}}), "fetches nothing"),
    (about({"type": "input_audio", "input_audio": {}}), "types text and image_url only"),
    (about(part("AAAA")), "damaged"),
    (about(part("not base64!")), "damaged"),
    (about(part(write(noise(1), "TIFF"))), "PNG, JPEG, GIF and WebP"),
    (about(part(write(Image.new("1", (9000, 9000))))), "50 million pixels"),
    (about(part("A" * 29_000_000)), "more than 20971520 bytes"),
    (about(*[part(write(noise(1)))] * 9), "8 pictures at most"),
    ([{"role": "system", "content": [part(write(noise(1)))]}, *about()], "text only"),
    (about(part(write(noise(1))), words="word " * 400), "maximum context length"),
]


async def test_what_cannot_be_shown_is_refused_in_words(official: AsyncOpenAI) -> None:
    """Nothing is fetched, unpacked beyond measure, or computed that has no room; the engine goes on."""
    for messages, words in REFUSED:
        with pytest.raises(openai.BadRequestError, match=words):
            await answer(official, messages)
    assert (await answer(official, about(part(write(noise(1))))))[0]


async def test_an_engine_without_eyes_says_so(tiny_model: Path) -> None:
    """A picture is neither ignored nor guessed at."""
    async with serving(tiny_model) as client, connect(client, max_retries=0) as official:
        with pytest.raises(openai.BadRequestError, match=r"reads text only.*MODEL_MMPROJ") as refused:
            await answer(official, about(part(write(noise(1)))))
        assert refused.value.code == "pictures_not_supported"
        (model,) = (await official.models.list()).data
        assert model.input_modalities == ["text"]


async def test_templates_that_want_parts_get_them(tmp_path: Path, mmproj: Path) -> None:
    """Some templates read no text but that of a list; with them, too, words count and pictures stay in their place."""
    model = write_tiny_model(tmp_path / "tiny.gguf", template=PARTS_ONLY)
    async with serving(model, mmproj_path=mmproj) as client, connect(client) as official:
        said = {await answer(official, about(words=words)) for words in ("one", "two")}
        seen = {await answer(official, about(part(write(noise(seed))), words="one")) for seed in (1, 2)}
    assert len(said | seen) == 4


async def test_a_large_picture_leaves_room_for_words(tmp_path: Path) -> None:
    """Where it could be of any size it takes a quarter of a conversation at most; positions are counted for it."""
    model = write_tiny_model(tmp_path / "tiny.gguf", has_places=True)
    eyes = write_tiny_projector(tmp_path / "mmproj.gguf", kind="qwen2vl_merger")
    async with serving(model, mmproj_path=eyes, n_ctx=2048) as client, connect(client) as official:
        (served,) = (await official.models.list()).data
        said = [await answer(official, about(part(write(noise(seed, width=900, height=700))))) for seed in (1, 1, 2)]
    assert 400 < served.meta["picture_tokens"] < 600
    assert said[0][0] == said[1][0] != said[2][0]


async def test_pictures_are_decoded_as_people_see_them() -> None:
    """Upright, on white, no larger than of use, never a line."""
    decoder, turned = Decoder(), Image.Exif()
    turned[0x0112] = 6
    upright = await decoder.decode(write(noise(1), "JPEG", exif=turned))
    assert (upright.width, upright.height) == (40, 60)
    clear = await decoder.decode(write(Image.new("RGBA", (40, 40), (0, 0, 0, 0))))
    assert set(clear.rgb) == {255}
    large = await decoder.decode(write(Image.new("L", (4096, 1024))))
    assert (large.width, large.height, len(large.rgb)) == (2048, 512, 3 * 2048 * 512)
    line = await decoder.decode(write(Image.new("RGB", (500, 1))))
    assert (line.width, line.height) == (500, 32)
    for image in (noise(1).convert("P"), noise(1).convert("CMYK"), noise(1).convert("LA")):
        points = await decoder.decode(write(image, "JPEG" if image.mode == "CMYK" else "PNG"))
        assert (points.width, points.height) == (60, 40)
    with pytest.raises(PictureRefused):
        await decoder.decode(write(noise(1))[:1000])


@pytest.fixture
def unusable(tiny_model: Path, mmproj: Path, tmp_path: Path) -> dict[Path, str]:
    """Return what cannot be an mmproj, with the words that say why."""
    cut, lame = tmp_path / "cut.gguf", tmp_path / "lame.gguf"
    cut.write_bytes(mmproj.read_bytes()[:-100])
    write_tiny_projector(lame, without=("mm.2.weight",))
    return {
        tmp_path / "none.gguf": "does not exist",
        Path(__file__): "is not a GGUF file",
        cut: "weights are missing",
        tiny_model: "is no mmproj",
        write_tiny_projector(tmp_path / "wide.gguf", width=128): "vectors have 128 numbers, the model's 64",
        write_tiny_projector(tmp_path / "odd.gguf", kind="quux"): "unknown projector type",
        write_tiny_projector(tmp_path / "bare.gguf", without=("v.blk.1.ffn_up.weight",)): "unable to find tensor",
        lame: r"ends the process that uses it \(SIGSEGV\)",
    }


async def test_an_mmproj_that_cannot_be_used_is_refused(
    tiny_model: Path, mmproj: Path, unusable: dict[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, cut, of another model, no mmproj, or deadly to its process: one sentence, and no engine."""
    for path, words in unusable.items():
        with pytest.raises(ModelFileError, match=words) as refused:
            await load(tiny_model, path)
        assert str(path) in str(refused.value)
    with pytest.raises(ModelFileError, match="is an mmproj, not a model"):
        await load(mmproj, None)
    monkeypatch.setattr("bot.engine.loaded.try_mmproj", lambda *_: None)
    monkeypatch.setitem(sys.modules, "llama_cpp.mtmd_cpp", None)  # as where it was built without
    with pytest.raises(ModelFileError, match="has no libmtmd"):
        await load(tiny_model, mmproj)


async def load(model: Path, mmproj: Path | None) -> None:
    """Load a model, in a thread as the engine does."""
    options = EngineOptions(model_path=model, mmproj_path=mmproj, n_ctx=256, threads=1)
    (await asyncio.to_thread(load_model, options)).close()
