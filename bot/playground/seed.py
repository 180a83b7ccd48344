"""The workspace that a playground starts with: a team, four people, a partner, five channels, one app."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.playground.entities import Channel, User
from bot.playground.manifest import Command, Manifest
from bot.playground.options import PlaygroundOptions
from bot.playground.workspace import Workspace

TEAM_ID = "T0PLAYGRND"
PARTNER_TEAM_ID = "T0NORTHWND"
CREATED = 1_767_225_600  # 2026-01-01: a fixed day, so that ids and dates do not change between starts

PEOPLE = (
    User("U0MAYA", "maya", "Maya Chen", "Maya", color="2563eb", is_admin=True, avatar="MC"),
    User("U0TOM", "tom", "Tom Becker", "Tom", color="b45309", avatar="TB", tz="Europe/Berlin", locale="de-DE"),
    User("U0PRIYA", "priya", "Priya Nair", "Priya", color="7c3aed", avatar="PN", tz="Asia/Kolkata", locale="en-IN"),
    User("U0SAM", "sam", "Sam Okafor", "Sam", color="047857", is_guest=True, avatar="SO"),
    User("U0LENA", "lena", "Lena Fischer (Northwind)", "Lena", color="be123c", team=PARTNER_TEAM_ID, avatar="LF"),
)
CHANNELS = (
    ("C0GENERAL", "general", "Company-wide announcements and work-based matters"),
    ("C0SUPPORT", "support", "Questions from customers, and how we answer them"),
    ("C0RANDOM", "random", "Everything else"),
)


@dataclass(frozen=True, slots=True)
class AppIdentity:
    """The one app that is installed in the workspace."""

    name: str
    commands: tuple[Command, ...]
    id: str = "A0APPRENTIC"
    bot_user_id: str = "U0APPRENTICE"
    bot_id: str = "B0APPRENTICE"


def build_app_identity(options: PlaygroundOptions, manifest: Manifest) -> AppIdentity:
    """Name the app: by option, else by manifest, else Apprentice."""
    return AppIdentity(name=options.app_name or manifest.name or "Apprentice", commands=manifest.commands)


def build_second_app(app: AppIdentity) -> AppIdentity:
    """Name the same app as it is installed in a second workspace: there it has another bot."""
    return replace(app, bot_user_id="U0APPRENT2", bot_id="B0APPRENT2")


def build_second_workspace(app: AppIdentity) -> Workspace:
    """Build a workspace of other people, in which the app can be installed as well."""
    workspace = Workspace(team_id="T0SECOND", team_name="Second Office", domain="second", mark="S")
    people = (
        User("U0ZOE", "zoe", "Zoe Park", "Zoe", color="be123c", is_admin=True, avatar="ZP"),
        User("U0MAX", "max", "Max Roth", "Max", color="0f766e", avatar="MR"),
    )
    workspace.users.update({person.id: person for person in people})
    install_app(workspace, app)
    everybody = [*(person.id for person in people), app.bot_user_id]
    _add_channel(workspace, Channel("C0SECOND", "general", "public", "", everybody, "U0ZOE"))
    for person in people:
        direct = Channel(f"D0{person.name.upper()}", "", "im", members=[person.id, app.bot_user_id], creator=person.id)
        _add_channel(workspace, direct)
    return workspace


def build_workspace(app: AppIdentity) -> Workspace:
    """Build the workspace that stands before anybody has said anything."""
    workspace = Workspace(team_id=TEAM_ID, team_name="Playground", domain="playground")
    for person in PEOPLE:
        workspace.users[person.id] = User(**{name: getattr(person, name) for name in User.__slots__})
    install_app(workspace, app)
    insiders = [person.id for person in PEOPLE if not person.is_outsider]
    for channel_id, name, topic in CHANNELS:
        _add_channel(workspace, Channel(channel_id, name, "public", topic, [*insiders, app.bot_user_id], "U0MAYA"))
    _add_channel(workspace, Channel("C0LEADS", "leads", "private", "", ["U0MAYA", "U0PRIYA"], "U0MAYA"))
    both = ["U0MAYA", "U0TOM", "U0LENA", app.bot_user_id]
    shared = Channel("C0NORTHWIND", "northwind", "public", "With our partner Northwind", both, "U0MAYA")
    shared.is_ext_shared = True
    _add_channel(workspace, shared)
    for person in PEOPLE:
        if person.team:
            continue  # nobody of another company has a DM with the app
        direct = Channel(f"D0{person.name.upper()}", "", "im", members=[person.id, app.bot_user_id], creator=person.id)
        _add_channel(workspace, direct)
    return workspace


def install_app(workspace: Workspace, app: AppIdentity) -> None:
    """Give the app its bot user, under the name it has today."""
    workspace.users[app.bot_user_id] = User(
        id=app.bot_user_id,
        name=app.name.lower().replace(" ", "-"),
        real_name=app.name,
        display_name=app.name,
        color="4a154b",
        is_bot=True,
        avatar=app.name[:1].upper(),
    )


def _add_channel(workspace: Workspace, channel: Channel) -> None:
    channel.created = CREATED
    workspace.channels[channel.id] = channel
