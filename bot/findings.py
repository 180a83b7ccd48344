"""What an examination finds: one sentence on each thing that it looked at, and the mend where something is wrong."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How it is with one thing; what was not looked at is no finding against it."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; *mend* says exactly what to do about it."""

    topic: str
    verdict: Verdict
    sentence: str
    mend: str = ""


def ok(topic: str, sentence: str) -> Finding:
    """Say that something is in order."""
    return Finding(topic, Verdict.OK, sentence)


def skipped(topic: str, sentence: str) -> Finding:
    """Say why something was not looked at."""
    return Finding(topic, Verdict.SKIPPED, sentence)


def warning(topic: str, sentence: str, mend: str) -> Finding:
    """Say that something works, but not as it should."""
    return Finding(topic, Verdict.WARNING, sentence, mend)


def wrong(topic: str, sentence: str, mend: str) -> Finding:
    """Say that something cannot work."""
    return Finding(topic, Verdict.WRONG, sentence, mend)


def is_sound(findings: Iterable[Finding]) -> bool:
    """Return whether nothing is wrong."""
    return all(finding.verdict is not Verdict.WRONG for finding in findings)


def render_findings(findings: Iterable[Finding]) -> str:
    """Write one line for each finding, and its mend below it."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict:8} {finding.topic:16} {finding.sentence}")
        if finding.mend:
            lines.append(f"{'':8} {'':16} Mend: {finding.mend}")
    return "\n".join(lines)


def to_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return the findings as plain data."""
    return [asdict(finding) for finding in findings]
