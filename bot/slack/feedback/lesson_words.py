"""What is said and asked about what one person wrote and another wants taught: to whoever asks, and to its author."""

import json
from dataclasses import dataclass
from typing import Any

from bot.language import _
from bot.slack.blocks import Block, build_button, build_note, context, plain, section
from bot.storage.feedback_tables import Lesson
from bot.storage.tables import Audience

LESSON, LESSON_YES, LESSON_NO = "lesson", "lesson_yes", "lesson_no"
QUESTION = "question"
QUESTION_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """A person's message that is to be taught, as the form carries it."""

    team_id: str
    channel_id: str
    thread_ts: str
    ts: str
    author_id: str
    audience: str
    text: str


def build_form(asked: Asked, *, question: str, is_own: bool) -> dict[str, Any]:
    """Build the form that asks which question a message answers."""
    own = _("You wrote this: I learn it at once.")
    others = _("I ask its author first, with the exact words. Unless they agree within 7 days, I keep nothing.")
    asks = {"type": "plain_text_input", "action_id": QUESTION, "max_length": QUESTION_LENGTH}
    return {
        "type": "modal",
        "callback_id": LESSON,
        "private_metadata": json.dumps({name: getattr(asked, name) for name in Asked.__slots__}, ensure_ascii=False),
        "title": plain(_("Teach me this")),
        "submit": plain(_("Teach")),
        "close": plain(_("Cancel")),
        "blocks": [
            quote(asked.text),
            {
                "type": "input",
                "block_id": QUESTION,
                "label": plain(_("Which question does it answer?")),
                "element": asks | ({"initial_value": question[:QUESTION_LENGTH]} if question else {}),
            },
            *build_note(own if is_own else others),
        ],
    }


def tell_unasked(author_id: str) -> str:
    """Say to whoever wants something taught that its author could not be asked after all."""
    said = _("I could not ask {person} whether I may learn what they wrote, so I keep nothing of it.")
    return said.format(person=f"<@{author_id}>")


def tell_agreed(author_id: str) -> str:
    """Say to whoever wanted something taught that its author said yes."""
    return _("{person} agreed: I have learned what they wrote.").format(person=f"<@{author_id}>")


def tell_unfit() -> str:
    """Say why a message teaches nothing."""
    return _(
        "I cannot be taught by this message: its author is no member of this workspace, has left this channel, does "
        "not want to be learned from or has been asked for several others already, or others read along here."
    )


def tell_unheard() -> str:
    """Say why a message of a conversation that the assistant is not in teaches nothing."""
    return _("I am not in this conversation, so I would not hear that a message is changed or deleted there.")


def tell_unstored() -> str:
    """Say to whoever wants nothing stored why nothing is taught."""
    return _("You want nothing of yours stored, so I keep nothing of it. `preferences privacy` changes that.")


def tell_unlearned() -> str:
    """Say to whoever wants nothing learned why nothing is taught."""
    return _("You want nothing of yours learned, so I keep nothing of it. `learn-from-me on` changes that.")


def build_end(text: str) -> dict[str, Any]:
    """Build what the form says in the end."""
    return {"type": "modal", "title": plain(_("Teach me this")), "close": plain(_("Done")), "blocks": [section(text)]}


def build_request(lesson: Lesson) -> list[Block]:
    """Build the question to an author, with every word that would be learned and who could come to read it."""
    asks = _("{person} would like me to learn what you wrote in {channel}. I only do that if you agree.")
    everybody = _("Then it may show in answers to anybody in this workspace, and I may be trained on it.")
    here = _("Then it may show in answers in that channel, and nowhere else.")
    silence = _("If you do not answer within 7 days, I keep nothing of it.")
    buttons = [
        build_button(_("Yes, learn it"), LESSON_YES, lesson.id) | {"style": "primary"},
        build_button(_("No"), LESSON_NO, lesson.id),
    ]
    return [
        section(asks.format(person=f"<@{lesson.asked_by}>", channel=f"<#{lesson.channel_id}>")),
        section("*" + _("Question") + "*"),
        quote(lesson.question),
        section("*" + _("You wrote") + "*"),
        quote(lesson.text),
        context(f"{everybody if lesson.audience == Audience.PUBLIC else here} {silence}"),
        {"type": "actions", "elements": buttons},
    ]


def quote(text: str) -> Block:
    """Build a paragraph that shows a text as it is, whatever it looks like."""
    return {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}
