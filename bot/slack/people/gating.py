"""Should the assistant answer this event? Pure choices on Slack's payloads and what is known of channel and thread."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.slack.people.wording import is_one_of, is_question, is_request, named_first, wants_quiet
from bot.slack.text import has_mention, mentioned_users
from bot.storage.inbox import Arrival
from bot.storage.manners_tables import Mode
from bot.storage.threads import Place

SPOKEN_SUBTYPES = {None, "", "file_share", "thread_broadcast", "me_message"}
MOST_TALKERS = 3


class Verdict(StrEnum):
    """What becomes of a message; all but IGNORE have an outcome that somebody sees."""

    ANSWER = "message"
    IGNORE = "ignored"
    TALK = "talk"  # people begin to talk to each other: stay out of it, and say so once
    OFF = "off"  # mentioned where an admin has switched it off
    HUSH = "hush"  # told to be quiet in this thread
    STRANGER = "stranger"  # somebody of another organisation wants something
    STALE = "stale"  # missed, and too old to be answered without being asked again
    CROWDED = "crowded"  # too much is asked at once, by one person, in one channel or by all


@dataclass(frozen=True)
class Guests:
    """Who else may be heard: workspaces by id, and bots by the id of the bot or of its user."""

    teams: frozenset[str] = frozenset()
    bots: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Heard:
    """A message that the assistant can read; *place* is the thread that an answer would go to."""

    arrival: Arrival
    place: Place
    user_id: str
    is_direct: bool
    is_mention: bool
    is_reply: bool
    is_to_others: bool
    is_question: bool
    is_request: bool
    is_hush: bool
    is_stranger: bool
    named: str = ""
    bot_id: str = ""
    is_stale: bool = False  # it was missed, and found so late that it is not answered any more


@dataclass(frozen=True)
class Scene:
    """What is known of the channel and the thread when a message comes in."""

    mode: Mode = Mode.THREAD
    is_engaged: bool = False  # the assistant takes part in the thread, and the thread is not idle
    is_muted: bool = False
    is_talk: bool = False
    is_told: bool = False
    is_refused: bool = False
    is_welcome: bool = False  # an admin has allowed this stranger by name
    is_looping: bool = False  # this bot has said too much within a while
    talkers: tuple[str, ...] = ()
    waiting: frozenset[str] = field(default_factory=frozenset)  # whose messages here have no answer yet
    partners: Mapping[str, str] = field(default_factory=dict)  # the names of those who spoke to it here, by their ids


def hear(body: Mapping[str, Any], *, bot_user_id: str, bot_id: str = "", guests: Guests | None = None) -> Heard | None:
    """Read an event; None when nobody speaks who may be heard."""
    guests = guests or Guests()
    event = body.get("event")
    if not isinstance(event, dict) or event.get("type") not in {"message", "app_mention"}:
        return None
    channel, ts, user = (event.get(key) for key in ("channel", "ts", "user"))
    bot = ""
    if event.get("bot_id") or event.get("subtype") == "bot_message":
        bot = _find_bot(body, event, bot_user_id=bot_user_id, bot_id=bot_id, guests=guests)
        if not bot:
            return None
        user = user or bot
    elif event.get("subtype") not in SPOKEN_SUBTYPES or user in {bot_user_id, "USLACKBOT"}:
        return None
    if not (channel and ts and user):
        return None
    place = Place(_team(body, event), str(channel), str(event.get("thread_ts") or ts))
    text = str(event.get("text") or "")
    is_mention = event["type"] == "app_mention" or has_mention(event, bot_user_id)
    return Heard(
        arrival=_arrival(body, event, place),
        place=place,
        user_id=str(user),
        is_direct=event.get("channel_type") == "im" or str(channel).startswith("D"),
        is_mention=is_mention,
        is_reply=event.get("thread_ts") not in {None, ts},
        is_to_others=not is_mention and any(other != bot_user_id for other in mentioned_users(event)),
        is_question=is_question(text),
        is_request=is_request(text),
        is_hush=wants_quiet(text),
        is_stranger=_is_stranger(body, event, guests),
        named="" if is_mention else named_first(text),
        bot_id=bot,
    )


def wants_answer(heard: Heard, scene: Scene) -> Verdict:
    """Return what becomes of a message: answered in direct messages, when mentioned, and as the channel's mode says.

    Talk between people is left alone, and a stranger gets one refusal a thread.
    """
    if heard.bot_id:
        is_asked = heard.is_mention and scene.mode is not Mode.OFF
        return Verdict.ANSWER if is_asked and not scene.is_looping else Verdict.IGNORE
    verdict = Verdict.ANSWER if heard.is_direct else _in_channel(heard, scene)
    if heard.is_stranger and not scene.is_welcome and verdict is not Verdict.IGNORE:
        is_to_us = heard.is_direct or heard.is_mention or scene.is_engaged  # not what they ask anybody in the channel
        is_news = is_to_us and verdict is not Verdict.TALK and not scene.is_refused
        return Verdict.STRANGER if is_news else Verdict.IGNORE
    return verdict


def _in_channel(heard: Heard, scene: Scene) -> Verdict:
    if scene.mode is Mode.OFF:
        return Verdict.OFF if heard.is_mention else Verdict.IGNORE
    if heard.is_hush and (heard.is_mention or (heard.is_reply and scene.is_engaged and not heard.is_to_others)):
        return Verdict.IGNORE if scene.is_muted and not heard.is_mention else Verdict.HUSH
    if heard.is_mention:
        return Verdict.ANSWER
    if heard.is_reply:
        return _in_thread(heard, scene)
    is_wanted = scene.mode is Mode.EVERYTHING or (scene.mode is Mode.QUESTIONS and heard.is_question)
    return Verdict.ANSWER if is_wanted and not heard.is_to_others else Verdict.IGNORE


def _in_thread(heard: Heard, scene: Scene) -> Verdict:
    is_ours = scene.is_engaged or scene.mode is Mode.EVERYTHING
    if scene.mode is Mode.MENTION or scene.is_muted or scene.is_talk or not is_ours:
        return Verdict.IGNORE
    if heard.is_to_others or is_one_of(heard.named, scene.partners.values()):
        return Verdict.TALK
    return Verdict.ANSWER if heard.is_question or heard.is_request else _weigh_remark(heard, scene)


def _weigh_remark(heard: Heard, scene: Scene) -> Verdict:
    """Tell a word for the assistant from one about what somebody has just said: nothing in it says which it is."""
    if scene.waiting - {heard.user_id}:  # somebody else's word is still unanswered: this is about that
        return Verdict.IGNORE
    known = scene.partners.keys() | scene.waiting
    if known and heard.user_id not in known:  # who never spoke to it here speaks to those who did
        return Verdict.IGNORE
    is_reply = bool(known and scene.talkers) and scene.talkers[-1] not in known | {heard.user_id}
    return Verdict.TALK if is_reply or _take_turns((*scene.talkers, heard.user_id)) else Verdict.ANSWER


def next_talkers(heard: Heard, scene: Scene) -> tuple[str, ...]:
    """Return who made remarks in turn, after *heard*; a mention, a question or a request begins anew."""
    if heard.is_mention or heard.is_question or heard.is_request:
        return ()
    return (*scene.talkers, heard.user_id)[-MOST_TALKERS:]


def _take_turns(speakers: tuple[str, ...]) -> bool:
    """Return whether two people speak in turn: one, the other, and the first again."""
    last = speakers[-3:]
    return len(last) == 3 and last[0] == last[2] != last[1]


def _arrival(body: Mapping[str, Any], event: Mapping[str, Any], place: Place) -> Arrival:
    ts = str(event["ts"])
    return Arrival(
        event_id=str(body.get("event_id") or f"{place.channel_id}:{ts}:{event['type']}"),
        team_id=place.team_id,
        channel_id=place.channel_id,
        ts=ts,
        thread_ts=place.thread_ts,
        kind="message",
        payload={"event": event, "is_shared": bool(body.get("is_ext_shared_channel"))},
    )


def _find_bot(
    body: Mapping[str, Any], event: Mapping[str, Any], *, bot_user_id: str, bot_id: str, guests: Guests
) -> str:
    """Return the id by which another bot is allowed to be heard; never our own."""
    ours = {bot_user_id, bot_id, str(body.get("api_app_id") or "")} - {""}
    names = {str(event.get(key) or "") for key in ("user", "bot_id", "app_id")} - {""}
    if names & ours or event.get("subtype") not in {*SPOKEN_SUBTYPES, "bot_message"}:
        return ""
    return next(iter(sorted(names & guests.bots)), "")


def _is_stranger(body: Mapping[str, Any], event: Mapping[str, Any], guests: Guests) -> bool:
    """Return whether the author may be of another organisation; in a shared channel everybody is who is not named.

    A workspace of the same organisation is told from others when Slack is asked about the person.
    """
    authorizations = body.get("authorizations") or [{}]
    home = {str(authorizations[0].get(key) or "") for key in ("team_id", "enterprise_id")} - {""}
    team = str(event.get("user_team") or event.get("source_team") or "")
    if team:
        is_sibling = bool(authorizations[0].get("enterprise_id")) and not body.get("is_ext_shared_channel")
        return team not in home | guests.teams and not is_sibling
    return bool(body.get("is_ext_shared_channel")) and str(event.get("team") or "") not in home | guests.teams


def _team(body: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """Return the workspace that installed the app: in a shared channel `team_id` can be somebody else's."""
    authorizations = body.get("authorizations") or [{}]
    return str(authorizations[0].get("team_id") or body.get("team_id") or event.get("team") or "")
