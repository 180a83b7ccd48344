"""Whether Slack's events can come: the app token and its socket, or the signing secret of HTTP."""

from collections.abc import AsyncIterator

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.findings import Finding, ok, skipped, warning, wrong
from bot.slack.setup.checkup_questions import Account, Known, Refusal, ask, check_shape

HELLO_S = 15
MOST_SOCKETS = 10
WHERE = "Basic Information → App-Level Tokens, with the scope connections:write"


async def check_transport(
    client: AsyncWebClient, session: aiohttp.ClientSession, account: Account, known: Known
) -> AsyncIterator[Finding]:
    """Yield what there is to say about the way that the settings have chosen."""
    if account.is_http:
        yield check_signing_secret(account.signing_secret)
        return
    topic = "App token"
    shape = check_shape(topic, "SLACK_APP_TOKEN", account.app_token, "xapp-", WHERE)
    if shape is not None:
        yield shape
        return
    try:
        opened = await ask(client.apps_connections_open(app_token=account.app_token))
    except Refusal as refusal:
        yield skipped(topic, f"Slack is away ({refusal.code}).") if refusal.is_away else _explain(refusal.code)
        return
    yield ok(topic, "Slack opens Socket Mode with it.")
    if account.is_running:
        yield ok("Socket", "the bot that runs here holds it.")
    else:
        yield await _check_socket(session, str(opened.data["url"]), known.app_id)


def check_signing_secret(secret: str) -> Finding:
    """Look at what can be seen without a request of Slack's."""
    topic, copy = "Signing secret", "copy it from Basic Information → Signing Secret."
    if not secret:
        return wrong(topic, "SLACK_SIGNING_SECRET is not set, so no request of Slack's is believed.", copy)
    if secret.startswith(("xox", "xapp")) or secret != secret.strip():
        return wrong(topic, "SLACK_SIGNING_SECRET is a token or has spaces around it.", copy)
    return ok(topic, "it is set; only a request of Slack's can prove that it is the right one.")


def _explain(code: str) -> Finding:
    topic, new = "App token", f"make a new one at {WHERE}."
    if code == "missing_scope":
        return wrong(topic, "SLACK_APP_TOKEN lacks the scope connections:write.", new)
    if code in {"socket_mode_not_enabled", "not_allowed"}:
        return wrong(topic, "Socket Mode is switched off for this app.", "switch it on: Socket Mode → Enable.")
    return wrong(topic, f"SLACK_APP_TOKEN: Slack refuses it ({code}).", new)


async def _check_socket(session: aiohttp.ClientSession, url: str, app_id: str) -> Finding:
    """Open a socket until Slack says hello, and close it before anything can come through it."""
    topic = "Socket"
    try:
        async with session.ws_connect(url) as socket:
            hello = await socket.receive_json(timeout=HELLO_S)
    except (aiohttp.ClientError, TimeoutError, TypeError, ValueError) as error:
        mend = "let WebSockets (wss, port 443) out of this network, or use SLACK_TRANSPORT=http."
        return wrong(topic, f"Slack's WebSocket cannot be reached ({type(error).__name__}).", mend)
    theirs = str((hello.get("connection_info") or {}).get("app_id") or "")
    if app_id and theirs and theirs != app_id:
        sentence = f"SLACK_APP_TOKEN belongs to the app {theirs}, SLACK_BOT_TOKEN to {app_id}."
        return wrong(topic, sentence, "copy both tokens from the same app.")
    if hello.get("reason") == "too_many_websockets" or int(hello.get("num_connections") or 0) >= MOST_SOCKETS:
        mend = "stop the other bots that use this app; each takes a part of its events."
        return warning(topic, "as many connections are open as Slack allows.", mend)
    return ok(topic, "Slack says hello.")
