"""How learning is told in Slack: one line, a status, a list of adapters, the question for permission. Pure."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from bot.language import _
from bot.learning.sentences import say_again
from bot.learning.views import ACROSS, AdapterLine, LearningStatus
from bot.slack.blocks import Block, build_button, confirm, section
from bot.slack.delivery.render import escape
from bot.slack.setup.manifest import COMMAND

ALLOW = "learning_allow"
MOST_ADAPTERS = 15
ACTIVE = "active"
PERSON = re.compile(r"[UW][A-Z0-9]{2,}")


def list_states() -> dict[str, str]:
    """Return what becomes of adapters, as people read it."""
    return {
        "built": _("built, not judged yet"),
        "waiting": _("waits for somebody to promote or veto it"),
        "held": _("waits until somebody promotes it (training was switched off)"),
        "canary": _("answers a share of the people"),
        "active": _("answers everybody"),
        "retired": _("replaced"),
        "rejected": _("not good enough"),
        "rolled_back": _("rolled back"),
        "tainted": _("learned from something that was deleted since"),
    }


def tell_terms() -> str:
    """Say what the training reads, where it shows, and how people stay out of it."""
    return _(
        """\
If you allow it, I read at night what people wrote *to me*, what I answered, 👍, 👎 and corrections, and train \
a small addition to my model with it, an adapter. All of it stays on your own machines.
• I learn from messages that were addressed to me, from my own answers and from what people taught me; never from \
other talk in your channels.
• What I learned shows in answers to others. For everybody I learn from the public channels that an admin turns on \
(`{command} learn-from-channel on`), and from corrections whose author ticked _Teach this to everyone_. A channel, \
also a private one, can get an adapter that learns only there and \
answers only there, if an admin asks for it. I leave out what looks like a secret, as well as I can: not perfectly.
• Each person can stay out (`{command} learn-from-me off`), and so can a channel. The next training begins anew \
without them; an adapter from before keeps what it learned until it is replaced."""
    ).format(command=COMMAND)


def tell_slack_terms() -> str:
    """Say what Slack's terms say about it, as far as we know."""
    return _(
        """\
*What Slack's terms say.* Slack's API Terms of Service, changed on 29 May 2025, restrict how data that came through \
its APIs may be stored and used; lawyers' readings of them name bulk exports, lasting copies, and the use of such data \
to train large language models. On 13 October 2025 Slack wrote that its rules on _Distribution Beyond Your \
Organization_ concern apps that are given to others, not an organisation's own internal apps. Whether your team may \
train on its own workspace is for your organisation to decide, with whoever answers for it there. I cannot tell you, \
and this is no legal advice: read <https://slack.com/terms-of-service/api|the terms> and \
<https://docs.slack.dev/changelog/2025/05/29/tos-updates|what changed>."""
    )


def build_permission(user_id: str) -> list[Block]:
    """Build the question whether the workspace may be learned from, for the one admin who asked."""
    button = build_button(_("I understand, and I may decide this for my team"), ALLOW, user_id) | {
        "style": "primary",
        "confirm": confirm(
            _("Allow the training?"), _("It stays on until somebody says `train off`."), _("Allow"), _("Not now")
        ),
    }
    return [
        section(_("*May I learn from this workspace?* Until you say so, I do not.")),
        section(tell_terms()),
        section(tell_slack_terms()),
        {"type": "actions", "elements": [button]},
    ]


def render_line(status: LearningStatus) -> str:
    """Say in one line how the learning is."""
    if status.off_by:
        off = _("Learning is switched off ({variable}).").format(variable=f"`{status.off_by}`")
        return f"{off} {tell_aside(status.put_aside)}".rstrip()
    if not status.allowed_by:
        return _("Learning is off until an admin allows it ({command}).").format(command=f"`{COMMAND} train on`")
    served = (
        _("{adapter} answers").format(adapter=f"`{escape(status.active)}`")
        if status.active
        else _("The base model answers")
    )
    if status.canary:
        canary = f"`{escape(status.canary)}`"
        sentence = _("{served}, and {canary} {share:.0%} of the people")
        served = sentence.format(served=served, canary=canary, share=status.canary_share)
    return _("{served}; {doing}.").format(served=served, doing=_under_way(status))


def tell_aside(adapters: Sequence[str]) -> str:
    """Say which adapters answer nobody because the workspaces must not mix; nothing where there are none."""
    if not adapters:
        return ""
    sentence = _(
        "The base model answers instead of {adapters}: what one workspace taught would answer the others ({variable})."
    )
    return sentence.format(adapters=_(", ").join(f"`{escape(name)}`" for name in adapters), variable=f"`{ACROSS}`")


def render_status(status: LearningStatus) -> str:
    """Say in a few lines how the learning is and when it goes on."""
    return "\n".join([render_line(status), *tell_details(status)])


def tell_details(status: LearningStatus) -> list[str]:
    """Say who allowed it, what has come together, and what was last."""
    lines = []
    if not status.off_by and status.allowed_by:
        when = f" ({status.allowed_at:%Y-%m-%d})" if status.allowed_at else ""
        lines.append(_("Training was allowed by {person}{when}.").format(person=name_of(status.allowed_by), when=when))
        if status.agreed is not None:
            lines.append(_tell_agreed(status.agreed))
        if status.points_needed:
            sentence = _("Taught since the last run: {points:.0f} of {needed:.0f} points that a run needs.")
            lines.append(sentence.format(points=status.points, needed=status.points_needed))
        lines += [_tell_channel(channel, name) for channel, name in status.channels.items()]
        if status.next_run is not None and not status.is_paused:
            lines.append(_("Next run: {time}.").format(time=tell_time(status.next_run)))
    if status.last_run_id is not None:
        said = " ".join(say_again(part) for part in (status.last_outcome, status.last_mend) if part)
        outcome = escape(said) or _("no outcome")
        line = _("Last dry run, {run}: {outcome}") if status.is_last_dry else _("Last run, {run}: {outcome}")
        lines.append(line.format(run=status.last_run_id, outcome=outcome))
    return lines


def _tell_agreed(channels: int) -> str:
    """Say in how many channels it learns: in none before an admin has turned one on."""
    if not channels:
        sentence = _("No channel is turned on, so I learn from none: an admin turns one on with {command} there.")
        return sentence.format(command=f"`{COMMAND} learn-from-channel on`")
    return _("Channels I learn from: {count}.").format(count=channels)


def _tell_channel(channel_id: str, name: str) -> str:
    if name:
        sentence = _("{channel} has an adapter of its own: {adapter} answers there.")
    else:
        sentence = _("{channel} has an adapter of its own: nothing was learned for it yet.")
    return sentence.format(channel=f"<#{channel_id}>", adapter=f"`{escape(name)}`")


def render_adapters(adapters: Sequence[AdapterLine]) -> str:
    """Say which adapters there are, newest first."""
    if not adapters:
        sentence = _("There is no adapter yet: nothing was learned. {command} says when the next run is.")
        return sentence.format(command=f"`{COMMAND} train`")
    lines = [render_adapter(line) for line in adapters[:MOST_ADAPTERS]]
    older = len(adapters) - MOST_ADAPTERS
    return "\n".join([*lines, *([_("… and {count} older").format(count=older)] if older > 0 else [])])


def render_adapter(line: AdapterLine) -> str:
    """Say in one line what an adapter is and how it does."""
    votes = f"; 👍 {line.ups} 👎 {line.downs}" if line.ups or line.downs else ""
    said = list_states().get(line.shown, line.shown)
    if line.is_put_aside:
        said = _("put aside ({variable}), chosen").format(variable=f"`{ACROSS}`")
    elif line.channel_id and line.state == ACTIVE:
        said = _("answers there")
    if line.channel_id:
        said = _("for {channel}, {state},").format(channel=f"<#{line.channel_id}>", state=said)
    sentence = _("{adapter} {state} since {time}")
    head = sentence.format(adapter=f"`{escape(line.name)}`", state=said, time=tell_time(line.changed_at)) + votes
    if not line.reasons:
        return f"• {head}"
    return f"• {head}" + _(". {reason}").format(reason=escape(say_again(line.reasons[0]))[:200])


def name_of(actor: str) -> str:
    """Return a person as Slack shows them, and anything else in plain words."""
    return f"<@{actor}>" if PERSON.fullmatch(actor) else escape(say_again(actor))


def tell_time(moment: datetime) -> str:
    """Return a moment that Slack shows in each reader's own time zone."""
    shown = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")  # to whom no client says it in their own zone
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} {{time}}|{shown}>"


def _under_way(status: LearningStatus) -> str:
    if status.run_id is None:
        return _("training is paused") if status.is_paused else _("no training runs")
    steps = _(", step {step} of {steps}").format(step=status.step, steps=status.steps) if status.steps else ""
    held = _(" (paused)") if status.is_paused else ""
    where = _(" for {channel}").format(channel=f"<#{status.run_channel}>") if status.run_channel else ""
    phase = escape(say_again(status.phase or status.run_state)) or _("under way")
    said = _("run {run}{where} is {phase}{steps}{held}")
    said = _("dry run {run}{where} is {phase}{held}") if status.is_run_dry else said
    return said.format(run=status.run_id, where=where, phase=phase, steps=steps, held=held)
