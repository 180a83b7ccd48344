"""Message shortcuts: from a message's menu to a real Bolt app and back to the person alone."""

from typing import Any

import pytest
from slack_bolt.async_app import AsyncAck, AsyncRespond
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.errors import PageError
from bot.playground.testing import Playground
from tests.playground.conftest import GENERAL, MAYA, Recorder, build_client

SHORTCUTS = [
    {"name": "Explain this", "type": "message", "callback_id": "explain", "description": "In plain words"},
    {"name": "Anywhere", "type": "global", "callback_id": "anywhere", "description": "Not of a message"},
]
MANIFEST = {"features": {"shortcuts": SHORTCUTS}, "oauth_config": {"scopes": {"bot": ["chat:write", "commands"]}}}


async def test_a_shortcut_reaches_the_app() -> None:
    """The app learns who chose what of which message; its answer is for that person, its trigger opens a form."""
    heard: list[dict[str, Any]] = []
    async with Playground(manifest=MANIFEST) as playground:
        recorder = Recorder(build_client(playground))

        @recorder.app.message_shortcut("explain")
        async def on_explain(
            ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond, client: AsyncWebClient
        ) -> None:
            await ack()
            heard.append(body)
            title = {"type": "plain_text", "text": "Form"}
            block = {"type": "section", "text": title}
            view = {"type": "modal", "title": title, "blocks": [block]}
            await client.views_open(trigger_id=body["trigger_id"], view=view)
            await respond(text="It means hello.", response_type="ephemeral", replace_original=False)

        await recorder.connect(playground)
        ts = await playground.tom.say(GENERAL, "Moin")
        await playground.maya.shortcut(GENERAL, ts, "explain")
        await playground.wait_for_view(MAYA)
        told = await playground.wait_until(lambda: playground.maya.ephemerals(GENERAL), what="the answer")
        assert playground.tom.ephemerals(GENERAL) == []
        await recorder.close()

    (body,) = heard
    assert (body["type"], body["callback_id"], body["user"]["id"]) == ("message_action", "explain", MAYA)
    assert (body["channel"]["id"], body["message_ts"]) == (GENERAL, ts)
    assert (body["message"]["ts"], body["message"]["text"]) == (ts, "Moin")
    assert told[0]["text"] == "It means hello."


async def test_only_what_the_manifest_declares() -> None:
    """The page shows it in the menu; what is global or unknown is of no message."""
    async with Playground(manifest=MANIFEST) as playground:
        ts = await playground.tom.say(GENERAL, "Moin")
        assert playground.hub.app_state()["shortcuts"] == SHORTCUTS
        for callback_id in ("anywhere", "unknown"):
            with pytest.raises(PageError, match="no such shortcut"):
                await playground.tom.shortcut(GENERAL, ts, callback_id)
