"""The Home's third part: what somebody said about answers, and what became of it."""

from collections.abc import Sequence

from bot.language import _
from bot.slack.blocks import Block, clip, context, header, section
from bot.slack.delivery.render import escape
from bot.slack.learning.words import tell_time
from bot.storage.fates import Fate, Opinions

MOST_FATES = 5
SHOWN = 140


def build_opinions(opinions: Opinions, fates: Sequence[Fate], *, is_learned_from: bool) -> list[Block]:
    """Build it."""
    title = header(_("Your feedback, and what became of it"))
    if opinions == Opinions():
        nothing = _("Nothing yet. 👍 or 👎 under an answer tells me how it was; 👎 asks what I should have said.")
        return [title, section(nothing)]
    blocks = [title, section(tell_opinions(opinions))]
    if fates:
        blocks.append(section("\n".join(render_fate(fate, is_learned_from=is_learned_from) for fate in fates)))
    if opinions.corrected > len(fates):
        more = _("… and {count} earlier corrections; `my-data` has them all.")
        blocks.append(context(more.format(count=opinions.corrected - len(fates))))
    return blocks


def tell_opinions(opinions: Opinions) -> str:
    """Say how much it is."""
    counts = _("👍 {liked} liked · 👎 {disliked} disliked · ✍️ {corrected} corrected").format(
        liked=opinions.liked, disliked=opinions.disliked, corrected=opinions.corrected
    )
    if not opinions.corrected:
        return counts
    became = _("Of your corrections {learned} were learned from, and {fixed} are answered right since.")
    return f"{counts}\n" + became.format(learned=opinions.learned, fixed=opinions.fixed)


def render_fate(fate: Fate, *, is_learned_from: bool) -> str:
    """Say in a line what somebody corrected, and what became of it."""
    taught = f"“{_short(fate.text)}”"
    about = _("{question}: {taught}").format(question=f"*{_short(fate.question)}*", taught=taught)
    mark, became = _tell_fate(fate, is_learned_from=is_learned_from)
    return f"{mark} {about if fate.question else taught}  _{became}_"


def _tell_fate(fate: Fate, *, is_learned_from: bool) -> tuple[str, str]:
    if fate.is_rejected:
        return "✋", _("A reviewer set it aside.")
    if fate.is_fixed:
        return "✅", _("Answered right now.")
    if fate.adapter:
        return "📘", _("Learned; {adapter} answers with it.").format(adapter=f"`{escape(fate.adapter)}`")
    if not (is_learned_from or fate.is_outdated or fate.waits):
        return "🔒", _("Kept, and not learned from.")
    if fate.is_alone and fate.run_id is None and not fate.is_outdated:
        return "🔒", _(
            "Kept for you alone, as it was said in private; I learn from it only if you teach it to everyone."
        )
    return _tell_waiting(fate)


def _tell_waiting(fate: Fate) -> tuple[str, str]:
    """Say what keeps a correction from being learned, as far as its author may know."""
    if fate.is_outdated:
        return "⏳", _("Counts no more: its question was made another one afterwards.")
    if fate.waits:
        return "⏳", _("Waits for a reviewer; until then what one approved before counts.")
    if fate.is_outvoted:
        return "⚖️", _("Not learned so far: others taught another answer to the same question.")
    if fate.is_liked_anyway:
        return "⚖️", _("Not learned so far: more people like the answer than correct it.")
    if fate.run_id is not None:
        return "📗", _("It went into training {run}, whose adapter does not answer.").format(run=fate.run_id)
    return "⏳", _("Kept since {time}; not trained on yet.").format(time=tell_time(fate.at))


def _short(text: str) -> str:
    return escape(clip(" ".join(text.split()), SHOWN))
