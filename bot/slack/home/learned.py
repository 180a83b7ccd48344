"""The Home's sixth part: how the learning is, and what what answers now has learned from."""

from bot.language import _
from bot.learning.figures import RunReport
from bot.learning.sentences import say_again
from bot.learning.views import LearningStatus
from bot.slack.blocks import Block, header, section
from bot.slack.delivery.render import escape
from bot.slack.learning.words import render_line


def build_learned(status: LearningStatus, report: RunReport | None) -> list[Block]:
    """Build it; *report* is of the run that made what answers, None where nothing was learned."""
    blocks = [header(_("What I learn")), section(render_line(status))]
    counts = (
        _(", ").join(f"{count:,} {escape(say_again(what))}" for what, count in report.learned_from.items())
        if report
        else ""
    )
    if report is None or not counts:
        return blocks
    lines = [_("What answers now has learned from {counts}.").format(counts=counts)]
    if asked := report.before_after:
        right = sum(item.is_right for item in asked)
        lines.append(_("Of {all} corrected questions {right} are right now.").format(all=len(asked), right=right))
    return [*blocks, section(" ".join(lines))]
