"""What goes into the prompt: the newest messages that fit, told apart by speaker, and a count of the rest."""

from hypothesis import given
from hypothesis import strategies as st

from bot.conversation.history import ChatMessage, Fitted, build_messages, fit_history
from bot.storage.threads import Said


async def words(messages: list[ChatMessage]) -> int:
    """Count words, as a stand-in for a tokenizer with two tokens of overhead a message."""
    return sum(2 + len(message["content"].split()) for message in messages)


def test_roles_alternate() -> None:
    """Unanswered neighbours are joined, since many chat templates refuse two user messages in a row."""
    history = [Said("Maya", "one"), Said("Maya", "two", "yes"), Said("Maya", "three")]

    messages = build_messages("be kind", history, Said("Maya", "four"), is_group=False)

    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[1]["content"] == "one\n\ntwo"
    assert messages[3]["content"] == "three\n\nfour"


def test_speakers_are_named_where_several_can_speak() -> None:
    """In a channel the model knows who said what; in a direct message a name would only be noise."""
    said = Said("Tom", "hello", "hi")

    assert build_messages("", [said], said, is_group=True)[0]["content"] == "Tom: hello"
    assert build_messages("", [said], said, is_group=False)[0]["content"] == "hello"


@given(
    lengths=st.lists(st.integers(1, 30), max_size=20),
    answers=st.lists(st.booleans(), min_size=20, max_size=20),
    budget=st.integers(5, 300),
)
async def test_as_much_as_fits_and_no_more(lengths: list[int], answers: list[bool], budget: int) -> None:
    """The prompt is within the budget, one more message would not be, and the question is always in it."""
    history = [
        Said("Maya", "word " * length, "answer" if is_answered else None)
        for length, is_answered in zip(lengths, answers, strict=False)
    ]
    question = Said("Maya", "the question")

    def build(kept):
        return build_messages("system", kept, question, is_group=False)

    fitted = await fit_history(history, build, count=words, budget=budget)

    if isinstance(fitted, int):
        assert await words(build([])) > budget
        return
    assert fitted == Fitted(fitted.messages, fitted.used, len(history), await words(fitted.messages))
    assert fitted.tokens <= budget
    assert fitted.messages[-1]["content"].endswith("the question")
    assert fitted.messages == build(history[len(history) - fitted.used :])
    if fitted.used < len(history):
        assert await words(build(history[len(history) - fitted.used - 1 :])) > budget
