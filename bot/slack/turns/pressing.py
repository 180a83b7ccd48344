"""Who may do what with the answer below which they press something: a button's value alone proves nothing."""

from typing import Any

from bot.storage.answers import AnswerRecord
from bot.storage.askings import is_private
from bot.storage.db import Session
from bot.storage.feedback import is_kept
from bot.storage.tables import AnswerState


async def is_anothers_choice(session: Session, record: AnswerRecord, user_id: str) -> bool:
    """Return whether somebody wants an answer anew that another person asked for and wants to keep."""
    asker_id = record.message.user_id
    return asker_id != user_id and await is_kept(session, record.answer, asker_id=asker_id)


def may_correct(record: AnswerRecord, user_id: str, team_id: str) -> bool:
    """Return whether somebody of a workspace, empty for one of an organisation, may say what an answer should be.

    The form came from under that answer once; but what it names is only what it was sent with.
    """
    is_of_team = team_id in {"", record.place.team_id}
    is_alone = is_private(record.place) or record.place.channel_id.startswith("D")
    return is_of_team and (not is_alone or user_id == record.message.user_id)


def stands_in(record: AnswerRecord, body: dict[str, Any]) -> bool:
    """Return whether the clicked message carries the answer: its button proves nothing.

    Somebody may click before it is stored which messages carry the answer; until then the thread has to do.
    """
    message = body.get("message") or {}
    is_here = (body.get("channel") or {}).get("id") == record.place.channel_id
    if is_private(record.place):  # only its asker was shown it, in a message that Slack does not send along
        is_alone = bool((body.get("container") or {}).get("is_ephemeral"))
        return is_here and is_alone and body["user"]["id"] == record.message.user_id
    is_carrier = message.get("ts") in record.answer.reply_ts or record.answer.state == AnswerState.WRITING
    return is_here and (message.get("thread_ts") or message.get("ts")) == record.place.thread_ts and is_carrier
