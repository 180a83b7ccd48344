"""`/apprentice persona` and `/apprentice prompts`: how the assistant speaks in a channel, and what it is told."""

import asyncio

from bot.conversation.prompt_book import PERSONAS, PromptBook, Reloaded
from bot.conversation.prompt_trial import Accepted, Outcome, load_cases, run_cases
from bot.engine.client import EngineClient
from bot.errors import EngineError, PromptError
from bot.language import _
from bot.slack.blocks import Block, build_note, build_text
from bot.slack.commands.orders import Call, Command, Reply, Role
from bot.slack.delivery.chunks import build_fence
from bot.slack.delivery.render import escape
from bot.storage import audit
from bot.storage.db import Database
from bot.storage.personas import choose_persona, find_persona

OFF = "off"
SHOWN_LENGTH = 8000
OUTCOME_LENGTH = 500
MOST_BLOCKS = 40  # Slack takes 50, and 12,000 characters of Markdown in all


def build_prompt_commands(database: Database, prompts: PromptBook, engine: EngineClient) -> list[Command]:
    """Build the two commands."""
    orders = PromptOrders(database, prompts, engine)
    return [
        Command(
            name="persona",
            usage=_("[NAME | off]"),
            purpose=_("how I speak in this channel"),
            run=orders.persona,
            group=_("In channels"),
            example="persona brief",
            words=(*prompts.personas(), OFF),
        ),
        Command(
            name="prompts",
            usage=_("[show NAME | test | reload]"),
            purpose=_("what I am told before every conversation"),
            run=orders.prompts,
            role=Role.ADMIN,
            group=_("For admins"),
            words=("show", "test", "reload"),
            example="prompts show system",
        ),
    ]


class PromptOrders:
    """What is done about personas and prompts."""

    def __init__(self, database: Database, prompts: PromptBook, engine: EngineClient) -> None:
        self._database = database
        self._prompts = prompts
        self._engine = engine

    async def persona(self, call: Call) -> Reply:
        """Say or choose how the assistant speaks in the channel; where others read along, only admins choose."""
        wanted = call.words.strip().lower()
        async with self._database.read() as session:
            current = await find_persona(session, call.team_id, call.channel_id)
        if not wanted:
            return Reply(self._tell(current))
        if not call.channel_id.startswith("D") and call.role < Role.ADMIN:
            return Reply(_("In a channel only the admins of the assistant choose this."), is_done=False)
        if wanted != OFF and self._prompts.persona(wanted) is None:
            unknown = _("I have no persona {name}.").format(name=f"`{escape(wanted[:40])}`")
            return Reply(f"{unknown}\n{self._list()}", is_done=False)
        chosen = "" if wanted == OFF else wanted
        async with self._database.begin() as session:
            await choose_persona(session, call.team_id, call.channel_id, persona=chosen, by=call.user_id)
        if not chosen:
            return Reply(_("From the next answer on I speak here as everywhere."))
        return Reply(_("From the next answer on I speak here as {name}.").format(name=f"`{chosen}`"))

    async def prompts(self, call: Call) -> Reply:
        """List the prompts, show one, try them on the cases, or read the files anew."""
        verb, _rest, name = call.words.strip().partition(" ")
        if verb == "reload":
            return await self._reload(call)
        if verb == "test":
            return await self._test()
        if verb == "show":
            return self._show(name.strip() or "system")
        if verb:
            return Reply(_("After `prompts` comes `show NAME`, `test` or `reload`."), is_done=False)
        lines = [
            f"`{name}` {prompt.version}  {escape(prompt.purpose)}"
            for name, prompt in ((name, self._prompts.get(name)) for name in self._prompts.names())
        ]
        return Reply("\n".join([*lines, *_render_problems(self._prompts.problems)]))

    def _show(self, name: str) -> Reply:
        try:
            prompt = self._prompts.get(name)
        except PromptError as error:
            return Reply(escape(str(error)), is_done=False)
        said = _("{name}, version {version}").format(name=prompt.name, version=prompt.version)
        return Reply(said, [*build_text(build_fence(prompt.template[:SHOWN_LENGTH])), *build_note(said)])

    async def _reload(self, call: Call) -> Reply:
        reloaded = self._prompts.reload()
        async with self._database.begin() as session:
            audit.record(session, "prompts-reload", by=call.user_id, changed=list(reloaded.changed))
        return Reply(render_reloaded(reloaded), is_done=not reloaded.problems)

    async def _test(self) -> Reply:
        try:
            cases = await asyncio.to_thread(load_cases, self._prompts.cases())
            accepted = await asyncio.to_thread(Accepted.beside, self._prompts.cases())
            outcomes = await run_cases(self._engine, self._prompts, cases, accepted)
        except (PromptError, EngineError) as error:
            return Reply(escape(str(error)), is_done=False)
        same = [outcome for outcome in outcomes if outcome.is_same]
        said = _("{same} of {all} answers are as accepted.").format(same=len(same), all=len(outcomes))
        shown = [part for outcome in outcomes if not outcome.is_same for part in _render_outcome(outcome)]
        return Reply(said, [*build_note(said), *shown[:MOST_BLOCKS]])

    def _tell(self, current: str) -> str:
        if not current:
            said = _("I speak here as everywhere.")
        elif self._prompts.persona(current) is None:
            said = _("The persona {name} that was chosen here is gone; I speak as everywhere.")
        else:
            said = _("I speak here as {name}.")
        return f"{said.format(name=f'`{escape(current)}`')}\n{self._list()}"

    def _list(self) -> str:
        names = self._prompts.personas()
        lines = [f"• `{name}`  {escape(self._prompts.get(f'{PERSONAS}/{name}').purpose)}" for name in names]
        return "\n".join([_("There are:"), *lines]) if lines else _("There are none yet.")


def render_reloaded(reloaded: Reloaded) -> str:
    """Say what is different now, and which files stayed unread and why."""
    names = ", ".join(f"`{name}`" for name in reloaded.changed)
    said = _("Read anew: {names}.").format(names=names) if names else _("Nothing had changed.")
    return "\n".join([said, *_render_problems(reloaded.problems)])


def _render_outcome(outcome: Outcome) -> list[Block]:
    lines = outcome.answer.splitlines() if outcome.accepted is None else outcome.diff()
    what = _("nobody has accepted it yet") if outcome.accepted is None else _("changed")
    text = "\n".join(lines)[:OUTCOME_LENGTH]
    return [*build_text(build_fence(text, language="diff")), *build_note(f"{outcome.name}: {what}")]


def _render_problems(problems: tuple[str, ...]) -> list[str]:
    return ["⚠️ " + _("The old one stays: {problem}").format(problem=escape(problem)) for problem in problems]
