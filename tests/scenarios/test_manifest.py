"""The app as `bot manifest` declares it: its scopes and events are enough for everything the bot does."""

from collections.abc import AsyncIterator

import pytest

from bot.app import RunningBot
from bot.playground.testing import Playground
from bot.slack.manifest import build_manifest
from tests.scenarios.conftest import Finished

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
