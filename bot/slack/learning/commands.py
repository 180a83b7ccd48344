"""What is answered to an order about learning: who may give it, what is done, what is said."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from bot.errors import ApprenticeError
from bot.language import _
from bot.learning.control import Learning
from bot.learning.views import tell_off
from bot.slack.blocks import section
from bot.slack.commands.orders import Call, Command, Reply, Role, UsageError
from bot.slack.delivery.render import escape, render_mrkdwn
from bot.slack.learning.orders import (
    ADAPTERS,
    CHANNEL,
    ME,
    OWN,
    SHARED,
    TRAIN,
    USES,
    Misuse,
    Order,
    list_words,
    parse_order,
    split_comparison,
    split_rollback,
)
from bot.slack.learning.report import build_report, tell_outcome
from bot.slack.learning.words import build_permission, name_of, render_adapters, render_status
from bot.slack.people.access import Access, tell_refusal
from bot.slack.setup.manifest import COMMAND
from bot.slack.turns.answer_choice import make_safe
from bot.storage.choices import CHANNEL as CHOICE_OF_CHANNEL
from bot.storage.choices import OWN_ADAPTER
from bot.storage.learning_tables import AdapterState
from bot.storage.privacy import STORING
from bot.storage.tables import new_id

ANSWER_LENGTH = 2500
MOST_COMPARED = 4
TRIGGER = "slack"

log = logging.getLogger(__name__)


def build_learning_commands(learning: Learning, access: Access) -> list[Command]:
    """Build the commands about learning."""
    orders = LearningOrders(learning, access=access)
    purposes = {
        TRAIN: _("how my learning is; admins start, pause and end it"),
        ADAPTERS: _("what was learned: list, look, serve, take back, compare on a question"),
        ME: _("whether I may learn from what you say to me"),
        CHANNEL: _("the same for this channel; `own`: what is said here answers only here, `shared`: not any more"),
    }
    examples = {
        TRAIN: _("train now"),
        ADAPTERS: _("adapters show apprentice-7"),
        ME: _("learn-from-me off"),
        CHANNEL: _("learn-from-channel own"),
    }

    def build(topic: str, role: Role, roles: Mapping[str, Role]) -> Command:
        async def run(call: Call) -> Reply:
            order = parse_order(f"{topic} {call.words}")
            if not isinstance(order, Order):
                raise UsageError(order.sentence if isinstance(order, Misuse) else None)
            return await orders.carry_out(order, user_id=call.user_id, channel_id=call.channel_id)

        return Command(
            name=topic,
            usage=USES[topic],
            purpose=purposes[topic],
            run=run,
            role=role,
            roles=roles,
            group=_("What I learn"),
            words=list_words(topic),
            example=examples[topic],
        )

    return [
        build(TRAIN, Role.MEMBER, {}),
        build(ADAPTERS, Role.ADMIN, {}),
        build(ME, Role.BARRED, {"on": Role.MEMBER}),  # whoever may ask nothing any more may still say no
        build(CHANNEL, Role.ADMIN, {}),
    ]


class LearningOrders:
    """Carries out what people order about learning."""

    def __init__(self, learning: Learning, *, access: Access) -> None:
        self._learning = learning
        self._access = access

    async def is_admin(self, user_id: str) -> bool:
        """Return whether somebody may steer the learning."""
        return await self._access.is_admin(user_id)

    async def carry_out(self, order: Order, *, user_id: str, channel_id: str = "") -> Reply:
        """Do what was ordered and say what came of it; what cannot be done says why."""
        if order.is_for_admins and not await self.is_admin(user_id):
            return Reply(tell_refusal(Role.MEMBER, Role.ADMIN), is_done=False)
        by_topic: dict[str, Callable[[], Awaitable[Reply]]] = {
            TRAIN: lambda: self._train(order.verb, user_id, channel_id),
            ADAPTERS: lambda: self._adapters(order, user_id, channel_id),
            ME: lambda: self._choose("person", user_id, order.verb, user_id),
            CHANNEL: lambda: self._choose_for_channel(channel_id, order.verb, user_id),
        }
        try:
            return await by_topic[order.topic]()
        except ApprenticeError as error:
            return Reply(f"⚠️ {escape(str(error))}", is_done=False)
        except Exception:
            error_id = new_id()
            log.exception("learning: error %s in %s %s", error_id, order.topic, order.verb)
            sentence = _("Something went wrong on my side (error {error_id}).").format(error_id=error_id)
            return Reply(f"⚠️ {sentence}", is_done=False)

    async def _train(self, verb: str, user_id: str, channel_id: str) -> Reply:
        if verb == "on":
            return await self._ask_permission(user_id)
        if verb == "status":
            return Reply(render_status(await self._learning.status()))
        if verb in {"now", "dry"}:
            own = channel_id if channel_id and await self._learning.is_chosen(OWN_ADAPTER, channel_id) else ""
            run_id = await self._learning.request_run(by=user_id, trigger=TRIGGER, is_dry=verb == "dry", channel_id=own)
            return Reply(tell_queued(run_id, is_dry=verb == "dry", is_own=bool(own)))
        return Reply(await self._switch(verb, user_id))

    async def _switch(self, verb: str, user_id: str) -> str:
        if verb == "cancel":
            run_id = await self._learning.cancel_run(by=user_id)
            return _("Run {run} is cancelled; nothing of it will be served.").format(run=run_id)
        if verb == "pause":
            await self._learning.pause(by=user_id)
            sentence = _("Training is paused: no run begins, and one under way holds still until {command}.")
            return sentence.format(command=f"`{COMMAND} train resume`")
        if verb == "resume":
            await self._learning.resume(by=user_id)
            return _("Training goes on as planned.")
        await self._learning.forbid(by=user_id)
        sentence = _(
            "Training is off. What is served stays; {command} takes it back. What waits to be served waits for "
            "somebody to promote it."
        )
        return sentence.format(command=f"`{COMMAND} adapters rollback`")

    async def _ask_permission(self, user_id: str) -> Reply:
        status = await self._learning.status()
        if status.off_by:
            return Reply(tell_off(status.off_by))
        if status.allowed_by:
            known = _("Training is on already; {person} allowed it.").format(person=name_of(status.allowed_by))
            return Reply(f"{known}\n{render_status(status)}")
        return Reply(_("May I learn from this workspace?"), build_permission(user_id))

    async def _adapters(self, order: Order, user_id: str, channel_id: str) -> Reply:
        learning, words = self._learning, order.words
        if order.verb == "show":
            return await self._show(words, channel_id)
        if order.verb == "compare":
            return await self._compare(words, channel_id)
        if order.verb == "choice":
            return await self._let_choose(words.lower(), user_id)
        lines = await learning.adapters()
        channels = {line.name: line.channel_id for line in lines}
        if order.verb == "promote":
            before = await learning.promote(words, by=user_id, seen=order.seen)
            name = next((line.name for line in lines if line.is_called(words)), words)
            return Reply(tell_promoted(name, before, channels.get(name, "")))
        if order.verb == "rollback":
            name, reason = split_rollback(words, channels)
            taken, served = await learning.rollback(by=user_id, reason=reason, name=name)
            waited = any(line.name == taken and line.state == AdapterState.WAITING for line in lines)
            return Reply(tell_vetoed(taken) if waited else tell_rollback(taken, served))
        return Reply(render_adapters(lines))

    async def _show(self, name: str, channel_id: str) -> Reply:
        report = (await self._learning.report(name)).for_reader_in(channel_id)
        state = next((line.shown for line in await self._learning.adapters() if line.name == report.adapter), "")
        return Reply(
            tell_outcome(report, state) or _("Run {run}").format(run=report.run_id), build_report(report, state=state)
        )

    async def _let_choose(self, word: str, user_id: str) -> Reply:
        if word:
            await self._learning.let_choose(is_allowed=word == "on", by=user_id)
        if await self._learning.choosable() is None:
            return Reply(_("What answers is the same for everybody; nobody chooses."))
        return Reply(
            _(
                "Everybody may choose in their Home what answers them: what everybody gets, the base model, or an "
                "adapter that answered before and that nobody who opted out since can be in."
            )
        )

    async def _compare(self, words: str, channel_id: str) -> Reply:
        known = [line.name for line in await self._learning.adapters()]
        names, question = split_comparison(words, known)
        if len(names) > MOST_COMPARED:
            return Reply(_("At most {most} adapters beside each other, please.").format(most=MOST_COMPARED))
        answers = await self._learning.compare(question, names, channel_id=channel_id)
        nothing, base = "_" + _("nothing") + "_", _("Base")
        said = [section(f"*{escape(name) or base}*\n{_render(text, question) or nothing}") for name, text in answers]
        return Reply(_("The answers beside each other"), [section(f"*{escape(question)}*"), *said])

    async def _choose_for_channel(self, channel_id: str, verb: str, user_id: str) -> Reply:
        if channel_id.startswith("D"):
            sentence = _("Write this in the channel that you mean; here {command} is what you want.")
            return Reply(sentence.format(command=f"`{COMMAND} learn-from-me`"))
        if verb in {OWN, SHARED}:
            await self._learning.choose_own(channel_id, is_wanted=verb == OWN, by=user_id)
            return Reply(tell_own() if verb == OWN else tell_shared(), is_for_all=True)
        reply = await self._choose("channel", channel_id, verb, user_id)
        is_own = await self._learning.is_chosen(OWN_ADAPTER, channel_id)
        return Reply(f"{reply.text}\n{tell_own()}") if is_own else reply

    async def _choose(self, kind: str, subject_id: str, verb: str, user_id: str) -> Reply:
        if verb != "status":
            await self._learning.choose(kind, subject_id, is_allowed=verb == "on", by=user_id)
        is_allowed = await self._learning.is_chosen(kind, subject_id)
        if kind == CHOICE_OF_CHANNEL and is_allowed is None and not await self._learning.learns_from(subject_id):
            return Reply(tell_off_channel())
        is_stored = await self._learning.is_chosen(STORING, subject_id) is not False
        return Reply(tell_choice(kind, is_allowed=is_allowed, is_stored=is_stored))


def _render(answer: str, question: str) -> str:
    """Return what a model answered, with links to nothing but what was asked about."""
    return render_mrkdwn(make_safe(answer[:ANSWER_LENGTH], asked=question))


def tell_queued(run_id: int, *, is_dry: bool, is_own: bool) -> str:
    """Say what a run that was asked for will do."""
    if is_dry:
        said = _("Run {run} is queued; it only looks at what there is to learn.")
    elif is_own:
        said = _("Run {run} is queued; it learns what was taught in this channel, for this channel.")
    else:
        said = _("Run {run} is queued; it learns what was taught.")
    how_far = _("{command} says how far it is.").format(command=f"`{COMMAND} train`")
    return f"{said.format(run=run_id)} {how_far}"


def tell_own() -> str:
    """Say what it means that a channel has an adapter of its own."""
    sentences = _(
        "This channel has an adapter of its own: I learn from what is said to me here, private or not, and what I "
        "learn here answers only here. It is mixed with what everybody gets. While the channel is private, nothing of "
        "it goes into what everybody gets, not even a correction that was meant for everyone. {me} keeps your words "
        "out; an admin ends it with {shared}."
    )
    return sentences.format(me=f"`{COMMAND} learn-from-me off`", shared=f"`{COMMAND} learn-from-channel shared`")


def tell_shared() -> str:
    """Say that a channel has no adapter of its own any more."""
    return _("This channel gets what everybody gets from the next question on; its own adapter is put away.")


def tell_off_channel() -> str:
    """Say that nobody has turned a channel on."""
    sentence = _("I do not learn from what is said to me in this channel: no admin has turned it on ({command}).")
    return sentence.format(command=f"`{COMMAND} learn-from-channel on`")


def tell_choice(kind: str, *, is_allowed: bool | None, is_stored: bool = True) -> str:
    """Say what is learned from a person or a channel; of somebody whose words are not stored nothing new is."""
    is_person = kind == "person"
    if is_allowed is False:
        off = (
            _("I do not learn from what you say to me.")
            if is_person
            else _("I do not learn from what is said to me in this channel.")
        )
        return off + " " + _("What an adapter knows from before goes with the next training.")
    if is_person and not is_stored:
        sentence = _(
            "You allow me to learn from what you say to me, but want nothing of it stored: until you change that "
            "({command}), there is nothing new to learn from."
        )
        return sentence.format(command=f"`{COMMAND} preferences privacy normal`")
    if is_person:
        return (
            _(
                "I learn from what you say to me in channels that take part, where everybody could read it, and from "
                "what its author taught to everyone."
            )
            if is_allowed
            else _(
                "Nothing was chosen, so I may learn from what you say to me in channels that take part, where "
                "everybody could read it, and from what its author taught to everyone."
            )
        )
    return (
        _(
            "I learn from what is said to me in this channel, where everybody could read it or its author taught it to "
            "everyone."
        )
        if is_allowed
        else _(
            "Nothing was chosen, so I may learn from what is said to me in this channel, where everybody could read it "
            "or its author taught it to everyone."
        )
    )


def tell_promoted(name: str, before: str, channel_id: str) -> str:
    """Say whom an adapter answers now, and who answered before."""
    instead = f"`{escape(before)}`" if before else _("the base model")
    said = (
        _("{adapter} answers everybody in {channel} from the next question on, instead of {before}.")
        if channel_id
        else _("{adapter} answers everybody from the next question on, instead of {before}.")
    )
    return said.format(adapter=f"`{escape(name)}`", channel=f"<#{channel_id}>", before=instead)


def tell_vetoed(adapter: str) -> str:
    """Say that what waited for objections got one."""
    return _("{adapter} will not be served.").format(adapter=f"`{escape(adapter)}`")


def tell_rollback(taken_back: str, served: str) -> str:
    """Say what was taken back and who answers now."""
    now = f"`{escape(served)}`" if served else _("the base model")
    sentence = _("{adapter} is taken back; {now} answers from the next question on.")
    return sentence.format(adapter=f"`{escape(taken_back)}`", now=now)
