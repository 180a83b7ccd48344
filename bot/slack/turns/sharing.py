"""The button below an answer that only its asker sees: shows it to everybody, once."""

import asyncio
from dataclasses import replace
from typing import Any

import aiohttp
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.errors import SlackApiError

from bot.errors import AnswerRemoved, DeliveryError
from bot.language import _
from bot.slack.blocks import build_note, clip
from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.delivery.render import render_mrkdwn
from bot.slack.listeners import acknowledge_done
from bot.slack.people.access import tell_away
from bot.slack.people.directory import Directory
from bot.slack.turns.answer_choice import MOST_TOGETHER, SHARE, build_asked, build_shared
from bot.slack.turns.answering import Answering
from bot.slack.turns.layout import Layout
from bot.slack.turns.pressing import stands_in
from bot.slack.turns.whisper import tell_off, tell_untaken, whisper
from bot.slack.turns.words import tell_cut
from bot.storage.answers import AnswerRecord, answers_another, load_answer
from bot.storage.askings import claim_share, is_private, publish, release_share
from bot.storage.channel_settings import load_rules
from bot.storage.db import Database
from bot.storage.manners_tables import Mode
from bot.storage.tables import Audience
from bot.storage.threads import Place

NOT_THERE = {"not_in_channel", "channel_not_found", "restricted_action", "is_archived"}
TEXT_LENGTH = 3000


def register_sharing(
    app: AsyncApp, *, database: Database, calls: Calls, directory: Directory, answering: Answering
) -> None:
    """Register the button."""
    app.action(SHARE)(ShareButton(database, calls, directory, answering).handle_share)


class ShareButton:
    """Shares answers that their asker alone has seen."""

    def __init__(self, database: Database, calls: Calls, directory: Directory, answering: Answering) -> None:
        self._database = database
        self._calls = calls
        self._directory = directory
        self._answering = answering
        self._layout = Layout(database, calls)

    async def handle_share(
        self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond
    ) -> None:
        """Post an answer that only its asker sees, once, in their name of asking."""
        await acknowledge_done(ack, self._share(body, action, respond))

    async def _share(self, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond) -> None:
        answer_id, _colon, thread_ts = str(action.get("value")).partition(":")
        async with self._database.begin() as session:
            record = await load_answer(session, answer_id, is_locked=True)
            is_ours = record is not None and is_private(record.place) and stands_in(record, body)
            rules = await load_rules(session, record.place.team_id, record.place.channel_id) if record else None
            is_off = rules is not None and rules.mode is Mode.OFF
            is_old = record is not None and answers_another(record.message, record.answer)
            may_share = is_ours and not is_off and not is_old
            is_first = record is not None and may_share and await claim_share(session, record.message.id)
        if is_ours and is_off:
            await whisper(self._calls, body, tell_off())
            return
        if is_ours and is_old:
            edited = _(
                "You have edited this question since, and this answers its old words. Ask again to share the answer."
            )
            await whisper(self._calls, body, edited)
            return
        if record is None or not is_first:
            text = _(
                "This answer has been shared already, or is just being shared, or is not known any more. If it does "
                "not appear, press again in five minutes."
            )
            await whisper(self._calls, body, text)
            return
        text = await self._layout.read(record)
        audience = await self._directory.audience_now(record.place.channel_id)
        try:
            ts = await self._post(record, text, thread_ts=thread_ts, audience=audience)
        except (Exception, asyncio.CancelledError) as error:  # whatever it is, they can press again
            async with self._database.begin() as session:
                await release_share(session, record.message.id)
            if not isinstance(error, SlackApiError | aiohttp.ClientError | TimeoutError):
                raise
            text = tell_unshared(error)  # where we may not write, only an answer to the press is seen
            await respond(text=text, blocks=build_note(text), response_type="ephemeral", replace_original=False)
            return
        place = Place(record.place.team_id, record.place.channel_id, thread_ts or ts)
        async with self._database.begin() as session:
            again = await load_answer(session, answer_id, is_locked=True)
            if again is not None:
                await publish(session, again.answer, again.message, place=place, ts=ts, audience=audience)
        if again is not None and len(text) > MOST_TOGETHER:
            await self._show_rest(replace(again, place=place), body, text)
        await respond(delete_original=True)

    async def _show_rest(self, record: AnswerRecord, body: dict[str, Any], text: str) -> None:
        """Show all of a shared answer of which one message can show the beginning alone."""
        asked = build_asked(record.message.text, user_id=record.message.user_id)
        try:
            await self._layout.show(record, text, is_explained=self._answering.writing.explains, above=[asked])
        except (DeliveryError, AnswerRemoved) as error:
            cause = error.__cause__
            await whisper(self._calls, body, tell_unshared(cause if isinstance(cause, Exception) else error))

    async def _post(self, record: AnswerRecord, text: str, *, thread_ts: str, audience: Audience) -> str:
        blocks = build_shared(
            record.answer.id,
            clip(text, MOST_TOGETHER),
            question=record.message.text,
            user_id=record.message.user_id,
            is_public=audience is Audience.PUBLIC,
            is_explained=self._answering.writing.explains,
            note=tell_cut(record.answer.finish_reason),
        )
        thread: dict[str, Any] = {"thread_ts": thread_ts} if thread_ts else {}
        posted = await self._calls.post(
            f"{record.message.id}/share",
            looks_first=True,  # whoever began it may have been killed after Slack took it
            channel=record.place.channel_id,
            text=render_mrkdwn(text)[:TEXT_LENGTH],
            blocks=blocks,
            unfurl_links=False,
            unfurl_media=False,
            **thread,
        )
        return str(posted["ts"])


def tell_unshared(error: Exception) -> str:
    """Say why an answer could not be posted."""
    if is_passing(error):
        return tell_away()
    code = error_code(error)
    if code in NOT_THERE:
        return _("I cannot write here: invite me to this channel first, then share it again.")
    return tell_untaken(code)
