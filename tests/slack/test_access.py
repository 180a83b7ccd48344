"""Who may do what: every role against every command and button, and what Slack says against what a payload says."""

import inspect
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.app import running_bot
from bot.errors import DeliveryError
from bot.playground.testing import Playground
from bot.settings import Settings
from bot.slack import app as slack_app
from bot.slack.calls import Calls
from bot.slack.commands.orders import Call, Command, Role
from bot.slack.commands.table import Desk
from bot.slack.people.access import Access, Home, Standing, decide_role, read_standing
from bot.slack.people.directory import Directory
from bot.slack.people.rights import BUTTONS, find_button_role, needed_role, register_rights
from bot.storage.admin_tables import Right
from bot.storage.db import Database
from bot.storage.rights import set_right
from tests.playground.conftest import build_client
from tests.scenarios.conftest import settings_for

TEAM, PARTNER = "T0PLAYGRND", "T0NORTHWND"
HOME = Home(TEAM)
OURS = {"id": "U1", "team_id": TEAM}
# The least role that each command needs, and, behind the name, each first word that needs more.
LEAST = {
    "status": Role.MEMBER,
    "help": Role.MEMBER,
    "preferences": Role.MEMBER,
    "my-data": Role.BARRED,
    "forget-me": Role.BARRED,
    "budget": Role.MEMBER,
    "budget list": Role.ADMIN,
    "persona": Role.MEMBER,
    "prompts": Role.ADMIN,
    "doctor": Role.ADMIN,
    "health": Role.ADMIN,
    "model": Role.ADMIN,
    "channels": Role.ADMIN,
    "users": Role.ADMIN,
    "dataset": Role.REVIEWER,
    "dataset export": Role.ADMIN,
    "broadcast": Role.ADMIN,
    "data": Role.ADMIN,
    "data export": Role.OWNER,
    "data forget": Role.OWNER,
    "feedback": Role.ADMIN,
    "audit": Role.ADMIN,
    "train": Role.MEMBER,
    "adapters": Role.ADMIN,
    "learn-from-me": Role.BARRED,
    "learn-from-me on": Role.MEMBER,
    "learn-from-channel": Role.ADMIN,
    "mute": Role.MEMBER,
    "channel": Role.MEMBER,
    "remind": Role.MEMBER,
    "digest": Role.MEMBER,
    "schedule": Role.MEMBER,
    "ask": Role.MEMBER,
    "summarise": Role.MEMBER,
    "translate": Role.MEMBER,
    "explain": Role.MEMBER,
    "actions": Role.MEMBER,
    "retry": Role.MEMBER,
    "stop": Role.MEMBER,
    "language": Role.MEMBER,
    "draft": Role.MEMBER,
    "follow": Role.MEMBER,
}


@pytest.mark.parametrize(
    ("user", "standing"),
    [
        (OURS, Standing.OURS),
        (None, Standing.UNKNOWN),
        ({}, Standing.UNKNOWN),
        ({**OURS, "is_restricted": True}, Standing.GUEST),
        ({**OURS, "is_restricted": True, "is_ultra_restricted": True}, Standing.GUEST),
        ({**OURS, "is_stranger": True}, Standing.OUTSIDER),
        ({**OURS, "is_stranger": True, "is_restricted": True}, Standing.OUTSIDER),
        ({**OURS, "deleted": True}, Standing.LEFT),
        ({**OURS, "deleted": True, "is_restricted": True}, Standing.LEFT),
        ({**OURS, "deleted": True, "is_bot": True}, Standing.GONE),
        ({**OURS, "is_bot": True}, Standing.GONE),
        ({"id": "U1", "team_id": PARTNER}, Standing.OUTSIDER),
        ({"id": "U1", "team_id": PARTNER, "is_restricted": True}, Standing.OUTSIDER),
        ({"id": "U1", "team_id": PARTNER, "deleted": True}, Standing.GONE),
        ({"id": "U1"}, Standing.OUTSIDER),
        ({"id": "U1", "team_id": PARTNER, "enterprise_user": {"enterprise_id": "E1"}}, Standing.OUTSIDER),
    ],
)
def test_what_slack_says(user: dict[str, Any] | None, standing: Standing) -> None:
    """Only who is a full member of our own workspace is ours; what is not said is not."""
    assert read_standing(user, home=HOME) is standing


def test_an_organisation_is_one_home() -> None:
    """Somebody of another workspace of the same organisation is ours, unless the app is not installed in one."""
    user = {"id": "U1", "team_id": "T2", "enterprise_user": {"enterprise_id": "E1"}}
    assert read_standing(user, home=Home("T1", "E1")) is Standing.OURS
    assert read_standing(user, home=Home("T1", "E2")) is Standing.OUTSIDER
    assert read_standing(user, home=Home("T1", allowed_team_ids=frozenset({"T2"}))) is Standing.ALLOWED
    assert read_standing({**user, "is_restricted": True}, home=Home("T1", "E1")) is Standing.GUEST


@pytest.mark.parametrize("is_owner", [False, True])
@pytest.mark.parametrize("right", [None, *Right])
@pytest.mark.parametrize("standing", Standing)
def test_every_cell_of_standing_and_right(standing: Standing, right: Right | None, is_owner: bool) -> None:
    """No right lifts an outsider above a member, nobody who is gone or unknown is anything, only owners are owners.

    Who is or was of this workspace and may not ask has what is theirs left; nobody of another organisation has.
    """
    role = decide_role(standing, right, is_owner=is_owner)
    if standing in {Standing.GONE, Standing.UNKNOWN}:
        assert role is Role.NOBODY
    elif standing is Standing.LEFT:
        assert role is Role.BARRED
    elif standing is Standing.GUEST:
        assert role is (Role.MEMBER if right is Right.MEMBER else Role.BARRED)
    elif standing is Standing.OUTSIDER:
        assert role is (Role.MEMBER if right is Right.MEMBER else Role.NOBODY)
    elif standing is Standing.ALLOWED:
        assert role is (Role.NOBODY if right is Right.BLOCKED else Role.MEMBER)
    elif is_owner:
        assert role is Role.OWNER
    else:
        named = {Right.BLOCKED: Role.BARRED, Right.REVIEWER: Role.REVIEWER, Right.ADMIN: Role.ADMIN}
        assert role is (Role.MEMBER if right is None else named.get(right, Role.MEMBER))


@pytest.fixture
async def access(database: Database) -> AsyncIterator[tuple[Access, Playground]]:
    """Ask a real workspace over a real socket; Maya is the owner."""
    async with Playground() as playground:
        directory = Directory(Calls(build_client(playground)))
        yield Access(database, directory, owners=frozenset({"U0MAYA", "U0LENA"}), home=HOME), playground


async def test_roles_in_a_workspace(access: tuple[Access, Playground], database: Database) -> None:
    """The owner owns, others are members, a guest has what is theirs, other organisations nothing, even if named."""
    who, _ = access
    roles = {user: await who.role_of(user, PARTNER) for user in ("U0MAYA", "U0TOM", "U0SAM", "U0LENA", "U0APPRENTICE")}
    assert roles == {
        "U0MAYA": Role.OWNER,
        "U0TOM": Role.MEMBER,
        "U0SAM": Role.BARRED,
        "U0LENA": Role.NOBODY,
        "U0APPRENTICE": Role.NOBODY,
    }
    assert await who.role_of("U0NOBODY", TEAM) is Role.NOBODY
    async with database.begin() as session:
        await set_right(session, "U0TOM", Right.ADMIN, by="U0MAYA")
        await set_right(session, "U0SAM", Right.MEMBER, by="U0MAYA")
        await set_right(session, "U0PRIYA", Right.BLOCKED, by="U0MAYA")
    assert [await who.role_of(user) for user in ("U0TOM", "U0SAM", "U0PRIYA")] == [
        Role.ADMIN,
        Role.MEMBER,
        Role.BARRED,
    ]


async def test_slack_away_makes_no_admin(access: tuple[Access, Playground], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was known within a day stays a member, and no more; who was not is nobody."""
    who, playground = access
    assert await who.role_of("U0MAYA") is Role.OWNER
    monkeypatch.setattr("bot.slack.people.access.FRESH_S", 0.0)
    monkeypatch.setattr("bot.slack.calls.TRIES", 1)
    playground.fault("server_error", methods="users.info")
    assert await who.role_of("U0MAYA") is Role.MEMBER
    assert await who.is_known("U0MAYA")
    assert await who.role_of("U0TOM") is Role.NOBODY
    assert not await who.is_known("U0TOM")
    assert await who.role_for("U0MAYA", Role.MEMBER) is Role.MEMBER
    for user, needed in (("U0MAYA", Role.ADMIN), ("U0TOM", Role.BARRED)):
        with pytest.raises(DeliveryError, match="Slack does not answer me"):
            await who.role_for(user, needed)
    playground.fault("server_error", enabled=False)
    assert await who.role_of("U0MAYA") is Role.OWNER


@pytest.mark.parametrize("error", ["invalid_auth", "token_revoked", "account_inactive"])
async def test_a_dead_token_makes_nobody_of_no_one(access: tuple[Access, Playground], error: str) -> None:
    """Slack was asked with the token of before a new installation: the next question has its answer."""
    who, playground = access
    playground.fault("missing_method", methods="users.info", error=error, times=1)
    with pytest.raises(DeliveryError) as raised:
        await who.known_role_of("U0TOM")
    assert raised.value.is_passing
    assert await who.known_role_of("U0TOM") is Role.MEMBER


async def test_somebody_who_became_a_guest_is_one_at_once(
    access: tuple[Access, Playground], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack's answer of now counts, not the one of before."""
    who, playground = access
    assert await who.role_of("U0TOM") is Role.MEMBER
    playground.hub.workspace.users["U0TOM"].is_guest = True
    monkeypatch.setattr("bot.slack.people.access.FRESH_S", 0.0)
    assert await who.role_of("U0TOM") is Role.BARRED


class Listening:
    """What a whole bot has registered: its table of commands, and the names of its buttons, forms and shortcuts."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.names: set[str] = set()

    def note(self, app: AsyncApp) -> None:
        """Read the names out of Bolt's own matchers."""
        for listener in app._async_listeners:
            for matcher in listener.matchers:
                inner = inspect.getclosurevars(matcher.func).nonlocals.get("func")
                if inner is None:  # a choice of our own among what Bolt has matched
                    continue
                kind = inner.__qualname__.partition(".")[0]
                if kind not in {"event", "command"}:
                    self._note(inspect.getclosurevars(inner).nonlocals)

    def _note(self, value: Any) -> None:
        if isinstance(value, dict):
            for part in value.values():
                self._note(part)
        elif isinstance(value, str) or hasattr(value, "pattern"):
            self.names.add(str(getattr(value, "pattern", value)).strip("^$").rstrip(":"))


@pytest.fixture
async def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listening]:
    """Start a bot as `bot run` does, up to the point where it would ask its model."""
    found = Listening()
    build = slack_app.build_slack_app

    def build_and_note(*args: Any, **options: Any) -> AsyncApp:
        app = build(*args, **options)
        found.note(app)
        return app

    class Noting(Desk):
        def __init__(self, commands: Any, **options: Any) -> None:
            super().__init__(commands, **options)
            found.commands = list(self.commands)

    monkeypatch.setattr("bot.app.build_slack_app", build_and_note)
    monkeypatch.setattr(slack_app, "Desk", Noting)
    async with Playground() as playground, running_bot(_settings(playground, tmp_path)):
        yield found


def _settings(playground: Playground, tmp_path: Path) -> Settings:
    return settings_for(playground, tmp_path, engine_url="http://127.0.0.1:9")


async def test_the_deny_matrix_has_every_command(listening: Listening) -> None:
    """Each role gets each command just when the matrix says so; a command without a cell fails."""
    commands = {command.name: command for command in listening.commands}
    cells = set(commands) | {f"{name} {word}" for name, command in commands.items() for word in command.roles}
    assert cells <= set(LEAST), f"give each a row in LEAST: {sorted(cells - set(LEAST))}"

    async def ran(_call: Call) -> Any:
        raise AssertionError("it ran")

    for role in Role:
        held = [replace(command, run=ran) for command in commands.values() if command.name != "help"]

        async def role_for(_user: str, _needed: Role, role: Role = role) -> Role:
            return role

        desk = Desk(held, role_for=role_for)
        for cell in sorted(cells - {"help"}):
            reply = await desk.take(cell, Call(user_id=f"U-{cell}", team_id=TEAM, channel_id="D1", words=""))
            was_let_in = "Something went wrong" in reply.text  # it ran into the assertion above
            assert was_let_in == (role >= LEAST[cell]), (role, cell, reply.text)


async def test_every_button_has_a_role(listening: Listening) -> None:
    """What somebody can press or send stands in the table of rights; a new one without a row fails."""
    assert "feedback" in listening.names
    missing = listening.names - set(BUTTONS)
    assert not missing, f"give each a row in BUTTONS of bot/slack/people/rights.py: {sorted(missing)}"


@pytest.mark.parametrize("role", Role)
async def test_every_cell_of_role_and_button(role: Role) -> None:
    """Pressed and sent through Bolt: what the role may not do is refused before any listener hears of it."""

    class Sure:
        async def role_for(self, _user_id: str, _needed: Role) -> Role:
            return role

    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id=TEAM, bot_user_id="UBOT", bot_token="xoxb-1")

    heard: list[tuple[str, str]] = []
    async with Playground() as playground:
        app = AsyncApp(client=build_client(playground), authorize=authorize, process_before_response=True)
        register_rights(app, access=cast("Access", Sure()), calls=Calls(build_client(playground)))

        async def hear(ack: AsyncAck, body: dict[str, Any]) -> None:
            is_press = "actions" in body
            heard.append(
                ("press", body["actions"][0]["action_id"]) if is_press else ("send", body["view"]["callback_id"])
            )
            await ack()

        for name in BUTTONS:
            app.action(name)(hear)
            app.view(name)(hear)
        for name, body in requests():
            if body["type"] != "message_action":
                request = AsyncBoltRequest(
                    mode="socket_mode", body={**body, "user": {"id": "U1"}, "team": {"id": TEAM}}
                )
                response = await app.async_dispatch(request)
                assert response.status == 200, name
                shown = json.loads(response.body or "{}").get("view", {}).get("blocks")
                assert "plain_text" not in str(shown), "it names orders as code"

    wanted = {(kind, name) for kind in ("press", "send") for name, needed in BUTTONS.items() if role >= needed}
    assert set(heard) == wanted


def requests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each button as it is pressed in a message, and each form as it is sent."""
    for name in BUTTONS:
        yield name, {"type": "block_actions", "actions": [{"action_id": name, "block_id": "b", "type": "button"}]}
        yield name, {"type": "view_submission", "view": {"type": "modal", "callback_id": name}}
        yield name, {"type": "message_action", "callback_id": name}


@pytest.mark.parametrize(("name", "body"), list(requests()), ids=str)
def test_the_role_of_a_request_is_read_from_its_name(name: str, body: dict[str, Any]) -> None:
    """Also when several are pressed at once the highest counts; no request is free for all."""
    needed = needed_role(body)
    assert needed is not None
    assert needed >= BUTTONS[name] >= (Role.BARRED if name in {"order:yes", "home"} else Role.MEMBER)


def test_what_is_unknown_needs_a_member() -> None:
    """A name that nobody registered, an empty body: guests and strangers get nothing of it; a command says itself."""
    assert needed_role({"type": "block_actions", "actions": []}) is Role.MEMBER
    assert needed_role({"command": "/apprentice", "text": "help"}) is Role.BARRED
    assert needed_role({"type": "event_callback", "event": {}}) is None
    assert find_button_role("order:undo") is Role.MEMBER
