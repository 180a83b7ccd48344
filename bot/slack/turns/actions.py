"""Buttons: thumbs, what an answer should have been, a shorter one, Stop, Regenerate and Retry.

What people think is stored before Slack hears that it is known: what cannot be is not acknowledged, and Slack tells
whoever pressed. Everything else, such as a form or a word of thanks, comes afterwards.
"""

import time
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext, AsyncRespond

from bot.language import _
from bot.slack import blocks
from bot.slack.calls import Calls
from bot.slack.listeners import acknowledge_done
from bot.slack.people.access import Access
from bot.slack.people.directory import Directory
from bot.slack.people.rooms import Rooms, tell_left
from bot.slack.text import read_typed
from bot.slack.turns.answering import Answering
from bot.slack.turns.elsewhere import Elsewhere, stop_here
from bot.slack.turns.pressing import is_anothers_choice, may_correct, stands_in
from bot.slack.turns.turns import Turns
from bot.slack.turns.whisper import tell_gone, tell_kept, whisper
from bot.storage import inbox
from bot.storage.answers import AnswerRecord, is_outdated, load_answer
from bot.storage.askings import is_private
from bot.storage.db import Database, Session
from bot.storage.feedback import (
    BUTTON,
    current_correction,
    current_vote,
    save_correction,
    save_vote,
    take_back_vote,
)
from bot.storage.outvoted import settle_newer
from bot.storage.preferences import load_preferences
from bot.storage.privacy import Privacy, find_privacy
from bot.storage.tables import AnswerState, Audience, Vote
from bot.storage.threads import hide_thread, join_thread, narrow

CORRECTION_LENGTH = 3000


def register_actions(
    app: AsyncApp,
    *,
    database: Database,
    turns: Turns,
    answering: Answering,
    calls: Calls,
    access: Access,
    directory: Directory,
) -> None:
    """Register every button and form."""
    feedback = FeedbackButtons(database, calls, directory, Rooms(calls, access).for_orders())
    app.action(blocks.FEEDBACK)(feedback.handle_thumb)
    app.action(blocks.UNDO_VOTE)(feedback.handle_undo)
    app.view(blocks.CORRECTION)(feedback.handle_correction)
    again = AgainButtons(database, turns, answering=answering, access=access, calls=calls)
    app.action(blocks.REGENERATE)(again.handle_again)
    app.action(blocks.RETRY)(again.handle_again)
    app.action(blocks.SHORTER)(again.handle_shorter)
    app.action(blocks.STOP)(again.handle_stop)


class FeedbackButtons:
    """What people think of an answer."""

    def __init__(self, database: Database, calls: Calls, directory: Directory, rooms: Rooms) -> None:
        self._database = database
        self._calls = calls
        self._directory = directory
        self._rooms = rooms

    async def handle_thumb(self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        """Store a thumb; a thumb down opens the form, whose trigger lives for three seconds only."""
        vote, _colon, rest = str(action.get("value")).partition(":")
        answer_id, _colon, who = rest.partition(":")
        is_stored = await self._vote(body, answer_id, Vote(vote)) if vote in {Vote.UP, Vote.DOWN} else False
        await ack()
        if is_stored is None:
            await whisper(self._calls, body, tell_gone())
            return
        if vote == Vote.DOWN:
            async with self._database.read() as session:
                said = await recall(session, answer_id, user_id=body["user"]["id"])
            is_open = who == blocks.PUBLIC and not self._directory.is_known_closed(body["channel"]["id"])
            view = blocks.build_correction_view(answer_id, is_public=is_open, said=said)
            await self._calls.open_form(body["user"]["id"], trigger_id=body["trigger_id"], view=view)
        if is_stored:
            noted = (
                _("👍 Thank you, noted.") if vote == Vote.UP else _("👎 Noted. Tell me more in the form if you like.")
            )
            await whisper(self._calls, body, noted, blocks.build_undo_button(answer_id, vote))

    async def handle_undo(self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        """Take a vote back, and the correction that was written with it."""
        vote, _colon, answer_id = str(action.get("value")).partition(":")
        user_id = body["user"]["id"]
        async with self._database.begin() as session:
            record = await load_answer(session, answer_id, is_locked=True)
            current = await current_vote(session, answer_id, user_id=user_id)
            is_current, left = record is not None and current is not None and current.vote == vote, Vote.NONE
            if record is not None and is_current:
                left = await take_back_vote(session, record.answer, user_id=user_id)
        await ack()
        kept = _("You have changed your mind since; kept.") if record is not None else tell_gone()
        text = tell_taken_back(left) if is_current else kept
        await whisper(self._calls, body, text)

    async def handle_correction(
        self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any], context: AsyncBoltContext
    ) -> None:
        """Store why an answer was bad and what it should have been; whoever wrote hears when it cannot be kept.

        While the database takes nothing, the form is not acknowledged: it stays open, with every word in it. Until
        Slack has said who can read there now, it counts as said in private.
        """
        user_id, (answer_id, _colon, edited_at) = body["user"]["id"], view["private_metadata"].partition(":")
        team_id = "" if context.is_enterprise_install else str(context.team_id or "")
        values = view["state"]["values"]
        reason = (values["reason"]["reason"].get("selected_option") or {}).get("value")
        text = read_typed(values["correction"]["correction"].get("value"))[:CORRECTION_LENGTH]
        comment = read_typed(values.get(blocks.COMMENT, {}).get(blocks.COMMENT, {}).get("value"))
        is_open = blocks.says_public(view)
        everyone = values.get(blocks.EVERYONE, {}).get(blocks.EVERYONE, {}).get("selected_options")
        if left := await self._find_left(answer_id, user_id):
            await ack()
            await self._calls.call_if_possible("chat.postMessage", channel=user_id, text=tell_left(left))
            return
        async with self._database.begin() as session:
            record = await load_answer(session, answer_id, is_locked=True)
            wish = await load_preferences(session, user_id)
            text, comment = (text, comment[: blocks.COMMENT_LENGTH]) if wish.stores else ("", "")
            is_kept = record is not None and may_correct(record, user_id, team_id) and edited_at == date_edit(record)
            if record is not None and is_kept:
                said = {"user_id": user_id, "vote": Vote.DOWN, "reason": reason, "comment": comment}
                await save_vote(session, record.answer, **said)
                said = {"user_id": user_id, "text": text, "is_for_everyone": bool(everyone)}
                hidden = Audience.PRIVATE if is_open else Audience.DIRECT
                await hide_thread(session, record.place)  # a comment is for whom its thread is for
                # An empty field takes back what stood in it, and nothing that the form did not show.
                if text or (wish.stores and blocks.shows_correction(view)):
                    await save_correction(session, record.answer, **said, current=hidden)
        await ack()
        if record is None or not is_kept:
            gone = _(
                "This answer is gone, or its question was edited meanwhile: I have kept nothing of what you wrote."
            )
            await self._calls.call_if_possible("chat.postMessage", channel=user_id, text=gone)
            return
        is_behind = await self._place(record, user_id, is_open=is_open) and bool(text)
        thanks = _("Thank you. I keep what I should have said with the answer.") if text else _("Thank you.")
        if is_behind:
            thanks = _("Thank you. What a reviewer approved before goes on counting until one has looked at this.")
        thanks = thanks if wish.stores else _("Thank you. As you wish, I have stored your 👎 and none of your words.")
        can_shorten = reason == "long" and not text and bool(record.message.text) and not is_private(record.place)
        if can_shorten:
            thanks = _("{thanks} A shorter answer that you like better teaches me most.").format(thanks=thanks)
        button = blocks.build_shorter_button(answer_id) if can_shorten else []
        await self._calls.call_if_possible(
            "chat.postEphemeral",
            channel=record.place.channel_id,
            thread_ts=record.place.thread_ts,
            user=user_id,
            text=thanks,
            blocks=[*blocks.build_note(thanks), *button],
        )

    async def _find_left(self, answer_id: str, user_id: str) -> str:
        """Return the channel of an answer that only its people may read, if somebody is in it no more; else nothing."""
        async with self._database.read() as session:
            record = await load_answer(session, answer_id)
        if record is None or record.answer.audience in {Audience.PUBLIC, Audience.DIRECT}:
            return ""
        channel_id = record.place.channel_id
        return channel_id if await self._rooms.has_left(channel_id, user_id) else ""

    async def _place(self, record: AnswerRecord, user_id: str, *, is_open: bool) -> bool:
        """Let a correction be for those who can read in its channel now; return whether it waits behind approved words.

        Unless it *is_open*, its form asked who may learn from it: an answer that was shared meanwhile is no yes.
        """
        here, of_answer = record.place, Audience(record.answer.audience)
        current = narrow(of_answer, await self._directory.audience_now(here.channel_id))
        async with self._database.begin() as session:
            await join_thread(session, here, audience=current)
            correction = await current_correction(session, record.answer.id, user_id=user_id)
            if correction is None:
                return False
            correction.audience = current if is_open else narrow(current, Audience.DIRECT)
            await session.flush()
            return await settle_newer(session, correction, record.message.text)

    async def _vote(self, body: dict[str, Any], answer_id: str, vote: Vote) -> bool | None:
        """Store a vote on what stands in the pressed message; None where the answer is gone."""
        async with self._database.begin() as session:
            record = await load_answer(session, answer_id, is_locked=True)
            if record is None or not stands_in(record, body):
                return None if record is None else False
            current = await current_vote(session, answer_id, user_id=body["user"]["id"])
            if current is None or (current.vote, current.source) != (vote, BUTTON):  # pressed again, it counts once
                await save_vote(session, record.answer, user_id=body["user"]["id"], vote=vote)
            return True


class AgainButtons:
    """Another try at an answer, or an end to it."""

    def __init__(self, database: Database, turns: Turns, *, answering: Answering, access: Access, calls: Calls) -> None:
        self._database = database
        self._calls = calls
        self._turns = turns
        self._answering = answering
        self._access = access

    async def handle_again(self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        """Put another answer to the same message in the thread's queue; only once per answer, however often clicked."""
        answer_id = str(action.get("value"))
        async with self._database.begin() as session:
            record = await load_answer(session, answer_id)
            if record is not None and not record.message.text:  # its author wants nothing stored by now
                record = None
            is_ours = record is not None and stands_in(record, body)
            is_anothers = (
                record is not None and is_ours and await is_anothers_choice(session, record, body["user"]["id"])
            )
            if record is not None and is_ours and not is_anothers:
                await self._queue(session, record, body=body, action=action)
        await ack()
        if record is None or is_anothers:
            await whisper(self._calls, body, tell_gone() if record is None else tell_kept())
        self._turns.wake()

    async def handle_shorter(
        self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any], respond: AsyncRespond
    ) -> None:
        """Let the answer be said in fewer words, in its place; who pressed below an old note hears why not."""
        answer_id = str(action.get("value"))
        channel_id = (body.get("channel") or {}).get("id")
        text = _("This answer is gone, its question was edited, or there is another one already.")
        async with self._database.begin() as session:
            record = await load_answer(session, answer_id)
            is_here = record is not None and record.place.channel_id == channel_id and not is_private(record.place)
            is_newest = record is not None and is_here and not await is_outdated(session, record)
            if record and is_newest and await is_anothers_choice(session, record, body["user"]["id"]):
                text = tell_kept()
            elif record and is_newest and await self._queue(session, record, body=body, action=action, is_shorter=True):
                text = _("I say it shorter. A 👍 below it says that this is how you like it.")
        await ack()
        self._turns.wake()
        await respond(text=text, blocks=blocks.build_note(text), replace_original=True)

    async def _queue(
        self,
        session: Session,
        record: AnswerRecord,
        *,
        body: dict[str, Any],
        action: dict[str, Any],
        is_shorter: bool = False,
    ) -> bool:
        """Put another answer in its thread's line; False when there is one in it already."""
        arrival = inbox.Arrival(
            event_id=f"again:{record.answer.id}",
            team_id=record.place.team_id,
            channel_id=record.place.channel_id,
            ts=str(action.get("action_ts") or f"{time.time():.6f}"),
            thread_ts=record.place.thread_ts,
            kind="again",
            payload={"answer_id": record.answer.id, "user_id": body["user"]["id"], "is_shorter": is_shorter},
        )
        return await inbox.accept(session, arrival)

    async def handle_stop(self, ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        """Stop an answer at the wish of the person who asked, or of an admin."""
        await acknowledge_done(ack, self._stop(body, action))

    async def _stop(self, body: dict[str, Any], action: dict[str, Any]) -> None:
        answer_id, user_id = str(action.get("value")), body["user"]["id"]
        draft = self._answering.running_answer(answer_id)
        if draft is None:
            await self._stop_elsewhere(answer_id, body)
        elif user_id == draft.question.user_id or await self._access.is_admin(user_id):
            await stop_here(self._database, draft, user_id)

    async def _stop_elsewhere(self, answer_id: str, body: dict[str, Any]) -> None:
        async with self._database.read() as session:
            record = await load_answer(session, answer_id)
        if record is not None and record.answer.state == AnswerState.WRITING and stands_in(record, body):
            place, user_id = record.place, body["user"]["id"]
            await Elsewhere(self._database).stop(
                place.channel_id,
                thread_ts=place.thread_ts,
                user_id=user_id,
                is_admin=lambda: self._access.is_admin(user_id),
            )


def tell_taken_back(left: Vote) -> str:
    """Say what somebody thinks of an answer now that they took a vote back."""
    if left is Vote.NONE:
        return _("Taken back.")
    up, down = _("Taken back; your 👍 of before counts again."), _("Taken back; your 👎 of before counts again.")
    return up if left is Vote.UP else down


async def recall(session: Session, answer_id: str, *, user_id: str) -> blocks.Said:
    """Return what somebody said of an answer and did not take back, and whether they had asked."""
    record = await load_answer(session, answer_id)
    vote = await current_vote(session, answer_id, user_id=user_id)
    correction = await current_correction(session, answer_id, user_id=user_id)
    is_down = vote is not None and vote.vote == Vote.DOWN
    return blocks.Said(
        correction=correction.text if correction else "",
        is_for_everyone=correction is not None and correction.is_for_everyone,
        is_asker=record is not None and record.message.user_id == user_id,
        reason=(vote.reason or "") if vote is not None and is_down else "",
        comment=vote.comment if vote is not None and is_down else "",
        edited_at=date_edit(record) if record is not None else "",
        wish=tell_wish(await find_privacy(session, user_id)),
    )


def tell_wish(privacy: Privacy) -> str:
    """Say what becomes of a correction of somebody who is not learned from; nothing of everybody else's."""
    if privacy is Privacy.UNSTORED:
        return _("As you wish, I store your 👎 and its reason, and none of your words.")
    return _("As you wish, nobody learns from this; it stays with the answer.") if privacy is Privacy.UNLEARNED else ""


def date_edit(record: AnswerRecord) -> str:
    """Return when the question of an answer became another one; empty where it is as it was asked."""
    edited_at = record.message.edited_at
    return edited_at.isoformat() if edited_at else ""
