"""views.*: modals."""

from __future__ import annotations

from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.modal_stack import open_modal, push_modal, require_valid, update_modal
from bot.playground.modals import Modal
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.method import Method


def answer_open(hub: Hub, args: Arguments) -> Json:
    """Open a modal for the person whose interaction gave the trigger."""
    view = _read_view(args)
    user = hub.triggers.use(_trigger(args))
    return {"view": open_modal(hub, user, view).view}


def answer_push(hub: Hub, args: Arguments) -> Json:
    """Put a modal on top of the one that is open."""
    view = _read_view(args)
    user = hub.triggers.use(_trigger(args))
    if not hub.modals.stack(user):
        raise SlackError("not_found")
    return {"view": push_modal(hub, user, view).view}


def answer_update(hub: Hub, args: Arguments) -> Json:
    """Change an open modal, unless it has changed since the app last saw it."""
    view = _read_view(args)
    modal = _find(hub, args)
    if args.text("hash") not in {None, modal.view["hash"]}:
        raise SlackError("hash_conflict")
    update_modal(hub, modal, view)
    return {"view": modal.view}


def _find(hub: Hub, args: Arguments) -> Modal:
    view_id, external_id = args.text("view_id"), args.text("external_id")
    if view_id is None and external_id is None:
        args.required("view_id")
    modal = hub.modals.find(view_id) if view_id else hub.modals.find_external(external_id or "")
    if modal is None:
        raise SlackError("not_found")
    return modal


def _read_view(args: Arguments) -> Json:
    return require_valid(args.json_object("view", error="invalid_arguments"))


def _trigger(args: Arguments) -> str:
    return args.text("trigger_id") or args.text("interactivity_pointer") or args.required("trigger_id")


METHODS = (
    Method("views.open", answer_open),
    Method("views.push", answer_push),
    Method("views.update", answer_update),
)
