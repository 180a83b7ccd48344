"""What stands in Slack's history, read as if it had come as events."""

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from slack_sdk.errors import SlackApiError

from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.intake import Intake
from bot.slack.people.gating import Heard

MOST_PAGES, PAGE = 5, 200
FLAGS = (("is_im", "im"), ("is_mpim", "mpim"), ("is_private", "group"))

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Home:
    """The workspace whose history is read, and who the assistant is there."""

    team_id: str
    enterprise_id: str
    bot_user_id: str
    bot_id: str


class Past:
    """Reads the history of conversations."""

    def __init__(self, calls: Calls, intake: Intake) -> None:
        self._calls = calls
        self._intake = intake

    def hear(self, message: Mapping[str, Any], home: Home, place: Mapping[str, Any]) -> Heard | None:
        """Read a message of a history as if it had come as an event; None when it was not meant for the assistant."""
        channel_id = str(place["id"])
        event = {**message, "type": "message", "channel": channel_id, "channel_type": _find_kind(place)}
        team = {"team_id": home.team_id, "enterprise_id": home.enterprise_id or None}
        body = {
            "event": event,
            "event_id": f"missed:{channel_id}:{message['ts']}",
            "authorizations": [{**team, "user_id": home.bot_user_id, "is_bot": True}],
            "is_ext_shared_channel": bool(place.get("is_ext_shared")),
            **team,
        }
        heard = self._intake.hear(body, bot_user_id=home.bot_user_id, bot_id=home.bot_id)
        if heard is None or heard.bot_id or not (heard.is_direct or heard.is_mention):
            return None
        return heard

    async def pages(self, method: str, key: str, **arguments: Any) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the items of some pages of a list; nothing more where Slack tells nothing, or too much."""
        cursor = ""
        for _ in range(MOST_PAGES):
            page = {"cursor": cursor} if cursor else {}
            try:
                answer = await self._calls.call(method, limit=PAGE, **arguments, **page)
            except SlackApiError as error:
                if is_passing(error):
                    raise
                log.info("catch-up: %s tells nothing (%s)", method, error_code(error))
                return
            for item in answer.get(key) or []:
                yield item
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return


def _find_kind(place: Mapping[str, Any]) -> str:
    return next((kind for flag, kind in FLAGS if place.get(flag)), "channel")
