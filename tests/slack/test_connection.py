"""Logging in: whoever stands between Slack and us is waited for, a token that Slack refuses is not."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.errors import ConfigError
from bot.slack.connection import log_in, slack_client

ME = b'{"ok": true, "user_id": "U1", "team_id": "T1", "bot_id": "B1"}'


def slack(*bodies: bytes) -> TestServer:
    """Return a server that answers with one body after the other."""
    left = list(bodies)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=left.pop(0), content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/api/{method}", answer)
    return TestServer(app)


@pytest.mark.parametrize(
    "half", [b"<html>sign in</html>", b'{"ok": true, "x": "\xe4\xb8', b'{"ok": tr', b'{"ok": true}']
)
async def test_half_an_answer_is_waited_for(half: bytes) -> None:
    """A start behind a proxy that has its own trouble does not end there."""
    async with slack(half, ME) as server, slack_client("xoxb-x", str(server.make_url("/api/"))) as client:
        assert (await log_in(client)).bot_user_id == "U1"


async def test_a_token_that_is_refused_ends_the_start() -> None:
    """In words, at once."""
    refusal = b'{"ok": false, "error": "token_revoked"}'
    async with slack(refusal) as server, slack_client("xoxb-x", str(server.make_url("/api/"))) as client:
        with pytest.raises(ConfigError, match="token_revoked"):
            await log_in(client)
