"""The way into the inbox: events that wait at the same moment share one commit, in the order in which they came."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from bot.metrics import ACCEPT_SECONDS, EVENTS
from bot.slack.commands.bang import NEAR, ORDER, STOP, UNHEARD, as_mistyped, is_order, mark_order
from bot.slack.commands.orders import Commands
from bot.slack.people.gating import Guests, Heard, Scene, Verdict, hear, next_talkers, wants_answer
from bot.slack.standstill import Standstill
from bot.slack.throttle import MINUTE, Full, Limits, Throttle
from bot.slack.turns.doubt import Doubt
from bot.slack.turns.newest_edits import NewestEdits, is_late_edit
from bot.storage import inbox
from bot.storage.admin_tables import Right
from bot.storage.channel_settings import ChannelRules, load_rules
from bot.storage.db import Database, Session
from bot.storage.implicit import note_taking_over
from bot.storage.manners_tables import ThreadManners
from bot.storage.rights import find_right
from bot.storage.tables import now
from bot.storage.thread_manners import (
    change_manners,
    count_bot_words,
    find_manners,
    load_speakers,
    note_bot_word,
    waiting_speakers,
)
from bot.storage.troubles import is_away
from bot.storage.waiting import count_by_person, name_refusal

MISSED = "missed:"  # before the id of an event of which only Slack's history told
IN_LINE = "is_in_line"  # in Bolt's context: whoever takes the message from the inbox does the rest, after the ack
COUNTED = {Verdict.ANSWER, Verdict.OFF, Verdict.HUSH, Verdict.STRANGER}  # whoever wants something of us, so often
LOOP_WORDS = 3
LOOP_WINDOW = timedelta(minutes=10)
MOST_ORDERS = 60  # of a person a minute that are stored; who gives them hears of fewer that they are too many
PATIENCE_S = 3.0  # Slack takes for lost what is stored later
REFUSED_S = 30.0  # a try that failed says so long that the next one would


@dataclass
class Known:
    """What a transaction has read already, and what it has put in line since."""

    rules: dict[tuple[str, str], ChannelRules] = field(default_factory=dict)
    line: Counter[str] | None = None  # how many of each person wait for an answer
    speakers: dict[str, str] = field(default_factory=dict)  # whose each of those events is


@dataclass(frozen=True)
class Manners:
    """How the assistant behaves where no channel says otherwise."""

    merge_s: float = 1.5  # messages of one person in a thread that follow each other so fast are one
    idle_s: float = 24 * 3600.0  # a thread in which it was not spoken to for so long is over
    guests: Guests = field(default_factory=Guests)
    limits: Limits = field(default_factory=Limits)
    keeps_signs: bool = False  # also that a person answered where it had


class Intake:
    """Commits events; whoever put one in hears of it when it is safe on the disk."""

    def __init__(self, database: Database, manners: Manners | None = None) -> None:
        self._database = database
        self._manners = manners or Manners()
        self._throttle = Throttle(self._manners.limits)
        self._waiting: list[tuple[Heard, asyncio.Future[str]]] = []
        self._speakers: dict[str, str] = {}
        self._committing: asyncio.Task[None] | None = None
        self._began_at, self._refused_at = math.inf, -math.inf  # the commit under way, and the last one if it failed
        self.commands: Commands | None = None  # what can be ordered with `!NAME`
        self.edits = NewestEdits()  # some come before their message
        self.doubt, self.standstill = Doubt(), Standstill()

    def hear(self, body: Mapping[str, Any], *, bot_user_id: str, bot_id: str) -> Heard | None:
        """Read an event; None when nobody speaks who may be heard."""
        if is_late_edit(body):
            return None
        body = self.edits.apply(body)
        heard = hear(body, bot_user_id=bot_user_id, bot_id=bot_id, guests=self._manners.guests)
        if heard is None or self.commands is None:
            return heard
        return mark_order(heard, self.commands, bot_user_id=bot_user_id)

    def is_order(self, text: str, *, bot_user_id: str) -> bool:
        """Return whether a message's new words are an order, which no question's edit gives."""
        return self.commands is not None and is_order(text, bot_user_id=bot_user_id, among=self.commands)

    async def put(self, heard: Heard) -> bool:
        """Return when *heard* is committed, known already, or found not to want an answer; raise what prevents it.

        False: its author floods us and knows it, so nothing of it is stored, and nothing more is to be done.
        """
        is_for_us = (heard.is_direct or heard.is_mention) and not _is_missed(heard)
        if is_for_us and heard.arrival.kind != ORDER and self._throttle.is_shut(heard.user_id):
            EVENTS.labels("refused").inc()
            return False
        began = time.perf_counter()
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((heard, outcome))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all())
        EVENTS.labels(await outcome).inc()
        ACCEPT_SECONDS.observe(time.perf_counter() - began)
        return True

    def is_storing(self) -> bool:
        """Return whether the database takes what Slack brings, as far as its latest try can tell."""
        moment = time.monotonic()
        return moment - self._began_at < PATIENCE_S and moment - self._refused_at > REFUSED_S

    async def _commit_all(self) -> None:
        """Commit what waits, and what comes in meanwhile: a disk's few milliseconds are paid once for all of them."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            self._began_at = time.monotonic()
            try:
                with self._throttle.unless_it_fails():
                    found = await self._store(batch)
            except Exception as error:  # noqa: BLE001 - each of them hears of it, is not acknowledged and comes again
                if is_away(error):
                    self._refused_at = time.monotonic()
                for _, outcome in batch:
                    if not outcome.done():
                        outcome.set_exception(error)
            else:
                self._refused_at = -math.inf
                for (_, outcome), word in zip(batch, found, strict=True):
                    if not outcome.done():
                        outcome.set_result(word)
            finally:
                self._began_at = math.inf

    async def _store(self, batch: list[tuple[Heard, asyncio.Future[str]]]) -> list[str]:
        async with self._database.begin() as session:
            known = Known(speakers=self._speakers)
            return [await accept(session, heard, self._manners, known, self._throttle) for heard, _ in batch]


async def accept(
    session: Session, heard: Heard, manners: Manners, known: Known, throttle: Throttle | None = None
) -> str:
    """Decide what becomes of a message and store it in the same transaction; return the word that is counted."""
    throttle = throttle or Throttle()
    if heard.arrival.kind == UNHEARD or (heard.arrival.kind == NEAR and not await _takes_part(session, heard, manners)):
        return "ignored"
    heard = as_mistyped(heard) if heard.arrival.kind == NEAR else heard
    if heard.arrival.kind == ORDER and not heard.is_stale:
        place = heard.place
        if await inbox.is_known(session, place.team_id, place.channel_id, ts=heard.arrival.ts):
            return "known"  # a question that was made an order since, which its author is told
        is_new = await inbox.accept(session, heard.arrival)
        return await _count(session, heard, throttle, known, is_new=is_new)
    rules = await _find_rules(session, heard, known)
    thread = await find_manners(session, heard.place) if _needs_thread(heard) else None
    scene = await _look(session, heard, rules, thread, manners)
    verdict = wants_answer(heard, scene)
    if heard.is_stale:
        verdict = Verdict.STALE if verdict in {Verdict.ANSWER, Verdict.HUSH} else Verdict.IGNORE
    if manners.keeps_signs and _may_take_over(heard, scene, verdict):
        await note_taking_over(session, heard.place, user_id=heard.user_id)
    if verdict is Verdict.IGNORE or (verdict is Verdict.TALK and scene.is_told):
        if thread is not None and scene.is_engaged:
            thread.is_talk = thread.is_talk or verdict is Verdict.TALK
            thread.talkers = list(next_talkers(heard, scene))
        return "ignored"
    merge_s = manners.merge_s if rules.merge_s is None else rules.merge_s
    is_merged = verdict is Verdict.ANSWER and heard.is_reply and not heard.bot_id
    is_new = await inbox.accept(session, _arrive(heard, verdict, scene), merge_s=merge_s if is_merged else 0)
    if is_new:
        await _note(session, heard, verdict, scene, thread)
    if verdict in COUNTED:
        return await _count(session, heard, throttle, known, is_new=is_new)
    return "accepted" if is_new else "known"


async def _takes_part(session: Session, heard: Heard, manners: Manners) -> bool:
    """Return whether the assistant takes part in a thread, and is not to be quiet there."""
    thread = await find_manners(session, heard.place)
    is_quiet = heard.is_stale or bool(heard.bot_id) or thread is None or thread.is_muted
    return thread is not None and not is_quiet and _is_engaged(heard, thread, manners)


def _is_engaged(heard: Heard, thread: ThreadManners, manners: Manners) -> bool:
    """Return whether the assistant takes part in a thread that is not idle."""
    return bool(thread.active_ts) and float(heard.arrival.ts) - float(thread.active_ts or 0) <= manners.idle_s


def _may_take_over(heard: Heard, scene: Scene, verdict: Verdict) -> bool:
    """Return whether a message between people may answer what the assistant was asked."""
    is_between = scene.is_engaged and verdict in {Verdict.IGNORE, Verdict.TALK}
    return is_between and not (heard.is_stranger or heard.bot_id or heard.is_question)


async def _count(session: Session, heard: Heard, throttle: Throttle, known: Known, *, is_new: bool) -> str:
    """Count a message that was stored; take it out of the line when it is one too many, and say so once a minute."""
    if not is_new:
        return "known"
    is_order = heard.arrival.kind == ORDER  # counted apart, so that !stop works while questions are too many
    # What was missed comes all at once, and was not said at once.
    minute = f"@{float(heard.arrival.ts) // MINUTE:.0f}" if _is_missed(heard) else ""
    if is_order:
        refusal = throttle.take(f"!{_kind_of(heard)}{heard.user_id}", minute=minute, most=MOST_ORDERS)
    else:
        if throttle.counts_queue and known.line is None:
            known.line = await count_by_person(session, known.speakers)  # once: it takes long in a long line
            known.line[heard.user_id] -= 1  # without this one
        channel_id = "" if heard.is_direct else heard.place.channel_id
        refusal = throttle.take(heard.user_id, channel_id, line=known.line, minute=minute)
    if refusal is None:
        if known.line is not None and not is_order:
            known.line[heard.user_id] += 1
        return "accepted"
    await inbox.turn_away(session, heard.arrival)
    if refusal.is_news:
        word = {"user_id": heard.user_id, "is_reply": heard.is_reply, "full": refusal.full, "seconds": refusal.seconds}
        name = f"{heard.arrival.event_id}!"
        if refusal.full is Full.PERSON and not (is_order or minute):  # nothing is stored of what comes now
            name = name_refusal(heard.arrival.ts, heard.user_id, seconds=refusal.seconds)
        told = replace(
            heard.arrival,
            event_id=name,
            thread_ts=heard.place.thread_ts,
            kind=Verdict.CROWDED.value,
            payload=word,
        )
        await inbox.accept(session, told)
    return "refused"


def _kind_of(heard: Heard) -> str:
    """Return what is counted apart from other orders: who orders too much can still end what is written."""
    name = str(heard.arrival.payload["order"]).partition(" ")[0]
    return f"{STOP} " if name == STOP else ""


def _is_missed(heard: Heard) -> bool:
    return heard.arrival.event_id.startswith(MISSED)


async def _find_rules(session: Session, heard: Heard, known: Known) -> ChannelRules:
    if heard.is_direct:
        return ChannelRules()
    channel = (heard.place.team_id, heard.place.channel_id)
    if channel not in known.rules:
        known.rules[channel] = await load_rules(session, *channel)
    return known.rules[channel]


def _needs_thread(heard: Heard) -> bool:
    """Return whether the thread matters: what stands in none can only begin one."""
    return heard.is_reply and (heard.is_stranger or not heard.is_direct)


async def _look(
    session: Session, heard: Heard, rules: ChannelRules, thread: ThreadManners | None, manners: Manners
) -> Scene:
    """Gather what the decision needs, and nothing that it does not."""
    scene = Scene(mode=rules.mode)
    if heard.is_stranger:
        scene = replace(scene, is_welcome=await find_right(session, heard.user_id) is Right.MEMBER)
    if heard.bot_id and heard.is_mention:
        since = now() - LOOP_WINDOW
        said = await count_bot_words(session, heard.place.team_id, heard.bot_id, since=since)
        scene = replace(scene, is_looping=said >= LOOP_WORDS)
    if thread is None:
        return scene
    scene = replace(
        scene,
        is_engaged=_is_engaged(heard, thread, manners),
        is_muted=thread.is_muted,
        is_talk=thread.is_talk,
        is_told=thread.is_told,
        is_refused=thread.is_refused,
        talkers=tuple(thread.talkers),
    )
    if not scene.is_engaged or heard.is_mention or heard.is_direct:
        return scene
    waiting = frozenset(await waiting_speakers(session, heard.place))
    return replace(scene, waiting=waiting, partners=await load_speakers(session, heard.place))


def _arrive(heard: Heard, verdict: Verdict, scene: Scene) -> inbox.Arrival:
    """Return what is stored: the message itself where it is answered, and otherwise nothing that was said."""
    if verdict is Verdict.ANSWER:
        return heard.arrival
    payload = {"user_id": heard.user_id, "is_reply": heard.is_reply, "was_muted": scene.is_muted}
    return replace(heard.arrival, kind=verdict.value, thread_ts=heard.place.thread_ts, payload=payload)


async def _note(session: Session, heard: Heard, verdict: Verdict, scene: Scene, thread: ThreadManners | None) -> None:
    """Remember what the next message in the thread will be judged by; it may come within the same commit."""
    if heard.bot_id:
        note_bot_word(session, heard.place.team_id, heard.bot_id)
    if verdict is Verdict.STRANGER or (verdict not in {Verdict.OFF, Verdict.STALE} and not heard.is_direct):
        await change_manners(session, heard.place, thread, _find_news(heard, verdict, scene, thread))


def _find_news(heard: Heard, verdict: Verdict, scene: Scene, thread: ThreadManners | None) -> dict[str, Any]:
    """Return what a message changes about its thread."""
    if verdict is Verdict.HUSH:
        return {"is_muted": True}
    if verdict is Verdict.STRANGER:
        return {"is_refused": True}
    if verdict is Verdict.TALK:
        return {"is_talk": True, "is_told": True, "talkers": []}
    ts = heard.arrival.ts
    return {
        "active_ts": ts if thread is None else max(thread.active_ts or "0", ts, key=float),
        "talkers": list(next_talkers(heard, scene)),
        "is_talk": scene.is_talk and not heard.is_mention,
    }
