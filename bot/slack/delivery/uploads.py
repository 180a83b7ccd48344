"""Files for one person alone: put into their direct messages with the assistant."""

import logging

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.errors import AdminError
from bot.language import _
from bot.slack.calls import Calls, error_code, is_unclear

SHOWN_S = 2.0

log = logging.getLogger(__name__)


async def send_file(calls: Calls, user_id: str, text: str, *, name: str, title: str) -> None:
    """Put a file below a message to somebody; raise *AdminError* when Slack does not take it.

    A message may go to a person's id, a file may not: the message says which conversation that is.
    """
    place: dict[str, str] = {}
    try:
        said = await calls.call("chat.postMessage", channel=user_id, text=title)
        place = {"channel": str(said["channel"]), "thread_ts": str(said["ts"])}
        await calls.call("files.upload.v2", file=text.encode(), filename=name, title=title, **place)
    except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
        if place and is_unclear(error) and await _stands_there(calls, **place):
            return
        log.warning("slack: a file was not taken (%s)", error_code(error))
        reason = _("Slack did not take the file ({reason}); the command line has the same.")
        raise AdminError(reason.format(reason=error_code(error))) from error


async def _stands_there(calls: Calls, *, channel: str, thread_ts: str) -> bool:
    """Return whether Slack has taken a file without saying so; it shows one a moment later."""
    await calls.clock.sleep(SHOWN_S)
    try:
        return any(sent.has_files for sent in await calls.read_sent(channel, thread_ts))
    except (SlackApiError, aiohttp.ClientError, TimeoutError):
        return False
