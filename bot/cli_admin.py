"""`bot users|channels|budget`: who may ask what where and how much, for whoever has a terminal; as in Slack.

Imports nothing heavy before a command runs.
"""

from typing import TYPE_CHECKING, Any

import click

from bot.cli_opened import (
    NEW,
    YES,
    check_channel,
    check_person,
    check_subject,
    confirm,
    is_number,
    name_me,
    require_channel,
    run_opened,
)

if TYPE_CHECKING:
    from bot.admin.budgets import Budgets
    from bot.settings import Settings
    from bot.storage.admin_tables import Right
    from bot.storage.db import Database

TEAM = click.option("--team", default="", help="The workspace, where there are several.")
RIGHTS = ("member", "reviewer", "admin")
MOST_TOKENS = 1_000_000_000
MODES = ("mention", "thread", "questions", "everything", "off")


@click.group()
def users() -> None:
    """Who may use the assistant, and who may do more than others."""


@users.command("list")
def list_users() -> None:
    """List everybody about whom the settings or an admin decided something."""
    from bot.admin.people import list_people

    async def work(database: "Database", settings: "Settings") -> None:
        found = await list_people(database, frozenset(settings.admin_user_ids))
        for person in found:
            click.echo(f"{person.user_id:14} {person.right:10} by {person.by}")
        if not found:
            click.echo("Nothing is decided about anybody: members of the workspace may use it, guests may not.")

    run_opened(work)


@users.command()
@click.argument("user", callback=check_person)
def allow(user: str) -> None:
    """Let USER use the assistant as any member may, also as a guest or from another organisation."""
    from bot.storage.admin_tables import Right

    _decide(user, Right.MEMBER)


@users.command()
@click.argument("user", callback=check_person)
@YES
def block(user: str, yes: bool) -> None:
    """Answer USER nothing any more."""
    from bot.storage.admin_tables import Right

    confirm(f"Answer {user} nothing any more?", yes=yes)
    _decide(user, Right.BLOCKED)


@users.command()
@click.argument("user", callback=check_person)
def reset(user: str) -> None:
    """Decide nothing about USER any more: Slack alone says who they are."""
    _decide(user, None)


@users.command()
@click.argument("user", callback=check_person)
@click.argument("right", type=click.Choice(RIGHTS))
def role(user: str, right: str) -> None:
    """Make USER a member, a reviewer or an admin."""
    from bot.storage.admin_tables import Right

    _decide(user, Right(right))


def _decide(user: str, right: "Right | None") -> None:
    from bot.admin.people import decide
    from bot.storage.rights import has_spoken

    async def work(database: "Database", settings: "Settings") -> None:
        before = await decide(database, user, right, by=name_me(), owners=frozenset(settings.admin_user_ids))
        ended = ", which has ended with it" if before == "blocked" != right else ""
        click.echo(f"{user} is {right or 'what Slack says'} now; before: {before or 'nothing was decided'}{ended}.")
        async with database.read() as session:
            if not await has_spoken(session, user):
                click.echo(f"Nothing was heard of {user} so far. If the id is misspelt: bot users reset {user}")

    run_opened(work)


@click.group()
def channels() -> None:
    """Where the assistant answers, and what it answers there."""


@channels.command("list")
@TEAM
def list_modes(team: str) -> None:
    """List the channels for which something was chosen."""
    from bot.admin.channels import find_team, list_channels

    async def work(database: "Database", _settings: "Settings") -> None:
        found = await list_channels(database, await find_team(database, team))
        for one in found:
            click.echo(f"{one.channel_id:14} {one.mode:10} by {one.by}")
        if not found:
            click.echo("Nothing is chosen for any channel: mentions are answered, and what follows in their threads.")

    run_opened(work)


@channels.command()
@click.argument("channel", callback=check_channel)
@click.argument("name", type=click.Choice(MODES))
@TEAM
@NEW
def mode(channel: str, name: str, team: str, is_new: bool) -> None:
    """Let the assistant answer NAME in CHANNEL: only mentions, their threads, questions, everything, or nothing."""
    from bot.admin.channels import find_team, set_mode
    from bot.storage.manners_tables import Mode

    async def work(database: "Database", _settings: "Settings") -> None:
        team_id = await find_team(database, team)
        await require_channel(database, channel, is_new=is_new, team_id=team_id)
        before = await set_mode(database, team_id, channel, Mode(name), by=name_me())
        click.echo(f"{channel}: {name}; before: {before}.")

    run_opened(work)


@click.group()
def budget() -> None:
    """How much a person or a channel may have computed in a day."""


@budget.command("list")
def list_limits() -> None:
    """List what was set; the settings say the rest."""
    from bot.admin.budgets import list_budgets

    async def work(database: "Database", settings: "Settings") -> None:
        defaults = _budgets(settings)
        click.echo(f"person  {defaults.person or 'unlimited'}\nchannel {defaults.channel or 'unlimited'}")
        for kind, subject, tokens in await list_budgets(database):
            click.echo(f"{kind:7} {subject:14} {tokens or 'unlimited'}")

    run_opened(work)


@budget.command("show")
@click.argument("subject", callback=check_subject)
def show_use(subject: str) -> None:
    """Show what the person or channel SUBJECT has used today."""
    from bot.admin.budgets import read_use

    async def work(database: "Database", settings: "Settings") -> None:
        named: dict[str, Any] = {"channel_id" if _is_channel(subject) else "user_id": subject}
        for use in await read_use(database, _budgets(settings), **named):
            click.echo(f"{use.used} of {use.limit or 'unlimited'} tokens in {use.answers} answers")

    run_opened(work)


@budget.command("set")
@click.argument("subject", callback=check_subject)
@click.argument("tokens")
@NEW
def set_limit(subject: str, tokens: str, is_new: bool) -> None:
    """Let the person or channel SUBJECT use TOKENS a day: a number, unlimited, or default."""
    from bot.admin.budgets import CHANNEL, PERSON, set_budget

    words = {"unlimited": 0, "default": None}
    if tokens not in words and not is_number(tokens, most=MOST_TOKENS):
        raise click.BadParameter(f"a number from 1 to {MOST_TOKENS:,}, unlimited, or default", param_hint="TOKENS")

    async def work(database: "Database", _settings: "Settings") -> None:
        kind = CHANNEL if _is_channel(subject) else PERSON
        if kind == CHANNEL:
            await require_channel(database, subject, is_new=is_new)
        wanted = words[tokens] if tokens in words else int(tokens)
        before = await set_budget(database, kind, subject, wanted, by=name_me())
        click.echo(f"{subject}: {tokens}; before: {'default' if before is None else before or 'unlimited'}.")

    run_opened(work)


def _budgets(settings: "Settings") -> "Budgets":
    from bot.admin.budgets import Budgets

    return Budgets(settings.budget_tokens_per_person, settings.budget_tokens_per_channel)


def _is_channel(subject: str) -> bool:
    return subject[:1] in {"C", "G"}
