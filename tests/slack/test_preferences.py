"""People say how they want to be answered, and hear it in the language that they chose."""

import pytest

from bot.slack.commands.orders import Call, UsageError
from bot.slack.commands.preferences import build_preference_commands
from bot.storage.db import Database
from bot.storage.preferences import Preferences, load_preferences


async def order(database: Database, words: str) -> str:
    """Give the order as Tom."""
    (command,) = build_preference_commands(database)
    reply = await command.run(Call(user_id="U0TOM", team_id="T", channel_id="D", words=words))
    return reply.text


async def test_each_preference_is_kept_beside_the_others(database: Database) -> None:
    """One is changed at a time, and only for whoever ordered it."""
    await order(database, "length short")
    await order(database, "streaming off")
    assert await order(database, "language zh") == "从下一个答案起：\n• 我对您说的语言： *中文*"
    said = await order(database, "language en")
    assert said == "From your next answer on:\n• The language that I speak to you: *English*"

    said = await order(database, "")
    for words in ("speak to you: *English*", "How long answers are: *short*", "as they are written: *no*"):
        assert words in said
    async with database.read() as session:
        assert await load_preferences(session, "U0TOM") == Preferences("en", "short", streams=False)
        assert await load_preferences(session, "U0MAYA") == Preferences()

    await order(database, "length normal")
    assert "How long answers are: *normal*" in await order(database, "")
    assert "How long answers are: *long*" in await order(database, "Length LONG")


@pytest.mark.parametrize("words", ["length huge", "colour red", "language", "adapter base", "news off"])
async def test_what_is_no_preference_is_refused(database: Database, words: str) -> None:
    """An unknown name or value changes nothing."""
    with pytest.raises(UsageError, match=r"I do not understand that|admins can let people choose"):
        await order(database, words)
