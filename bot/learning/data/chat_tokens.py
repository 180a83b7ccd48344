"""Tokens of a conversation as the engine serves it: its template and its tokenizer, and no other."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.engine.client import EngineClient
from bot.errors import LearningError

ChatMessage = dict[str, str]


@dataclass(frozen=True, slots=True)
class ChatTokens:
    """A prompt, and an answer to it that ends with the end of the turn."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]


async def tokenize_answer(client: EngineClient, messages: Sequence[ChatMessage], answer: str) -> ChatTokens:
    """Return the tokens of *messages* and of *answer* after them.

    Raise *LearningError* when the template does not simply put the answer and its end after the open prompt: then
    nobody can tell which tokens the assistant is to learn.
    """
    prompt = await client.tokenize_chat(messages)
    whole = await client.tokenize_chat([*messages, {"role": "assistant", "content": answer}], is_open=False)
    if whole[: len(prompt)] != prompt or len(whole) == len(prompt):
        raise LearningError(
            "The model's chat template has no clear place where an answer begins, so nothing can be learned from "
            "answers: use a model whose template writes each message whole, one after another."
        )
    return ChatTokens(prompt, whole[len(prompt) :])
