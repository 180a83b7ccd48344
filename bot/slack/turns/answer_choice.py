"""What several answers look like beside each other, and one that only its asker sees. Pure."""

from collections.abc import Sequence

from bot.conversation.draft import Draft
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
from bot.slack.delivery.split import split_markdown
from bot.slack.turns.words import tell_cut
from bot.storage.tables import Audience

CHOOSE = "choose_answer"
SHARE = "share_answer"
MOST_TOGETHER = 10_000  # characters of Markdown in one message; Slack takes 12,000
MOST_PARTS = 4  # Slack takes five replies to a command, and one of them says that the answer is being written
QUESTION_LENGTH = 1000


def make_safe(text: str, *, asked: str) -> str:
    """Return what a model wrote as it may be shown: links only to what people have named themselves."""
    return neutralise(text, known_urls=find_urls(asked))


def build_choice(answers: Sequence[tuple[Draft, str]]) -> list[Block]:
    """Build the answers, each with its text that is safe, with a button below each."""
    blocks: list[Block] = []
    room = MOST_TOGETHER // max(1, len(answers))
    for number, (draft, text) in enumerate(answers, 1):
        title, more = _("Answer {number}").format(number=number), _("It goes on; choose it to read all of it.")
        cut = more if len(text) > room else tell_cut(draft.finish_reason, is_private=draft.question.put.is_private)
        blocks += [section(f"*{title}*"), *build_text(clip(text, room)), *build_note(cut)]
        answer_id = draft.answer_id
        blocks += [{"type": "actions", "elements": [build_button(_("This one is better"), CHOOSE, answer_id)]}]
    return blocks


def tell_choice(draft: Draft) -> str:
    """Ask which of the answers is better; nobody learns from what is said in private, or to another organisation."""
    asked = draft.question
    if not draft.wish.teaches or asked.put.is_private or asked.audience not in {Audience.PUBLIC, Audience.PRIVATE}:
        return _("Which of these answers is better? The one that you choose stays.")
    return _(
        "Which of these answers is better? The one that you choose stays, and where this channel takes part, I learn "
        "from your choice."
    )


def tell_same() -> str:
    """Say why there is nothing to choose from."""
    return _("I wrote several answers, and they came out the same.")


def split_private(text: str) -> tuple[list[list[Block]], str]:
    """Cut an answer that only its asker sees into messages that Slack takes: those before the last, and its text."""
    parts = split_markdown(text, limit=MOST_TOGETHER) or [""]
    if len(parts) > MOST_PARTS:
        more = _("The answer goes on; to one person alone I can show no more of it. Share it, or ask me in a thread.")
        parts = [*parts[: MOST_PARTS - 1], f"{parts[MOST_PARTS - 1]}\n\n_{more}_"]
    told = _("Part {number} of {count}")
    above = [
        [*build_text(part), *build_note(told.format(number=number, count=len(parts)))]
        for number, part in enumerate(parts[:-1], 1)
    ]
    return above, parts[-1]


def build_private(
    answer_id: str, text: str, *, thread_ts: str, can_share: bool, is_explained: bool, note: str = ""
) -> list[Block]:
    """Build an answer that only its asker sees, with a button that shows it to everybody."""
    thumbs = build_answer_buttons(answer_id)[0]
    buttons = [build_button(_("Share with everyone"), SHARE, f"{answer_id}:{thread_ts}")] if can_share else []
    buttons += [build_button(_("Why?"), WHY, answer_id)] if is_explained else []
    below = [{"type": "actions", "elements": buttons}] if buttons else []
    return [*build_text(text), *build_note(note), *build_note(_("Only you can see this.")), thumbs, *below]


def build_shared(
    answer_id: str, text: str, *, question: str, user_id: str, is_public: bool, is_explained: bool, note: str = ""
) -> list[Block]:
    """Build an answer that its asker shows to everybody: who asked what, and the buttons of any answer."""
    buttons = build_answer_buttons(answer_id, is_public=is_public, is_explained=is_explained, is_group=True)
    return [build_asked(question, user_id=user_id), *build_text(text), *build_note(note), *buttons]


def build_asked(question: str, *, user_id: str) -> Block:
    """Build the line that says who asked what, where the question itself stands in no message."""
    asked = _("{person} asked me: {question}").format(
        person=f"<@{user_id}>", question=escape(clip(" ".join(question.split()), QUESTION_LENGTH))
    )
    return context(asked)
