"""Files that people share with the assistant: announced by Slack, fetched, read, and told about in words."""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from bot.conversation.draft import Draft
from bot.conversation.pictures import MOST_SHOWN, Picture
from bot.files.found import Extract, Unreadable
from bot.files.kinds import HEAD, Kind, clean_name, find_image, find_kind, guess_kind
from bot.files.reader import FileReader
from bot.language import _
from bot.slack.blocks import Block, context
from bot.slack.calls import Calls
from bot.slack.delivery.render import escape
from bot.slack.files.fetch import FileFetcher, NotFetched
from bot.slack.files.words import describe
from bot.slack.turns.place import METHOD, tell_thinking
from bot.storage.askings import is_private
from bot.storage.db import Database
from bot.storage.file_tables import FileState, MessageFile
from bot.storage.files import SharedFile, ThreadFile, load_thread_files, refuse_file, save_file_text

MOST_FILES = 20  # of one message; Slack's own composer takes ten
MOST_STORED = 400_000  # characters of one file
PICTURES_S = 45.0  # the pictures of one answer, which came before
ID = re.compile(r"F[A-Z0-9]{5,30}")
FILE_LINE = re.compile(r"\[file: [^\n]*\]")
BEYOND = {"tombstone", "hidden_by_limit", "hidden_by_policy", "access_denied"}

log = logging.getLogger(__name__)


def list_files(event: Mapping[str, Any]) -> list[SharedFile]:
    """Return the files of a message and of the messages that it shares; what is gone in Slack is left out."""
    found = [*_dicts(event.get("files"))]
    for attachment in _dicts(event.get("attachments")):
        found += _dicts(attachment.get("files"))
    return [_read(file) for file in found if _is_there(file)][:MOST_FILES]


def _is_there(file: Mapping[str, Any]) -> bool:
    return bool(ID.fullmatch(str(file.get("id")))) and file.get("mode") not in BEYOND


def _read(file: Mapping[str, Any]) -> SharedFile:
    is_elsewhere = file.get("mode") == "external" or file.get("is_external") is True
    size = file.get("size")
    return SharedFile(
        slack_id=str(file["id"]),
        name=clean_name(str(file.get("name") or file.get("title") or "")) or str(file["id"]),
        mimetype=str(file.get("mimetype") or "").lower()[:100],
        size=size if isinstance(size, int) and 0 <= size < 2**31 else 0,
        url="" if is_elsewhere else str(file.get("url_private") or "")[:4000],
        permalink=str(file.get("permalink") or "")[:2000],
    )


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


class FileDesk:
    """Reads what the messages of a thread brought along, once; pictures are fetched for each answer anew."""

    def __init__(self, database: Database, calls: Calls, fetcher: FileFetcher, reader: FileReader) -> None:
        self._database = database
        self._calls = calls
        self._fetcher = fetcher
        self._reader = reader
        self._one_by_one: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read_new(self, draft: Draft) -> None:
        """Read the files of a draft's thread that nobody has read; whatever is wrong with one is stored with it."""
        question = draft.question
        async with self._database.read() as session:
            files = await load_thread_files(session, {draft.thread_id, draft.read_id}, until_ts=question.ts)
        fresh = [file for file in files if file.row.state == FileState.NEW]
        for file in fresh:
            await self._say(draft, _("is reading {name}…").format(name=file.row.name))
            await draft.unless_stopped(self._read_in_turn(file.row, question.user_id))
        if fresh:
            await self._say(draft, tell_thinking())

    async def _say(self, draft: Draft, status: str) -> None:
        place = draft.question.place
        if is_private(place):  # whose thread is none
            return
        where = {"channel_id": place.channel_id, "thread_ts": place.thread_ts}
        await self._calls.call_if_possible(METHOD, status=status, **where)

    async def fetch_pictures(self, draft: Draft) -> list[Picture]:
        """Return the newest pictures of a draft's thread, as many as come within a while; none when it is stopped."""
        return await draft.unless_stopped(self._fetch_pictures(_shown_pictures(draft))) or []

    async def _fetch_pictures(self, rows: Sequence[MessageFile]) -> list[Picture]:
        pictures, until = [], asyncio.get_running_loop().time() + PICTURES_S
        for row in rows:
            try:
                async with asyncio.timeout_at(until):
                    content = await self._fetch(row)
            except (NotFetched, TimeoutError) as error:
                log.info("files: a picture did not come (%s)", getattr(error, "reason", "late"))
                continue
            if mimetype := find_image(content[:HEAD]):
                pictures.append(Picture(mimetype, content, row.id))
        return pictures

    async def _read_in_turn(self, row: MessageFile, user_id: str) -> None:
        """Read one file of a person after the other: some take half a minute, and others want to be read too."""
        async with self._one_by_one.setdefault(user_id, asyncio.Lock()):
            await self._read(row)

    async def _read(self, row: MessageFile) -> None:
        kind = guess_kind(row.name, row.mimetype)
        try:
            content = await self._fetch(row)
            kind = find_kind(row.name, row.mimetype, content)
            found = await self._extract(kind, content)
        except (NotFetched, Unreadable) as error:
            reason = error.reason if isinstance(error, NotFetched) else error.trouble.value
            is_final = not (isinstance(error, NotFetched) and error.is_passing)
            async with self._database.begin() as session:
                await refuse_file(session, row.id, kind=kind, reason=reason, is_final=is_final)
            return
        pages = [start for start in found.pages if start < MOST_STORED]
        is_cut = found.is_cut or len(found.text) > MOST_STORED
        async with self._database.begin() as session:
            await save_file_text(session, row.id, kind=kind, text=found.text[:MOST_STORED], pages=pages, is_cut=is_cut)

    async def _extract(self, kind: Kind, content: bytes) -> Extract:
        if kind is Kind.OTHER or (kind is Kind.AUDIO and not self._reader.hears):
            raise NotFetched(kind.value)
        return await self._reader.read(kind, content)

    async def _fetch(self, row: MessageFile) -> bytes:
        if row.size > self._fetcher.most_bytes:
            raise NotFetched("too_large")
        url = row.url
        if not url:  # in a channel that is shared with others, Slack says no more than that there is a file
            answer = await self._calls.call_if_possible("files.info", file=row.slack_id)
            file = (answer or {}).get("file") or {}
            url = "" if file.get("is_external") else str(file.get("url_private") or "")
        return await self._fetcher.fetch(url, token=self._calls.token(), mimetype=row.mimetype)

    def build_sources(self, draft: Draft) -> list[Block]:
        """Build the line below an answer that names the files, and the parts of them, which it was made from."""
        named = [
            _("{name} ({part} of {count})").format(name=self._link(excerpt.row), part=excerpt.part, count=excerpt.of)
            if not excerpt.is_whole
            else self._link(excerpt.row)
            for excerpt in draft.excerpts
        ]
        return [context(_("From {files}").format(files=", ".join(named)))] if named else []

    def _link(self, row: MessageFile) -> str:
        name = escape(row.name)
        return f"<{row.permalink}|{name}>" if self._fetcher.is_permalink(row.permalink) else f"*{name}*"

    def explain(self, draft: Draft) -> list[str]:
        """Say in a sentence each which files of the question, and how much of them, the answer knows nothing of."""
        own = _own(draft)
        megabytes = self._fetcher.most_bytes // 1_000_000
        sentences = [describe(file.row, megabytes=megabytes) for file in own if file.row.state != FileState.READ]
        if not draft.sees and any(_is_picture(file) for file in own):
            sentences.append(_("I cannot see images: the model that I run on reads text only."))
        shown = {excerpt.row.id for excerpt in draft.excerpts}
        left_out = [file.row.name for file in own if file.row.text and file.row.id not in shown]
        if left_out:
            sentences.append(
                _("There was no room for {files}: my memory is too short for it.").format(files=", ".join(left_out))
            )
        elif any(not excerpt.is_whole for excerpt in draft.excerpts):
            sentences.append(_("I read only the parts that seemed to matter: the rest is too long for me at once."))
        return sentences


def is_bare(text: str) -> bool:
    """Return whether a message says nothing besides naming its files."""
    return not FILE_LINE.sub("", text).strip()


def knows_something(draft: Draft) -> bool:
    """Return whether any file of a draft's own message can be answered from."""
    own = _own(draft)
    return not own or any(file.row.text or (draft.sees and _is_picture(file)) for file in own)


def _shown_pictures(draft: Draft) -> list[MessageFile]:
    """Return the pictures that a model which sees is shown."""
    return [file.row for file in draft.files if _is_picture(file)][-MOST_SHOWN:]


def _own(draft: Draft) -> list[ThreadFile]:
    moments = {part.ts for part in draft.question.parts}
    return [file for file in draft.files if file.ts in moments]


def _is_picture(file: ThreadFile) -> bool:
    return file.row.kind == Kind.IMAGE and file.row.state == FileState.READ


def tell_unseen(draft: Draft) -> list[str]:
    """Say in a sentence each which pictures did not come this time, so that the answer was made without them."""
    came = {picture.file_id for picture in draft.pictures}
    unseen = [row for row in _shown_pictures(draft) if draft.sees and row.id not in came]
    sentence = _("I could not fetch {name} from Slack: please ask me again in a minute.")
    return [sentence.format(name=row.name) for row in unseen]
