"""The data file: a restart brings everything back, and damage is named."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.playground.errors import PlaygroundError
from bot.playground.snapshot import read_workspace
from bot.playground.testing import Playground
from tests.playground.conftest import GENERAL, TOM, build_client


async def test_a_restart_keeps_conversations(tmp_path: Path) -> None:
    """Messages, threads, reactions, new channels and sessions are there again; ids go on counting."""
    path = tmp_path / "deep" / "workspace.json"
    async with Playground(data=path) as first:
        root = await first.maya.say("general", "root")
        await first.maya.react("general", root, "eyes")
        client = build_client(first)
        group = (await client.conversations_open(users=["U0MAYA", TOM]))["channel"]["id"]
        await client.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=root, status="active", title="T")
        stream = await client.chat_startStream(
            channel=GENERAL,
            thread_ts=root,
            recipient_team_id="T0PLAYGRND",
            recipient_user_id=TOM,
            markdown_text="half",
        )
    async with Playground(data=path, app_name="Renamed") as second:
        assert second.messages("general", root)[0]["text"] == "root"
        assert second.message(GENERAL, root)["reactions"] == [{"name": "eyes", "users": ["U0MAYA"]}]
        assert second.message(GENERAL, root)["reply_count"] == 1
        half = second.message(GENERAL, stream["ts"])
        assert (half["markdown_text"], half["streaming"]) == ("half", False)
        session = second.session("general", root)
        assert (session["title"], session["status"]) == ("T", "active")  # nobody is processing any more
        assert second.hub.workspace.channels[group].members == ["U0MAYA", TOM, "U0APPRENTICE"]
        assert second.hub.workspace.users["U0APPRENTICE"].real_name == "Renamed"
        assert await second.maya.say("general", "later") > stream["ts"]


async def test_it_is_written_soon_after_a_change(tmp_path: Path) -> None:
    """A crash loses about a second, not the day; nothing half-written is left beside the file."""
    path = tmp_path / "workspace.json"
    async with Playground(data=path) as playground:
        await playground.maya.say("general", "remember me")
        await playground.wait_until(path.exists, timeout=5)
        assert "remember me" in path.read_text()
    assert [item.name for item in await asyncio.to_thread(lambda: list(tmp_path.iterdir()))] == ["workspace.json"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"format": 2, "workspace": {}}', '{"format": 1, "workspace": {"users": 3}}']
)
async def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    """A file that cannot be understood stops the start, names itself, and stays as it is."""
    path = tmp_path / "workspace.json"
    path.write_text(content)
    with pytest.raises(PlaygroundError, match=r"workspace\.json is damaged at .*move it away"):
        async with Playground(data=path):
            pass
    assert path.read_text() == content


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_an_error_of_ours(tmp_path: Path, data: st.DataObject) -> None:
    """Cut or with a value replaced, the file is read whole or refused with PlaygroundError."""
    path = tmp_path / "workspace.json"
    if not (tmp_path / "good.json").exists():
        asyncio.run(_write_good(tmp_path / "good.json"))
    good = (tmp_path / "good.json").read_text()
    if data.draw(st.booleans()):
        path.write_text(good[: data.draw(st.integers(0, len(good) - 1))])
    else:
        document = json.loads(good)
        place = document["workspace"]
        place[data.draw(st.sampled_from(sorted(place)))] = data.draw(st.sampled_from([None, 3, "x", [], {"a": 1}]))
        path.write_text(json.dumps(document))
    try:
        assert read_workspace(path).team_id
    except PlaygroundError as caught:
        refusal = str(caught)
    else:
        refusal = str(path)
    assert str(path) in refusal


async def _write_good(path: Path) -> None:
    async with Playground(data=path) as playground:
        await playground.maya.say("general", "x")
