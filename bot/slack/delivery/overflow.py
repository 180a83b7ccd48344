"""A very long answer: its beginning stays a message, the whole of it becomes a file below it."""

import logging

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.slack.calls import Calls, error_code, is_passing, is_unclear

MOST_PARTS = 3  # messages in a row that people still like to read
FIRST_REPLIES = 200
WAITS_S = (0.0, 1.0, 3.0)  # before each try
SHOWN_S = 2.0

log = logging.getLogger(__name__)


class Overflow:
    """The file of one answer, named after the answer's first message, so that another try finds it again."""

    def __init__(self, calls: Calls, *, channel_id: str, thread_ts: str) -> None:
        self._calls = calls
        self._channel_id = channel_id
        self._thread_ts = thread_ts

    async def put(self, markdown: str, *, first_ts: str, title: str) -> bool:
        """Share *markdown* as a file in the thread; False when the workspace does not take it, or not for now.

        Slack may take files no more while it takes messages: nobody waits for that longer than a few seconds.
        """
        for wait_s in WAITS_S:
            await self._calls.clock.sleep(wait_s)
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
                if is_unclear(error) and await self._is_there(first_ts):
                    return True
                reason = error_code(error)
                if not is_passing(error):
                    break
            else:
                return True
        log.warning("slack: a long answer could not become a file (%s); sending it in parts", reason)
        return False

    async def remove(self, *, first_ts: str) -> None:
        """Take away the file that an earlier try, or an answer that is replaced, left here."""
        for file_id in await self._find(first_ts):
            await self._calls.call_if_possible("files.delete", file=file_id)

    async def _is_there(self, first_ts: str) -> bool:
        """Return whether Slack took the file without saying so; it shows one a moment later."""
        await self._calls.clock.sleep(SHOWN_S)
        return bool(await self._find(first_ts))

    async def _find(self, first_ts: str) -> list[str]:
        answer = await self._calls.call_if_possible(
            "conversations.replies",
            channel=self._channel_id,
            ts=self._thread_ts,
            oldest=first_ts,
            inclusive=True,
            limit=FIRST_REPLIES,
        )
        messages = (answer or {}).get("messages") or []
        files = [file for message in messages if message.get("bot_id") for file in message.get("files") or []]
        return [str(file["id"]) for file in files if file.get("name") == _name(first_ts)]


def _name(first_ts: str) -> str:
    return f"answer-{first_ts.replace('.', '-')}.md"
