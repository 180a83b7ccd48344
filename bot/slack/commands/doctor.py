"""`/apprentice doctor`: the same examination as at the terminal, for the admins in Slack."""

from collections.abc import AsyncIterator, Callable

from bot.findings import Finding, Verdict
from bot.language import _
from bot.slack.blocks import section
from bot.slack.commands.orders import Call, Command, Reply, Role
from bot.slack.delivery.render import escape

MARKS = {Verdict.OK: "✅", Verdict.SKIPPED: "➖", Verdict.WARNING: "⚠️", Verdict.WRONG: "❌"}
PART = 8

Examine = Callable[[], AsyncIterator[Finding]]


def build_doctor_command(examine: Examine) -> Command:
    """Build the command; *examine* looks at everything."""

    async def run(call: Call) -> Reply:  # noqa: ARG001 - what it looks at is the same for everybody
        findings = [finding async for finding in examine()]
        lines = [_render(finding) for finding in findings]
        return Reply(
            tell(findings), [section("\n".join(lines[start : start + PART])) for start in range(0, len(lines), PART)]
        )

    return Command(
        name="doctor",
        usage="",
        purpose=_("look at everything that I need, and say how to mend what is wrong"),
        run=run,
        role=Role.ADMIN,
        group=_("For admins"),
        example="doctor",
    )


def tell(findings: list[Finding]) -> str:
    """Say in one sentence how it is."""
    wrong = sum(finding.verdict is Verdict.WRONG for finding in findings)
    doubtful = sum(finding.verdict is Verdict.WARNING for finding in findings)
    if not wrong and not doubtful:
        return _("I have looked at {count} things; nothing is wrong.").format(count=len(findings))
    return _("Wrong: {wrong}. Could be better: {doubtful}.").format(wrong=wrong, doubtful=doubtful)


def _render(finding: Finding) -> str:
    mend = f"\n      {escape(finding.mend)}" if finding.mend else ""
    return f"{MARKS[finding.verdict]} *{escape(finding.topic)}* {escape(finding.sentence)}{mend}"
