"""Errors in the form that OpenAI's clients expect."""

from collections.abc import Mapping

from aiohttp import web


class ApiError(Exception):
    """A request that is answered with an error; the message is for people, the code for programs."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = build_error_body(message, param=param, code=code, kind=kind, details=details)

    def render(self) -> web.Response:
        """Return the HTTP response."""
        return web.json_response(self.body, status=self.status, headers=self.headers)


def build_error_body(
    message: str,
    *,
    kind: str,
    param: str | None = None,
    code: str | None = None,
    details: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return the JSON object of an error."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code, **(details or {})}}
