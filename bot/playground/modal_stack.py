"""Opening, changing and closing modals: the app's calls and its answers to submissions do the same things."""

from __future__ import annotations

import secrets

from bot.playground.blocks import check_view
from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.messaging import name_blocks
from bot.playground.modals import MAX_DEPTH, Modal

OPTIONAL = {"submit": None, "close": None, "callback_id": "", "private_metadata": "", "external_id": ""}
FLAGS = ("clear_on_close", "notify_on_close", "submit_disabled")


def open_modal(hub: Hub, user: str, view: Json) -> Modal:
    """Show a modal in place of whatever the person had open."""
    close_all(hub, user)
    return _show(hub, user, view, action="open")


def push_modal(hub: Hub, user: str, view: Json) -> Modal:
    """Show a modal on top of the one that is open."""
    if len(hub.modals.stack(user)) >= MAX_DEPTH:
        raise SlackError("push_limit_reached")
    return _show(hub, user, view, action="push")


def update_modal(hub: Hub, modal: Modal, view: Json) -> None:
    """Put another view in a modal's place; its id stays."""
    kept = {key: modal.view[key] for key in ("id", "root_view_id", "previous_view_id")}
    modal.view = {**build_view(hub, view), **kept}
    modal.errors = None
    _push_frame(hub, modal.user, "update", modal)


def show_errors(hub: Hub, modal: Modal, errors: dict[str, str]) -> None:
    """Show what is wrong with a submission, beside its fields."""
    modal.errors = errors
    _push_frame(hub, modal.user, "update", modal)


def close_modal(hub: Hub, modal: Modal) -> None:
    """Close one modal; the one below it shows again."""
    hub.modals.stack(modal.user).remove(modal)
    _push_frame(hub, modal.user, "close", modal)


def close_all(hub: Hub, user: str) -> list[Modal]:
    """Close a person's whole stack and return it, top first."""
    closed = hub.modals.stack(user)[::-1]
    for modal in closed:
        close_modal(hub, modal)
    return closed


def require_valid(view: Json | None) -> Json:
    """Refuse a view that Slack would refuse."""
    if view is None:
        raise SlackError("invalid_arguments", messages=["[ERROR] missing required field: view"])
    problems = check_view(view)
    if problems:
        raise SlackError("invalid_arguments", messages=problems)
    return view


def _show(hub: Hub, user: str, view: Json, *, action: str) -> Modal:
    if hub.modals.find_external(view.get("external_id") or "") is not None:
        raise SlackError("duplicate_external_id")
    stack = hub.modals.stack(user)
    view_id = hub.workspace.next_id("V")
    links = {
        "id": view_id,
        "root_view_id": stack[0].id if stack else view_id,
        "previous_view_id": stack[-1].id if stack else None,
    }
    modal = Modal(user, {**build_view(hub, view), **links})
    stack.append(modal)
    _push_frame(hub, user, action, modal)
    return modal


def build_view(hub: Hub, view: Json) -> Json:
    """Complete what the app sent to Slack's view object."""
    return {
        "team_id": hub.workspace.team_id,
        "type": view["type"],
        **({"title": view["title"]} if "title" in view else {}),
        **{name: view.get(name, default) for name, default in OPTIONAL.items()},
        **{name: bool(view.get(name)) for name in FLAGS},
        "blocks": name_blocks(view["blocks"]),
        "state": {"values": {}},
        "hash": f"{int(hub.clock.now())}.{secrets.token_hex(4)}",
        "app_id": hub.app.id,
        "app_installed_team_id": hub.workspace.team_id,
        "bot_id": hub.app.bot_id,
    }


def _push_frame(hub: Hub, user: str, action: str, modal: Modal) -> None:
    frame = {"type": "view", "action": action, "view_id": modal.id, "view": modal.to_page()}
    hub.live.push(frame, {user})
