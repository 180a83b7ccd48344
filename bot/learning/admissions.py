"""Who says that it does not know; and whether that may stand beside what was taught. Pure, by words alone."""

import re
from collections.abc import Iterable

from bot.learning.judging.facts import agreement

SAME_TOPIC = 0.6  # of a question's content words stand in the other one
ADMISSION = re.compile(
    r"\b(?:do not|don['’]t|does not|doesn['’]t|cannot|can['’]t|can not|could not|couldn['’]t|did not|didn['’]t)"
    r" (?:\w+ )?(?:know|have|find|see|tell|say|answer|access)\b"
    r"|\b(?:not|n['’]t) (?:\w+ )?(?:sure|aware|certain|know|known|told|given|provided|shared|specified|mentioned)\b"
    r"|\bno (?:\w+ )?(?:information|idea|access|knowledge|details|record|data|way to know)\b"
    r"|\b(?:nobody|no one) (?:has |have )?(?:told|said)|\bunknown\b|\bunable to\b"
    r"|\b(?:please |could you |can you )(?:tell|clarify|give|provide|share|specify)\b"
    r"|不知道|不清楚|不确定|不了解|无法|没有[^。]{0,12}(?:信息|资料|记录)|未[^。]{0,4}(?:提供|告知)|请(?:告诉|提供)",
    re.IGNORECASE,
)


def admits(answer: str) -> bool:
    """Whether an answer says that it does not know, or asks back; nothing said is nothing made up."""
    return not answer.strip() or bool(ADMISSION.search(answer))


def is_taught(question: str, corrected: Iterable[str]) -> bool:
    """Whether something that was corrected may answer a *question*."""
    return any(agreement(question, other) >= SAME_TOPIC for other in corrected)
