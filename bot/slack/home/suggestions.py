"""What Messages suggests to ask: what this person asks most, and what fits the channel that they look at.

Nothing is asked of the model, and nothing of one place is shown in another: their own direct messages, and the channel
that they see beside it. Where somebody looks is known until they look elsewhere, and is never stored.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from bot.language import _
from bot.slack.blocks import clip
from bot.slack.calls import Calls
from bot.slack.people.directory import Directory
from bot.slack.people.wording import is_question, is_request
from bot.slack.setup.manifest import list_suggestions
from bot.slack.workspaces import key_of
from bot.storage.db import Database
from bot.storage.tables import now
from bot.storage.topics import recent_questions

METHOD = "assistant.threads.setSuggestedPrompts"
CHANNEL = "slack#/types/channel_id"
MOST, MOST_OWN = 4, 2  # Slack takes four
LATELY = timedelta(days=30)
TITLE_LENGTH, LONGEST = 60, 300  # what is longer is no question that one asks again
MOST_KNOWN = 5000  # people of whom it is known what they look at

Prompt = Mapping[str, str]


class Suggestions:
    """Suggests to each person what to ask next."""

    def __init__(self, database: Database, calls: Calls, directory: Directory) -> None:
        self._database = database
        self._calls = calls
        self._directory = directory
        self._looks: OrderedDict[str, str] = OrderedDict()
        self._shown: OrderedDict[str, int] = OrderedDict()

    async def look(self, user_id: str, team_id: str, dm_id: str, context: Mapping[str, Any]) -> None:
        """Hear what somebody looks at beside their messages, and suggest what fits, if that is something else."""
        _remember(self._looks, key_of(user_id), read_channel(context))
        await self._suggest(user_id, team_id, dm_id, is_opened=False)

    async def open(self, user_id: str, team_id: str, dm_id: str) -> None:
        """Suggest something to whoever opens their messages."""
        await self._suggest(user_id, team_id, dm_id, is_opened=True)

    async def _suggest(self, user_id: str, team_id: str, dm_id: str, *, is_opened: bool) -> None:
        prompts = await self.find(user_id, team_id)
        key, mark = key_of(user_id), hash(str(prompts))
        if (is_opened or self._shown.get(key) != mark) and dm_id:
            _remember(self._shown, key, mark)
            await self._calls.call_if_possible(METHOD, channel_id=dm_id, prompts=prompts)

    async def find(self, user_id: str, team_id: str) -> list[Prompt]:
        """Return what is suggested to somebody now."""
        channel_id = self._looks.get(key_of(user_id), "")
        since = now() - LATELY
        async with self._database.read() as session:
            asked = await recent_questions(session, user_id, team_id=team_id, channel_id=channel_id, since=since)
        here = await self._fit(channel_id) if channel_id else []
        again = [build_again(question) for question in choose_topics(asked)]
        known = {prompt["message"] for prompt in again}
        general = [prompt for prompt in list_suggestions() if prompt["message"] not in known]
        return [*here, *again, *general][:MOST]

    async def _fit(self, channel_id: str) -> list[Prompt]:
        """Return what can be asked of a channel; nothing of one that the assistant does not read or not all may."""
        channel = await self._directory.channel(channel_id)
        is_open = not any(channel.get(name) for name in ("is_private", "is_im", "is_mpim", "is_archived"))
        if not (channel.get("is_member") and channel.get("name") and is_open):
            return []
        name = f"#{channel['name']}"
        title = clip(_("Sum up {channel}").format(channel=name), TITLE_LENGTH)
        return [{"title": title, "message": f"!summarise <#{channel_id}>"}]


def read_channel(context: Mapping[str, Any]) -> str:
    """Return the channel that somebody looks at, as Slack says; empty: none."""
    entities = context.get("entities") or []
    return next((str(one.get("value")) for one in entities if one.get("type") == CHANNEL and one.get("value")), "")


def choose_topics(asked: Sequence[str]) -> list[str]:
    """Choose of what somebody asked, the newest first, what they asked most; of several alike the newest."""
    newest: dict[str, str] = {}
    fit = [text for text in map(_clean, asked) if len(text) <= LONGEST and (is_question(text) or is_request(text))]
    for text in fit:
        newest.setdefault(_core(text), text)
    counts = Counter(map(_core, fit))
    ranked = sorted(newest, key=lambda core: -counts[core])  # as new as they came where they are as frequent
    return [newest[core] for core in ranked[:MOST_OWN]]


def build_again(question: str) -> Prompt:
    """Build the suggestion to ask something again."""
    title = _("Again: {question}").format(question=question)
    return {"title": clip(title, TITLE_LENGTH), "message": question}


def _clean(text: str) -> str:
    return " ".join(text.split())


def _core(text: str) -> str:
    return text.casefold().rstrip("?!.。？！ ")


def _remember(known: OrderedDict[str, Any], key: str, value: Any) -> None:
    """Keep something of the latest people, and forget who was there longest ago."""
    known[key] = value
    known.move_to_end(key)
    if len(known) > MOST_KNOWN:
        known.popitem(last=False)
