"""What an answer was made from and how it was written, stored with it; nothing of what was deleted meanwhile."""

from bot.conversation.draft import Draft
from bot.storage.db import Session
from bot.storage.memory_tables import SourceKind
from bot.storage.traces import Source, is_there, is_unchanged, save_sources, save_trace


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
    """Return what stood in the prompt, in its order; the files are kept apart."""
    summary = [Source(SourceKind.SUMMARY, draft.summary.id)] if draft.summary and draft.summarised else []
    messages = [Source(SourceKind.MESSAGE, said.id) for said in (draft.fitted.kept if draft.fitted else ())]
    taught = [Source(SourceKind.CORRECTION, one.correction_id, round(one.score, 3)) for one in draft.examples]
    return [*summary, *messages, *taught]
