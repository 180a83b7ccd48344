"""What of the files in a thread goes into the prompt: all of them if they fit, else the passages that matter.

Pure choices on plain data, counted by whoever knows the tokenizer.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from bot.files.passages import SIZE, Passage, Ruler, join_passages, rank, split_passages
from bot.storage.file_tables import FileState, MessageFile
from bot.storage.files import ThreadFile
from bot.storage.threads import Said

HISTORY_SHARE = 0.25  # of the room stays for what was said before
MOST_CHARACTERS = 8  # of a token, so that hopeless tries need no counting
SMALLEST = 160  # characters of a passage
GAP = "\n[…]\n"
TABLE = "csv"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is read of one file; *part* says where it stands in it, *of* how much there is."""

    row: MessageFile
    ts: str
    text: str
    part: str
    of: str
    is_whole: bool


def is_readable(file: ThreadFile) -> bool:
    """Return whether there is text of a file."""
    return file.row.state == FileState.READ and bool(file.row.text)


def is_unknown(file: ThreadFile) -> bool:
    """Return whether a file was shared whose content is not known as text."""
    return not is_readable(file)


async def choose_excerpts(
    files: Sequence[ThreadFile],
    question: str,
    *,
    own: Collection[str],
    count: Callable[[Sequence[Excerpt]], Awaitable[int]],
    room: int,
    free: int,
) -> list[Excerpt]:
    """Return as much of *files* as fits: *room* tokens with all else, of which *free* are for files.

    Those of the question's *own* messages come first.
    """
    known = [file for file in files if is_readable(file)]
    if not known:
        return []
    most = free * MOST_CHARACTERS
    if sum(len(file.row.text) for file in known) <= most:
        whole = [_cut(file, [Passage(0, len(file.row.text))]) for file in known]
        if await count(whole) <= room:
            return whole
    size = max(SMALLEST, min(SIZE, free))  # a small memory takes several small passages rather than one
    # Twenty files of 400,000 characters each take many seconds, in which everybody else must be heard.
    ranked = await asyncio.to_thread(_rank, known, question, own=own, most=most, size=size)
    low, high = 0, len(ranked)
    chosen: list[Excerpt] = []
    while low <= high:
        middle = (low + high) // 2
        tried = await asyncio.to_thread(_collect, known, ranked[:middle])
        if middle == 0 or await count(tried) <= room:
            low, chosen = middle + 1, tried
        else:
            high = middle - 1
    return chosen


def _rank(
    files: Sequence[ThreadFile], question: str, *, own: Collection[str], most: int, size: int
) -> list[tuple[ThreadFile, Passage]]:
    """Return the passages of all files, those that matter most for the question first, as far as they could fit."""
    ranked: list[tuple[ThreadFile, Passage]] = []
    length = 0
    for group in ([file for file in files if file.ts in own], [file for file in reversed(files) if file.ts not in own]):
        pieces = [(file, passage) for file in group for passage in split_passages(file.row.text, size=size)]
        texts = [file.row.text[passage.start : passage.end] for file, passage in pieces]
        for number in rank(texts, question):
            length += len(texts[number])
            if length > most:
                return ranked
            ranked.append(pieces[number])
    return ranked


def _collect(files: Sequence[ThreadFile], chosen: Sequence[tuple[ThreadFile, Passage]]) -> list[Excerpt]:
    excerpts = []
    for file in files:
        passages = [passage for owner, passage in chosen if owner is file]
        if passages and file.row.kind == TABLE:
            passages.append(Passage(0, file.row.text.find("\n") + 1))  # a row says nothing without the names of columns
        if passages:
            excerpts.append(_cut(file, passages))
    return excerpts


def _cut(file: ThreadFile, passages: Sequence[Passage]) -> Excerpt:
    row = file.row
    joined = [passage for passage in join_passages(passages) if passage.end > passage.start]
    ruler = Ruler(row.text, row.pages)
    spans = [ruler.span(passage) for passage in joined]
    is_whole = len(joined) == 1 and joined[0] == Passage(0, len(row.text)) and not row.is_cut
    text = GAP.join(row.text[passage.start : passage.end].strip("\n") for passage in joined)
    unit = ruler.unit if ruler.count == 1 or spans == [(1, 1)] else f"{ruler.unit}s"
    part = f"{unit} {', '.join(_span(*span) for span in spans)}"
    return Excerpt(row, file.ts, text, part, f"{ruler.count}{'+' if row.is_cut else ''}", is_whole)


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"


def place_excerpts(
    history: Sequence[Said],
    asked: Said,
    excerpts: Sequence[Excerpt],
    *,
    render: Callable[[Excerpt], str],
    unread: Sequence[str] = (),
) -> tuple[list[Said], Said]:
    """Return what was said with the files in it.

    A whole file stands in its own message, so that the prompts of a thread begin alike; passages, which change from
    question to question, and files whose message is not among *history* any more stand with the question.
    """
    here = {said.ts for said in history}
    texts: dict[str, list[str]] = {asked.ts: list(unread)}
    for excerpt in excerpts:
        ts = excerpt.ts if excerpt.is_whole and excerpt.ts in here else asked.ts
        texts.setdefault(ts, []).append(render(excerpt))
    *before, last = (_add(said, texts.get(said.ts, [])) for said in (*history, asked))
    return before, last


def _add(said: Said, texts: Sequence[str]) -> Said:
    return replace(said, text="\n\n".join([*texts, said.text])) if texts else said


def quote(text: str) -> str:
    """Return a file's text as it can stand between our marks: nothing in it ends them."""
    return re.sub(r"<(?=\s*(?:/\s*)?file\b)", "‹", text, flags=re.IGNORECASE)
