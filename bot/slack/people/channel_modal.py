"""`channel`: a form about the channel in which it is ordered: what is answered, merged and learned there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.errors import LearningError
from bot.language import _
from bot.learning.control import Learning
from bot.slack.blocks import Block, build_note, plain, section
from bot.slack.calls import Calls
from bot.slack.commands.orders import SILENCE, Call, Command, Reply, Role, UsageError
from bot.slack.delivery.render import escape
from bot.slack.listeners import acknowledge_done
from bot.slack.people.access import Access, tell_refusal
from bot.slack.people.rooms import Rooms
from bot.storage.channel_settings import ChannelRules, load_rules, save_rules
from bot.storage.choices import CHANNEL, OWN_ADAPTER
from bot.storage.db import Database
from bot.storage.manners_tables import Mode

CHANNEL_FORM = "channel_form"
MODE, MERGE, TRAINING = "mode", "merge", "training"
DEFAULT = "default"
MERGES = ("0", "1.5", "3", "5")
LEARN, OWN, NOTHING = "learn", "own", "nothing"


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What is chosen for a channel; *training* is empty where nothing can be learned."""

    rules: ChannelRules
    training: str = ""


class ChannelForm:
    """Shows the form to those who may, and keeps what they chose."""

    def __init__(self, database: Database, calls: Calls, access: Access, learning: Learning | None) -> None:
        self._database = database
        self._calls = calls
        self._access = access
        self._learning = learning

    async def open(self, call: Call) -> Reply:
        """Open the form; whoever may not change anything is told how it is here."""
        if call.channel_id.startswith("D"):
            raise UsageError(_("This is about a channel: order it there."))
        state = await self._load(call.team_id, call.channel_id)
        if not await self._may(call.user_id, call.team_id, call.channel_id):
            return Reply(f"{tell_mode(state.rules.mode)} {tell_refusal(call.role, Role.ADMIN)}", is_done=False)
        if not call.trigger_id:
            return Reply(f"{tell_mode(state.rules.mode)} " + _("`/apprentice channel` opens the form."))
        is_admin = call.role >= Role.ADMIN
        shown = state if is_admin else replace(state, training="")
        place = {"channel": call.channel_id, "team": call.team_id, "shown": _as_shown(shown)}
        view = build_channel_form(call.channel_id, shown, private_metadata=json.dumps(place))
        opened = await self._calls.open_form(call.user_id, trigger_id=call.trigger_id, view=view)
        return SILENCE if opened is not None else Reply(_("The form did not open; please try again."), is_done=False)

    async def handle_submit(self, ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        """Keep what was changed in the form, and say so."""
        place, user_id = json.loads(view["private_metadata"]), body["user"]["id"]
        if text := await acknowledge_done(ack, self._keep(place, user_id, view)):
            await self._calls.call_if_possible("chat.postEphemeral", channel=place["channel"], user=user_id, text=text)

    async def _keep(self, place: Mapping[str, Any], user_id: str, view: Mapping[str, Any]) -> str:
        """Keep what was changed by whoever still may, and return what to say; what somebody else chose since stays."""
        team_id, channel_id = place["team"], place["channel"]
        if not await self._may(user_id, team_id, channel_id):
            return ""
        chosen = read_channel_form(view["state"]["values"])
        mode, merge, training = (now != then for now, then in zip(_as_shown(chosen), place["shown"], strict=True))
        async with self._database.begin() as session:
            before = rules = await load_rules(session, team_id, channel_id)
            rules = replace(rules, mode=chosen.rules.mode) if mode else rules
            rules = replace(rules, merge_s=chosen.rules.merge_s) if merge else rules
            if rules != before:
                await save_rules(session, team_id, channel_id, rules, by=user_id)
        text = _("Saved. {words}").format(words=tell_mode(rules.mode))
        if training and chosen.training and await self._access.is_admin(user_id, team_id):
            try:
                await self._learn(channel_id, chosen.training, by=user_id)
            except LearningError as error:
                text += f"\n⚠️ {escape(str(error))}"
        return text

    async def _load(self, team_id: str, channel_id: str) -> ChannelState:
        async with self._database.read() as session:
            rules = await load_rules(session, team_id, channel_id)
        if self._learning is None:
            return ChannelState(rules)
        is_own = await self._learning.is_chosen(OWN_ADAPTER, channel_id)
        is_learned_from = is_own or await self._learning.learns_from(channel_id)
        return ChannelState(rules, OWN if is_own else LEARN if is_learned_from else NOTHING)

    async def _learn(self, channel_id: str, training: str, *, by: str) -> None:
        """Let the learning loop know; that a channel teaches nothing takes its own adapter with it."""
        if self._learning is None:
            return
        if training == OWN:  # which may be refused, and turns the channel on by itself
            await self._learning.choose_own(channel_id, is_wanted=True, by=by)
            return
        await self._learning.choose(CHANNEL, channel_id, is_allowed=training == LEARN, by=by)
        if training == LEARN:
            await self._learning.choose_own(channel_id, is_wanted=False, by=by)

    async def _may(self, user_id: str, team_id: str, channel_id: str) -> bool:
        """Return whether somebody may choose: an admin of the assistant, or whoever made the channel and is in it."""
        role = await self._access.role_of(user_id, team_id)
        if role >= Role.ADMIN or role < Role.MEMBER:
            return role >= Role.ADMIN
        answer = await self._calls.call_if_possible("conversations.info", channel=channel_id)
        is_creator = ((answer or {}).get("channel") or {}).get("creator") == user_id
        return is_creator and await Rooms(self._calls, self._access).is_in(channel_id, user_id)


def build_channel_form_commands(form: ChannelForm) -> list[Command]:
    """Build the command."""
    return [
        Command(
            name="channel",
            usage="",
            purpose=_("a form about this channel: what I answer here, and whether I learn from it"),
            run=form.open,
            group=_("In channels"),
            example="channel",
        )
    ]


def register_channel_form(app: AsyncApp, form: ChannelForm) -> None:
    """Register the form."""
    app.view(CHANNEL_FORM)(form.handle_submit)


def build_channel_form(channel_id: str, state: ChannelState, *, private_metadata: str) -> dict[str, Any]:
    """Build the form with what is chosen now."""
    blocks: list[Block] = [
        section(f"<#{channel_id}>"),
        _choice(MODE, _("What do I answer here?"), _modes(), state.rules.mode, kind="radio_buttons"),
        _choice(
            MERGE,
            _("Messages of one person in a thread that follow each other fast"),
            _merges(),
            _shown_merge(state.rules.merge_s),
        ),
    ]
    if state.training:
        blocks.append(_choice(TRAINING, _("What do I learn from here?"), _trainings(), state.training))
        blocks += build_note(_("Nothing is learned from what only some can read, unless its author taught it to all."))
    return {
        "type": "modal",
        "callback_id": CHANNEL_FORM,
        "private_metadata": private_metadata,
        "title": plain(_("This channel")),
        "submit": plain(_("Save")),
        "close": plain(_("Cancel")),
        "blocks": blocks,
    }


def read_channel_form(values: Mapping[str, Any]) -> ChannelState:
    """Read what was chosen; what a form could not have offered is as everywhere."""
    mode, merge, training = (_read(values, name) for name in (MODE, MERGE, TRAINING))
    rules = ChannelRules(Mode(mode) if mode in set(Mode) else Mode.THREAD, float(merge) if merge in MERGES else None)
    return ChannelState(rules, training if training in {LEARN, OWN, NOTHING} else "")


def _as_shown(state: ChannelState) -> list[str]:
    """Return the values that the form shows for a state, or that were chosen in it."""
    return [str(state.rules.mode), _shown_merge(state.rules.merge_s), state.training]


def _shown_merge(merge_s: float | None) -> str:
    value = DEFAULT if merge_s is None else f"{merge_s:g}"
    return value if value in MERGES else DEFAULT


def tell_mode(mode: Mode) -> str:
    """Say what is answered in a channel."""
    return {
        Mode.MENTION: _("Here I answer mentions and nothing else."),
        Mode.THREAD: _("Here I answer mentions, and what follows in their threads."),
        Mode.QUESTIONS: _("Here I answer mentions, what follows in their threads, and questions."),
        Mode.EVERYTHING: _("Here I answer everything that is not said to somebody else."),
        Mode.OFF: _("Here I am switched off."),
    }[mode]


def _modes() -> dict[str, str]:
    return {
        Mode.MENTION: _("Mentions only"),
        Mode.THREAD: _("Mentions, and what follows in their threads"),
        Mode.QUESTIONS: _("Also questions that nobody mentions me in"),
        Mode.EVERYTHING: _("Everything that is not said to somebody else"),
        Mode.OFF: _("Nothing: I am off here"),
    }


def _merges() -> dict[str, str]:
    seconds = {value: _("One answer within {seconds} s").format(seconds=value) for value in MERGES[1:]}
    return {DEFAULT: _("As everywhere"), "0": _("Answer each"), **seconds}


def _trainings() -> dict[str, str]:
    return {
        LEARN: _("What everybody may know, for everybody"),
        OWN: _("For this channel alone, an adapter of its own"),
        NOTHING: _("Nothing"),
    }


def _choice(name: str, label: str, options: Mapping[str, str], chosen: str, *, kind: str = "static_select") -> Block:
    """Build a question with one answer; a value that is not offered shows the first."""
    offered = [{"text": plain(text), "value": str(value)} for value, text in options.items()]
    initial = next((option for option in offered if option["value"] == str(chosen)), offered[0])
    element = {"type": kind, "action_id": name, "options": offered, "initial_option": initial}
    return {"type": "input", "block_id": name, "label": plain(label), "element": element}


def _read(values: Mapping[str, Any], name: str) -> str:
    state = (values.get(name) or {}).get(name) or {}
    return str((state.get("selected_option") or {}).get("value") or "")
