"""What an answer was made from and how it was written, stored with it; nothing of what was deleted meanwhile."""

from bot.conversation.draft import Draft
from bot.storage.answers import update_answer
from bot.storage.db import Session
from bot.storage.files import forget_files, record_use
from bot.storage.forgetting import forget_answer
from bot.storage.limits import hide, pass_on, spend
from bot.storage.memory_tables import SourceKind
from bot.storage.tables import AnswerState, now
from bot.storage.traces import Source, is_there, is_unchanged, save_sources, save_trace
from bot.storage.unsaid import UNSAID, drop_unsaid_try


async def save_end(session: Session, draft: Draft, *, state: AnswerState, error_id: str | None) -> None:
    """Store how an answer ended, what was written, and how that came about; nothing of one that somebody deleted."""
    stores, place = draft.wish.stores, draft.question.place
    parts = {one.row.id: "" if one.is_whole else one.part for one in draft.excerpts if stores}
    parts |= {one.file_id: draft.eyes for one in draft.pictures if stores}
    is_whole = await record_use(session, draft.answer_id, parts) and stores
    await update_answer(
        session,
        draft.answer_id,
        state=state,
        text=draft.text if stores else "",
        reply_ts=draft.reply_ts,
        error_id=error_id,
        finish_reason=draft.finish_reason,
        prompt_token_ids=await prompt_to_keep(session, draft) if is_whole else None,
        completion_token_ids=(draft.completion_ids or None) if stores else None,
        first_token_at=draft.first_token_at,
        finished_at=now(),
        **draft.record,
    )
    if state is AnswerState.STOPPED or not await is_there(session, draft.answer_id):
        await count_unsaid(session, draft)
    if draft.payer_id:
        await pass_on(session, draft.answer_id, by=draft.payer_id)
    if stores:
        await save_making(session, draft)
    else:
        await forget_files(session, draft.thread_id, [part.ts for part in draft.question.parts])
    if draft.finish_reason == UNSAID:
        await drop_unsaid_try(session, draft.answer_id)
    if draft.removed_ts:
        await forget_answer(session, place.team_id, place.channel_id, ts=draft.removed_ts)


async def count_unsaid(session: Session, draft: Draft) -> None:
    """Count what an answer took that cannot say it: stopped in the middle, deleted with its question, or left out."""
    is_gone = not await is_there(session, draft.answer_id)
    if is_gone or "completion_tokens" not in draft.record:
        payer = draft.payer_id or draft.question.user_id
        place = draft.question.place.channel_id
        await spend(session, user_id=hide(payer) if is_gone else payer, channel_id=place, tokens=draft.count_spent())


async def save_making(session: Session, draft: Draft) -> None:
    """Store what stood in the prompt, when the engine took it up, and which words it was least sure of.

    Nothing where its question was deleted meanwhile.
    """
    if not await is_there(session, draft.answer_id):
        return
    await save_sources(session, draft.answer_id, list_sources(draft))
    await save_trace(
        session,
        draft.answer_id,
        generating_at=draft.generating_at,
        certainty=draft.certainty.mean(),
        unsure=draft.certainty.unsure(),
        prompts=draft.prompts,
        is_chosen=draft.is_chosen,
    )


async def prompt_to_keep(session: Session, draft: Draft) -> tuple[int, ...] | None:
    """Return the tokens of the prompt; None when somebody changed or deleted meanwhile what stands in them."""
    kept = draft.fitted.kept if draft.fitted else ()
    texts = {said.id: said.text for said in kept}
    answers = {said.id: said.answer for said in kept if said.answer}
    others = {source.ref_id: source.kind for source in list_sources(draft) if source.kind is not SourceKind.MESSAGE}
    is_whole = await is_unchanged(
        session, draft.answer_id, asked=draft.question.text, messages=texts, answers=answers, others=others
    )
    return draft.prompt_ids if is_whole else None


def list_sources(draft: Draft) -> list[Source]:
    """Return what stood in the prompt, in its order; which parts of files is kept apart."""
    summary = [Source(SourceKind.SUMMARY, draft.summary.id)] if draft.summary and draft.summarised else []
    messages = [Source(SourceKind.MESSAGE, said.id) for said in (draft.fitted.kept if draft.fitted else ())]
    taught = [Source(SourceKind.CORRECTION, one.correction_id, round(one.score, 3)) for one in draft.examples]
    before = [Source(SourceKind.ANSWER, draft.shortens.answer_id)] if draft.shortens else []
    read = dict.fromkeys([*(one.row.id for one in draft.excerpts), *(one.file_id for one in draft.pictures)])
    return [*summary, *messages, *taught, *before, *(Source(SourceKind.FILE, file_id) for file_id in read)]
