"""A small Bolt app that shows all the page must draw: streams, feedback, a modal, prompts, a command."""

import asyncio
import re
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

ANSWER = (
    "**Refunds** are possible for *30 days*:\n\n1. Open the order\n2. Press `Refund`\n\n```python\nrefund(order)\n```\n"
)
PROMPTS = [
    {"title": "Refunds", "message": "May we refund an order?"},
    {"title": "Slow", "message": "Answer slowly."},
]
FEEDBACK = {
    "type": "context_actions",
    "elements": [
        {
            "type": "feedback_buttons",
            "action_id": "feedback",
            "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "up"},
            "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "down"},
        }
    ],
}
BLOCKS = [
    {"type": "header", "text": {"type": "plain_text", "text": "Report"}},
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "action_id": "plain_roll",
                "style": "danger",
                "text": {"type": "plain_text", "text": "Roll back"},
                "confirm": {
                    "title": {"type": "plain_text", "text": "Sure?"},
                    "text": {"type": "mrkdwn", "text": "The *old* adapter answers again."},
                    "confirm": {"type": "plain_text", "text": "Do it"},
                    "deny": {"type": "plain_text", "text": "Keep"},
                },
            }
        ],
    },
]
MODAL = {
    "type": "modal",
    "callback_id": "correction",
    "title": {"type": "plain_text", "text": "What was wrong?"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [
        {
            "type": "input",
            "block_id": "right",
            "label": {"type": "plain_text", "text": "What should it have said?"},
            "element": {"type": "plain_text_input", "action_id": "right_text", "multiline": True},
        },
        {
            "type": "input",
            "block_id": "tags",
            "optional": True,
            "label": {"type": "plain_text", "text": "What fits?"},
            "element": {
                "type": "checkboxes",
                "action_id": "tags_boxes",
                "options": [
                    {"text": {"type": "plain_text", "text": text}, "value": text.lower()} for text in ("Wrong", "Long")
                ],
            },
        },
    ],
}


def build_app(client: AsyncWebClient, submitted: list[dict[str, Any]]) -> AsyncApp:
    """Build the app; what modals brought is added to *submitted*."""
    app = AsyncApp(client=client)
    stops: dict[str, asyncio.Event] = {}

    @app.event("message")
    async def on_message(event: dict[str, Any], client: AsyncWebClient) -> None:
        if event.get("subtype") or event.get("bot_id") or event["channel_type"] != "im":
            return
        if "blocks" in event["text"]:
            await client.chat_postMessage(channel=event["channel"], thread_ts=event["ts"], text="Report", blocks=BLOCKS)
        else:
            await answer(client, event, stops)

    @app.event("app_mention")
    async def on_mention(event: dict[str, Any], client: AsyncWebClient) -> None:
        await answer(client, event, stops)

    @app.event("agent_session_stopped")
    async def on_stop(event: dict[str, Any]) -> None:
        stops[event["thread_ts"]].set()

    @app.event("app_home_opened")
    async def on_home(event: dict[str, Any], client: AsyncWebClient) -> None:
        await client.assistant_threads_setSuggestedPrompts(channel_id=event["channel"], title="Ask me", prompts=PROMPTS)

    @app.event(re.compile("app_context_changed|reaction_.*|member_joined_channel"))
    async def on_other() -> None:
        return

    @app.action("feedback")
    async def on_feedback(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        if body["actions"][0]["value"] == "down":
            await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @app.action(re.compile("plain_.*"))
    async def on_action(ack: Any, respond: Any) -> None:
        await ack()
        await respond(text="Rolled back.", replace_original=False)

    @app.view("correction")
    async def on_correction(ack: Any, view: dict[str, Any]) -> None:
        values = view["state"]["values"]
        if len(values["right"]["right_text"]["value"]) < 5:
            await ack(response_action="errors", errors={"right": "A little more, please."})
        else:
            submitted.append(values)
            await ack()

    @app.command("/apprentice")
    async def on_command(ack: Any, command: dict[str, Any], respond: Any) -> None:
        await ack()
        await respond(text=f"You asked for *{command['text']}*")

    return app


async def answer(client: AsyncWebClient, event: dict[str, Any], stops: dict[str, asyncio.Event]) -> None:
    """Stream an answer below a message, in small pieces, until it is stopped."""
    channel, root = event["channel"], event.get("thread_ts") or event["ts"]
    stop = stops.setdefault(root, asyncio.Event())
    await client.agents_sessions_setStatus(channel_id=channel, thread_ts=root, status="processing")
    stream = await client.chat_startStream(
        channel=channel, thread_ts=root, recipient_team_id="T0PLAYGRND", recipient_user_id=event["user"]
    )
    is_slow = "slow" in event["text"].lower()
    text = "word " * 400 if is_slow else ANSWER
    for at in range(0, len(text), 8):
        try:
            await client.chat_appendStream(channel=channel, ts=stream["ts"], markdown_text=text[at : at + 8])
        except SlackApiError as error:
            if error.response["error"] != "stopped_by_user":
                raise
            break
        await asyncio.sleep(0.05 if is_slow else 0.01)
    if not stop.is_set():
        await client.chat_stopStream(channel=channel, ts=stream["ts"], blocks=[FEEDBACK])
    await client.agents_sessions_setStatus(channel_id=channel, thread_ts=root, status="active")
