"""The Home tab: how the learning is and what I may choose for myself; for admins also the adapters and the switches."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.errors import LearningError
from bot.learning.control import Learning
from bot.learning.figures import RunReport
from bot.learning.views import AdapterLine, LearningStatus
from bot.slack.blocks import Block, build_button, confirm, context, header, section
from bot.slack.calls import Calls
from bot.slack.delivery.render import escape
from bot.slack.learning.commands import tell_choice
from bot.slack.learning.report import ROLLBACK
from bot.slack.learning.words import render_adapter, render_line, tell_details
from bot.slack.setup.manifest import COMMAND

TRAIN_NOW, PAUSE, RESUME = "learning_train_now", "learning_pause", "learning_resume"
CHOOSE, NEWS = "learning_choose", "learning_news"
MOST_ADAPTERS = 8


@dataclass(frozen=True, kw_only=True)
class HomeFacts:
    """What a person's Home is made of; *note* is what their last press did."""

    status: LearningStatus
    is_admin: bool
    is_learned_from: bool | None
    has_news: bool
    learned: RunReport | None = None
    adapters: Sequence[AdapterLine] = field(default_factory=tuple)
    note: str = ""


async def publish_home(calls: Calls, user_id: str, learning: Learning, is_admin: bool, *, note: str = "") -> None:
    """Show somebody their Home as things are now."""
    status = await learning.status()
    facts = HomeFacts(
        status=status,
        is_admin=is_admin,
        is_learned_from=await learning.is_chosen("person", user_id),
        has_news=await learning.is_chosen("news", user_id) is not False,
        learned=await _find_report(learning, status.active),
        adapters=await learning.adapters() if is_admin else (),
        note=note,
    )
    await calls.call_if_possible("views.publish", user_id=user_id, view=build_home(facts))


def build_home(facts: HomeFacts) -> dict[str, object]:
    """Build the Home."""
    blocks = [context(facts.note)] if facts.note else []
    blocks += [header("What I learn"), section(render_line(facts.status)), *_learned(facts.learned)]
    blocks += [{"type": "divider"}, *_choices(facts)]
    if facts.is_admin:
        blocks += [{"type": "divider"}, *_admin_part(facts.status, facts.adapters)]
    return {"type": "home", "blocks": blocks}


async def _find_report(learning: Learning, name: str) -> RunReport | None:
    """Return the report of what is served; None for the base, and for one whose report is lost."""
    try:
        return await learning.report(name) if name else None
    except LearningError:
        return None


def _learned(report: RunReport | None) -> list[Block]:
    if report is None:
        return []
    counts = ", ".join(f"{count:,} {escape(what)}" for what, count in report.learned_from.items())
    asked = report.before_after
    right = sum(item.is_right for item in asked)
    checked = f" Of {len(asked)} corrected questions {right} are right now." if asked else ""
    return [section(f"What answers now has learned from {counts}.{checked}")] if counts else []


def _choices(facts: HomeFacts) -> list[Block]:
    """Build what each person decides for themselves."""
    is_on = facts.is_learned_from is not False
    learn = build_button("Do not learn from me" if is_on else "Learn from me", CHOOSE, "off" if is_on else "on")
    news = build_button("Stop telling me" if facts.has_news else "Tell me", NEWS, "off" if facts.has_news else "on")
    told = "I tell you" if facts.has_news else "I do not tell you"
    return [
        section(f"*You*\n{tell_choice('person', is_allowed=facts.is_learned_from)}", accessory=learn),
        section(f"{told} when I have learned what you corrected.", accessory=news),
    ]


def _admin_part(status: LearningStatus, adapters: Sequence[AdapterLine]) -> list[Block]:
    blocks, details = [header("For admins")], tell_details(status)
    if details:
        blocks.append(section("\n".join(details)))
    if adapters:
        blocks.append(section("\n".join(render_adapter(line) for line in adapters[:MOST_ADAPTERS])))
    if not status.is_enabled or not status.allowed_by:
        return [*blocks, context(f"`{COMMAND} train on` says what training means, and asks.")]
    served = status.canary or status.active
    pause = build_button("Resume", RESUME, "resume") if status.is_paused else build_button("Pause", PAUSE, "pause")
    train = build_button("Train now", TRAIN_NOW, "now") | {"style": "primary"}
    rollback = build_button("Rollback", ROLLBACK, served) | {
        "style": "danger",
        "confirm": confirm(
            "Take it back?", f"{served} answers nobody any more.", "Roll back", "Cancel", is_danger=True
        ),
    }
    return [*blocks, {"type": "actions", "elements": [train, pause, *([rollback] if served else [])]}]
