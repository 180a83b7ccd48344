"""Block Kit that the assistant shows: plain data in, Slack's dictionaries out."""

from typing import Any

Block = dict[str, Any]

FEEDBACK = "feedback"
REGENERATE = "regenerate"
RETRY = "retry"
STOP = "stop_answer"
UNDO_VOTE = "undo_vote"
CORRECTION = "correction"
REASONS = {
    "wrong": "It is wrong",
    "outdated": "It is out of date",
    "long": "It is too long",
    "unclear": "It is hard to understand",
    "missed": "It missed my question",
    "tone": "I do not like the tone",
    "other": "Something else",
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


def build_answer_buttons(answer_id: str) -> list[Block]:
    """Build the thumbs and the Regenerate button of a finished answer."""
    thumbs = {
        "type": "feedback_buttons",
        "action_id": FEEDBACK,
        "positive_button": {
            "text": plain("Good"),
            "value": f"up:{answer_id}",
            "accessibility_label": "This answer helped",
        },
        "negative_button": {
            "text": plain("Bad"),
            "value": f"down:{answer_id}",
            "accessibility_label": "This answer did not help; say what it should have been",
        },
    }
    return [
        {"type": "context_actions", "elements": [thumbs]},
        {"type": "actions", "elements": [_button("Regenerate", REGENERATE, answer_id)]},
    ]


def build_stop_button(answer_id: str) -> list[Block]:
    """Build the button that stops an answer which is still being written."""
    return [{"type": "actions", "elements": [_button("Stop", STOP, answer_id)]}]


def build_retry_button(answer_id: str) -> list[Block]:
    """Build the button under an error."""
    return [{"type": "actions", "elements": [_button("Retry", RETRY, answer_id)]}]


def build_undo_button(answer_id: str, vote: str) -> list[Block]:
    """Build the button that takes back *vote*, and no later one."""
    return [{"type": "actions", "elements": [_button("Undo", UNDO_VOTE, f"{vote}:{answer_id}")]}]


def build_correction_view(private_metadata: str) -> dict[str, Any]:
    """Build the form that asks what was wrong and what the answer should have been."""
    options = [{"text": plain(text), "value": value} for value, text in REASONS.items()]
    return {
        "type": "modal",
        "callback_id": CORRECTION,
        "private_metadata": private_metadata,
        "title": plain("What went wrong?"),
        "submit": plain("Send"),
        "close": plain("Skip"),
        "blocks": [
            {
                "type": "input",
                "block_id": "reason",
                "optional": True,
                "label": plain("Reason"),
                "element": {
                    "type": "static_select",
                    "action_id": "reason",
                    "placeholder": plain("Choose a reason"),
                    "options": options,
                },
            },
            {
                "type": "input",
                "block_id": "correction",
                "optional": True,
                "label": plain("What should I have said?"),
                "hint": plain("I keep this with the answer, so that I can learn from it."),
                "element": {
                    "type": "plain_text_input",
                    "action_id": "correction",
                    "multiline": True,
                    "max_length": 3000,
                },
            },
        ],
    }


def _button(text: str, action_id: str, value: str) -> dict[str, Any]:
    return {"type": "button", "text": plain(text), "action_id": action_id, "value": value}
