"""views.*: modals, and the Home tab."""

from __future__ import annotations

from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.files import require_images
from bot.playground.home import find_home, publish_home, require_home
from bot.playground.hub import Hub
from bot.playground.modal_stack import open_modal, push_modal, require_valid, update_modal
from bot.playground.modals import Modal
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.method import Method


def answer_open(hub: Hub, args: Arguments) -> Json:
    """Open a modal for the person whose interaction gave the trigger."""
    view = _read_view(hub, args)
    user = hub.triggers.use(_trigger(args))
    return {"view": open_modal(hub, user, view).view}


def answer_push(hub: Hub, args: Arguments) -> Json:
    """Put a modal on top of the one that is open."""
    view = _read_view(hub, args)
    user = hub.triggers.use(_trigger(args))
    if not hub.modals.stack(user):
        raise SlackError("not_found")
    return {"view": push_modal(hub, user, view).view}


def answer_update(hub: Hub, args: Arguments) -> Json:
    """Change an open modal or a Home, unless it has changed since the app last saw it."""
    home = find_home(hub, args.text("view_id") or "")
    if home is not None:
        fresh = require_home(hub, args.json_object("view", error="invalid_arguments"))
        return {"view": publish_home(hub, home.user, fresh, known_hash=args.text("hash"))}
    view = _read_view(hub, args)
    modal = _find(hub, args)
    if args.text("hash") not in {None, modal.view["hash"]}:
        raise SlackError("hash_conflict")
    update_modal(hub, modal, view)
    return {"view": modal.view}


def answer_publish(hub: Hub, args: Arguments) -> Json:
    """Show a view in the app's Home tab to one person."""
    user = hub.workspace.users.get(args.required("user_id"))
    if user is None or user.is_bot:
        raise SlackError("invalid_arguments", messages=["[ERROR] no such user [json-pointer:/user_id]"])
    view = require_home(hub, args.json_object("view", error="invalid_arguments"))
    return {"view": publish_home(hub, user.id, view, known_hash=args.text("hash"))}


def _find(hub: Hub, args: Arguments) -> Modal:
    view_id, external_id = args.text("view_id"), args.text("external_id")
    if view_id is None and external_id is None:
        args.required("view_id")
    modal = hub.modals.find(view_id) if view_id else hub.modals.find_external(external_id or "")
    if modal is None:
        raise SlackError("not_found")
    return modal


def _read_view(hub: Hub, args: Arguments) -> Json:
    view = require_valid(args.json_object("view", error="invalid_arguments"))
    require_images(hub, view["blocks"], pointer="/view/blocks")
    return view


def _trigger(args: Arguments) -> str:
    return args.text("trigger_id") or args.text("interactivity_pointer") or args.required("trigger_id")


METHODS = (
    Method("views.open", answer_open),
    Method("views.publish", answer_publish),
    Method("views.push", answer_push),
    Method("views.update", answer_update),
)
