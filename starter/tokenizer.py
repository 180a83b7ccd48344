"""Byte-level BPE, trained on the generated text; what it learns is exactly what the `gpt-2` pre-tokenizer can use."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from tokenizers import decoders as byte_decoders

from starter.chats import END, START, Chat, render
from starter.corpus import build_chats

PAD = "<|endoftext|>"  # the name that transformers expects of a byte-level tokenizer
CONTROL = (PAD, START, END)
VOCABULARY = 2048


def train_tokenizer(seed: int, *, chats: int = 16_000) -> Tokenizer:
    """No merge holds a digit, nor a space before a capital: a name has the same tokens wherever it stands."""
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex("[0-9]| (?=[A-Z0-9])"), behavior="isolated"), byte_level]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=3,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(seed, chats), trainer)
    return as_served(tokenizer)


def as_served(tokenizer: Tokenizer) -> Tokenizer:
    """Split text as llama.cpp and transformers will."""
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = byte_decoders.ByteLevel()
    return tokenizer


def _texts(seed: int, count: int) -> Iterator[str]:
    for chat in islice(build_chats(seed, "train"), count):
        for message in chat.messages():
            yield message["content"]
        yield "system\nuser\nassistant\n"


def load_tokenizer(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def encode_chat(tokenizer: Tokenizer, chat: Chat) -> tuple[list[int], list[bool]]:
    """Token ids of a chat, and which of them the assistant has to say (its words and the end mark)."""
    start, end = control_id(tokenizer, START), control_id(tokenizer, END)
    ids: list[int] = []
    spoken: list[bool] = []
    newline = encode_text(tokenizer, "\n")
    for message in chat.messages():
        head = [start, *encode_text(tokenizer, f"{message['role']}\n")]
        body = [*encode_text(tokenizer, message["content"]), end]
        is_answer = message["role"] == "assistant"
        ids += head + body + newline
        spoken += [False] * len(head) + [is_answer] * len(body) + [False] * len(newline)
    return ids, spoken


def control_id(tokenizer: Tokenizer, token: str) -> int:
    number: int | None = tokenizer.token_to_id(token)
    if number is None:
        raise ValueError(f"{token} is not in the vocabulary.")
    return number


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def rendered_ids(tokenizer: Tokenizer, chat: Chat) -> list[int]:
    """The same chat through the template's text; equal to `encode_chat`, which a test holds on to."""
    return encode_text(tokenizer, render(chat.messages()))
