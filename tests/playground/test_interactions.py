"""Buttons, modals, commands and response URLs, between a real Bolt app and a person at the page."""

import asyncio
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncAck, AsyncRespond
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.playground.errors import PageError
from bot.playground.testing import Playground
from tests.playground.conftest import GENERAL, MAYA, Recorder, error_of
from tests.playground.test_streams import FEEDBACK

BUTTON = {
    "type": "actions",
    "elements": [
        {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}, "value": "secret-7"},
        {
            "type": "static_select",
            "action_id": "pick",
            "options": [{"text": {"type": "plain_text", "text": word}, "value": word} for word in ("red", "blue")],
        },
    ],
}


def modal(title: str = "Form", **fields: Any) -> dict[str, Any]:
    """Build a modal with one input."""
    return {
        "type": "modal",
        "callback_id": "form",
        "title": {"type": "plain_text", "text": title},
        "submit": {"type": "plain_text", "text": "Send"},
        "blocks": [
            {
                "type": "input",
                "block_id": "reason",
                "label": {"type": "plain_text", "text": "Why?"},
                "element": {"type": "plain_text_input", "action_id": "text"},
            }
        ],
        **fields,
    }


async def test_a_click_reaches_the_app(playground: Playground, client: AsyncWebClient, recorder: Recorder) -> None:
    """The app learns who clicked what, with the element's own value, and may replace the message."""
    heard: list[dict[str, Any]] = []

    @recorder.app.action("go")
    async def on_go(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()
        heard.append(body)
        await respond(text="Gone", replace_original=True)

    ts = (await client.chat_postMessage(channel=GENERAL, text="x", blocks=[BUTTON]))["ts"]
    await playground.maya.click(playground.message(GENERAL, ts), "go", "forged")
    await playground.wait_until(lambda: playground.message(GENERAL, ts)["text"] == "Gone")

    action = heard[0]["actions"][0]
    assert (action["value"], action["type"], heard[0]["user"]["id"]) == ("secret-7", "button", MAYA)
    assert (heard[0]["channel"]["id"], heard[0]["message"]["ts"]) == (GENERAL, ts)
    assert playground.message(GENERAL, ts)["blocks"] == []


async def test_choices_and_feedback_carry_their_values(
    playground: Playground, client: AsyncWebClient, recorder: Recorder
) -> None:
    """A select sends the chosen option, a thumb its button's value."""
    heard: list[dict[str, Any]] = []

    async def on_action(ack: AsyncAck, action: dict[str, Any]) -> None:
        await ack()
        heard.append(action)

    recorder.app.action("pick")(on_action)
    recorder.app.action("feedback")(on_action)
    ts = (await client.chat_postMessage(channel=GENERAL, text="x", blocks=[BUTTON, FEEDBACK]))["ts"]
    message = playground.message(GENERAL, ts)
    await playground.maya.click(message, "pick", "blue")
    await playground.maya.click(message, "feedback", "negative_button")

    assert heard[0]["selected_option"]["value"] == "blue"
    assert (heard[1]["type"], heard[1]["value"]) == ("feedback_buttons", "down")


async def test_a_click_without_an_answer_is_an_error(playground: Playground, client: AsyncWebClient) -> None:
    """A person learns that the app does not answer."""
    playground.fault("disconnected")
    ts = (await client.chat_postMessage(channel=GENERAL, text="x", blocks=[BUTTON]))["ts"]

    with pytest.raises(PageError, match="did not answer"):
        await playground.maya.click(playground.message(GENERAL, ts), "go")


async def test_a_modal_from_click_to_submission(
    playground: Playground, client: AsyncWebClient, recorder: Recorder
) -> None:
    """A modal opens, complains, changes, grows a second one, and closes."""
    answers: list[dict[str, Any]] = [
        {"response_action": "errors", "errors": {"reason": "Say more"}},
        {"response_action": "update", "view": modal("Again")},
        {"response_action": "push", "view": modal("On top")},
        {"response_action": "clear"},
    ]
    said: list[str] = []

    @recorder.app.action("go")
    async def on_go(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=modal(private_metadata="kept"))

    @recorder.app.view("form")
    async def on_form(ack: AsyncAck, view: dict[str, Any]) -> None:
        said.append(view["state"]["values"]["reason"]["text"]["value"])
        await ack(**answers.pop(0))

    ts = (await client.chat_postMessage(channel=GENERAL, text="x", blocks=[BUTTON]))["ts"]
    await playground.maya.click(playground.message(GENERAL, ts), "go")
    view = await playground.wait_for_view(MAYA)
    assert (view["private_metadata"], view["callback_id"]) == ("kept", "form")
    assert playground.views("U0TOM") == []

    assert await playground.maya.submit_view({"reason": "no"}) == {"errors": {"reason": "Say more"}}
    assert playground.views(MAYA)[0]["errors"] == {"reason": "Say more"}
    assert (await playground.maya.submit_view({"text": "more"}))["view"]["title"]["text"] == "Again"
    assert playground.views(MAYA)[0]["id"] == view["id"]
    assert (await playground.maya.submit_view({"reason": "x"}))["response_action"] == "push"
    assert [shown["title"]["text"] for shown in playground.views(MAYA)] == ["Again", "On top"]
    assert await playground.maya.submit_view({"reason": "y"}) == {"response_action": "clear"}
    assert playground.views(MAYA) == []
    assert said == ["no", "more", "x", "y"]


async def test_closing_tells_the_app_if_it_asked(playground: Playground, recorder: Recorder) -> None:
    """view_closed comes for views that want it, and for no others."""
    closed: list[str] = []

    @recorder.app.view_closed("form")
    async def on_closed(ack: AsyncAck, view: dict[str, Any]) -> None:
        await ack()
        closed.append(view["title"]["text"])

    for notify in (False, True):
        trigger = playground.hub.triggers.issue(MAYA)
        client = recorder.app.client
        await client.views_open(trigger_id=trigger, view=modal(f"{notify}", notify_on_close=notify))
        await playground.maya.close_view()

    assert closed == ["True"]


async def test_triggers_are_short_and_single(playground: Playground, client: AsyncWebClient) -> None:
    """A trigger opens one modal, within three seconds."""
    trigger = playground.hub.triggers.issue(MAYA)
    await client.views_open(trigger_id=trigger, view=modal())
    assert await error_of(client.views_open(trigger_id=trigger, view=modal())) == "exchanged_trigger_id"

    late = playground.hub.triggers.issue(MAYA)
    await playground.advance(3.1)
    assert await error_of(client.views_open(trigger_id=late, view=modal())) == "expired_trigger_id"
    assert await error_of(client.views_open(trigger_id="made.up", view=modal())) == "invalid_trigger_id"
    bad = client.views_open(trigger_id=playground.hub.triggers.issue(MAYA), view={"type": "modal", "blocks": []})
    assert await error_of(bad) == "invalid_arguments"


async def test_views_update_and_push(playground: Playground, client: AsyncWebClient) -> None:
    """An update needs the right hash, and three modals are the most."""
    triggers = [playground.hub.triggers.issue(MAYA) for _ in range(4)]
    view = (await client.views_open(trigger_id=triggers[0], view=modal()))["view"]
    await client.views_update(view_id=view["id"], hash=view["hash"], view=modal("New"))
    stale = client.views_update(view_id=view["id"], hash=view["hash"], view=modal("Newer"))
    assert await error_of(stale) == "hash_conflict"
    await client.views_push(trigger_id=triggers[1], view=modal())
    await client.views_push(trigger_id=triggers[2], view=modal())
    assert await error_of(client.views_push(trigger_id=triggers[3], view=modal())) == "push_limit_reached"
    assert await error_of(client.views_update(view_id="V0", view=modal())) == "not_found"


async def test_a_command_is_answered_at_once_and_later(playground: Playground, recorder: Recorder) -> None:
    """The acknowledgement's text is for the person alone; the response URL may speak to all."""

    @recorder.app.command("/apprentice")
    async def on_command(ack: AsyncAck, command: dict[str, Any], respond: AsyncRespond) -> None:
        await ack(f"You said {command['text']}")
        await respond(text="For all", response_type="in_channel")

    assert await playground.maya.command("/apprentice", "help", channel="general") == {"ok": True}
    await playground.wait_until(lambda: playground.messages("general"))

    assert [message["text"] for message in playground.maya.ephemerals("general")] == ["You said help"]
    assert [message["text"] for message in playground.tom.sees("general")] == ["For all"]


async def test_commands_that_cannot_be(playground: Playground, recorder: Recorder) -> None:
    """Unknown commands, commands in threads, and commands nobody answers say so."""
    unknown = await playground.maya.command("/nope")
    assert unknown == {"ok": False, "error": "/nope is not a valid command."}

    waiting = asyncio.create_task(playground.maya.command("/apprentice"))
    await asyncio.sleep(0.05)
    await playground.advance(4)
    assert (await waiting)["error"] == "/apprentice failed with the error “operation_timeout”"


async def test_a_response_url_wears_out(playground: Playground, client: AsyncWebClient, recorder: Recorder) -> None:
    """Five uses, thirty minutes; ephemeral messages can be replaced and deleted."""
    urls: list[str] = []

    @recorder.app.action("go")
    async def on_go(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        urls.append(body["response_url"])

    await client.chat_postEphemeral(channel=GENERAL, user=MAYA, text="x", blocks=[BUTTON])
    await playground.maya.click(playground.maya.ephemerals("general")[0], "go")
    webhook = AsyncWebhookClient(urls[0])
    assert (await webhook.send(text="")).status_code == 400
    await webhook.send(text="y", replace_original=True)
    assert [message["text"] for message in playground.maya.ephemerals("general")] == ["y"]
    await webhook.send(delete_original=True)
    assert playground.maya.ephemerals("general") == []
    for number in range(3):
        assert (await webhook.send(text=f"{number}")).body == "ok"
    assert (await webhook.send(text="six")).status_code == 404

    ts = (await client.chat_postMessage(channel=GENERAL, text="x", blocks=[BUTTON]))["ts"]
    await playground.maya.click(playground.message(GENERAL, ts), "go")
    await playground.advance(1801)
    assert (await AsyncWebhookClient(urls[1]).send(text="late")).status_code == 404


async def test_a_response_leaves_the_thread(playground: Playground, client: AsyncWebClient, recorder: Recorder) -> None:
    """A click in a thread is answered in the channel, unless the app names the thread."""

    @recorder.app.action("go")
    async def on_go(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()
        await respond(text="outside", replace_original=False)
        await respond(text="inside", replace_original=False, thread_ts=body["message"]["thread_ts"])

    root = await playground.maya.say("general", "root")
    ts = (await client.chat_postMessage(channel=GENERAL, text="x", blocks=[BUTTON], thread_ts=root))["ts"]
    await playground.maya.click(playground.message(GENERAL, ts), "go")
    await playground.wait_until(lambda: len(playground.maya.ephemerals("general")) == 2)

    assert {item["text"]: item["thread_ts"] for item in playground.maya.ephemerals("general")} == {
        "outside": None,
        "inside": root,
    }


async def test_views_act_and_ask_for_options(playground: Playground, recorder: Recorder) -> None:
    """An element inside a modal acts at once with the modal's state, and an external select asks for its options."""
    heard: list[dict[str, Any]] = []

    @recorder.app.action("tone")
    async def on_tone(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        heard.append(body)
        await client.views_update(view_id=body["view"]["id"], view=modal("Changed"))

    @recorder.app.options("city")
    async def on_city(ack: AsyncAck, payload: dict[str, Any]) -> None:
        found = [{"text": {"type": "plain_text", "text": word}, "value": word} for word in ("Bern", "Berlin", "Rome")]
        await ack(options=[option for option in found if option["value"].startswith(payload["value"])])

    options = [{"text": {"type": "plain_text", "text": word}, "value": word} for word in ("warm", "dry")]
    view = modal()
    view["blocks"] += [
        {"type": "actions", "elements": [{"type": "radio_buttons", "action_id": "tone", "options": options}]},
        {"type": "actions", "block_id": "where", "elements": [{"type": "external_select", "action_id": "city"}]},
    ]
    await recorder.app.client.views_open(trigger_id=playground.hub.triggers.issue(MAYA), view=view)
    shown = playground.views(MAYA)[0]
    asked = {"user": MAYA, "view_id": shown["id"], "block_id": "where", "action_id": "city", "value": "Ber"}
    async with aiohttp.ClientSession(playground.base_url) as page, page.post("/page/options", json=asked) as response:
        assert [option["value"] for option in (await response.json())["options"]] == ["Bern", "Berlin"]
    await playground.maya.act_in_view("tone", "dry")
    await playground.wait_until(lambda: playground.views(MAYA)[0]["title"]["text"] == "Changed")

    assert heard[0]["actions"][0]["selected_option"]["value"] == "dry"
    assert heard[0]["container"] == {"type": "view", "view_id": shown["id"]}
