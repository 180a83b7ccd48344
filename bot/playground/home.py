"""The app's Home tab: one view for each person, published by the app and kept with the workspace."""

from __future__ import annotations

from bot.playground.blocks import check_home
from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.files import require_images
from bot.playground.hub import Hub
from bot.playground.modal_stack import build_view
from bot.playground.modals import Modal


def publish_home(hub: Hub, user: str, view: Json, *, known_hash: str | None = None) -> Json:
    """Put a view in the place of the one that the person's Home tab shows; its id stays."""
    if not hub.manifest.has_home:
        raise SlackError("not_enabled")
    shown = hub.workspace.homes.get(user)
    if shown is not None and known_hash not in {None, shown["hash"]}:
        raise SlackError("hash_conflict")
    view_id = shown["id"] if shown is not None else hub.workspace.next_id("V")
    home = {**build_view(hub, view), "id": view_id, "root_view_id": view_id, "previous_view_id": None}
    hub.workspace.homes[user] = home
    hub.live.push({"type": "home", "view": home}, {user})
    hub.changed()
    return home


def require_home(hub: Hub, view: Json | None) -> Json:
    """Refuse a Home that Slack would refuse."""
    problems = ["[ERROR] missing required field: view"] if view is None else check_home(view)
    if view is None or problems:
        raise SlackError("invalid_arguments", messages=problems)
    require_images(hub, view["blocks"], pointer="/view/blocks")
    return view


def find_home(hub: Hub, view_id: str) -> Modal | None:
    """Find somebody's Home by its view's id; whoever acts in it acts as in a modal."""
    found = ((user, view) for user, view in hub.workspace.homes.items() if view["id"] == view_id)
    return next((Modal(user, view) for user, view in found), None)
