"""Clicks, submissions and commands: what the app is asked, and what its answer does."""

from __future__ import annotations

from typing import Any

from bot.playground.delivery import Envelope, Outcome
from bot.playground.entities import Channel, Json, Message, User
from bot.playground.errors import PageError, SlackError
from bot.playground.hub import Hub
from bot.playground.modal_stack import (
    close_all,
    close_modal,
    push_modal,
    require_valid,
    show_errors,
    update_modal,
)
from bot.playground.modals import Modal
from bot.playground.slack_objects import message_object

FAILED = "The app did not answer in time; try again, or look at the app's log."


async def click_message(hub: Hub, *, user: User, message: Message, action: Json, values: Json) -> Outcome:
    """Tell the app of a click below a message."""
    channel = hub.workspace.channels[message.channel]
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.ephemeral,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    payload = _base(hub, "block_actions", user) | {
        "container": container,
        "channel": {"id": channel.id, "name": channel_name(channel)},
        "state": {"values": values or _state_of(action)},
        "response_url": response_url(hub, channel=channel.id, user=user.id, message_ts=message.ts),
        "actions": [action],
    }
    if not message.ephemeral:
        payload["message"] = message_object(hub, message)
    return await _ask(hub, "block_actions", payload)


async def act_in_view(hub: Hub, *, user: User, modal: Modal, action: Json, values: Json) -> Outcome:
    """Tell the app of an action inside a modal."""
    modal.view["state"] = {"values": values}
    payload = _base(hub, "block_actions", user) | {
        "container": {"type": "view", "view_id": modal.id},
        "view": modal.view,
        "actions": [action],
    }
    return await _ask(hub, "block_actions", payload)


async def suggest_options(
    hub: Hub, *, user: User, source: Message | Modal, element: Json, block_id: str, typed: str
) -> Outcome:
    """Ask the app which options fit what somebody types into an external select."""
    wanted = {"action_id": element["action_id"], "block_id": block_id, "value": typed}
    payload = _base(hub, "block_suggestion", user) | wanted
    payload.pop("trigger_id")
    if isinstance(source, Modal):
        payload |= {"container": {"type": "view", "view_id": source.id}, "view": source.view}
    else:
        channel = hub.workspace.channels[source.channel]
        container = {"type": "message", "message_ts": source.ts, "channel_id": channel.id}
        payload |= {"container": container, "channel": {"id": channel.id, "name": channel_name(channel)}}
    return await _ask(hub, "block_suggestion", payload, accepts_response=True)


async def submit_view(hub: Hub, *, user: User, modal: Modal, values: Json) -> Json:
    """Submit a modal and do what the app's answer says; return it as the page expects."""
    modal.view["state"] = {"values": values}
    payload = _base(hub, "view_submission", user) | {"view": modal.view, "response_urls": []}
    outcome = await _ask(hub, "view_submission", payload, accepts_response=True)
    if not outcome.ok:
        raise PageError(FAILED, status=502)
    return _apply_view_response(hub, modal, outcome.response or {})


async def close_view(hub: Hub, *, user: User, modal: Modal, is_cleared: bool = False) -> None:
    """Close a modal for a person, and tell the app if it asked to know."""
    closed = close_all(hub, user.id) if is_cleared or modal.view["clear_on_close"] else [modal]
    if modal in hub.modals.stack(user.id):
        close_modal(hub, modal)
    for gone in closed:
        if gone.view["notify_on_close"]:
            payload = _base(hub, "view_closed", user) | {"view": gone.view, "is_cleared": len(closed) > 1}
            payload.pop("trigger_id")
            await _ask(hub, "view_closed", payload)


async def run_command(hub: Hub, *, user: User, channel: Channel, command: str, text: str) -> Outcome:
    """Tell the app of a slash command."""
    workspace = hub.workspace
    payload = {
        "token": "playground",
        "team_id": workspace.team_id,
        "team_domain": workspace.domain,
        "channel_id": channel.id,
        "channel_name": channel_name(channel),
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": hub.app.id,
        "is_enterprise_install": "false",
        "response_url": response_url(hub, channel=channel.id, user=user.id),
        "trigger_id": hub.triggers.issue(user.id),
    }
    return await hub.delivery.ask(Envelope("slash_commands", command, payload, accepts_response=True))


async def run_message_shortcut(hub: Hub, *, user: User, message: Message, callback_id: str) -> Outcome:
    """Tell the app of a shortcut that somebody chose in a message's menu."""
    channel = hub.workspace.channels[message.channel]
    payload = _base(hub, "message_action", user) | {
        "callback_id": callback_id,
        "action_ts": hub.workspace.next_ts(hub.clock.now()),
        "channel": {"id": channel.id, "name": channel_name(channel)},
        "message_ts": message.ts,
        "message": message_object(hub, message),
        "response_url": response_url(hub, channel=channel.id, user=user.id),
    }
    return await _ask(hub, "message_action", payload)


def response_url(hub: Hub, *, channel: str, user: str, message_ts: str | None = None) -> str:
    """Return a URL through which the app can answer an interaction."""
    key = hub.response_urls.issue(channel=channel, user=user, message_ts=message_ts)
    return f"{hub.base_url}/commands/{key}"


def channel_name(channel: Channel) -> str:
    """Return the name that interactions give a conversation."""
    return channel.name or {"im": "directmessage", "mpim": "privategroup"}.get(channel.kind, "")


def build_action(hub: Hub, element: Json, *, block_id: str, sent: Json) -> Json:
    """Complete what the page sent of an action with what the element says; its values are the element's own."""
    action = {
        **{key: value for key, value in sent.items() if key.startswith("selected_") or key == "value"},
        "type": element["type"],
        "block_id": block_id,
        "action_id": element["action_id"],
        "action_ts": hub.workspace.next_ts(hub.clock.now()),
    }
    if element["type"] in {"button", "icon_button"}:
        action |= {key: element[key] for key in ("text", "value", "style") if key in element}
    elif element["type"] == "feedback_buttons":
        chosen = _chosen_feedback(element, sent.get("value"))
        action |= {"text": chosen["text"], "value": chosen["value"]}
    return action


def _chosen_feedback(element: Json, value: Any) -> Json:
    for name in ("positive_button", "negative_button"):
        button: Json = element[name]
        if value in (button["value"], name):
            return button
    raise PageError("This feedback button does not exist.", status=404)


def _state_of(action: Json) -> Json:
    if not any(key.startswith("selected_") for key in action):
        return {}
    held = {key: value for key, value in action.items() if key == "type" or key.startswith("selected_")}
    return {action["block_id"]: {action["action_id"]: held}}


def _apply_view_response(hub: Hub, modal: Modal, response: Json) -> Json:
    kind = response.get("response_action")
    try:
        if kind == "errors":
            given = response.get("errors")
            errors = {str(key): str(value) for key, value in given.items()} if isinstance(given, dict) else {}
            show_errors(hub, modal, errors)
            return {"errors": errors}
        if kind == "update":
            update_modal(hub, modal, require_valid(_view_in(response)))
            return {"response_action": "update", "view": modal.to_page()}
        if kind == "push":
            pushed = push_modal(hub, modal.user, require_valid(_view_in(response)))
            return {"response_action": "push", "view": pushed.to_page()}
    except SlackError as error:
        sentence = f"The app answered with a view that Slack would refuse ({'; '.join(error.messages) or error.code})."
        raise PageError(sentence, status=502) from error
    if kind == "clear":
        close_all(hub, modal.user)
        return {"response_action": "clear"}
    if modal in hub.modals.stack(modal.user):
        close_modal(hub, modal)
    return {"ok": True}


def _view_in(response: Json) -> Json | None:
    return view if isinstance(view := response.get("view"), dict) else None


async def _ask(hub: Hub, name: str, payload: Json, *, accepts_response: bool = False) -> Outcome:
    return await hub.delivery.ask(Envelope("interactive", name, payload, accepts_response=accepts_response))


def _base(hub: Hub, kind: str, user: User) -> Json:
    return {
        "type": kind,
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": hub.workspace.team_id},
        "api_app_id": hub.app.id,
        "token": "playground",
        "trigger_id": hub.triggers.issue(user.id),
        "team": {"id": hub.workspace.team_id, "domain": hub.workspace.domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }
