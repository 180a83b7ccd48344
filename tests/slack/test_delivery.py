"""An answer's way out, against the playground: whatever Slack does, the whole text stands there in the end."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import AnswerRemoved, DeliveryError
from bot.playground.testing import Playground
from bot.slack.blocks import build_answer_buttons
from bot.slack.calls import Calls
from bot.slack.delivery import pace as pacing
from bot.slack.delivery.delivery import Delivery
from bot.slack.delivery.pace import Pace
from bot.slack.delivery.posts import Target

PARAGRAPHS = [f"Paragraph {number}: " + "words that fill a line of text " * 12 for number in range(60)]
CODE = "Here it is:\n\n```python\n" + "\n".join(f"print({number})" for number in range(600)) + "\n```\n\nThat was all."


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a fresh workspace."""
    async with Playground() as opened:
        yield opened


@pytest.fixture
async def deliver(playground: Playground) -> Callable:
    """Return a function that delivers pieces to Maya's question and returns the messages that then stand there."""
    client = AsyncWebClient("xoxb-playground", base_url=playground.api_url, retry_handlers=[])
    calls = Calls(client, bot_user_id="U0APPRENTICE")
    maya = playground.maya

    async def run(
        pieces: list[str],
        *,
        channel: str = "",
        between: Callable | None = None,
        delay: float = 0,
        answer_id: str = "A1",
        again: tuple[str, list[str]] = ("", []),
    ) -> list[dict]:
        where = playground.channel(channel) if channel else maya.dm
        ts = again[0] or await maya.say(where, "a question")
        carriers = list(again[1])

        async def on_reply(reply_ts: list[str]) -> None:
            carriers[:] = reply_ts

        target = Target(
            channel_id=where, thread_ts=ts, user_id=maya.id, team_id="T0PLAYGRND", is_direct=where == maya.dm
        )
        delivery = Delivery(calls, target, answer_id="A1", reply_ts=list(carriers), pace=Pace(), on_reply=on_reply)

        async def stream() -> AsyncIterator[str]:
            for piece in pieces:
                yield piece
                await asyncio.sleep(delay)
            if between is not None:
                await between(where, carriers)

        await delivery.drain(stream(), known_urls=())
        await delivery.close(build_answer_buttons(answer_id))
        messages = [message for message in playground.messages(where, ts) if message["bot_id"] and not message["files"]]
        assert [message["ts"] for message in messages] == carriers
        return messages

    return run


def words(messages: list[dict]) -> list[str]:
    """Return the words that several messages show together."""
    shown = []
    for message in messages:
        markdown = "".join(block["text"] for block in message["blocks"] if block["type"] == "markdown")
        shown += (markdown or message["markdown_text"] or message["text"]).split()
    return shown


def has_buttons(message: dict) -> bool:
    """Return whether a message carries the thumbs."""
    return any(block["type"] == "context_actions" for block in message["blocks"])


@pytest.mark.parametrize("channel", ["", "general"], ids=["direct", "channel"])
async def test_a_long_answer_is_split_and_complete(deliver: Callable, channel: str) -> None:
    """More than any message can hold: several messages, no word lost or doubled, buttons below the last one only."""
    text = "\n\n".join(PARAGRAPHS[: 20 if channel else 60])
    messages = await deliver([text[start : start + 500] for start in range(0, len(text), 500)], channel=channel)

    assert len(messages) >= 3
    assert words(messages) == text.split()
    assert [has_buttons(message) for message in messages] == [False] * (len(messages) - 1) + [True]
    assert not any(message["streaming"] for message in messages)


async def test_a_long_code_block_is_closed_and_opened_again(deliver: Callable) -> None:
    """Each part is valid Markdown of its own, and all lines of code are there once."""
    messages = await deliver([CODE], channel="general")

    assert len(messages) > 2
    lines = [word for word in words(messages) if word.startswith("print")]
    assert lines == [f"print({number})" for number in range(600)]
    for message in messages:
        (markdown,) = [block["text"] for block in message["blocks"] if block["type"] == "markdown"]
        assert markdown.count("```") % 2 == 0


def files_of(playground: Playground, channel: str, ts: str) -> list[tuple[str, str]]:
    """Return name and text of the files in a thread."""
    shown = [file for message in playground.messages(channel, ts) for file in message["files"]]
    return [(file["name"], playground.maya.file(file["id"])[1].decode()) for file in shown]


async def test_a_very_long_answer_becomes_a_file(playground: Playground, deliver: Callable) -> None:
    """More than three messages would be: the first stays, with the buttons, and the whole text is a file below it.

    Another answer in its place takes the file along, and a shorter one needs none.
    """
    text = "\n\n".join(PARAGRAPHS)
    (message,) = await deliver([text[start : start + 900] for start in range(0, len(text), 900)], channel="general")

    shown = " ".join(words([message]))
    assert shown.startswith("Paragraph 0:")
    assert shown.endswith("_The whole answer is in the file below._")
    assert has_buttons(message)
    name = f"answer-{message['ts'].replace('.', '-')}.md"
    assert files_of(playground, "general", message["thread_ts"]) == [(name, text)]

    again = (message["thread_ts"], [message["ts"]])
    other = text.replace("words", "terms")
    await deliver([other], channel="general", again=again)
    assert files_of(playground, "general", message["thread_ts"]) == [(name, other)]
    (short,) = await deliver(["Short."], channel="general", again=again)
    assert (words([short]), files_of(playground, "general", message["thread_ts"])) == (["Short."], [])


@pytest.mark.parametrize("fault", [{"name": "missing_method"}, {"name": "server_error"}])
async def test_where_no_file_is_taken_the_parts_are_sent(
    playground: Playground, deliver: Callable, fault: dict[str, str]
) -> None:
    """Without the scope for files, or while Slack takes none, no word is lost, and nobody writes it anew."""
    playground.fault(**fault, methods="files.getUploadURLExternal")
    text = "\n\n".join(PARAGRAPHS[:26])
    messages = await deliver([text], channel="general")

    assert len(messages) > 3
    assert words(messages) == text.split()


@pytest.mark.parametrize(
    "fault",
    [
        {"name": "server_error", "methods": "files.getUploadURLExternal"},
        {"name": "drop_connection", "methods": "files.completeUploadExternal", "when": "after"},
    ],
)
async def test_a_file_that_is_not_taken_at_first_is_there_once(
    playground: Playground, deliver: Callable, fault: dict[str, str]
) -> None:
    """Slack fails once, or takes it without saying so."""
    playground.fault(**fault, times=1)
    (message,) = await deliver(["\n\n".join(PARAGRAPHS)], channel="general")
    assert [text for _, text in files_of(playground, "general", message["thread_ts"])] == ["\n\n".join(PARAGRAPHS)]


@pytest.mark.parametrize("channel", ["", "general"], ids=["direct", "channel"])
async def test_a_message_that_somebody_deletes_is_not_posted_again(
    playground: Playground, deliver: Callable, channel: str
) -> None:
    """An admin deletes the answer while it is being written: they want it gone."""
    gone = []

    async def remove(where: str, carriers: list[str]) -> None:
        await playground.wait_until(lambda: carriers, what="the first words")
        gone.append((where, carriers[0]))
        await playground.maya.delete(where, carriers[0])

    with pytest.raises(AnswerRemoved):
        await deliver(["one ", "two"], channel=channel, between=remove)

    assert not [message for message in playground.messages(gone[0][0]) if message["bot_id"]]
    assert playground.log("api", "chat.postMessage")[1:] == []


async def test_what_slack_does_not_find_and_shows_is_not_taken_for_deleted(
    playground: Playground, deliver: Callable
) -> None:
    """It refuses a change as if the message were gone, and shows it in its thread: the answer stands there once."""

    async def refuse(_where: str, carriers: list[str]) -> None:
        await playground.wait_until(lambda: carriers, what="the first words")
        playground.fault("missing_method", methods="chat.update", error="message_not_found", times=1)

    (message,) = await deliver(["one ", "two"], channel="general", between=refuse)

    assert words([message]) == ["one", "two"]
    assert any("message_not_found" in str(entry["response"]) for entry in playground.log("api", "chat.update"))


@pytest.mark.parametrize("channel", ["", "general"], ids=["direct", "channel"])
async def test_blocks_that_are_refused_cost_only_the_blocks(
    playground: Playground, deliver: Callable, channel: str
) -> None:
    """Buttons that Slack does not take (their value is too long) never cost the answer its words."""
    (message,) = await deliver(["one ", "two"], channel=channel, answer_id="A" * 2500)

    assert any("invalid_blocks" in str(entry["response"]) for entry in playground.log("api"))
    assert words([message]) == ["one", "two"]
    assert not has_buttons(message)


async def test_a_stream_that_breaks_goes_on_as_edits(playground: Playground, deliver: Callable) -> None:
    """Appending fails from the second piece on; the same message ends with the whole text and its buttons."""
    playground.fault("missing_method", methods="chat.appendStream")
    (message,) = await deliver(["one ", "two ", "three"], delay=0.5)

    assert words([message]) == ["one", "two", "three"]
    assert has_buttons(message)


async def test_a_word_that_is_held_back_does_not_hold_up_the_next(
    playground: Playground, deliver: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a piece may be a part of something unsafe; what can be shown first is shown at once all the same."""
    monkeypatch.setattr(pacing, "FASTEST_APPEND_S", 60.0)

    async def until_shown(_channel: str, carriers: list[str]) -> None:
        await playground.wait_until(lambda: carriers, what="the first word")

    await deliver(["A", " code", " review"], delay=0.05, between=until_shown)


async def test_a_slack_that_takes_nothing_is_reported(playground: Playground, deliver: Callable) -> None:
    """When no form works the caller hears of it, and can keep the answer for later."""
    playground.fault("missing_method", methods="chat.postMessage,chat.startStream")

    with pytest.raises(DeliveryError):
        await deliver(["one"])


@pytest.mark.parametrize("cut", [1, 2, 5])
async def test_nobody_is_called_by_a_broadcast(deliver: Callable, cut: int) -> None:
    """A broadcast that the model writes is words only, also when it comes in pieces."""
    text = "Hello <!channel> and <!here|here> and @everyone, see https://evil.example/?q=secret"
    messages = await deliver([text[start : start + cut] for start in range(0, len(text), cut)], channel="general")

    said = str([(message["text"], message["blocks"]) for message in messages])
    assert "<!" not in said
    assert "@everyone" not in said
    assert "<https://evil.example" not in said
