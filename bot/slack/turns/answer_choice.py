"""What several answers look like beside each other, and one that only its asker sees. Pure."""

from collections.abc import Sequence

from bot.language import _
from bot.slack.blocks import (
    WHY,
    Block,
    build_answer_buttons,
    build_button,
    build_note,
    build_text,
    clip,
    context,
    section,
)
from bot.slack.delivery.chunks import find_urls
from bot.slack.delivery.render import escape
from bot.slack.delivery.safety import neutralise

CHOOSE = "choose_answer"
SHARE = "share_answer"
MOST_TOGETHER = 10_000  # characters of Markdown in one message; Slack takes 12,000
QUESTION_LENGTH = 1000


def make_safe(text: str, *, asked: str) -> str:
    """Return what a model wrote as it may be shown: links only to what people have named themselves."""
    return neutralise(text, known_urls=find_urls(asked))


def build_choice(answers: Sequence[tuple[str, str]]) -> list[Block]:
    """Build the answers, each an id and a text that is safe, with a button below each."""
    blocks: list[Block] = []
    for number, (answer_id, text) in enumerate(answers, 1):
        title = _("Answer {number}").format(number=number)
        blocks += [section(f"*{title}*"), *build_text(clip(text, MOST_TOGETHER // len(answers)))]
        blocks += [{"type": "actions", "elements": [build_button(_("This one is better"), CHOOSE, answer_id)]}]
    return blocks


def tell_choice(*, teaches: bool) -> str:
    """Ask which of the answers is better; *teaches*: whoever chooses may be learned from."""
    if not teaches:
        return _("Which of these answers is better? The one that you choose stays.")
    return _("Which of these answers is better? The one that you choose stays, and I learn from your choice.")


def tell_same() -> str:
    """Say why there is nothing to choose from."""
    return _("I wrote several answers, and they came out the same.")


def build_private(answer_id: str, text: str, *, thread_ts: str, can_share: bool, is_explained: bool) -> list[Block]:
    """Build an answer that only its asker sees, with a button that shows it to everybody."""
    thumbs = build_answer_buttons(answer_id)[0]
    buttons = [build_button(_("Share with everyone"), SHARE, f"{answer_id}:{thread_ts}")] if can_share else []
    buttons += [build_button(_("Why?"), WHY, answer_id)] if is_explained else []
    below = [{"type": "actions", "elements": buttons}] if buttons else []
    return [*build_text(text), *build_note(_("Only you can see this.")), thumbs, *below]


def build_shared(
    answer_id: str, text: str, *, question: str, user_id: str, is_public: bool, is_explained: bool
) -> list[Block]:
    """Build an answer that its asker shows to everybody: who asked what, and the buttons of any answer."""
    buttons = build_answer_buttons(answer_id, is_public=is_public, is_explained=is_explained, is_group=True)
    return [build_asked(question, user_id=user_id), *build_text(text), *buttons]


def build_asked(question: str, *, user_id: str) -> Block:
    """Build the line that says who asked what, where the question itself stands in no message."""
    asked = _("{person} asked me: {question}").format(
        person=f"<@{user_id}>", question=escape(clip(" ".join(question.split()), QUESTION_LENGTH))
    )
    return context(asked)
