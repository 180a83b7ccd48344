"""What is answered to an order about learning: who may give it, what is done, what is said."""

import logging
from collections.abc import Awaitable, Callable

from bot.errors import ApprenticeError
from bot.language import _
from bot.learning.control import Learning
from bot.slack.access import Access
from bot.slack.blocks import section
from bot.slack.learning_orders import (
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
from bot.slack.learning_report import build_report
from bot.slack.learning_words import build_permission, name_of, render_adapters, render_status
from bot.slack.manifest import COMMAND
from bot.slack.orders import Call, Command, Reply, Role, UsageError
from bot.slack.render import escape, render_mrkdwn
from bot.storage.choices import OWN_ADAPTER
from bot.storage.tables import new_id

REFUSAL = "Only the admins of the assistant may do that. They are named in its settings (`ADMIN_USER_IDS`)."
ANSWER_LENGTH = 2500
MOST_COMPARED = 4
TRIGGER = "slack"

OWN_WORDS = f"""This channel has an adapter of its own: I learn from what is said to me here, private or not, and what \
I learn here answers only here. It is mixed with what everybody gets. While the channel is private, nothing of it goes \
into what everybody gets, not even a correction that was meant for everyone. `{COMMAND} learn-from-me off` keeps your \
words out; an admin ends it with `{COMMAND} learn-from-channel shared`."""
SHARED_WORDS = "This channel gets what everybody gets from the next question on; its own adapter is put away."

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

    def build(topic: str, *, is_for_admins: bool) -> Command:
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
            role=Role.ADMIN if is_for_admins else Role.MEMBER,
            group=_("What I learn"),
            words=list_words(topic),
            example=examples[topic],
        )

    return [build(topic, is_for_admins=topic in {ADAPTERS, CHANNEL}) for topic in (TRAIN, ADAPTERS, ME, CHANNEL)]


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
            return Reply(REFUSAL, is_done=False)
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
            return Reply(f"⚠️ Something went wrong on my side (error {error_id}).", is_done=False)

    async def _train(self, verb: str, user_id: str, channel_id: str) -> Reply:
        if verb == "on":
            return await self._ask_permission(user_id)
        if verb == "status":
            return Reply(render_status(await self._learning.status()))
        if verb in {"now", "dry"}:
            own = channel_id if channel_id and await self._learning.is_chosen(OWN_ADAPTER, channel_id) else ""
            run_id = await self._learning.request_run(by=user_id, trigger=TRIGGER, is_dry=verb == "dry", channel_id=own)
            what = "only looks at what there is to learn" if verb == "dry" else "learns what was taught"
            where = " in this channel, for this channel" if own else ""
            return Reply(f"Run {run_id} is queued; it {what}{where}. `{COMMAND} train` says how far it is.")
        return Reply(await self._switch(verb, user_id))

    async def _switch(self, verb: str, user_id: str) -> str:
        if verb == "cancel":
            return f"Run {await self._learning.cancel_run(by=user_id)} is cancelled; nothing of it will be served."
        if verb == "pause":
            await self._learning.pause(by=user_id)
            return f"Training is paused: no run begins, and one under way holds still until `{COMMAND} train resume`."
        if verb == "resume":
            await self._learning.resume(by=user_id)
            return "Training goes on as planned."
        await self._learning.forbid(by=user_id)
        return f"Training is off. What is served stays; `{COMMAND} adapters rollback` takes it back."

    async def _ask_permission(self, user_id: str) -> Reply:
        status = await self._learning.status()
        if not status.is_enabled:
            return Reply("Training is switched off in the settings. Set `TRAINING_ENABLED=true` and start me again.")
        if status.allowed_by:
            return Reply(f"Training is on already; {name_of(status.allowed_by)} allowed it.\n{render_status(status)}")
        return Reply("May I learn from this workspace?", build_permission(user_id))

    async def _adapters(self, order: Order, user_id: str, channel_id: str) -> Reply:
        learning, words = self._learning, order.words
        if order.verb == "show":
            return await self._show(words, channel_id)
        if order.verb == "compare":
            return await self._compare(words, channel_id)
        lines = await learning.adapters()
        channels = {line.name: line.channel_id for line in lines}
        if order.verb == "promote":
            before = await learning.promote(words, by=user_id)
            instead = f"`{escape(before)}`" if before else "the base model"
            whom = tell_readers(channels.get(words, ""))
            return Reply(f"`{escape(words)}` answers {whom} from the next question on, instead of {instead}.")
        if order.verb == "rollback":
            name, reason = split_rollback(words, channels)
            return Reply(tell_rollback(*await learning.rollback(by=user_id, reason=reason, name=name)))
        return Reply(render_adapters(lines))

    async def _show(self, name: str, channel_id: str) -> Reply:
        report = (await self._learning.report(name)).for_reader_in(channel_id)
        state = next((line.state for line in await self._learning.adapters() if line.name == report.adapter), "")
        return Reply(report.outcome or f"Run {report.run_id}", build_report(report, state=state))

    async def _compare(self, words: str, channel_id: str) -> Reply:
        known = [line.name for line in await self._learning.adapters()]
        names, question = split_comparison(words, known)
        if len(names) > MOST_COMPARED:
            return Reply(f"At most {MOST_COMPARED} adapters beside each other, please.")
        answers = await self._learning.compare(question, names, channel_id=channel_id)
        said = [
            section(f"*{escape(name) or 'Base'}*\n{render_mrkdwn(text[:ANSWER_LENGTH]) or '_nothing_'}")
            for name, text in answers
        ]
        return Reply("The answers beside each other", [section(f"*{escape(question)}*"), *said])

    async def _choose_for_channel(self, channel_id: str, verb: str, user_id: str) -> Reply:
        if channel_id.startswith("D"):
            return Reply(f"Write this in the channel that you mean; here `{COMMAND} learn-from-me` is what you want.")
        if verb in {OWN, SHARED}:
            await self._learning.choose_own(channel_id, is_wanted=verb == OWN, by=user_id)
            return Reply(OWN_WORDS if verb == OWN else SHARED_WORDS, is_for_all=True)
        reply = await self._choose("channel", channel_id, verb, user_id)
        is_own = await self._learning.is_chosen(OWN_ADAPTER, channel_id)
        return Reply(f"{reply.text}\n{OWN_WORDS}") if is_own else reply

    async def _choose(self, kind: str, subject_id: str, verb: str, user_id: str) -> Reply:
        if verb != "status":
            await self._learning.choose(kind, subject_id, is_allowed=verb == "on", by=user_id)
        is_allowed = await self._learning.is_chosen(kind, subject_id)
        return Reply(tell_choice(kind, is_allowed=is_allowed))


def tell_choice(kind: str, *, is_allowed: bool | None) -> str:
    """Say what is learned from a person or a channel."""
    whose = "what you say to me" if kind == "person" else "what is said to me in this channel"
    if is_allowed is False:
        return f"I do not learn from {whose}. What an adapter knows from before goes with the next training."
    chosen = "I learn" if is_allowed else "Nothing was chosen, so I may learn"
    return f"{chosen} from {whose}, where everybody could read it or its author taught it to everyone."


def tell_readers(channel_id: str) -> str:
    """Say whom an adapter answers."""
    return f"everybody in <#{channel_id}>" if channel_id else "everybody"


def tell_rollback(taken_back: str, served: str) -> str:
    """Say what was taken back and who answers now."""
    now = f"`{escape(served)}`" if served else "the base model"
    return f"`{escape(taken_back)}` is taken back; {now} answers from the next question on."
