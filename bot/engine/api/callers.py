"""Who calls: the holder of an API key on a port, a process of our own user on a Unix socket.

Knows HTTP and sockets; what a caller may use stands in `budgets.py`.
"""

import hashlib
import hmac
import os
import socket

from aiohttp import web

from bot.engine.api.api_error import ApiError
from bot.engine.socket_file import read_peer_uid

USER = "user "
KEY: web.RequestKey[str] = web.RequestKey("key", str)


class Keys:
    """The API keys of an engine, none or several, separated by commas."""

    def __init__(self, text: str) -> None:
        self._expected = [f"Bearer {key.strip()}".encode() for key in text.split(",") if key.strip()]

    def check(self, request: web.Request) -> None:
        """Note whose key *request* has, or refuse it; which keys are compared, and how long, tells nobody anything."""
        if not self._expected:
            return
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        matches = [hmac.compare_digest(given, expected) for expected in self._expected]
        if not any(matches):
            raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")
        request[KEY] = hashlib.sha256(given).hexdigest()


def check_peer(request: web.Request) -> None:
    """Refuse a process of another user on a Unix socket, should it have got past the socket's mode."""
    connection = request.transport.get_extra_info("socket") if request.transport else None
    if connection is None or connection.family != socket.AF_UNIX:
        return
    uid = read_peer_uid(connection)
    if uid not in {None, 0, os.geteuid()}:
        raise ApiError(403, "This engine belongs to another user of this machine.", code="forbidden")


def find_caller(request: web.Request, user: str) -> str:
    """Return whose budget *request* is charged to.

    Where there is a key it is the key, for its holder can name any user; on the bot's own socket it is the person.
    """
    return str(request.get(KEY) or USER + user)


def is_user(caller: str) -> bool:
    """Whether a caller is a person, not the holder of a key."""
    return caller.startswith(USER)
