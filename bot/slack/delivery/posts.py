"""An answer as ordinary messages: posted once, edited while it grows, split where it is too long for one."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.errors import AnswerRemoved, DeliveryError
from bot.language import _
from bot.slack.blocks import Block, build_text
from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.delivery.overflow import MOST_PARTS, Overflow
from bot.slack.delivery.render import escaped_length, render_mrkdwn
from bot.slack.delivery.split import split_markdown
from bot.slack.rates import POST
from bot.slack.sent import build_metadata

EDIT = "chat.update"
PART_LIMIT = 3_000  # rendered text must stay below the 4,000 characters that chat.update takes
BAD_BLOCKS = {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_arguments"}
GONE = {"message_not_found", "cant_update_message", "edit_window_closed"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """Where an answer goes, and to whom."""

    channel_id: str
    thread_ts: str
    user_id: str
    team_id: str
    is_direct: bool
    streams: bool = True


class Posts:
    """The messages that carry one answer; *reply_ts* are those that exist already, from an earlier attempt.

    Each is found again by *key* and its number; those of *before* stand above them.
    *is_again* says that an earlier attempt may have left a file. *on_removed* hears of one that somebody deletes.
    """

    def __init__(
        self,
        calls: Calls,
        target: Target,
        *,
        key: str,
        reply_ts: list[str],
        on_reply: Callable[[list[str]], Awaitable[None]],
        on_removed: Callable[[str], None] = lambda _ts: None,
        is_again: bool = False,
        before: int = 0,
    ) -> None:
        self._calls = calls
        self._target = target
        self._key = key
        self._before = before
        self._ts = list(reply_ts)
        self._stood = set() if is_again else set(reply_ts)  # others may have been gone before this attempt
        self._shown: dict[int, tuple[str, list[Block]]] = {}
        self._has_promise = False
        self._waits = True
        self._on_reply = on_reply
        self._on_removed = on_removed
        self._is_again = is_again
        self._most_parts = None if before else MOST_PARTS
        self._overflow = Overflow(calls, channel_id=target.channel_id, thread_ts=target.thread_ts)

    async def show(self, text: str, tail: list[Block]) -> None:
        """Show *text* so far, *tail* below its last part; a refusal is only logged, for the end will repair it.

        While Slack has no room for it nothing is shown: then there are fewer edits, and at last one post alone.
        """
        budget = self._calls.budget
        if not self._has_promise:
            if budget.room(EDIT) < 1:
                return
            budget.promise(EDIT)  # so that the end finds room for its edit
            self._has_promise = True
        try:
            await self._put_all(_split(text)[: self._most_parts], tail, is_growing=True)
        except (SlackApiError, aiohttp.ClientError, TimeoutError, AnswerRemoved) as error:
            log.info("slack: an update was skipped (%s)", error_code(error))

    async def close(self, text: str, tail: list[Block]) -> None:
        """Show the whole *text*; raise *DeliveryError* when Slack takes it in no form.

        Raises *AnswerRemoved* where somebody deleted what was shown of it: it is not said a second time.
        """
        self.let_go()
        try:
            parts = _split(text)
            if self._is_again and self._ts:
                await self._overflow.remove(first_ts=self._ts[0])
            if self._most_parts is not None and len(parts) > self._most_parts:
                parts = await self._move_to_file(text, parts, tail)
            await self._put_all(parts, tail)
            surplus = self._ts[len(parts) :]
            if surplus:  # what carries no answer any more may go: of what does, that means that somebody wants it gone
                del self._ts[len(parts) :]
                await self._on_reply(list(self._ts))
            for ts in surplus:
                await self._calls.call_if_possible("chat.delete", channel=self._target.channel_id, ts=ts)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            sentence = f"Slack did not take the answer ({error_code(error)})."
            raise DeliveryError(sentence, is_passing=is_passing(error)) from error

    def let_go(self) -> None:
        """Give back the place that was kept for the last edit."""
        if self._has_promise:
            self._calls.budget.redeem(EDIT)
            self._has_promise = False

    async def _move_to_file(self, text: str, parts: list[str], tail: list[Block]) -> list[str]:
        """Return what of a very long answer stays in messages once its file is there: the first part, or all."""
        first = f"{parts[0]}\n\n_" + _("The whole answer is in the file below.") + "_"
        await self._put_all([first], tail)
        title = _("The whole answer")
        return [first] if await self._overflow.put(text, first_ts=self._ts[0], title=title) else parts

    async def _put_all(self, parts: list[str], tail: list[Block], *, is_growing: bool = False) -> None:
        self._waits = not is_growing
        for index, part in enumerate(parts):
            blocks = build_text(part) + (tail if index == len(parts) - 1 else [])
            if self._shown.get(index) != (part, blocks):
                if is_growing and not self._has_room(index):
                    return
                await self._put(index, part, blocks)
                self._shown[index] = (part, blocks)

    def _has_room(self, index: int) -> bool:
        method = EDIT if index < len(self._ts) else POST
        return self._calls.budget.room(method, self._target.channel_id) > 0

    async def _put(self, index: int, part: str, blocks: list[Block]) -> None:
        """Edit the message at *index* or post it; blocks that Slack refuses are left out."""
        try:
            await self._edit_or_post(index, part, blocks)
        except SlackApiError as error:
            if error_code(error) not in BAD_BLOCKS:
                raise
            log.warning("slack: blocks were refused (%s); sending plain text", error_code(error))
            await self._edit_or_post(index, part, [])

    async def _edit_or_post(self, index: int, part: str, blocks: list[Block]) -> None:
        channel, text = self._target.channel_id, render_mrkdwn(part) or " "
        if index < len(self._ts) and await self._edit_if_there(index, text, blocks):
            return
        posted = await self._calls.post(
            self._key_of(index),
            waits=self._waits,
            channel=channel,
            thread_ts=self._target.thread_ts,
            text=text,
            blocks=blocks,
            unfurl_links=False,
            unfurl_media=False,
        )
        self._ts[index : index + 1] = [str(posted["ts"])]
        self._stood.add(self._ts[index])
        await self._on_reply(list(self._ts))
        if posted.get("was_there"):  # with what it showed then
            await self._edit(index, text, blocks)

    async def _edit_if_there(self, index: int, text: str, blocks: list[Block]) -> bool:
        """Edit a message; False where that cannot be, and where nobody deleted it under our hands."""
        ts = self._ts[index]
        for is_second in (False, True):
            try:
                await self._edit(index, text, blocks)
            except SlackApiError as error:
                if error_code(error) not in GONE:
                    raise
                if is_second or ts not in self._stood:
                    return False
                await self._raise_if_removed(ts)
            else:
                self._stood.add(ts)
                return True
        return False

    async def _raise_if_removed(self, ts: str) -> None:
        """Raise *AnswerRemoved* if a message that Slack did not let us change is gone from its thread.

        It can refuse a change for other reasons as well; where the thread cannot be read, nobody knows.
        """
        try:
            sent = await self._calls.read_sent(self._target.channel_id, self._target.thread_ts)
        except SlackApiError as error:
            if is_passing(error):
                raise
            return
        if ts not in {message.ts for message in sent}:
            self._on_removed(ts)
            raise AnswerRemoved

    async def _edit(self, index: int, text: str, blocks: list[Block]) -> None:
        place = {"channel": self._target.channel_id, "ts": self._ts[index]}
        content = {"text": text, "blocks": blocks, "metadata": build_metadata(self._key_of(index))}
        call = self._calls.call if self._waits else self._calls.call_now
        try:
            await call(EDIT, **place, **content)
        except SlackApiError as error:
            if error_code(error) != "streaming_state_conflict":
                raise
            await self._calls.call_if_possible("chat.stopStream", **place)
            await call(EDIT, **place, **content)

    def _key_of(self, index: int) -> str:
        return f"{self._key}/{self._before + index}"


def _split(text: str) -> list[str]:
    return split_markdown(text, limit=PART_LIMIT, measure=escaped_length) or [""]
