"""apps.*: opening a Socket Mode connection."""

from __future__ import annotations

from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.method import Method


def open_connection(hub: Hub, args: Arguments) -> Json:  # noqa: ARG001 - every method takes its arguments
    """Return the URL of a WebSocket, with a ticket that works once."""
    if hub.http is not None:
        raise SlackError("socket_mode_not_enabled")
    socket_url = hub.base_url.replace("http", "ws", 1)
    return {"url": f"{socket_url}/link?ticket={hub.sockets.issue_ticket()}&app_id={hub.app.id}"}


def export_manifest(hub: Hub, args: Arguments) -> Json:
    """Return the manifest that the app was set up with."""
    if args.required("app_id") != hub.app.id:
        raise SlackError("invalid_app_id")
    return {"manifest": dict(hub.manifest.document or {})}


METHODS = (
    Method("apps.manifest.export", export_manifest, token="config"),  # noqa: S106 - a kind of token, not one
    Method("apps.connections.open", open_connection, token="app"),  # noqa: S106 - a kind of token, not one
)
