"""Takes a Web API request through faults, token, scope and method, and answers as Slack's edge does."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from email.utils import formatdate
from typing import Any

from aiohttp import web

from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.web_api import METHODS
from bot.playground.web_api.arguments import Arguments, read_json
from bot.playground.web_api.conversations import READ_SCOPES
from bot.playground.web_api.method import Method

ALL_SCOPES = {method.scope for method in METHODS.values() if method.scope} | {
    "app_mentions:read",
    "chat:write.customize",
    "commands",
    *(f"{kind}:{right}" for kind in READ_SCOPES.values() for right in ("read", "history")),
}


async def handle_call(hub: Hub, request: web.Request) -> web.StreamResponse:
    """Answer one call, and log it."""
    name = request.match_info["method"]
    started = time.monotonic()
    try:
        values = await read_values(request)
    except SlackError as error:
        return _respond(_failure(error))
    token = _take_token(request, values)
    hub = hub.serving(token)
    entry = hub.inspector.start("api", name, request=values, direction="from_app")
    broken = await _strike_before(hub, name, request) or _limit(hub, name, values)
    if broken is not None:
        hub.inspector.finish(entry, ok=False, status=broken[1], ms=_ms_since(started))
        return broken[0]
    answer = _answer(hub, name, token=token, values=values)
    status = "ok" if answer["ok"] else answer["error"]
    hub.inspector.finish(entry, ok=answer["ok"], status=status, ms=_ms_since(started), response=answer)
    dropped = hub.faults.strike("drop_connection", name) if _drops(hub, "after") else None
    lost = hub.faults.strike("lost_answer", name) if answer["ok"] else None
    if lost is not None:
        await asyncio.sleep(lost["seconds"])
    if dropped is not None or lost is not None:
        return _abort(request)
    response = _respond(answer, scopes=hub.manifest.scopes)
    response.headers["Date"] = formatdate(hub.clock.now(), usegmt=True)
    return response


def _answer(hub: Hub, name: str, *, token: str | None, values: Json) -> Json:
    try:
        method = _find_method(hub, name)
        _check_token(hub, method, token)
        return {"ok": True, **method.answer(hub, Arguments(values))}
    except SlackError as error:
        return _failure(error)


def _find_method(hub: Hub, name: str) -> Method:
    method = METHODS.get(name)
    lacking = hub.faults.strike("missing_method", name)
    if lacking is not None and lacking["error"] == "missing_scope" and method is not None:
        raise SlackError("missing_scope", needed=method.scope, provided="")
    if lacking is not None:
        raise SlackError(lacking["error"])
    if method is None:
        raise SlackError("unknown_method", req_method=name)
    return method


def _check_token(hub: Hub, method: Method, token: str | None) -> None:
    if method.token == "none":  # noqa: S105 - a kind of token, not one
        return
    kinds = {hub.options.bot_token: "bot", hub.options.app_token: "app", hub.options.config_token: "config"}
    if not token:
        raise SlackError("not_authed")
    if token not in kinds:
        is_removed = hub.second is not None and not hub.second.is_installed and token == hub.second.options.bot_token
        raise SlackError("account_inactive" if is_removed else "invalid_auth")
    if kinds[token] != method.token:
        raise SlackError("not_allowed_token_type")
    if method.token == "bot" and not hub.manifest.has_scope(method.scope):  # noqa: S105 - see above
        provided = ",".join(sorted(hub.manifest.scopes or ()))
        raise SlackError("missing_scope", needed=method.scope, provided=provided)


async def read_values(request: web.Request) -> Json:
    """Return the arguments of a request from its query and its body."""
    values: Json = dict(request.query)
    if request.content_type == "application/json":
        body = await request.text()
        try:
            document: Any = read_json(body) if body.strip() else {}
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(document, dict):
            raise SlackError("json_not_object")
        return values | document
    if request.content_type in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        form = await request.post()
        values |= {key: value for key, value in form.items() if isinstance(value, str)}
    return values


def _take_token(request: web.Request, values: Json) -> str | None:
    in_body = values.pop("token", None)
    scheme, _, in_header = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and in_header:
        return in_header.strip()
    if scheme.lower() == "basic" and in_header:
        values.update(_read_basic(in_header))
    return str(in_body) if in_body else None


def _read_basic(header: str) -> Json:
    """Read who an app says that it is when it has no token yet."""
    try:
        client_id, _, secret = base64.b64decode(header).decode().partition(":")
    except ValueError:
        return {}
    return {"client_id": client_id, "client_secret": secret}


async def _strike_before(hub: Hub, name: str, request: web.Request) -> tuple[web.StreamResponse, str] | None:
    """Let happen what goes wrong before a method is reached; say what it was."""
    slow = hub.faults.strike("latency", name)
    if slow is not None:
        await asyncio.sleep(slow["seconds"])
    if _drops(hub, "before") and hub.faults.strike("drop_connection", name) is not None:
        return _abort(request), "connection dropped"
    limited = hub.faults.strike("rate_limit", name)
    if limited is not None:
        return _too_many(int(limited["retry_after"]))
    failing = hub.faults.strike("server_error", name)
    if failing is not None:
        return web.Response(status=int(failing["status"]), text="upstream connect error"), str(int(failing["status"]))
    return None


def _limit(hub: Hub, name: str, values: Json) -> tuple[web.StreamResponse, str] | None:
    """Refuse what is more than the method's tier allows, where the tiers are switched on."""
    if not hub.faults.is_on("rate_tiers"):
        return None
    seconds = hub.limits.take(name, str(values.get("channel", "")), percent=hub.faults.setting("rate_tiers", "percent"))
    return _too_many(seconds) if seconds else None


def _too_many(seconds: int) -> tuple[web.StreamResponse, str]:
    headers = {"Retry-After": str(seconds)}
    return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers), "ratelimited"


def _drops(hub: Hub, when: str) -> bool:
    return hub.faults.is_on("drop_connection") and hub.faults.setting("drop_connection", "when") == when


def _abort(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _failure(error: SlackError) -> Json:
    answer: Json = {"ok": False, "error": error.code, **error.fields}
    if error.messages:
        answer["response_metadata"] = {"messages": error.messages}
    return answer


def _respond(answer: Json, *, scopes: frozenset[str] | None = None) -> web.Response:
    response = web.json_response(answer)
    response.headers["X-OAuth-Scopes"] = ",".join(sorted(ALL_SCOPES if scopes is None else scopes))
    response.headers["X-Slack-Req-Id"] = secrets.token_hex(16)
    response.headers["Cache-Control"] = "no-store"
    return response


def _ms_since(started: float) -> float:
    return (time.monotonic() - started) * 1000
