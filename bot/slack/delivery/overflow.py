"""A very long answer: its beginning stays a message, the whole of it becomes a file below it."""

import logging

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.slack.calls import Calls, error_code, is_passing

MOST_PARTS = 3  # messages in a row that people still like to read
FIRST_REPLIES = 200

log = logging.getLogger(__name__)


class Overflow:
    """The file of one answer, named after the answer's first message, so that another try finds it again."""

    def __init__(self, calls: Calls, *, channel_id: str, thread_ts: str) -> None:
        self._calls = calls
        self._channel_id = channel_id
        self._thread_ts = thread_ts

    async def put(self, markdown: str, *, first_ts: str, title: str) -> bool:
        """Share *markdown* as a file in the thread; False when the workspace does not take it."""
        try:
            await self._calls.call(
                "files.upload.v2",
                content=markdown,
                filename=_name(first_ts),
                title=title,
                channel=self._channel_id,
                thread_ts=self._thread_ts,
            )
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise
            log.warning("slack: a long answer could not become a file (%s); sending it in parts", error_code(error))
            return False
        return True

    async def remove(self, *, first_ts: str) -> None:
        """Take away the file that an earlier try, or an answer that is replaced, left here."""
        answer = await self._calls.call_if_possible(
            "conversations.replies",
            channel=self._channel_id,
            ts=self._thread_ts,
            oldest=first_ts,
            inclusive=True,
            limit=FIRST_REPLIES,
        )
        for message in (answer or {}).get("messages") or []:
            for file in (message.get("files") or []) if message.get("bot_id") else []:
                if file.get("name") == _name(first_ts):
                    await self._calls.call_if_possible("files.delete", file=file["id"])


def _name(first_ts: str) -> str:
    return f"answer-{first_ts.replace('.', '-')}.md"
