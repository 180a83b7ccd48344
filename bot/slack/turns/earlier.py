"""What was said in a thread just before a message of it, and is still to come: taken in first, so that order holds."""

import asyncio
import logging
from collections.abc import Sequence

import aiohttp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError

from bot.slack.calls import Calls
from bot.slack.intake import Intake
from bot.slack.people.gating import Heard
from bot.slack.turns.past import FLAGS, Home, Past
from bot.slack.workspaces import Workspaces
from bot.storage.db import Database
from bot.storage.inbox import MESSAGE, find_known
from bot.storage.tables import Inbox

REPLIES = "conversations.replies"
BEFORE_S = 120.0
PATIENCE_S = 12.0  # then better in another order than late
IN_LINE_S = 3.0  # of that where Slack would answer, and it is only that many questions wait
AGAIN_S = 0.5

log = logging.getLogger(__name__)


class Earlier:
    """Looks into threads while it is in doubt whether all was heard that was said there."""

    def __init__(
        self,
        database: Database,
        past: Past,
        intake: Intake,
        *,
        calls: Calls,
        identity: AuthorizeResult,
        workspaces: Workspaces | None,
    ) -> None:
        self._database = database
        self._past = past
        self._intake = intake
        self._calls = calls
        self._identity = identity
        self._workspaces = workspaces

    async def look_before(self, row: Inbox) -> None:
        """Take in what is missing of a thread since just before a message.

        Slack brings again after a minute what it could not deliver, when later messages would be answered already.
        """
        doubt, thread = self._intake.doubt, (row.channel_id, row.thread_ts)
        if row.kind != MESSAGE or row.ts == row.thread_ts or not doubt.is_there() or thread in doubt.settled:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                missed = await self._find_patiently(row)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.info("turns: it cannot be seen what came before a message (%s)", type(error).__name__)
            return
        for heard in missed:
            await self._intake.put(heard)
        doubt.settled.add(thread)  # what is said from now on is heard: Slack takes fifty of these questions a minute

    async def _find_patiently(self, row: Inbox) -> Sequence[Heard]:
        """Ask until Slack tells: while it is away it takes no answer either, so that waiting holds nobody up.

        Raises what prevents it when that is too many questions, ours or in Slack's eyes.
        """
        while True:
            try:
                async with asyncio.timeout(IN_LINE_S):
                    return await self._find_missing(row)
            except (SlackApiError, aiohttp.ClientError, TimeoutError):
                if self._calls.budget.room(REPLIES) <= 0:
                    raise
            await asyncio.sleep(AGAIN_S)

    async def _find_missing(self, row: Inbox) -> Sequence[Heard]:
        home = await self.find_home(row.team_id)
        if home is None:
            return []
        event, oldest = row.payload.get("event") or {}, float(row.ts) - BEFORE_S
        flags = {flag: event.get("channel_type") == kind for flag, kind in FLAGS}
        place = {"id": row.channel_id, "is_ext_shared": row.payload.get("is_shared"), **flags}
        asked = {"channel": row.channel_id, "ts": row.thread_ts, "oldest": f"{oldest:.6f}"}
        said = [message async for message in self._past.pages(REPLIES, "messages", **asked)]
        late = [message for message in said if float(message["ts"]) > oldest]
        known = await self._find_known(row)
        heard = [self._past.hear(message, home, place) for message in late if message["ts"] not in known]
        return [one for one in heard if one is not None]

    async def _find_known(self, row: Inbox) -> set[str]:
        since = f"{float(row.ts) - BEFORE_S:.6f}"
        async with self._database.read() as session:
            return await find_known(session, row.team_id, row.channel_id, since_ts=since)

    async def find_home(self, team_id: str) -> Home | None:
        """Return the workspace of a team, which is served from here on in this task."""
        own = self._identity
        if self._workspaces is None or team_id == own.team_id:
            return Home(team_id, own.enterprise_id or "", own.bot_user_id or "", own.bot_id or "")
        there = await self._workspaces.enter(team_id)
        return None if there is None else Home(team_id, there.enterprise_id, there.bot_user_id, there.bot_id)
