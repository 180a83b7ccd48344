"""Why an answer is as it is: from its row to its adapter, that one's run, and what the run learned from."""

from bot.learning.reporting import report_of
from bot.learning.views import Why
from bot.storage.adapters import find_adapter
from bot.storage.answers import load_answer
from bot.storage.db import Session
from bot.storage.learning_tables import Run
from bot.storage.tables import AnswerState
from bot.storage.traces import load_trace


async def explain(session: Session, answer_id: str) -> Why | None:
    """Return why an answer is as it is; None for an unknown one, or one that never began."""
    record = await load_answer(session, answer_id)
    if record is None or not record.answer.model:
        return None
    answer = record.answer
    adapter = await find_adapter(session, answer.adapter) if answer.adapter else None
    run = await session.get(Run, adapter.run_id) if adapter is not None else None
    began, first, ended = answer.created_at, answer.first_token_at, answer.finished_at
    trace = await load_trace(session, answer_id)
    taken_up = trace.generating_at if trace else None
    return Why(
        model=answer.model,
        model_sha256=answer.model_sha256,
        adapter=answer.adapter or "",
        is_chosen=trace.is_chosen if trace else False,
        run_id=run.id if run is not None else None,
        run_finished_at=run.finished_at if run is not None else None,
        learned_from=report_of(run).learned_from if run else {},
        prompt_name=answer.prompt_name,
        prompt_version=answer.prompt_version,
        other_prompts=tuple((str(name), str(version)) for name, version in trace.prompts.items()) if trace else (),
        messages_used=answer.messages_used or 0,
        messages_total=answer.messages_total or 0,
        prompt_tokens=answer.prompt_tokens or 0,
        cached_tokens=answer.cached_tokens or 0,
        completion_tokens=answer.completion_tokens or 0,
        queued_seconds=(taken_up - began).total_seconds() if taken_up else None,
        first_token_seconds=(first - began).total_seconds() if first else None,
        seconds=(ended - began).total_seconds() if ended else None,
        sampling=", ".join(f"{name} {value}" for name, value in answer.sampling.items()),
        finish_reason=answer.finish_reason or "",
        is_stopped=answer.state == AnswerState.STOPPED,
        certainty=trace.certainty if trace else None,
        unsure=tuple((str(word), float(odds)) for word, odds in trace.unsure.get("words", [])) if trace else (),
    )
