"""What admins see first in their Home: whether all is well, how much waits, and what people think of the answers."""

from collections.abc import Sequence

from bot.admin.feedback import Week
from bot.admin.status import Health
from bot.language import _
from bot.slack.blocks import Block, section
from bot.slack.commands.health import render_health
from bot.slack.home.pictures import draw_line


def build_health(health: Health) -> list[Block]:
    """Build the part about the assistant's own state."""
    title = _("All is well.") if health.is_well else _("Something needs a hand; `bot doctor` says what to do.")
    return [section(f"*{title}*\n{render_health(health)}")]


def build_trend(weeks: Sequence[Week]) -> list[Block]:
    """Build the part about what people think, week by week, the present one last."""
    if not any(week.answers or week.ups or week.downs or week.corrections for week in weeks):
        return [section("*" + _("Feedback") + "*\n" + _("Nobody has asked me anything in these weeks."))]
    this = weeks[-1]
    liked = _("liked {share:.0%}").format(share=this.liked) if this.liked is not None else _("nobody has voted")
    lines = [
        "*" + _("Feedback in the last {weeks} weeks; this week at the right").format(weeks=len(weeks)) + "*",
        f"`{draw_line([week.answers for week in weeks])}`  "
        + _("{answers} answers this week").format(answers=this.answers),
        f"`{draw_line([week.liked for week in weeks], most=1.0)}`  {liked}  👍 {this.ups}  👎 {this.downs}",
        f"`{draw_line([week.corrections for week in weeks])}`  "
        + _("{count} corrections this week").format(count=this.corrections),
    ]
    return [section("\n".join(lines))]
