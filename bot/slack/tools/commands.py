"""`summarise`, `actions`, `translate` and `explain`: for the person alone, or in the thread where it was ordered."""

from dataclasses import replace

from bot.language import _
from bot.slack.commands.orders import Call, Command, Reply, UsageError
from bot.slack.tools.reading import read_source, read_translation
from bot.slack.tools.tools import ACTIONS, EXPLANATION, SUMMARY, TRANSLATION, Tools


def build_tool_commands(tools: Tools) -> list[Command]:
    """Build the commands."""
    orders = ToolOrders(tools)
    group = _("Read and write for me")
    return [
        Command(
            name="summarise",
            usage=_("[#CHANNEL] [since 2h | monday | 2026-11-20]"),
            purpose=_("sums up a channel, or the thread you are in, with links to what it is from"),
            run=orders.summarise,
            is_written=True,
            group=group,
            words=("since",),
            example=_("summarise #support since monday"),
        ),
        Command(
            name="actions",
            usage=_("[#CHANNEL] [since 2h | monday | 2026-11-20]"),
            purpose=_("lists what is to be done, by whom and until when"),
            run=orders.actions,
            is_written=True,
            group=group,
            words=("since",),
            example=_("actions #support since 2d"),
        ),
        Command(
            name="translate",
            usage=_("[to LANGUAGE] [TEXT]"),
            purpose=_("translates a text, or the last message of the thread you are in"),
            run=orders.translate,
            is_written=True,
            group=group,
            words=("to",),
            example=_("translate to German Good morning"),
        ),
        Command(
            name="explain",
            usage=_("[TEXT]"),
            purpose=_("explains a text, or the last message of the thread you are in"),
            run=orders.explain,
            is_written=True,
            group=group,
            example=_("explain The KV cache is quantized."),
        ),
    ]


class ToolOrders:
    """Carries them out."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def summarise(self, call: Call) -> Reply:
        """Sum up."""
        return await self._read(call, SUMMARY)

    async def actions(self, call: Call) -> Reply:
        """List what is to be done."""
        return await self._read(call, ACTIONS)

    async def translate(self, call: Call) -> Reply:
        """Translate."""
        language, text = read_translation(call.words)
        call = replace(call, words=text) if text else await self._last(call)
        language = language or await self._tools.language(call.user_id)
        return await self._tools.tell_text(call, TRANSLATION, language=language)

    async def explain(self, call: Call) -> Reply:
        """Explain."""
        return await self._tools.tell_text(call if call.words.strip() else await self._last(call), EXPLANATION)

    async def _read(self, call: Call, prompt: str) -> Reply:
        source_id, since = read_source(call.words, now=await self._tools.now(call.user_id))
        if call.thread_ts is not None and not call.words.strip():
            return await self._tools.tell_thread(call, prompt, call.thread_ts)
        return await self._tools.tell_channel(call, prompt, source_id or call.channel_id, since)

    async def _last(self, call: Call) -> Call:
        """Return the call about the last message of its thread; raise *UsageError* where there is none."""
        call = await self._tools.last_message(call)
        if not call.words:
            raise UsageError(_("I need a text; in a thread that I can read I take its last message."))
        return call
