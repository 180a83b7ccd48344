"""Whatever an app sends, it gets an answer of Slack's and never an error of ours."""

import asyncio
import inspect
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.playground.delivery import Delivery, Envelope, Outcome
from bot.playground.errors import PageError, SlackError
from bot.playground.hub import Hub
from bot.playground.messaging import build_app_message, post
from bot.playground.modal_stack import open_modal
from bot.playground.options import PlaygroundOptions
from bot.playground.page.request import PageRequest
from bot.playground.page.routes import ROUTES
from bot.playground.streams import start_stream
from bot.playground.testing import Playground
from bot.playground.web_api import METHODS
from bot.playground.web_api.arguments import Arguments
from tests.playground.test_interactions import BUTTON, modal
from tests.playground.test_streams import FEEDBACK

NAMES = [
    *("channel", "channel_id", "user", "users", "ts", "thread_ts", "timestamp", "message_ts", "text", "markdown_text"),
    *("blocks", "attachments", "metadata", "chunks", "view", "view_id", "trigger_id", "status", "title", "prompts"),
    *("loading_messages", "types", "limit", "cursor", "oldest", "latest", "name", "session_status", "hash"),
    *("recipient_user_id", "recipient_team_id", "task_display_mode", "initiator_user_id", "external_id", "return_im"),
]
SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8)
WORDS = st.sampled_from(
    [
        *("section", "markdown_text", "task_update", "plan_update", "blocks", "markdown", "actions", "button", "modal"),
        *(
            "plain_text",
            "active",
            "processing",
            "complete",
            "plan",
            "[",
            "{}",
            "[1]",
            '[{"type": "section"}]',
            "0",
            "-1",
        ),
    ]
)
KEYS = st.sampled_from(["type", "text", "elements", "blocks", "title", "id", "status", "event_type", "event_payload"])
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(METHODS)), st.data())
def test_no_arguments_break_a_method(name: str, data: st.DataObject) -> None:
    """Every method takes any JSON for any argument and either answers or refuses with a code."""

    async def call() -> None:
        hub = Hub(PlaygroundOptions())
        message = post(hub, build_app_message(hub, "D0MAYA", text="x"))
        stream = build_app_message(hub, "D0MAYA", thread_ts=message.ts)
        start_stream(hub, stream, recipient=None)
        known = st.sampled_from(["D0MAYA", "C0GENERAL", "U0MAYA", message.ts, stream.ts, hub.triggers.issue("U0MAYA")])
        arguments: dict[str, Any] = data.draw(st.dictionaries(st.sampled_from(NAMES), known | JSON, max_size=8))
        arguments = data.draw(st.sampled_from([{"channel": "D0MAYA", "channel_id": "D0MAYA"}, {}])) | arguments
        try:
            assert isinstance(METHODS[name].answer(hub, Arguments(arguments)), dict)
        except SlackError as refusal:
            code = refusal.code
            assert code, arguments
        finally:
            await hub.close()

    asyncio.run(call())


PAGE_NAMES = [
    *(
        "user",
        "channel",
        "text",
        "ts",
        "thread_ts",
        "message_ts",
        "command",
        "block_id",
        "action_id",
        "action",
        "state",
    ),
    *("view_id", "name", "remove", "message", "tab", "with", "private", "invitee", "enabled", "params", "advance_s"),
    *("before", "limit", "after", "title", "value"),
]
ACTIONS = st.fixed_dictionaries({"type": WORDS, "value": JSON, "selected_option": JSON})


class AnsweringApp:
    """A wire to an app that acknowledges everything with the same response."""

    is_connected = True

    def __init__(self, response: dict[str, Any] | None) -> None:
        self._response = response

    async def send(self, envelope: Envelope) -> Outcome:
        """Acknowledge at once."""
        return Outcome(ok=True, response=self._response)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ROUTES), st.data())
def test_no_request_breaks_the_page(route: tuple[str, str, Any], data: st.DataObject) -> None:
    """Every path takes any JSON, and any answer of the app, and either answers or refuses with a sentence."""

    async def call() -> None:
        hub = Hub(PlaygroundOptions())
        blocks = [{**BUTTON, "block_id": "a"}, {**FEEDBACK, "block_id": "b"}]
        message = post(hub, build_app_message(hub, "D0MAYA", text="x", blocks=blocks))
        view = open_modal(hub, "U0MAYA", modal())
        known = [
            message.ts,
            view.id,
            "D0MAYA",
            "U0MAYA",
            "a",
            "b",
            "go",
            "pick",
            "feedback",
            "reason",
            "text",
            "/apprentice",
        ]
        response = data.draw(
            st.none() | st.dictionaries(st.sampled_from(["response_action", "errors", "view", "text"]), JSON)
        )

        hub.delivery = Delivery(AnsweringApp(response), clock=hub.clock, faults=hub.faults, inspector=hub.inspector)
        values = data.draw(st.dictionaries(st.sampled_from(PAGE_NAMES), st.sampled_from(known) | ACTIONS | JSON))
        usual = {"user": "U0MAYA", "channel": "D0MAYA", "message_ts": message.ts, "ts": message.ts}
        try:
            result = route[2](PageRequest(hub, usual | values))
            assert isinstance(await result if inspect.isawaitable(result) else result, dict)
        except PageError as refusal:
            sentence = refusal.sentence
            assert sentence.endswith((".", "!")), sentence
        finally:
            await hub.close()

    asyncio.run(call())


async def test_broken_characters_stay_readable(tmp_path: Path) -> None:
    """Half a surrogate pair in a message neither stops the page nor spoils the data file."""
    path = tmp_path / "workspace.json"
    async with Playground(data=path) as playground:
        await playground.maya.say("general", "half \ud83d pair")
    async with Playground(data=path) as playground:
        assert playground.messages("general")[0]["text"] == "half ? pair"


@pytest.mark.parametrize("levels", [150, 5_000])
async def test_what_is_very_deep_is_refused_in_words(levels: int) -> None:
    """In an app's call, as JSON or as text in it, whatever it is for; nothing goes through it to its end."""
    deep = '{"a":' * levels + "1" + "}" * levels
    async with Playground() as playground, aiohttp.ClientSession() as session:
        say = {"channel": playground.maya.dm, "text": "hi"}
        as_json = {"Authorization": "Bearer xoxb-playground", "Content-Type": "application/json"}
        for headers, body in (
            (as_json, json.dumps(say)[:-1] + f', "metadata": {deep}}}'),
            ({"Authorization": "Bearer xoxb-playground"}, {**say, "metadata": deep}),
        ):
            async with session.post(f"{playground.api_url}chat.postMessage", headers=headers, data=body) as response:
                assert response.status == 200
                assert not (await response.json())["ok"]


async def test_a_deep_event_is_delivered() -> None:
    """Apps meet what nests in itself three hundred times; the inspector shows the top of it."""
    deep: Any = {"type": "text", "text": "bottom"}
    for _ in range(300):
        deep = {"type": "rich_text_section", "elements": [deep]}
    hub = Hub(PlaygroundOptions())
    app = AnsweringApp(None)
    hub.delivery = Delivery(app, clock=hub.clock, faults=hub.faults, inspector=hub.inspector)
    try:
        hub.delivery.post_event("message.im", {"event": {"blocks": [deep]}})
        await hub.delivery.settle()
        assert "bottom" not in str(hub.inspector.after(0))
        assert "rich_text_section" in str(hub.inspector.after(0))
    finally:
        await hub.close()


def test_a_response_without_options_is_refused() -> None:
    """A page that asks for options is told when the app has none to give."""
    from bot.playground.page.interactions import _suggested

    with pytest.raises(PageError, match="without options"):
        _suggested({"options": 3})
    assert _suggested({"option_groups": [{"options": [{"value": "1"}]}, 3]}) == [{"value": "1"}]
