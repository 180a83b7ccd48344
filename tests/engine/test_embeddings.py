"""Vectors of texts, as the official client asks for them; models without any, and models with nothing else."""

import math
from collections.abc import AsyncIterator
from pathlib import Path

import gguf
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI

from bot.engine.client import EngineClient
from tests.engine.conftest import serving
from tests.engine.test_openai_client import HELLO, connect, tokens_of
from tests.engine.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def pooled_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a chat model whose file declares how texts become vectors."""
    return write_tiny_model(tmp_path_factory.mktemp("pooled") / "pooled.gguf", pooling=gguf.PoolingType.LAST)


@pytest.fixture
async def official(pooled_model: Path) -> AsyncIterator[AsyncOpenAI]:
    """Return the official client of an engine with that model."""
    async with serving(pooled_model) as client, connect(client, max_retries=0) as opened:
        yield opened


async def test_texts_become_vectors(official: AsyncOpenAI) -> None:
    """One or many, as text or tokens, as floats or base64 (the client's default): the same vectors of length one."""
    words = ["hello the user", "the user", "a"]
    tokens = [await tokens_of(official, word) for word in words]
    many = await official.embeddings.create(model="pooled", input=words)
    floats = await official.embeddings.create(model="pooled", input=tokens, encoding_format="float")
    one = await official.embeddings.create(model="pooled", input=words[0])
    same = await official.embeddings.create(model="pooled", input=tokens[0])

    assert [item.index for item in many.data] == [0, 1, 2]
    assert many.usage.prompt_tokens == many.usage.total_tokens == sum(map(len, tokens))
    for left, right in zip(many.data, floats.data, strict=True):
        assert len(left.embedding) == 64
        assert math.hypot(*left.embedding) == pytest.approx(1, abs=1e-5)
        assert left.embedding == pytest.approx(right.embedding, abs=1e-6)
    assert one.data[0].embedding == pytest.approx(same.data[0].embedding, abs=1e-6)
    assert one.data[0].embedding == pytest.approx(many.data[0].embedding, abs=1e-6)
    assert np.dot(many.data[0].embedding, many.data[2].embedding) < 0.99


async def test_vectors_and_answers_do_not_disturb_each_other(official: AsyncOpenAI) -> None:
    """A vector that is computed while somebody is answered changes no token of the answer."""
    asked = {"model": "pooled", "messages": HELLO, "temperature": 0, "max_tokens": 40}
    alone = (await official.chat.completions.create(**asked)).choices[0].message.content
    stream = await official.chat.completions.create(**asked, stream=True)
    text = ""
    async for chunk in stream:
        text += chunk.choices[0].delta.content or ""
        if len(text) % 7 == 0:
            await official.embeddings.create(model="pooled", input=text or "x")

    assert text == alone


async def test_what_cannot_be_done_is_named(official: AsyncOpenAI) -> None:
    """Dimensions, an empty text, tokens that do not exist, a text over the limit, another model."""
    for asked, param in (
        ({"input": "x", "dimensions": 8}, "dimensions"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [[1], [99999]]}, "input"),
        ({"input": ["x"] * 65}, "input"),
        ({"input": "x" * 600}, "input"),
        ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            await official.embeddings.create(model="pooled", **asked)
        assert caught.value.param == param
    with pytest.raises(openai.NotFoundError):
        await official.embeddings.create(model="ada", input="x")


async def test_a_chat_model_has_no_vectors(client: EngineClient) -> None:
    """A file without a pooling type is refused by a code of its own."""
    async with connect(client, max_retries=0) as official:
        with pytest.raises(openai.BadRequestError, match="no pooling type") as caught:
            await official.embeddings.create(model="tiny", input="x")
    assert caught.value.code == "embeddings_not_supported"


async def test_a_model_of_vectors_only_is_served(tmp_path: Path) -> None:
    """A BERT answers no chat, and says so; its vectors are there."""
    async with (
        serving(write_bert(tmp_path / "bert.gguf"), n_ctx=0) as client,
        connect(client, max_retries=0) as official,
    ):
        found = await official.embeddings.create(model="bert", input=["hello world", "hello world", "hello"])
        for call in (
            official.chat.completions.create(model="bert", messages=HELLO),
            official.completions.create(model="bert", prompt="hello"),
        ):
            with pytest.raises(openai.BadRequestError, match="embeddings only") as caught:
                await call
            assert caught.value.code == "completions_not_supported"

    first, again, other = (item.embedding for item in found.data)
    assert first == pytest.approx(again, abs=1e-6)
    assert np.dot(first, other) < 0.9999
    assert math.hypot(*first) == pytest.approx(1, abs=1e-5)


def write_bert(path: Path) -> Path:
    """Write a BERT of random weights with a handful of words."""
    width, hidden, layers = 32, 64, 2
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u2581hello", "\u2581world", *map(chr, range(97, 123))]
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("tiny random bert")
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_vocab_size(len(words))
    writer.add_token_type_count(2)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(words)
    writer.add_token_types([gguf.TokenType.CONTROL] * 5 + [gguf.TokenType.NORMAL] * (len(words) - 5))
    for name, token in {"bos": 2, "cls": 2, "eos": 3, "seperator": 3, "padding": 0, "unknown": 1, "mask": 4}.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    shapes = {
        "token_embd.weight": (len(words), width),
        "token_types.weight": (2, width),
        "position_embd.weight": (64, width),
        "token_embd_norm.weight": (width,),
        "token_embd_norm.bias": (width,),
    }
    for layer in range(layers):
        square = {
            f"blk.{layer}.{name}.weight": (width, width) for name in ("attn_q", "attn_k", "attn_v", "attn_output")
        }
        flat = ("attn_q", "attn_k", "attn_v", "attn_output", "attn_output_norm", "ffn_down", "layer_output_norm")
        shapes |= square | {f"blk.{layer}.{name}.bias": (width,) for name in flat}
        shapes |= {f"blk.{layer}.{name}.weight": (width,) for name in ("attn_output_norm", "layer_output_norm")}
        shapes |= {f"blk.{layer}.ffn_up.weight": (hidden, width), f"blk.{layer}.ffn_up.bias": (hidden,)}
        shapes |= {f"blk.{layer}.ffn_down.weight": (width, hidden)}
    for name, shape in shapes.items():
        rng = np.random.default_rng([7, *name.encode()])
        is_norm = name.endswith("norm.weight")
        writer.add_tensor(name, (np.ones(shape) if is_norm else rng.standard_normal(shape) * 0.3).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
