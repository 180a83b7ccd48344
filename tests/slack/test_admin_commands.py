"""The admin's table of commands: what docs/admin.md says, what each command says of itself, and what misuse is told."""

from pathlib import Path
from typing import Any

import pytest

from bot.admin.budgets import CHANNEL, PERSON, Budgets, Use
from bot.admin.feedback import Week
from bot.cli import cli
from bot.learning.forgetting import Forgotten
from bot.slack.commands.admin import build_admin_commands
from bot.slack.commands.audit import render_week, tell_chain
from bot.slack.commands.broadcast import _quiet
from bot.slack.commands.data import tell_forgetting, tell_forgotten
from bot.slack.commands.orders import Call, Command, Role
from bot.slack.commands.people import render_use
from bot.slack.commands.status import build_status_commands
from bot.slack.commands.table import Desk
from bot.slack.turns.admission import tell_empty
from bot.storage.db import Database
from bot.storage.tables import now

DOCS = (Path(__file__).parents[2] / "docs" / "admin.md").read_text()


def build(database: Any = None) -> list[Command]:
    """Build the commands; what they would work with is only looked at when one is given."""
    nothing: Any = None
    return build_admin_commands(
        database,
        nothing,
        nothing,
        nothing,
        owners=frozenset({"U0OWNER"}),
        budgets=Budgets(),
        retention_days=0,
        folder=Path(),
        switch=None,
    )


def rows() -> list[list[str]]:
    """Return the cells of the table of commands."""
    section = DOCS.split("## Running it\n", 1)[1].split("\n## ", 1)[0]
    table = section[section.index("| command |") :].split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_documented_table_is_the_one_that_is_built() -> None:
    """Each command with its role, and a star where the terminal has it too; none is left out, none made up."""
    nothing: Any = None
    commands = [*build_status_commands(nothing, nothing, None), *build()]
    documented = {row[0].replace("*", "").strip().strip("`"): row for row in rows()}
    assert set(documented) == {command.name for command in commands}
    for command in commands:
        name, role = documented[command.name][:2]
        said = {"everybody of the workspace": Role.BARRED}.get(role) or Role[role.upper()]
        assert said is command.role, command.name
        assert name.endswith("*") == (command.name in cli.commands), command.name


def test_each_command_has_one_line_of_help() -> None:
    """A purpose in one line, a usage, and words to complete by that its usage knows."""
    for command in build():
        assert command.purpose
        assert "\n" not in command.purpose
        assert len(command.purpose) <= 110
        assert all(word in command.usage for word in command.words), command.name


@pytest.mark.parametrize(
    "text",
    [
        "users block",
        "users block tom",
        "users promote <@U0TOM>",
        "users role <@U0TOM> owner",
        "users allow <@U0TOM> <@U0SAM>",
        "budget <@U0TOM> lots",
        "budget <@U0TOM> -5",
        "channels mode <#C0GENERAL> loud",
        "channels block",
        "channels nonsense <#C0GENERAL>",
        "data forget",
        "data forget tom",
        "data retention <#C0GENERAL> 0",
        "data retention 30",
        "dataset export csv",
        "dataset approve",
        "broadcast",
        "audit last many",
        "audit find",
        "feedback trend 0",
        "feedback best",
    ],
)
async def test_a_wrong_use_is_told_in_one_sentence_with_the_usage(text: str) -> None:
    """Nothing is done, and it says how it is written."""

    async def role_for(_user: str, _needed: Role) -> Role:
        return Role.OWNER

    reply = await Desk(build(), role_for=role_for).take(
        text, Call(user_id="U1", team_id="T1", channel_id="D1", words="")
    )
    assert "It is written `/apprentice" in reply.text
    assert not reply.is_done


async def test_owners_and_oneself_are_out_of_reach(database: Database) -> None:
    """The settings name the owners, and nobody makes themselves anything."""

    async def role_for(_user: str, _needed: Role) -> Role:
        return Role.ADMIN

    desk = Desk(build(database), role_for=role_for)
    call = Call(user_id="U0ADMIN", team_id="T1", channel_id="D1", words="")
    assert "ADMIN_USER_IDS" in (await desk.take("users block <@U0OWNER> --yes", call)).text
    assert "about themselves" in (await desk.take("users role <@U0ADMIN> reviewer", call)).text


def test_what_is_said() -> None:
    """Figures with their units, times in Slack's own form, and no doubt about what is lost."""
    use = Use(PERSON, "U1", 1200, 1000, 3, now())
    assert render_use(use) == "<@U1>: 1,200 tokens today of 1,000, in 3 answers."
    assert "1,200 of 1,000 tokens" in tell_empty(use)
    assert "<!date^" in tell_empty(use)
    assert "in a direct message you can go on" in tell_empty(Use(CHANNEL, "C1", 5, 5, 1, now()))
    assert "without a limit" in render_use(Use(CHANNEL, "C1", 5, 0, 1, now()))
    assert render_week(Week(now().date(), 9, 3, 1, 2)).endswith("▓▓▓▓▓▓▓▓░░ 75%")
    assert tell_chain(3, "s", 4, has_head=True).startswith("⚠️ Row 4 was changed")
    assert "cut off" in tell_chain(3, "s", None, has_head=False)
    assert "cannot be undone" in tell_forgetting("U1")
    assert tell_forgotten(Forgotten({}, (), ())) == "There was nothing stored."
    told = tell_forgotten(Forgotten({"messages": 2, "message_files": 1}, ("apprentice-1",), (1, 2)))
    assert told.startswith("Deleted: 2 messages, 1 message files. The examples of 2 trainings are gone too.")
    assert told.endswith("Never served again: apprentice-1.")
    assert _quiet("<!channel> <@U1> <https://x.org>") == "&lt;!channel> &lt;@U1> <https://x.org>"
