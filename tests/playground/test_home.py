"""The app's Home tab: published for one person, with buttons that act."""

import asyncio
from pathlib import Path
from typing import Any

from slack_bolt.async_app import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.blocks import check_home
from bot.playground.page.request import PageRequest
from bot.playground.page.state import get_state
from bot.playground.testing import Playground
from tests.playground.conftest import MAYA, TOM, Recorder, build_client, error_of

HOME: dict[str, Any] = {
    "type": "home",
    "private_metadata": "kept",
    "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "Learning"}},
        {
            "type": "actions",
            "block_id": "do",
            "elements": [
                {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}, "value": "7"}
            ],
        },
    ],
}


async def test_a_home_is_published_for_one_person(playground: Playground, client: AsyncWebClient) -> None:
    """Its id stays when it is published anew, and a stale hash is refused."""
    first = (await client.views_publish(user_id=MAYA, view=HOME))["view"]
    second = (await client.views_publish(user_id=MAYA, view=HOME, hash=first["hash"]))["view"]

    assert (first["id"], first["hash"]) != (second["id"], second["hash"])
    assert first["id"] == second["id"]
    assert await error_of(client.views_publish(user_id=MAYA, view=HOME, hash=first["hash"])) == "hash_conflict"
    assert (playground.home(MAYA) or {})["private_metadata"] == "kept"
    assert playground.home(TOM) is None
    changed = (await client.views_update(view_id=second["id"], view={**HOME, "private_metadata": "new"}))["view"]
    assert (changed["id"], (playground.home(MAYA) or {})["private_metadata"]) == (second["id"], "new")


async def test_its_buttons_reach_the_app(playground: Playground, client: AsyncWebClient, recorder: Recorder) -> None:
    """An action carries the view and a trigger, and no message."""
    heard: list[dict[str, Any]] = []

    @recorder.app.action("go")
    async def on_go(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        heard.append(body)

    view = (await client.views_publish(user_id=MAYA, view=HOME))["view"]
    await playground.maya.act_in_home("go")
    await playground.wait_until(lambda: heard, what="the click")

    assert heard[0]["actions"][0]["value"] == "7"
    assert (heard[0]["view"]["id"], heard[0]["view"]["type"]) == (view["id"], "home")
    assert heard[0]["container"] == {"type": "view", "view_id": view["id"]}
    assert "message" not in heard[0]


async def test_opening_it_is_told(playground: Playground, client: AsyncWebClient, recorder: Recorder) -> None:
    """The event says which tab, and has the view once there is one."""
    await playground.maya.open_home()
    await client.views_publish(user_id=MAYA, view=HOME)
    await playground.maya.open_home()
    await playground.wait_until(lambda: recorder.events("app_home_opened")[1:], what="both events")

    first, second = recorder.events("app_home_opened")
    assert (first["tab"], "view" in first) == ("home", False)
    assert second["view"]["blocks"][0]["text"]["text"] == "Learning"


async def test_an_app_without_the_tab_has_none() -> None:
    """Its manifest decides; the page then shows no tab."""
    manifest = {"features": {"app_home": {"home_tab_enabled": False}}}
    async with Playground(manifest=manifest) as playground:
        assert await error_of(build_client(playground).views_publish(user_id=MAYA, view=HOME)) == "not_enabled"
        assert "home" not in get_state(PageRequest(playground.hub, {"user": MAYA}))
    async with Playground() as playground:
        assert get_state(PageRequest(playground.hub, {"user": MAYA}))["home"] is None


async def test_a_home_outlives_a_restart(tmp_path: Path) -> None:
    """What was published is there before the app says anything."""
    path = tmp_path / "workspace.json"
    async with Playground(data=path) as first:
        await build_client(first).views_publish(user_id=MAYA, view=HOME)
    async with Playground(data=path) as second:
        assert (second.home(MAYA) or {})["blocks"][1]["block_id"] == "do"
    assert await asyncio.to_thread(path.exists)


def test_what_a_home_may_hold() -> None:
    """It has no title, and the blocks of a modal."""
    assert check_home(HOME) == []
    assert check_home({**HOME, "title": {"type": "plain_text", "text": "T"}})
    assert check_home({**HOME, "blocks": [{"type": "markdown", "text": "x"}]})
    assert check_home({**HOME, "type": "modal"})
