"""May somebody have something said in a channel, or told of another? Asked of Slack each time, never remembered."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.errors import DeliveryError
from bot.language import _
from bot.slack.calls import Calls, is_passing
from bot.slack.commands.orders import Role
from bot.slack.people.access import Access, tell_away, tell_refusal
from bot.slack.people.readers import Readers
from bot.slack.people.speech import Speech
from bot.slack.workspaces import Workspaces
from bot.storage.schedule_tables import Kind, Schedule
from bot.storage.tables import Audience

PAGE = 1000
MOST_PAGES = 20
LONGEST_LOOK_S = 1.5  # of the three seconds that Slack waits for a form


def tell_left(channel_id: str) -> str:
    """Say why what somebody sent off counts for nothing."""
    said = _("You are not in {channel} any more, so I have kept nothing of what you wrote.")
    return said.format(channel=f"<#{channel_id}>")


class Rooms:
    """Knows what Slack says about channels and the people in them."""

    def __init__(
        self,
        calls: Calls,
        access: Access,
        workspaces: Workspaces | None = None,
        speech: Speech | None = None,
        *,
        leaves_half: bool = False,
    ) -> None:
        self.calls = calls
        self._access = access
        self._readers = Readers(calls, access)
        self._workspaces = workspaces
        self._speech = speech
        self._leaves_half = leaves_half

    def for_orders(self) -> "Rooms":
        """Return the same for what people order: it leaves half of what Slack takes to answers, and gives up then."""
        return Rooms(self.calls, self._access, self._workspaces, self._speech, leaves_half=True)

    async def enter(self, team_id: str, user_id: str) -> bool:
        """Work for somebody from here on, in their language; False when the app is not installed there any more."""
        if self._workspaces is not None and await self._workspaces.enter(team_id) is None:
            return False
        if self._speech is not None:
            await self._speech.address(user_id)
        return True

    async def find_refusal(self, wanted: Schedule) -> str:
        """Return why a person may not have what they want there, as a sentence for them; empty: they may.

        Raise a passing *DeliveryError* while Slack is away.
        """
        role = await self._access.known_role_of(wanted.user_id)
        if role < Role.MEMBER:
            return tell_refusal(role, Role.MEMBER)
        if wanted.channel_id:
            refusal = await self._refuse_place(wanted.channel_id, wanted.user_id)
            if refusal:
                return refusal
            if off := await self.find_off(wanted.team_id, wanted.channel_id):
                return off
        if wanted.kind != Kind.DIGEST:
            return await self._refuse_newly_shared(wanted)
        return await self._refuse_source(wanted)

    async def find_off(self, team_id: str, channel_id: str) -> str:
        """Return that the assistant is switched off in a channel, as a sentence; empty: it is not."""
        sentence = _("An admin has switched me off in <#{channel}>.")
        return sentence.format(channel=channel_id) if await self._access.is_off(team_id, channel_id) else ""

    async def _refuse_place(self, channel_id: str, user_id: str) -> str:
        channel = await self._look(channel_id)
        if channel is None or channel.get("is_archived"):
            return _("I cannot see <#{channel}>: it is gone, or I am not in it.").format(channel=channel_id)
        if not (channel.get("is_member") or channel.get("is_im") or channel.get("is_mpim")):
            return _("I am not in <#{channel}>. Somebody there can bring me in with `/invite`.").format(
                channel=channel_id
            )
        if not await self._is_member(channel_id, user_id):
            return _("You are not in <#{channel}>.").format(channel=channel_id)
        return ""

    async def _refuse_newly_shared(self, wanted: Schedule) -> str:
        """Keep words that were written for the workspace among its people."""
        if wanted.channel_id and wanted.was_shared is False:
            channel = await self._look(wanted.channel_id) or {}
            if channel.get("is_ext_shared"):
                sentence = _("Another organisation reads in <#{channel}> since then: plan it anew if they may read it.")
                return sentence.format(channel=wanted.channel_id)
        return ""

    async def _refuse_source(self, wanted: Schedule) -> str:
        """Keep what not everybody may read among those who may: in its own channel, or with one who is in it."""
        refusal = await self._refuse_place(wanted.source_id, wanted.user_id)
        if refusal or wanted.channel_id in {"", wanted.source_id}:
            return refusal
        source = await self._look(wanted.source_id) or {}
        if source.get("is_private") or source.get("is_mpim") or source.get("is_im") or source.get("is_ext_shared"):
            sentence = _("Not everybody may read <#{channel}>, so I tell of it only there, or to you alone.")
            return sentence.format(channel=wanted.source_id)
        here = await self._look(wanted.channel_id) or {}
        audience = Audience.SHARED if here.get("is_ext_shared") else Audience.PUBLIC
        if not await self._readers.are_ours(wanted.user_id, wanted.channel_id, audience):
            return _("Guests or people of other organisations read there, so I tell nothing of other channels.")
        return ""

    async def _look(self, channel_id: str) -> Mapping[str, Any] | None:
        """Return what Slack says about a channel; None when it does not show it to us."""
        answer = await self._ask("conversations.info", channel=channel_id)
        return None if answer is None else answer.get("channel") or {}

    async def is_in(self, channel_id: str, user_id: str) -> bool:
        """Return whether somebody is in a channel now; what Slack does not tell counts as no."""
        try:
            return await self._is_member(channel_id, user_id)
        except DeliveryError:
            return False

    async def has_left(self, channel_id: str, user_id: str) -> bool:
        """Return whether Slack says that somebody is no more in a channel which only its people may read.

        For forms, which stay open for somebody who was removed: what Slack does not tell soon counts as no.
        """
        try:
            async with asyncio.timeout(LONGEST_LOOK_S):
                channel = await self._look(channel_id) or {}
                is_closed = bool(channel.get("is_private") or channel.get("is_mpim"))
                return is_closed and not await self._is_member(channel_id, user_id)
        except (DeliveryError, TimeoutError):
            return False

    async def may_hear(self, user_id: str, channel_id: str = "") -> bool:
        """Return whether somebody may be told what is for members, or, where a channel is named, for those in it.

        Raise a passing *DeliveryError* while Slack is away.
        """
        if await self._access.known_role_of(user_id) < Role.MEMBER or not await self._access.is_ours(user_id):
            return False
        return not channel_id or await self._is_member(channel_id, user_id)

    async def find_hearer(self, channel_id: str, people: Sequence[str]) -> str:
        """Return a channel, or else the first of some people who is a member: others may have left, or be misspelt.

        Raise a passing *DeliveryError* while Slack is away.
        """
        if channel_id:
            return channel_id
        for person in people:
            if await self.may_hear(person):
                return person
        return next(iter(people), "")

    async def are_ours_in(self, channel_id: str, _audience: Audience | None = None) -> bool:
        """Return whether all who read in a channel are members of the workspace."""
        channel = await self._look(channel_id) or {}
        return not channel.get("is_ext_shared") and await self._readers.are_all_ours(channel_id)

    async def _is_member(self, channel_id: str, user_id: str) -> bool:
        cursor = ""
        for _page in range(MOST_PAGES):
            answer = await self._ask("conversations.members", channel=channel_id, limit=PAGE, cursor=cursor)
            if answer is None:
                return False
            if user_id in (answer.get("members") or []):
                return True
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return False
        return False

    async def _ask(self, method: str, **arguments: Any) -> Mapping[str, Any] | None:
        """Return Slack's answer; None for a refusal; raise a passing *DeliveryError* while it is away."""
        if self._leaves_half and not self.calls.budget.has_spare(method):
            raise DeliveryError(tell_crowded(), is_passing=True)
        try:
            return await self.calls.call(method, **{name: value for name, value in arguments.items() if value})
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError(tell_away(), is_passing=True) from error
            return None


def tell_crowded() -> str:
    """Say that orders have asked Slack for half of what it takes: the other half is for what answers wait for."""
    return _("I have asked Slack a lot within a minute, and keep the rest for answers. Please try again in a minute.")
