"""What people choose in the menu of a message: summarise, explain, translate, draft a reply, teach. For them alone."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.language import _
from bot.slack import blocks
from bot.slack.calls import Calls
from bot.slack.commands.orders import Call, Command, Reply
from bot.slack.commands.table import carry_out, telling_of_end
from bot.slack.feedback.lessons import Lessons
from bot.slack.listeners import acknowledge_done
from bot.slack.people.directory import Directory
from bot.slack.setup.manifest import DRAFT_REPLY, EXPLAIN, SUMMARISE_THREAD, TEACH, TRANSLATE
from bot.slack.text import mentioned_users, parse_message
from bot.slack.tools.tools import EXPLANATION, REPLY, SUMMARY, TRANSLATION, Tools
from bot.slack.turns.actions import recall
from bot.slack.turns.pressing import stands_in
from bot.storage.answers import load_answer
from bot.storage.db import Database


def register_shortcuts(
    app: AsyncApp, *, tools: Tools, database: Database, calls: Calls, directory: Directory, lessons: Lessons
) -> None:
    """Register every shortcut."""
    shortcuts = Shortcuts(tools, directory)
    app.message_shortcut(SUMMARISE_THREAD)(shortcuts.listener(shortcuts.summarise))
    app.message_shortcut(EXPLAIN)(shortcuts.listener(shortcuts.explain))
    app.message_shortcut(TRANSLATE)(shortcuts.listener(shortcuts.translate))
    app.message_shortcut(DRAFT_REPLY)(shortcuts.listener(shortcuts.draft))

    @app.message_shortcut(TEACH)
    async def handle_teach(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Open the form for an answer of the assistant, which its buttons tell, or for what somebody wrote."""
        await ack()
        answer_id, audience = find_answer(body["message"])
        async with database.read() as session:
            record = await load_answer(session, answer_id) if answer_id else None
            said = await recall(session, answer_id, user_id=body["user"]["id"]) if record else None
        if not answer_id and not body["message"].get("bot_id"):
            refusal = await lessons.propose(body)
            if refusal:
                await _say(respond, body["message"], Reply(refusal))
            return
        if record is None or not stands_in(record, body):
            text = _("I can only be taught by what people wrote, and by my own answers: choose this in their menu.")
            await _say(respond, body["message"], Reply(text))
            return
        is_public = audience == blocks.PUBLIC and not directory.is_known_closed(body["channel"]["id"])
        view = blocks.build_correction_view(answer_id, is_public=is_public, said=said)
        await calls.open_form(body["user"]["id"], trigger_id=body["trigger_id"], view=view)


class Shortcuts:
    """Has written what somebody wants of a message; the call's words are the message."""

    def __init__(self, tools: Tools, directory: Directory) -> None:
        self._tools = tools
        self._directory = directory

    def listener(self, run: Callable[[Call], Awaitable[Reply]]) -> Callable[..., Awaitable[None]]:
        """Return what Bolt calls for a shortcut."""
        command = Command(name=run.__name__, usage="", purpose="", run=run)

        async def work(body: dict[str, Any], respond: AsyncRespond) -> Reply:
            message = await self._tools.read(body["message"], channel_id=str(body["channel"]["id"]))
            names = await self._directory.names(mentioned_users(message))
            call = Call(
                user_id=body["user"]["id"],
                team_id=str((body.get("team") or {}).get("id") or ""),
                channel_id=body["channel"]["id"],
                words=parse_message(message, bot_user_id="", names=names),
                thread_ts=str(message.get("thread_ts") or message["ts"]),
                ts=str(message["ts"]),
                source_ts=str(message["ts"]),
                is_ours=self._tools.is_own(message),
                whisper=partial(_say, respond, body["message"]),
            )
            return await carry_out(command, call)

        async def handle(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
            tell = partial(_say, respond, body["message"])
            async with telling_of_end(tell):
                reply = await acknowledge_done(ack, work(body, respond))
            await tell(reply)

        return handle

    async def summarise(self, call: Call) -> Reply:
        """Sum up the message's thread."""
        return await self._tools.tell_thread(call, SUMMARY, call.thread_ts or call.ts)

    async def explain(self, call: Call) -> Reply:
        """Explain the message."""
        return await self._tools.tell_text(call, EXPLANATION) if call.words.strip() else tell_empty()

    async def translate(self, call: Call) -> Reply:
        """Translate the message to the language that the person has chosen in Slack."""
        if not call.words.strip():
            return tell_empty()
        language = await self._tools.language(call.user_id)
        return await self._tools.tell_text(call, TRANSLATION, language=language)

    async def draft(self, call: Call) -> Reply:
        """Draft a reply, with the thread in mind where it can be read."""
        if not await self._tools.find_refusal(call, call.channel_id):
            return await self._tools.tell_thread(call, REPLY, call.thread_ts or call.ts, until_ts=call.ts)
        return await self._tools.tell_text(call, REPLY) if call.words.strip() else tell_empty()


def find_answer(message: dict[str, Any]) -> tuple[str, str]:
    """Return the id and audience of the answer that a message says it is; empty for any other message."""
    for block in message.get("blocks") or []:
        for element in block.get("elements") or []:
            if isinstance(element, dict) and element.get("action_id") == blocks.FEEDBACK:
                _vote, _colon, rest = str((element.get("negative_button") or {}).get("value")).partition(":")
                answer_id, _colon, audience = rest.partition(":")
                return answer_id, audience
    return "", ""


def tell_empty() -> Reply:
    """Say that there is nothing to read."""
    return Reply(_("There is no text in this message."), is_done=False)


async def _say(respond: AsyncRespond, message: Mapping[str, Any], reply: Reply) -> None:
    """Tell the person alone, in the message's thread if there is one."""
    await respond(
        text=reply.text,
        blocks=reply.blocks or None,
        response_type="ephemeral",
        replace_original=False,
        thread_ts=message.get("thread_ts"),
    )
