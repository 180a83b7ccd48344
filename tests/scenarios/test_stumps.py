"""A question that is deleted while its answer is half written and nobody writes it leaves nothing that looks alive."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from bot.playground.testing import Playground
from bot.slack.turns.carriers import Carriers
from bot.slack.turns.edits import Edits
from bot.slack.turns.turns import Turns
from bot.storage.db import Database
from bot.storage.tables import Answer, Message
from tests.scenarios.conftest import EngineProcess, Finished, StartBot
from tests.scenarios.test_asking_authors import empty_inbox
from tests.scenarios.test_commands import stored
from tests.scenarios.test_faults import LONG, answers_in
from tests.scenarios.test_waiting import is_over

BOT = "<@U0APPRENTICE>"


def hold_until_deleted(monkeypatch: pytest.MonkeyPatch, where: type, name: str) -> None:
    """Let a part of the way of an answer wait until the deletion of its question was followed."""
    followed, go_on, forget = asyncio.Event(), getattr(where, name), Edits.forget

    async def wait(*args: Any) -> Any:
        await followed.wait()
        return await go_on(*args)

    async def follow(*args: Any) -> None:
        await forget(*args)
        followed.set()

    monkeypatch.setattr(where, name, wait)
    monkeypatch.setattr(Edits, "forget", follow)


@pytest.mark.parametrize("is_again", [False, True])
@pytest.mark.parametrize(("where", "name"), [(Turns, "_claim"), (Carriers, "find")])
async def test_a_deletion_that_comes_right_after_a_start_takes_the_stump(
    playground: Playground,
    start_bot: StartBot,
    finished: Finished,
    rows: Database,
    engine_process: EngineProcess,
    *,
    monkeypatch: pytest.MonkeyPatch,
    where: type,
    name: str,
    is_again: bool,
) -> None:
    """Before its turn is taken up again, or while that looks for what it had shown: no words, no Stop, no status."""
    monkeypatch.setattr("bot.slack.turns.turns.GRACE_S", 0.1)
    tom = playground.tom

    def shown() -> list[dict[str, Any]]:
        return answers_in(playground, "general", ts)

    def grows() -> bool:
        return "stop_answer" in str(shown())

    async def hold_at(look: Callable[[], bool]) -> None:
        await playground.wait_until(look, what="the first words")
        os.kill(engine_process.pid, signal.SIGSTOP)

    try:
        async with start_bot():
            await playground.wait_for_connection()
            ts = await tom.say("general", f"{BOT} {LONG}")
            if is_again:
                await finished(1)
                await playground.wait_until(lambda: "regenerate" in str(shown()), what="the answer")
                await tom.click(shown()[0], "regenerate")
            await hold_at(grows)
        await tom.delete("general", ts)
        await playground.advance(10)
        hold_until_deleted(monkeypatch, where, name)
        async with start_bot():
            await playground.wait_for_connection()
            await asyncio.sleep(0.5)
            await playground.advance(70)
            await playground.wait_until(lambda: not shown(), what="the end of the stump")
            os.kill(engine_process.pid, signal.SIGCONT)
            await empty_inbox(rows)
            assert is_over(playground.session("general", ts))
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)
    assert shown() == []
    assert await stored(rows, Message) == await stored(rows, Answer) == []
