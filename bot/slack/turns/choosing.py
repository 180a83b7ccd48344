"""Buttons of answers to choose from, and of answers that only one person sees: better, and share."""

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.errors import SlackApiError

from bot.language import _
from bot.slack.blocks import Block, build_answer_buttons, build_note
from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.delivery.posts import Posts, Target
from bot.slack.delivery.render import render_mrkdwn
from bot.slack.listeners import acknowledge_done
from bot.slack.people.access import tell_away
from bot.slack.people.directory import Directory
from bot.slack.turns.answer_choice import CHOOSE, SHARE, build_private, build_shared, make_safe
from bot.slack.turns.answering import Answering
from bot.slack.turns.pressing import stands_in
from bot.slack.turns.whisper import tell_gone, tell_off, whisper
from bot.storage.answers import AnswerRecord, answers_another, load_answer, update_answer
from bot.storage.askings import Chosen, choose, claim_share, is_private, publish, release_share
from bot.storage.channel_settings import load_rules
from bot.storage.db import Database
from bot.storage.manners_tables import Mode
from bot.storage.tables import Audience, now
from bot.storage.threads import Place, load_history

DAY = timedelta(days=1)
MOST_CHOICES = 20  # of one person a day that are learned from
NOT_THERE = {"not_in_channel", "channel_not_found", "restricted_action", "is_archived"}
TEXT_LENGTH = 3000


def register_choosing(
    app: AsyncApp, *, database: Database, calls: Calls, directory: Directory, answering: Answering
) -> None:
    """Register the two buttons."""
    buttons = ChoiceButtons(database, calls, directory, answering)
    app.action(CHOOSE)(buttons.handle_choose)
    app.action(SHARE)(buttons.handle_share)


class ChoiceButtons:
    """What somebody does with the answers to their own question."""

    def __init__(self, database: Database, calls: Calls, directory: Directory, answering: Answering) -> None:
        self._database = database
        self._calls = calls
        self._directory = directory
        self._answering = answering

    async def handle_choose(
        self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond
    ) -> None:
        """Keep the answer that whoever asked finds better, and put it in the place of all of them."""
        user_id, answer_id = body["user"]["id"], str(action.get("value"))
        outcome = Chosen.NOTHING
        async with self._database.begin() as session:
            record = await load_answer(session, answer_id, is_locked=True)
            is_here = record is not None and stands_in(record, body)
            is_askers = record is not None and record.message.user_id == user_id
            if is_here and is_askers:
                since = now() - DAY
                outcome, answer_id = await choose(session, answer_id, user_id=user_id, since=since, most=MOST_CHOICES)
                record = await load_answer(session, answer_id)
        await ack()
        if record is None:
            await whisper(self._calls, body, tell_gone())
        elif is_here and not is_askers:
            await whisper(self._calls, body, _("Only whoever asked can choose."))
        elif outcome is not Chosen.NOTHING:
            await self._show(record, body, respond)
        if outcome is Chosen.UNSTORED:
            text = _("It stands. You have chosen a lot today, so I do not learn from this one.")
            await whisper(self._calls, body, text)
        elif outcome is Chosen.STORED and record is not None and answers_another(record.message, record.answer):
            text = _("It stands. You have edited the question since, so I do not learn from this choice.")
            await whisper(self._calls, body, text)

    async def _show(self, record: AnswerRecord, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Show the chosen answer alone, with the buttons of any answer."""
        text = await self._safe(record)
        if is_private(record.place):
            await respond(
                text=_("Your answer, for you alone"), blocks=self._private(record, body, text), replace_original=True
            )
            return

        async def remember(reply_ts: list[str]) -> None:
            async with self._database.begin() as session:
                await update_answer(session, record.answer.id, reply_ts=reply_ts)

        place, is_direct = record.place, record.answer.audience == Audience.DIRECT
        target = Target(place.channel_id, place.thread_ts, record.message.user_id, place.team_id, is_direct)
        buttons = build_answer_buttons(
            record.answer.id,
            is_public=record.answer.audience == Audience.PUBLIC,
            is_explained=self._answering.writing.explains,
            is_group=not is_direct,
        )
        posts = Posts(
            self._calls,
            target,
            key=record.answer.id,
            reply_ts=list(record.answer.reply_ts),
            on_reply=remember,
        )
        await posts.close(text, buttons)

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
        text = await self._safe(record)
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
        await respond(delete_original=True)

    async def _post(self, record: AnswerRecord, text: str, *, thread_ts: str, audience: Audience) -> str:
        blocks = build_shared(
            record.answer.id,
            text,
            question=record.message.text,
            user_id=record.message.user_id,
            is_public=audience is Audience.PUBLIC,
            is_explained=self._answering.writing.explains,
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

    def _private(self, record: AnswerRecord, body: dict[str, Any], text: str) -> list[Block]:
        return build_private(
            record.answer.id,
            text,
            thread_ts=str((body.get("container") or {}).get("thread_ts") or ""),
            can_share=not record.place.channel_id.startswith("D"),
            is_explained=self._answering.writing.explains,
        )

    async def _safe(self, record: AnswerRecord) -> str:
        """Return the answer as it may be shown: with links to what people wrote in its thread, and no others."""
        async with self._database.read() as session:
            history = await load_history(session, record.message.thread_id, before_ts=record.message.ts)
        asked = "\n".join([*(said.text for said in history), record.message.text])
        return make_safe(record.answer.text, asked=asked)


def tell_unshared(error: Exception) -> str:
    """Say why an answer could not be posted."""
    if is_passing(error):
        return tell_away()
    code = error_code(error)
    if code in NOT_THERE:
        return _("I cannot write here: invite me to this channel first, then share it again.")
    return _("Slack did not take it ({code}). Please try again.").format(code=code)
