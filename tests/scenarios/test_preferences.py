"""How somebody wants to be answered, said once and minded from the next answer on."""

from bot.app import RunningBot
from bot.playground.testing import Playground
from tests.scenarios.conftest import Finished
from tests.scenarios.test_admin import order


async def test_each_person_is_answered_as_they_wish(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """Chinese buttons, a short answer, and none that grows, for whoever said so; others go on as before."""
    maya, tom = playground.maya, playground.tom
    for wish in ("length short", "streaming off", "language zh"):
        await order(playground, tom, f"preferences {wish}")
    ts = await tom.say(tom.dm, "hello")
    (answer,) = await finished()
    reply = await playground.wait_for_reply(tom.dm, ts)
    assert "重新生成" in str(reply["blocks"])
    assert answer.prompt_name == "system+short"
    assert playground.log("api", "chat.startStream") == []

    ts = await maya.say(maya.dm, "hello")
    reply = await playground.wait_for_reply(maya.dm, ts)
    assert "Regenerate" in str(reply["blocks"])
    assert playground.log("api", "chat.startStream")
