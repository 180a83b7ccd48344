"""Buttons about learning below what is told of it: allow, promote, roll back, veto, and hear no more of it."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.errors import ApprenticeError
from bot.language import ENGLISH, _, speaking, spoken
from bot.learning.control import Learning
from bot.slack.calls import Calls
from bot.slack.commands.orders import Role
from bot.slack.delivery.render import escape
from bot.slack.learning import report as learning_report
from bot.slack.learning.commands import LearningOrders, tell_rollback, tell_vetoed
from bot.slack.learning.orders import ADAPTERS, TRAIN, Order
from bot.slack.learning.words import ALLOW
from bot.slack.listeners import acknowledge_done
from bot.slack.people.access import Access, tell_refusal
from bot.slack.people.rooms import Rooms
from bot.storage.db import Database
from bot.storage.report_posts import begin_showing, end_showing


def register_learning(app: AsyncApp, *, learning: Learning, calls: Calls, access: Access, database: Database) -> None:
    """Register every button about learning."""
    buttons = LearningButtons(learning, calls, access=access, database=database)
    app.action(learning_report.PROMOTE)(buttons.handle_promote)
    app.action(ALLOW)(buttons.handle_allow)
    app.action(learning_report.ROLLBACK)(buttons.handle_rollback)
    app.action(learning_report.VETO)(buttons.handle_veto)
    app.action(learning_report.NO_NEWS)(buttons.handle_news)


class LearningButtons:
    """What is pressed below a report, and below the question for permission."""

    def __init__(self, learning: Learning, calls: Calls, *, access: Access, database: Database) -> None:
        self._database = database
        self._learning = learning
        self._calls = calls
        self._rooms = Rooms(calls, access)
        self._orders = LearningOrders(learning, access=access)

    async def handle_promote(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Do what the command of the same name does, unless somebody has decided since the button was shown."""
        name, seen = _read_value(body)
        order = Order(ADAPTERS, "promote", name, seen)
        reply = await acknowledge_done(ack, self._orders.carry_out(order, user_id=body["user"]["id"]))
        await self._tell(body, respond, reply.text, is_for_all=reply.is_done)
        if reply.is_done or await self._orders.is_admin(body["user"]["id"]):  # also to show what it is now
            await self._redraw(body, respond)

    async def handle_allow(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Keep that this admin, whom the question was put to, allowed the training."""
        await acknowledge_done(ack, self._allow(body, respond))

    async def _allow(self, body: dict[str, Any], respond: AsyncRespond) -> None:
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
        text, is_done = await acknowledge_done(ack, self._decide(body, self._take_back))
        await self._tell(body, respond, text, is_for_all=is_done)
        if is_done:
            await self._redraw(body, respond)

    async def handle_veto(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Let an adapter that waits not be served."""
        text, is_done = await acknowledge_done(ack, self._decide(body, self._veto))
        await self._tell(body, respond, text, is_for_all=is_done)
        if is_done:
            await self._redraw(body, respond)

    async def _decide(self, body: Mapping[str, Any], decide: Callable[[str, str], Awaitable[str]]) -> tuple[str, bool]:
        """Let an admin decide about the button's adapter; return what came of it, and whether it is done."""
        user_id, name = body["user"]["id"], str(body["actions"][0].get("value"))
        if not await self._orders.is_admin(user_id):
            return _refuse(), False
        try:
            return await decide(name, user_id), True
        except ApprenticeError as error:
            return f"⚠️ {escape(str(error))}", False

    async def _take_back(self, name: str, user_id: str) -> str:
        return tell_rollback(*await self._learning.rollback(by=user_id, name=name))

    async def _veto(self, name: str, user_id: str) -> str:
        await self._learning.veto(name, by=user_id)
        return tell_vetoed(name)

    async def handle_news(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Tell somebody no more what was learned of theirs."""
        user_id = body["user"]["id"]
        await acknowledge_done(ack, self._learning.choose("news", user_id, is_allowed=False, by=user_id))
        await self._tell(body, respond, _("I will not tell you such things."))

    async def _tell(
        self, body: Mapping[str, Any], respond: AsyncRespond, text: str, *, is_for_all: bool = False
    ) -> None:
        """Say it to whoever pressed, and what changed for all below the report."""
        user_id, message = body["user"]["id"], body.get("message")
        await respond(text=text, response_type="ephemeral", replace_original=False)
        channel_id = str((body.get("channel") or {}).get("id", ""))
        if is_for_all and message is not None and not channel_id.startswith("D"):
            root = message.get("thread_ts") or message["ts"]
            said = f"<@{user_id}>: {text}"
            await self._calls.call_if_possible("chat.postMessage", channel=channel_id, thread_ts=root, text=said)

    async def _redraw(self, body: Mapping[str, Any], respond: AsyncRespond) -> None:
        """Give the report the buttons and words of the adapter's new state; Slack shows no ephemeral one to us."""
        (name, _seen), message = _read_value(body), body.get("message")
        if message is None:
            return
        channel_id, ts = str((body.get("channel") or {}).get("id", "")), str(message.get("ts", ""))
        async with self._database.begin() as session:
            mark = await begin_showing(session, channel_id, ts)
        state = next((line.shown for line in await self._learning.adapters() if line.name == name), "")
        pictures = (block["slack_file"]["id"] for block in message.get("blocks") or () if block.get("slack_file"))
        target = str(body["user"]["id"]) if channel_id.startswith("D") else channel_id
        report = await learning_report.find_shown(await self._learning.report(name), target, self._rooms)
        with speaking(spoken() if channel_id.startswith("D") else ENGLISH):  # in a channel people of several may read
            blocks = learning_report.build_report(report, state=state, picture_id=next(pictures, ""))
            text = escape(learning_report.tell_report(report, state))
        answer = await respond(text=text, blocks=blocks, replace_original=True)
        if answer.status_code != HTTPStatus.OK:  # nobody knows what it shows: it is shown anew
            return
        async with self._database.begin() as session:
            await end_showing(session, channel_id, ts, mark=mark, state=state)


def _read_value(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the adapter of a button, and the state in which it was shown, where that counts."""
    name, _blank, seen = str(body["actions"][0].get("value")).partition(" ")
    return name, seen


def _refuse() -> str:
    return tell_refusal(Role.MEMBER, Role.ADMIN)
