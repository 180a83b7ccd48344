"""How learning is told in Slack: one line, a status, a list of adapters, the question for permission. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime

from bot.learning.views import AdapterLine, LearningStatus
from bot.slack.blocks import Block, build_button, confirm, section
from bot.slack.manifest import COMMAND
from bot.slack.render import escape

ALLOW = "learning_allow"
MOST_ADAPTERS = 15
ACTIVE = "active"
PERSON = re.compile(r"[UW][A-Z0-9]{2,}")
STATES = {
    "built": "built, not judged yet",
    "waiting": "waits for somebody to promote or veto it",
    "canary": "answers a share of the people",
    "active": "answers everybody",
    "retired": "replaced",
    "rejected": "not good enough",
    "rolled_back": "rolled back",
    "tainted": "learned from something that was deleted since",
}
TERMS = """\
If you allow it, I read at night what people wrote *to me*, what I answered, 👍, 👎 and corrections, and train \
a small addition to my model with it, an adapter. All of it stays on your own machines.
• I learn from messages that were addressed to me, from my own answers and from what people taught me; never from \
other talk in your channels.
• What I learned shows in answers to others. For everybody I learn from public channels, and from corrections whose \
author ticked _Teach this to everyone_. A channel, also a private one, can get an adapter that learns only there and \
answers only there, if an admin asks for it. I leave out what looks like a secret, as well as I can: not perfectly.
• Each person can stay out (`{command} learn-from-me off`), and so can a channel. The next training begins anew \
without them; an adapter from before keeps what it learned until it is replaced."""
SLACK_TERMS = """\
*What Slack's terms say.* Slack's API Terms of Service, changed on 29 May 2025, restrict how data that came through \
its APIs may be stored and used; lawyers' readings of them name bulk exports, lasting copies, and the use of such data \
to train large language models. On 13 October 2025 Slack wrote that its rules on _Distribution Beyond Your \
Organization_ concern apps that are given to others, not an organisation's own internal apps. Whether your team may \
train on its own workspace is for your organisation to decide, with whoever answers for it there. I cannot tell you, \
and this is no legal advice: read <https://slack.com/terms-of-service/api|the terms> and \
<https://docs.slack.dev/changelog/2025/05/29/tos-updates|what changed>."""


def build_permission(user_id: str) -> list[Block]:
    """Build the question whether the workspace may be learned from, for the one admin who asked."""
    button = build_button("I understand, and I may decide this for my team", ALLOW, user_id) | {
        "style": "primary",
        "confirm": confirm("Allow the training?", "It stays on until somebody says `train off`.", "Allow", "Not now"),
    }
    return [
        section("*May I learn from this workspace?* Until you say so, I do not."),
        section(TERMS.format(command=COMMAND)),
        section(SLACK_TERMS),
        {"type": "actions", "elements": [button]},
    ]


def render_line(status: LearningStatus) -> str:
    """Say in one line how the learning is."""
    if not status.is_enabled:
        return "Learning is switched off (`TRAINING_ENABLED`)."
    if not status.allowed_by:
        return f"Learning is off until an admin allows it (`{COMMAND} train on`)."
    served = f"`{escape(status.active)}` answers" if status.active else "The base model answers"
    if status.canary:
        served += f", and `{escape(status.canary)}` {status.canary_share:.0%} of the people"
    return f"{served}; {_under_way(status)}."


def render_status(status: LearningStatus) -> str:
    """Say in a few lines how the learning is and when it goes on."""
    return "\n".join([render_line(status), *tell_details(status)])


def tell_details(status: LearningStatus) -> list[str]:
    """Say who allowed it, what has come together, and what was last."""
    lines = []
    if status.is_enabled and status.allowed_by:
        when = f" on {status.allowed_at:%d %B %Y}" if status.allowed_at else ""
        lines.append(f"Allowed by {name_of(status.allowed_by)}{when}.")
        if status.points_needed:
            points = f"{status.points:.0f} of {status.points_needed:.0f} points"
            lines.append(f"Taught since the last run: {points} that a run needs.")
        lines += [_tell_channel(channel, name) for channel, name in status.channels.items()]
        if status.next_run is not None and not status.is_paused:
            lines.append(f"Next run: {tell_time(status.next_run)}.")
    if status.last_run_id is not None:
        lines.append(f"Last run, {status.last_run_id}: {escape(status.last_outcome) or 'no outcome'}")
    return lines


def _tell_channel(channel_id: str, name: str) -> str:
    own = f"`{escape(name)}` answers there" if name else "nothing was learned for it yet"
    return f"<#{channel_id}> has an adapter of its own: {own}."


def render_adapters(adapters: Sequence[AdapterLine]) -> str:
    """Say which adapters there are, newest first."""
    if not adapters:
        return f"There is no adapter yet: nothing was learned. `{COMMAND} train` says when the next run is."
    lines = [render_adapter(line) for line in adapters[:MOST_ADAPTERS]]
    older = len(adapters) - MOST_ADAPTERS
    return "\n".join([*lines, *([f"… and {older} older"] if older > 0 else [])])


def render_adapter(line: AdapterLine) -> str:
    """Say in one line what an adapter is and how it does."""
    votes = f"; 👍 {line.ups} 👎 {line.downs}" if line.ups or line.downs else ""
    reason = f". {escape(line.reasons[0])[:200]}" if line.reasons else ""
    said = STATES.get(line.state, line.state)
    if line.channel_id:
        said = f"for <#{line.channel_id}>, {'answers there' if line.state == ACTIVE else said},"
    return f"• `{escape(line.name)}` {said} since {tell_time(line.changed_at)}{votes}{reason}"


def name_of(actor: str) -> str:
    """Return a person as Slack shows them, and anything else in plain words."""
    return f"<@{actor}>" if PERSON.fullmatch(actor) else escape(actor)


def tell_time(moment: datetime) -> str:
    """Return a moment that Slack shows in each reader's own time zone."""
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} {{time}}|{moment:%Y-%m-%d %H:%M} UTC>"


def _under_way(status: LearningStatus) -> str:
    if status.run_id is None:
        return "training is paused" if status.is_paused else "no training runs"
    steps = f", step {status.step} of {status.steps}" if status.steps else ""
    held = " (paused)" if status.is_paused else ""
    where = f" for <#{status.run_channel}>" if status.run_channel else ""
    return f"run {status.run_id}{where} is {escape(status.phase or status.run_state) or 'under way'}{steps}{held}"
