"""Buttons about learning: allow, promote, roll back, veto, train, pause, and what each person chooses."""

from collections.abc import Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.errors import ApprenticeError
from bot.language import _
from bot.learning.control import Learning
from bot.slack.calls import Calls
from bot.slack.commands.orders import Role
from bot.slack.delivery.render import escape
from bot.slack.learning import home as learning_home
from bot.slack.learning import report as learning_report
from bot.slack.learning.commands import LearningOrders, tell_rollback
from bot.slack.learning.home import publish_home
from bot.slack.learning.orders import ADAPTERS, ME, TRAIN, Order
from bot.slack.learning.words import ALLOW
from bot.slack.people.access import Access, tell_refusal

ORDERS: dict[str, Callable[[str], Order]] = {
    learning_home.TRAIN_NOW: lambda _: Order(TRAIN, "now"),
    learning_home.PAUSE: lambda _: Order(TRAIN, "pause"),
    learning_home.RESUME: lambda _: Order(TRAIN, "resume"),
    learning_home.CHOOSE: lambda value: Order(ME, value),
    learning_report.PROMOTE: lambda value: Order(ADAPTERS, "promote", value),
}


def register_learning(app: AsyncApp, *, learning: Learning, calls: Calls, access: Access) -> None:
    """Register every button about learning; each acknowledges first and works afterwards."""
    buttons = LearningButtons(learning, calls, access=access)
    for action_id in ORDERS:
        app.action(action_id)(buttons.handle_order)
    app.action(ALLOW)(buttons.handle_allow)
    app.action(learning_report.ROLLBACK)(buttons.handle_rollback)
    app.action(learning_report.VETO)(buttons.handle_veto)
    app.action(learning_report.NO_NEWS)(buttons.handle_news)
    app.action(learning_home.NEWS)(buttons.handle_news)


class LearningButtons:
    """What is pressed below a report, in the Home, and below the question for permission."""

    def __init__(self, learning: Learning, calls: Calls, *, access: Access) -> None:
        self._learning = learning
        self._calls = calls
        self._orders = LearningOrders(learning, access=access)

    async def handle_order(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Do what the command of the same name does."""
        await ack()
        action = body["actions"][0]
        order = ORDERS[action["action_id"]](str(action.get("value")))
        reply = await self._orders.carry_out(order, user_id=body["user"]["id"])
        await self._tell(body, respond, reply.text, is_for_all=reply.is_done and order.is_for_admins)

    async def handle_allow(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Keep that this admin, whom the question was put to, allowed the training."""
        await ack()
        user_id = body["user"]["id"]
        if not await self._orders.is_admin(user_id) or body["actions"][0].get("value") != user_id:
            await self._tell(body, respond, _refuse())
            return
        try:
            await self._learning.allow(by=user_id)
        except ApprenticeError as error:
            await self._tell(body, respond, f"⚠️ {escape(str(error))}")
            return
        reply = await self._orders.carry_out(Order(TRAIN, "status"), user_id=user_id)
        await respond(text=_("Thank you. Training is allowed.") + f"\n{reply.text}", replace_original=True)

    async def handle_rollback(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Take the button's own adapter back, and no newer one: the button may be old."""
        await ack()
        user_id, name = body["user"]["id"], str(body["actions"][0].get("value"))
        text, is_done = _refuse(), False
        if await self._orders.is_admin(user_id):
            try:
                text, is_done = tell_rollback(*await self._learning.rollback(by=user_id, name=name)), True
            except ApprenticeError as error:
                text = f"⚠️ {escape(str(error))}"
        await self._tell(body, respond, text, is_for_all=is_done)

    async def handle_veto(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Let an adapter that waits not be served."""
        await ack()
        user_id, name = body["user"]["id"], str(body["actions"][0].get("value"))
        text, is_done = _refuse(), False
        if await self._orders.is_admin(user_id):
            try:
                await self._learning.veto(name, by=user_id)
                text, is_done = _("{adapter} will not be served.").format(adapter=f"`{escape(name)}`"), True
            except ApprenticeError as error:
                text = f"⚠️ {escape(str(error))}"
        await self._tell(body, respond, text, is_for_all=is_done)

    async def handle_news(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Tell somebody what was learned of theirs from now on, or no more."""
        await ack()
        user_id, is_wanted = body["user"]["id"], body["actions"][0].get("value") == "on"
        await self._learning.choose("news", user_id, is_allowed=is_wanted, by=user_id)
        on, off = _("I tell you when your corrections are learned."), _("I will not tell you such things.")
        text = on if is_wanted else off
        await self._tell(body, respond, text)

    async def _tell(
        self, body: Mapping[str, Any], respond: AsyncRespond, text: str, *, is_for_all: bool = False
    ) -> None:
        """Say it where it was pressed: in the Home, or to that person alone; what changed for all, below the report."""
        user_id, message = body["user"]["id"], body.get("message")
        if (body.get("container") or {}).get("type") == "view":
            is_admin = await self._orders.is_admin(user_id)
            await publish_home(self._calls, user_id, self._learning, is_admin, note=text)
            return
        await respond(text=text, response_type="ephemeral", replace_original=False)
        channel_id = str((body.get("channel") or {}).get("id", ""))
        if is_for_all and message is not None and not channel_id.startswith("D"):
            root = message.get("thread_ts") or message["ts"]
            said = f"<@{user_id}>: {text}"
            await self._calls.call_if_possible("chat.postMessage", channel=channel_id, thread_ts=root, text=said)


def _refuse() -> str:
    return tell_refusal(Role.MEMBER, Role.ADMIN)
