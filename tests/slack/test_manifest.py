"""The manifest: valid against what Slack takes, its scopes enough for what the code calls and no wider."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from bot.cli import cli
from bot.slack.setup.manifest import EVENTS, SCOPES, SHORTCUTS, build_manifest, explain, render_json, render_yaml
from tests.slack.manifest_schema import MANIFEST

ROOT = Path(__file__).parent.parent.parent
SOURCES = [*sorted((ROOT / "bot" / "slack").rglob("*.py")), ROOT / "bot" / "app.py"]
KINDS = ("channels", "groups", "im", "mpim")
READ = frozenset(f"{kind}:read" for kind in KINDS)
HISTORY = frozenset(f"{kind}:history" for kind in KINDS)
FAMILIES = (
    "agents|apps|assistant|auth|blocks|bookmarks|bots|canvases|chat|conversations|dnd|emoji|files|oauth|pins|reactions|"
    "search|team|usergroups|users|views"
)
METHOD = re.compile(rf"({FAMILIES})(\.[a-zA-Z0-9]+)+")
CALL = re.compile(rf"({FAMILIES})(_[a-zA-Z0-9]+)+")

# What Slack's reference pages ask for, for the methods that an assistant may ever need.
NEEDS: dict[str, frozenset[str]] = {
    "agents.sessions.rename": frozenset({"chat:write", "assistant:write"}),
    "agents.sessions.setStatus": frozenset({"chat:write", "assistant:write"}),
    "apps.connections.open": frozenset(),
    "apps.manifest.export": frozenset(),  # its own kind of token
    "assistant.threads.setStatus": frozenset({"chat:write", "assistant:write"}),
    "assistant.threads.setSuggestedPrompts": frozenset({"assistant:write"}),
    "assistant.threads.setTitle": frozenset({"assistant:write"}),
    "auth.revoke": frozenset(),
    "auth.test": frozenset(),
    "blocks.validate": frozenset(),
    "bots.info": frozenset({"users:read"}),
    "chat.appendStream": frozenset({"chat:write"}),
    "chat.delete": frozenset({"chat:write"}),
    "chat.deleteScheduledMessage": frozenset({"chat:write"}),
    "chat.getPermalink": frozenset(),
    "chat.postEphemeral": frozenset({"chat:write"}),
    "chat.postMessage": frozenset({"chat:write"}),
    "chat.scheduleMessage": frozenset({"chat:write"}),
    "chat.scheduledMessages.list": frozenset(),
    "chat.startStream": frozenset({"chat:write"}),
    "chat.stopStream": frozenset({"chat:write"}),
    "chat.update": frozenset({"chat:write"}),
    "conversations.history": HISTORY,
    "conversations.info": READ,
    "conversations.list": READ,
    "conversations.members": READ,
    "conversations.open": frozenset({"im:write"}),
    "conversations.replies": HISTORY,
    "files.delete": frozenset({"files:write"}),
    "files.completeUploadExternal": frozenset({"files:write"}),
    "files.getUploadURLExternal": frozenset({"files:write"}),
    "files.info": frozenset({"files:read"}),
    "files.upload.v2": frozenset({"files:write"}),
    "oauth.v2.access": frozenset(),
    "reactions.add": frozenset({"reactions:write"}),
    "reactions.get": frozenset({"reactions:read"}),
    "reactions.remove": frozenset({"reactions:write"}),
    "team.info": frozenset({"team:read"}),
    "users.conversations": READ,
    "users.info": frozenset({"users:read"}),
    "users.list": frozenset({"users:read"}),
    "views.open": frozenset(),
    "views.publish": frozenset(),
    "views.push": frozenset(),
    "views.update": frozenset(),
}
EVENT_NEEDS: dict[str, str] = {
    "agent_session_stopped": "assistant:write",
    "agent_session_title_changed": "assistant:write",
    "app_context_changed": "assistant:write",
    "app_mention": "app_mentions:read",
    "channel_archive": "channels:read",
    "channel_deleted": "channels:read",
    "file_deleted": "files:read",
    "member_joined_channel": "channels:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "message.mpim": "mpim:history",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
}


@pytest.mark.parametrize("request_url", [None, "https://bot.example.com/"])
@pytest.mark.parametrize("install_url", [None, "https://bot.example.com"])
def test_slack_takes_it(request_url: str | None, install_url: str | None) -> None:
    """Every form of it is valid, as JSON and as YAML, and both say the same."""
    manifest = build_manifest(name="A" * 35, request_url=request_url, install_url=install_url, is_for_org=True)

    jsonschema.Draft202012Validator(MANIFEST).validate(manifest)
    assert yaml.safe_load(render_yaml(manifest)) == yaml.safe_load(render_json(manifest)) == manifest


@pytest.mark.parametrize("wrong", [{"name": "A" * 36}, {"name": ""}])
def test_the_schema_would_notice(wrong: dict[str, str]) -> None:
    """A schema that takes everything would prove nothing."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(build_manifest(request_url=None, **wrong), MANIFEST)


def test_addresses_stand_where_slack_looks_for_them() -> None:
    """Over HTTP everything comes to one address; people's browsers come back to the other."""
    manifest = build_manifest(name="A", request_url="https://a.b/", install_url="https://c.d/")
    settings = manifest["settings"]

    assert settings["event_subscriptions"]["request_url"] == "https://a.b/slack/events"
    assert settings["interactivity"]["request_url"] == "https://a.b/slack/events"
    assert manifest["features"]["slash_commands"][0]["url"] == "https://a.b/slack/events"
    assert manifest["oauth_config"]["redirect_urls"] == ["https://c.d/slack/oauth_redirect"]
    assert settings["socket_mode_enabled"] is False


def test_it_is_an_agent_of_the_kind_that_stays() -> None:
    """Slack's agent view, and not the assistant view that it retires."""
    features = build_manifest(name="A", request_url=None)["features"]

    assert features["agent_view"]["agent_description"]
    assert "assistant_view" not in features


def test_people_can_write_to_it() -> None:
    """The most common mistake: a Messages tab that only reads."""
    home = build_manifest(name="A", request_url=None)["features"]["app_home"]

    assert (home["messages_tab_enabled"], home["messages_tab_read_only_enabled"]) == (True, False)


def used_methods() -> set[str]:
    """Return the Web API methods that the code names, as text or as a method of Slack's client."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and METHOD.fullmatch(node.value):
                found.add(node.value)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and CALL.fullmatch(node.func.attr):
                found.add(node.func.attr.replace("_", "."))
    return found


def needed_scopes() -> Iterator[str]:
    """Yield the scopes that the code cannot do without."""
    for method in used_methods():
        yield from NEEDS[method]
    for event in EVENTS:
        if event in EVENT_NEEDS:
            yield EVENT_NEEDS[event]
    yield "commands"
    if any("url_private" in path.read_text() for path in SOURCES):
        yield "files:read"


def test_every_method_is_known() -> None:
    """A method that nobody has looked up the scopes of is not called."""
    assert {method for method in used_methods() if method not in NEEDS} == set()


def test_scopes_are_enough_and_no_wider() -> None:
    """Each scope is there for a method that is called or an event that is heard."""
    assert set(SCOPES) == set(needed_scopes())


def test_every_scope_and_event_has_its_reason() -> None:
    """Whoever approves the app reads what each is for, in the YAML and by itself."""
    said, written = explain(), render_yaml(build_manifest(name="A", request_url=None))

    for name, reason in {**SCOPES, **EVENTS}.items():
        assert len(reason) > 5
        assert reason in said
        assert f"- {name}  # {reason}" in written


def test_shortcuts_have_different_ids() -> None:
    """Slack would send both to one listener."""
    ids = [shortcut["callback_id"] for shortcut in SHORTCUTS]

    assert len(ids) == len(set(ids))


def test_the_command_prints_what_one_asks_for() -> None:
    """Both forms, the reasons, and a sentence where Slack would refuse it."""
    terminal = CliRunner()

    assert yaml.safe_load(terminal.invoke(cli, ["manifest", "--format", "yaml"]).output)["features"]
    assert "chat:write" in terminal.invoke(cli, ["manifest", "--explain"]).output
    assert terminal.invoke(cli, ["manifest", "--name", "x" * 36]).exit_code == 2
    assert "--oauth" in terminal.invoke(cli, ["manifest", "--org"]).output
