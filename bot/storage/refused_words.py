"""Words that a reviewer refused, by their fingerprint: so their no holds when question and correction are gone."""

from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.admin_tables import RefusedWords
from bot.storage.moments import STEP
from bot.storage.signals import key_of
from bot.storage.tables import Answer, Correction, Message, new_id, now


async def is_refused(session: AsyncSession, correction_id: str) -> bool:
    """Return whether the newest that a reviewer decided about what a correction says to its question was a no."""
    known = await _find(session, *await _read(session, correction_id))
    return known is not None and not known.is_lifted


async def note_refusal(session: AsyncSession, correction_id: str, *, is_lifted: bool) -> None:
    """Keep a reviewer's no to the words of a correction, or their taking it back."""
    words = await _read(session, correction_id)
    known = await _find(session, *words)
    if known is not None:
        known.is_lifted, known.at = is_lifted, max(now(), known.at + STEP)
    elif not is_lifted:
        salt = new_id()
        session.add(RefusedWords(id=salt, sha256=_hash(salt, *words), is_lifted=False))


async def _read(session: AsyncSession, correction_id: str) -> tuple[bytes, bytes]:
    about = select(Message.text, Correction.text).select_from(Correction).join(Answer).join(Message)
    question, text = (await session.execute(about.where(Correction.id == correction_id))).one()
    return key_of(question), key_of(text)


async def _find(session: AsyncSession, question: bytes, text: bytes) -> RefusedWords | None:
    """Return the newest row of some words: after a restore there may be two, each with its own salt."""
    kept = await session.execute(select(RefusedWords.id, RefusedWords.sha256).order_by(RefusedWords.at.desc()))
    found = next((salt for salt, known in kept if known == _hash(salt, question, text)), None)
    return await session.get(RefusedWords, found) if found else None


def _hash(salt: str, question: bytes, text: bytes) -> str:
    return sha256(salt.encode() + question + text).hexdigest()
