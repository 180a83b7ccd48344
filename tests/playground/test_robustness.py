"""Whatever an app sends, it gets an answer of Slack's and never an error of ours."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.messaging import build_app_message, post
from bot.playground.options import PlaygroundOptions
from bot.playground.streams import start_stream
from bot.playground.web_api import METHODS
from bot.playground.web_api.arguments import Arguments

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
