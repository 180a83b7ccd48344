"""What was read for a lot of drafts, and what of it their answers can rest on beside the conversation. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.learning.data.choosing import Chosen
from bot.storage.grounds import Ground, Row
from bot.storage.material import Material, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What was read for a lot of drafts; *edited* are the rows of what reviewers wrote, by the corrections' ids."""

    answers: Mapping[str, Material]
    turns: Mapping[str, Sequence[Turn]]
    sharings: Mapping[str, Sequence[Turn]]
    grounds: Mapping[str, Sequence[Ground]]
    corrections: Mapping[str, str]
    edited: Mapping[str, Row] = field(default_factory=dict)


def read_behind(chosen: Chosen, shelf: Shelf, turns: Sequence[Turn]) -> tuple[list[Turn], list[Ground]]:
    """Return what answers can rest on that the conversation does not show: what was said before, files, corrections.

    All of the thread, where an earlier answer or a summary is in the prompt, for these were made from more than it.
    """
    signal, asked = chosen.newest, turns[-1]
    thread, sharings = (found.get(signal.thread_id, ()) for found in (shelf.turns, shelf.sharings))
    found = [shelf.answers[name] for name in (signal.answer_id, signal.other_id) if name in shelf.answers]
    until, before = max(answer.ts for answer in found), turns[:-1]
    has_read_more = any(answer.is_summarised or (answer.messages_used or 0) > len(before) for answer in found)
    rests_on_all = has_read_more or any(turn.answer for turn in before)
    said = [turn for turn in thread if turn.ts < until] if rests_on_all else []
    since = "" if rests_on_all else asked.ts
    grounds = [ground for ground in shelf.grounds.get(signal.thread_id, ()) if since <= ground.ts <= until]
    return [*said, *(turn for turn in sharings if turn.ts <= until)], grounds


def list_rows_behind(behind: Sequence[Turn], grounds: Sequence[Ground]) -> tuple[Row, ...]:
    """Return the rows of what is not in a draft itself, as far as they are not messages of its thread."""
    files = (("message_files", file_id, turn.user_id) for turn in behind for file_id in turn.files)
    return tuple(dict.fromkeys([*files, *(row for ground in grounds for row in ground.rows)]))
