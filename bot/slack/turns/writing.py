"""What an answer becomes: the model's words, several to choose from, the answer before, or an error with Retry."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bot.conversation.candidates import join
from bot.conversation.draft import STOPPED, Draft
from bot.conversation.turn import Assistant
from bot.errors import AnswerRemoved, ApprenticeError, ContextOverflow, DeliveryError, QuestionChanged
from bot.language import _
from bot.metrics import ANSWERS, FIRST_TEXT
from bot.slack.blocks import Block, build_answer_buttons, build_note, build_retry_button
from bot.slack.calls import Calls, error_code
from bot.slack.delivery.chunks import find_urls
from bot.slack.delivery.delivery import Delivery
from bot.slack.feedback.afterwards import Afterwards
from bot.slack.files.desk import FileDesk, is_bare, knows_something, tell_unseen
from bot.slack.files.words import shorten
from bot.slack.turns.answer_choice import build_asked, build_choice, make_safe, tell_choice, tell_same
from bot.slack.turns.offers import Offers
from bot.slack.turns.words import ARCHIVED, tell_apology, tell_cut, tell_limits, tell_unsaid, tell_unstored
from bot.storage.answers import AnswerRecord
from bot.storage.inbox import MAX_ATTEMPTS
from bot.storage.tables import AnswerState, Audience, new_id
from bot.storage.troubles import is_away
from bot.storage.unsaid import UNSAID

log = logging.getLogger(__name__)


class Writing:
    """Writes answers that were begun, each to one of its ends."""

    def __init__(
        self,
        assistant: Assistant,
        offers: Offers,
        *,
        calls: Calls,
        files: FileDesk,
        afterwards: Afterwards,
        are_ours: Callable[[str, str, Audience], Awaitable[bool]],
    ) -> None:
        self._assistant = assistant
        self.offers = offers
        self._calls = calls
        self.files = files
        self._afterwards = afterwards
        self.are_ours = are_ours
        self.explains = False  # whether somebody listens when Why? is pressed

    async def write(self, draft: Draft, delivery: Delivery, *, attempts: int) -> None:
        """Bring a draft to its end in Slack and in the database; raise a passing *DeliveryError* while Slack is away.

        Raises *AnswerRemoved* and *QuestionChanged* where nothing more of it may be said.
        """
        if attempts > MAX_ATTEMPTS:
            await self._fail(draft, delivery, ApprenticeError())
            return
        try:
            if not draft.is_written:
                await self._prepare(draft)
            if is_bare(draft.question.text) and not knows_something(draft):
                draft.text = shorten(self.files.explain(draft))  # there is nothing to ask the model
                await delivery.say(draft.text, [])
            else:
                await self._write_with_model(draft, delivery)
        except (asyncio.CancelledError, AnswerRemoved, QuestionChanged):
            raise
        except DeliveryError as error:
            if error.is_passing:
                raise
            await self._fail(draft, delivery, error)
        except Exception as error:
            if is_away(error):
                raise
            await self._fail(draft, delivery, error)  # whatever it is, the person must see an outcome
        else:
            state = AnswerState.STOPPED if draft.finish_reason in {STOPPED, UNSAID} else AnswerState.COMPLETE
            await self._assistant.finish(draft, state=state)
            ANSWERS.labels(state).inc()
            if not draft.removed_ts:
                await self._afterwards.end(draft, state)
            if draft.first_token_at is not None:
                FIRST_TEXT.observe((draft.first_token_at - draft.began_at).total_seconds())

    async def _prepare(self, draft: Draft) -> None:
        asked = draft.question
        draft.is_ours = await self.are_ours(asked.user_id, asked.place.channel_id, asked.audience)
        await self.files.read_new(draft)
        await self._assistant.prepare(draft)

    async def _write_with_model(self, draft: Draft, delivery: Delivery) -> None:
        if draft.sees and not draft.is_written:
            draft.pictures = await self.files.fetch_pictures(draft)
        may_offer = draft.wish.stores and not draft.is_written
        count = await self.offers.count(draft) if may_offer else len(draft.offered)
        if count > 1:
            await self._offer(draft, delivery, count=count)
            return
        known_urls = find_urls(draft.asked_text())
        await delivery.drain(self._assistant.write(draft), known_urls=known_urls)
        draft.raise_if_removed()
        if draft.finish_reason == STOPPED:
            if not draft.text.strip() and (before := await self._assistant.find_before(draft)) is not None:
                await self._leave(before, draft, delivery)
            else:
                await delivery.say(_stopped(draft), [] if _gives_way(draft) else self._buttons(draft))
            return
        await delivery.close(self.build_ground(draft) + self._buttons(draft))

    async def _leave(self, before: AnswerRecord, draft: Draft, delivery: Delivery) -> None:
        """Let the answer stand that *draft*, of which there is no word, was to take the place of."""
        was_stopped = before.answer.state == AnswerState.STOPPED
        safe = make_safe(before.answer.text, asked=draft.asked_text() or draft.question.text)
        text = "\n\n".join(filter(None, [safe.rstrip(), _stopped() if was_stopped else ""]))
        below = build_note(tell_cut(before.answer.finish_reason)) + self._buttons(draft, before.answer.id)
        await delivery.put_back(text, below, key=before.answer.id)
        draft.finish_reason = UNSAID

    def build_ground(self, draft: Draft) -> list[Block]:
        """Build the lines below an answer that say from which files it is, and what it knows nothing of."""
        note = shorten([tell_limits(draft), *self.files.explain(draft), *tell_unseen(draft)])
        return self.files.build_sources(draft) + build_note(note)

    async def _offer(self, draft: Draft, delivery: Delivery, *, count: int) -> None:
        """Show several answers to choose from, when all are written; one that stays alone is an ordinary answer."""
        draft.offered = draft.offered or await self.offers.candidates.write(draft, count=count)
        drafts = draft.offered
        draft.raise_if_removed()
        safe = [(one, make_safe(one.text, asked=draft.asked_text())) for one in drafts]
        if len(drafts) > 1:
            await delivery.say(tell_choice(draft), build_choice(safe))
            join(drafts)
            return
        stopped = _stopped(draft) if draft.finish_reason == STOPPED else ""
        ground = [] if stopped else self.build_ground(draft) + build_note(tell_same())
        below = [] if _gives_way(draft) else ground + self._buttons(draft)
        await delivery.say("\n\n".join(filter(None, [safe[0][1], stopped])), below)

    def _buttons(self, draft: Draft, answer_id: str = "") -> list[Block]:
        if not draft.wish.stores:
            return build_note(tell_unstored(is_again=draft.is_again, wanted=draft.question.put.candidates))
        asked, is_public = draft.question, draft.question.audience is Audience.PUBLIC
        shared = [build_asked(asked.text, user_id=asked.user_id)] if asked.put.is_private else []  # it stands nowhere
        buttons = build_answer_buttons(
            answer_id or draft.answer_id, is_public=is_public, is_explained=self.explains, is_group=asked.is_group
        )
        return [*shared, *buttons]

    async def _fail(self, draft: Draft, delivery: Delivery, error: Exception) -> None:
        draft.raise_if_removed()
        error_id = new_id()
        is_ours = isinstance(error, ApprenticeError)
        log.warning("turns: error %s: %s", error_id, type(error).__name__, exc_info=None if is_ours else error)
        try:
            is_final = isinstance(error, ContextOverflow) or not draft.wish.stores
            retry = [] if is_final else build_retry_button(draft.answer_id)
            named = _("(error {error_id})").format(error_id=error_id)
            await delivery.say(f"⚠️ {tell_apology(error, is_kept=draft.wish.stores)} {named}", retry)
        except DeliveryError as unsaid:
            if unsaid.is_passing:
                raise
            log.error("turns: error %s could not be shown: %s", error_id, unsaid)  # noqa: TRY400 - our own sentence
            draft.finish_reason = UNSAID
            cause = unsaid.__cause__
            is_archived = isinstance(cause, Exception) and error_code(cause) == ARCHIVED
            reader = draft.payer_id or (draft.question.user_id if is_archived else "")
            if reader:  # of a press nothing else would be seen, and nobody can ask for more in an archived channel
                told = tell_unsaid(draft.question.place.channel_id, cause)
                await self._calls.call_if_possible("chat.postMessage", channel=reader, text=told)
        await self._assistant.finish(draft, state=AnswerState.FAILED, error_id=error_id)
        ANSWERS.labels(AnswerState.FAILED).inc()


def _gives_way(draft: Draft) -> bool:
    """Return whether a stopped answer ends for another one, so that nobody needs its buttons."""
    return draft.finish_reason == STOPPED and draft.gives_way and not draft.stopped_by


def _stopped(draft: Draft | None = None) -> str:
    is_edited = draft is not None and _gives_way(draft)
    return "_" + (_("The question was edited; I answer it anew.") if is_edited else _("Stopped.")) + "_"
