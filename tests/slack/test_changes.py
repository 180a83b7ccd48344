"""Which events mean that a person's words changed or went."""

from typing import Any

import pytest

from bot.slack.turns.changes import Change, hear_change

BEFORE = {"ts": "1.0", "user": "U1", "text": "one"}
SHARING = {**BEFORE, "attachments": [{"text": "what somebody else wrote", "is_share": True}]}
EDITED = {"ts": "1.0", "user": "U1", "text": "two", "edited": {"ts": "2.0"}}
ONLY_BLOCKS = {**EDITED, "text": "one"}
AFTER = {"ts": "1.0", "user": "U1", "text": "two"}
OURS = {**BEFORE, "bot_id": "B1"}
GONE = {"ts": "1.0", "user": "USLACKBOT", "subtype": "tombstone"}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"subtype": "message_changed", "message": AFTER}, Change("C1", "1.0", AFTER)),
        ({"subtype": "message_changed", "message": {**BEFORE, "attachments": [{}]}}, None),
        ({"subtype": "message_changed", "previous_message": SHARING, "message": BEFORE}, Change("C1", "1.0", BEFORE)),
        ({"subtype": "message_changed", "message": ONLY_BLOCKS}, Change("C1", "1.0", ONLY_BLOCKS)),
        ({"subtype": "message_changed", "message": {**AFTER, "subtype": "tombstone"}}, Change("C1", "1.0", None)),
        ({"subtype": "message_deleted", "deleted_ts": "1.0"}, Change("C1", "1.0", None)),
        ({"subtype": "message_deleted"}, Change("C1", "1.0", None)),
        ({"subtype": "message_deleted", "previous_message": OURS}, Change("C1", "1.0", None, True)),
        ({"subtype": "message_changed", "previous_message": OURS, "message": GONE}, Change("C1", "1.0", None, True)),
        ({"subtype": "message_changed", "previous_message": OURS, "message": AFTER}, None),
        ({"subtype": "message_changed", "message": None}, None),
        ({"subtype": "channel_join"}, None),
        ({"subtype": "message_deleted", "previous_message": None}, None),
        (
            {"subtype": "message_deleted", "previous_message": None, "deleted_ts": "1.0"},
            Change("C1", "1.0", None, True),
        ),
        ({"subtype": "message_changed", "previous_message": None, "message": EDITED}, Change("C1", "1.0", EDITED)),
        ({"subtype": "message_changed", "previous_message": None, "message": {**AFTER, "bot_id": "B1"}}, None),
        ({"subtype": "message_deleted", "channel": None}, None),
    ],
)
def test_a_change_of_a_persons_words_is_heard(event: dict[str, Any], expected: Change | None) -> None:
    """Edits, deletions and tombstones, also of an app; not an unfurled link, nor what an app edits."""
    assert hear_change({"type": "message", "channel": "C1", "previous_message": BEFORE, **event}) == expected
