"""The app as `bot manifest` declares it: its scopes and events are enough for everything the bot does."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp

from bot.app import RunningBot
from bot.playground.testing import Playground
from bot.slack.setup.manifest import COMMAND, EVENTS, SHORTCUTS, build_manifest
from tests.scenarios.conftest import Finished, StartBot

BOT = "<@U0APPRENTICE>"


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a workspace that grants what the manifest asks for and nothing else."""
    async with Playground(manifest=build_manifest(name="Apprentice", request_url=None)) as opened:
        yield opened


async def test_the_declared_scopes_and_events_are_enough(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """Direct messages, mentions, follow-ups, private channels, thumbs, the form, the command: nothing is refused."""
    maya, tom = playground.maya, playground.tom
    await maya.open(maya.dm)
    direct = await maya.say(maya.dm, "hello")
    reply = await playground.wait_for_reply(maya.dm, direct)
    public = await tom.say("general", f"{BOT} hello")
    await playground.wait_for_reply("general", public)
    await tom.say("general", "thanks", thread_ts=public)
    await maya.invite("leads", "U0APPRENTICE")
    await maya.say("leads", f"{BOT} hello")
    await finished(4)
    await maya.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(maya.id)
    await maya.submit_view({"reason": "tone", "correction": "Good morning!"})
    await maya.command("/apprentice", "status")
    await playground.wait_until(lambda: len(maya.ephemerals(maya.dm)) >= 3, what="three words to Maya alone")

    refused = [(entry["name"], entry["status"]) for entry in playground.log("api") if not entry["ok"]]
    assert refused == []


@pytest.fixture
def listened(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Note what the bot registers with Bolt, which does as ever."""
    found: dict[str, set[str]] = {"event": set(), "command": set(), "shortcut": set()}

    def noting(name: str, kind: str) -> None:
        register: Callable[..., Any] = getattr(AsyncApp, name)

        def register_and_note(self: AsyncApp, constraints: Any, *args: Any, **kwargs: Any) -> Any:
            key = "type" if kind == "event" else "callback_id"
            found[kind].add(str(constraints[key] if isinstance(constraints, dict) else constraints))
            return register(self, constraints, *args, **kwargs)

        monkeypatch.setattr(AsyncApp, name, register_and_note)

    for name, kind in {
        "event": "event",
        "command": "command",
        "shortcut": "shortcut",
        "message_shortcut": "shortcut",
        "global_shortcut": "shortcut",
    }.items():
        noting(name, kind)
    return found


async def test_it_declares_exactly_what_the_bot_listens_to(start_bot: StartBot, listened: dict[str, set[str]]) -> None:
    """An event without subscription never comes; one without listener is somebody's words for nothing."""
    async with start_bot():
        pass
    declared = {"message" if event.startswith("message.") else event for event in EVENTS}

    assert listened["event"] == declared
    assert listened["command"] == {COMMAND}
    assert listened["shortcut"] == {shortcut["callback_id"] for shortcut in SHORTCUTS}
