"""The three ways in which the playground says no: to its operator, to an app, and to a page.

PlaygroundError   the server cannot start or keep its file (one sentence for the terminal)
SlackError        a Web API call failed with one of Slack's error codes
PageError         a request of the page failed (one sentence for the person at it)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class PlaygroundError(Exception):
    """The playground cannot do what its operator asked; the message is one whole sentence."""


class SlackError(Exception):
    """A Web API call failed with *code*; *messages* go into response_metadata as Slack does it."""

    def __init__(self, code: str, *, messages: Iterable[str] = (), **fields: Any) -> None:
        super().__init__(code)
        self.code = code
        self.messages = list(messages)
        self.fields = fields


class PageError(Exception):
    """A page's request failed with *sentence*, which the page shows as it stands."""

    def __init__(self, sentence: str, *, status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status
