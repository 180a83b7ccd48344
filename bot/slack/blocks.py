"""Block Kit that the assistant shows: plain data in, Slack's dictionaries out."""

from dataclasses import dataclass
from typing import Any

from bot.language import _

Block = dict[str, Any]

FEEDBACK = "feedback"
REGENERATE = "regenerate"
SHORTER = "shorter"
RETRY = "retry"
STOP = "stop_answer"
UNDO_VOTE = "undo_vote"
ORDER = "order"  # a button that gives an order; more behind a colon
REVIEW, REVIEW_REJECT, REVIEW_NEXT = "review", "review_reject", "review_next"
CORRECTION = "correction"
COMMENT = "comment"
WHY = "why"
ANSWER_EDITED = "answer_edited"
ANSWER_MENU = "answer_menu"
QUIET = "be_quiet"
FOLLOW = "follow_thread"
EVERYONE = "everyone"
PUBLIC = "public"  # in the value of a thumb: everybody can read the answer
SECTION_LENGTH = 3000
HEADER_LENGTH = 150
COMMENT_LENGTH = 1000


def list_reasons() -> dict[str, str]:
    """Return the reasons for which an answer can be bad, as people read them."""
    return {
        "wrong": _("It is wrong"),
        "outdated": _("It is out of date"),
        "long": _("It is too long"),
        "unclear": _("It is hard to understand"),
        "missed": _("It missed my question"),
        "tone": _("I do not like the tone"),
        "other": _("Something else"),
    }


def plain(text: str) -> dict[str, Any]:
    """Build a plain text object."""
    return {"type": "plain_text", "text": text, "emoji": True}


def build_text(markdown: str) -> list[Block]:
    """Build the block that shows Markdown as Slack renders it."""
    return [{"type": "markdown", "text": markdown}] if markdown.strip() else []


def build_note(text: str) -> list[Block]:
    """Build a small line of explanation."""
    return [{"type": "context", "elements": [plain(text)]}] if text else []


def section(text: str, **extra: Any) -> Block:
    """Build a paragraph in Slack's markup, cut to what fits."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": clip(text, SECTION_LENGTH)}, **extra}


def context(text: str) -> Block:
    """Build a small line in Slack's markup."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": clip(text, SECTION_LENGTH)}]}


def header(text: str) -> Block:
    """Build a headline."""
    return {"type": "header", "text": plain(clip(text, HEADER_LENGTH))}


def clip(text: str, length: int) -> str:
    """Return *text*, or its beginning where it is longer."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def confirm(title: str, text: str, agree: str, deny: str, *, is_danger: bool = False) -> dict[str, Any]:
    """Build the question that Slack asks before a button acts."""
    asked = {"title": plain(title), "text": plain(text), "confirm": plain(agree), "deny": plain(deny)}
    return asked | ({"style": "danger"} if is_danger else {})


def build_answer_buttons(
    answer_id: str, *, is_public: bool = False, is_explained: bool = False, is_group: bool = False
) -> list[Block]:
    """Build the thumbs of a finished answer, the Regenerate button, Why? where that can be told, and a way to quiet."""
    down = f"down:{answer_id}:{PUBLIC}" if is_public else f"down:{answer_id}"
    thumbs = {
        "type": "feedback_buttons",
        "action_id": FEEDBACK,
        "positive_button": {
            "text": plain(_("Good")),
            "value": f"up:{answer_id}",
            "accessibility_label": _("This answer helped"),
        },
        "negative_button": {
            "text": plain(_("Bad")),
            "value": down,
            "accessibility_label": _("This answer did not help; say what it should have been"),
        },
    }
    return [
        {"type": "context_actions", "elements": [thumbs]},
        {
            "type": "actions",
            "elements": [
                build_button(_("Regenerate"), REGENERATE, answer_id),
                *([build_button(_("Why?"), WHY, answer_id)] if is_explained else []),
                *([_build_menu()] if is_group else []),
            ],
        },
    ]


def _build_menu() -> Block:
    option = {"text": plain(_("Be quiet here")), "value": QUIET}
    return {"type": "overflow", "action_id": ANSWER_MENU, "options": [option]}


def build_stop_button(answer_id: str) -> list[Block]:
    """Build the button that stops an answer which is still being written."""
    return [{"type": "actions", "elements": [build_button(_("Stop"), STOP, answer_id)]}]


def build_retry_button(answer_id: str) -> list[Block]:
    """Build the button under an error."""
    return [{"type": "actions", "elements": [build_button(_("Retry"), RETRY, answer_id)]}]


def build_undo_button(answer_id: str, vote: str) -> list[Block]:
    """Build the button that takes back *vote*, and no later one."""
    return [{"type": "actions", "elements": [build_button(_("Undo"), UNDO_VOTE, f"{vote}:{answer_id}")]}]


def build_shorter_button(answer_id: str) -> list[Block]:
    """Build the button by which an answer that was too long is said in fewer words."""
    return [{"type": "actions", "elements": [build_button(_("Say it shorter"), SHORTER, answer_id)]}]


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody said of an answer before: their form shows it again, so that only they themselves empty it."""

    correction: str = ""
    is_for_everyone: bool = False
    is_asker: bool = True
    reason: str = ""
    comment: str = ""
    edited_at: str = ""  # the wording of the question that it is about
    wish: str = ""  # what somebody who is not learned from is told of that


def shows_correction(view: dict[str, Any]) -> bool:
    """Return whether a form began with a correction in it, as Slack sends it back."""
    fields = [block["element"] for block in view["blocks"] if block.get("block_id") == "correction"]
    return any(field.get("initial_value") for field in fields)


def says_public(view: dict[str, Any]) -> bool:
    """Return whether a form said that everybody can read the answer, as Slack sends it back."""
    return all(block.get("block_id") != EVERYONE for block in view["blocks"])


def build_correction_view(answer_id: str, *, is_public: bool = False, said: Said | None = None) -> dict[str, Any]:
    """Build the form that asks what was wrong, what the answer should have been, and who may learn from it."""
    said = said or Said()
    closed = _ask_everyone(is_ticked=said.is_for_everyone) if said.is_asker else _tell_closed()
    closed = _build_closed(said.wish) if said.wish else closed
    learning = plain(_("I keep this with the answer, so that I can learn from it."))
    options = [{"text": plain(text), "value": value} for value, text in list_reasons().items()]
    chosen = [option for option in options if option["value"] == said.reason]
    return {
        "type": "modal",
        "callback_id": CORRECTION,
        "private_metadata": f"{answer_id}:{said.edited_at}",
        "title": plain(_("What went wrong?")),
        "submit": plain(_("Send")),
        "close": plain(_("Skip")),
        "blocks": [
            {
                "type": "input",
                "block_id": "reason",
                "optional": True,
                "label": plain(_("Reason")),
                "element": {
                    "type": "static_select",
                    "action_id": "reason",
                    "placeholder": plain(_("Choose a reason")),
                    "options": options,
                    **({"initial_option": chosen[0]} if chosen else {}),
                },
            },
            {
                "type": "input",
                "block_id": "correction",
                "optional": True,
                "label": plain(_("What should I have said?")),
                **({} if said.wish else {"hint": learning}),
                "element": {
                    "type": "plain_text_input",
                    "action_id": "correction",
                    "multiline": True,
                    "max_length": 3000,
                    **({"initial_value": said.correction} if said.correction else {}),
                },
            },
            {
                "type": "input",
                "block_id": COMMENT,
                "optional": True,
                "label": plain(_("Anything else?")),
                "hint": plain(_("Those who run me may read it; I do not learn from it.")),
                "element": {
                    "type": "plain_text_input",
                    "action_id": COMMENT,
                    "max_length": COMMENT_LENGTH,
                    **({"initial_value": said.comment} if said.comment else {}),
                },
            },
            *(build_note(_tell_everybody_learns()) if is_public and not said.wish else [closed]),
        ],
    }


def _tell_everybody_learns() -> str:
    return _("Everybody can read this answer, so everybody can learn from your correction.")


def _tell_closed() -> Block:
    return _build_closed(
        _("Only your own questions can be taught to everyone: this stays with those who can read the answer.")
    )


def _build_closed(told: str) -> Block:
    (note,) = build_note(told)
    return note | {"block_id": EVERYONE}


def _ask_everyone(*, is_ticked: bool) -> Block:
    meaning = _("Your question and correction may show in answers to others.")
    option = {"text": plain(_("Teach this to everyone")), "value": EVERYONE, "description": plain(meaning)}
    boxes = {"type": "checkboxes", "action_id": EVERYONE, "options": [option]}
    return {
        "type": "input",
        "block_id": EVERYONE,
        "optional": True,
        "label": plain(_("Who may learn from it?")),
        "element": boxes | ({"initial_options": [option]} if is_ticked else {}),
    }


def build_button(text: str, action_id: str, value: str) -> dict[str, Any]:
    """Build a button; what it acts on stands in its *value*."""
    return {"type": "button", "text": plain(text), "action_id": action_id, "value": value}
