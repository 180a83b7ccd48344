"""What of a thread goes into the prompt: pure choices on plain data, counted by whoever knows the tokenizer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bot.storage.threads import Said

ChatMessage = dict[str, str]  # in the OpenAI form: role and content


@dataclass(frozen=True)
class Fitted:
    """The prompt that fits, and how many of the thread's earlier messages are in it; *kept* are these."""

    messages: list[ChatMessage]
    used: int
    total: int
    tokens: int
    kept: tuple[Said, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Example:
    """What somebody said should have been answered to much the same question; *score* is how much the same."""

    correction_id: str
    question: str
    answer: str
    score: float


@dataclass(frozen=True, slots=True)
class Aside:
    """What the model reads beside the conversation: a summary of its older part, what it was taught before, and what
    it is to say shorter.
    """

    summary: str = ""
    taught: tuple[tuple[str, str], ...] = ()  # what was said to the assistant, and how it took note of it
    shortened: tuple[str, str] = ("", "")  # an answer that was too long, and what is asked of it


NOTHING = Aside()


def build_messages(
    system: str, history: Sequence[Said], question: Said, *, is_group: bool, aside: Aside = NOTHING
) -> list[ChatMessage]:
    """Build the conversation; neighbours of the same role are joined, as many chat templates demand.

    A summary stands where it begins, for it changes seldom; what was taught right before the question, so that all
    that comes before it stays as the engine has it in its cache.
    """
    messages: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
    if aside.summary:
        _append(messages, {"role": "user", "content": aside.summary})
    for said in (*history, question):
        for lesson, noted in aside.taught if said is question else ():
            _append(messages, {"role": "user", "content": lesson})
            _append(messages, {"role": "assistant", "content": noted})
        _append(messages, {"role": "user", "content": f"{said.user_name}: {said.text}" if is_group else said.text})
        if said.answer:
            _append(messages, {"role": "assistant", "content": said.answer})
    too_long, wish = aside.shortened
    if too_long:
        _append(messages, {"role": "assistant", "content": too_long})
        _append(messages, {"role": "user", "content": f"{question.user_name}: {wish}" if is_group else wish})
    return messages


def _append(messages: list[ChatMessage], message: ChatMessage) -> None:
    if messages and messages[-1]["role"] == message["role"]:
        messages[-1]["content"] += "\n\n" + message["content"]
    else:
        messages.append(message)


async def fit_history(
    history: Sequence[Said],
    build: Callable[[Sequence[Said]], list[ChatMessage]],
    *,
    count: Callable[[list[ChatMessage]], Awaitable[int]],
    budget: int,
) -> Fitted | int:
    """Keep as many of the newest messages as fit into *budget* tokens.

    Return the tokens of the bare question when not even that fits. Everything is counted as one prompt, since a
    template's overhead is only known to the template; a search by halves keeps that to a few counts.
    """
    total = len(history)
    messages = build(history)
    tokens = await count(messages)
    if tokens <= budget:
        return Fitted(messages, total, total, tokens, tuple(history))
    fits, best = -1, 0
    low, high = 0, total - 1
    while low <= high:
        middle = (low + high) // 2
        tokens = await count(build(history[total - middle :]))
        if tokens <= budget:
            fits, best, low = middle, tokens, middle + 1
        else:
            high = middle - 1
    if fits < 0:
        return tokens
    kept = history[total - fits :]
    return Fitted(build(kept), fits, total, best, tuple(kept))
