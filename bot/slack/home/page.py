"""The Home as a whole: what one person's is made of, gathered and published."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bot.admin.budgets import Budgets, Use, read_use
from bot.admin.feedback import Week, read_trend
from bot.admin.status import Health, read_health
from bot.engine.client import EngineClient
from bot.errors import DeliveryError, LearningError
from bot.language import _, speaking
from bot.learning.control import Learning
from bot.learning.figures import RunReport
from bot.learning.views import AdapterLine, LearningStatus
from bot.slack.blocks import Block, context, header, section
from bot.slack.calls import Calls
from bot.slack.commands.orders import Role
from bot.slack.commands.preferences import ADAPTER, Wish, find_wishes
from bot.slack.home.consent import build_consent
from bot.slack.home.learned import build_learned
from bot.slack.home.opinions import MOST_FATES, build_opinions
from bot.slack.home.steering import MOST_RUNS, build_steering
from bot.slack.home.usage import build_usage
from bot.slack.home.watching import build_health, build_trend
from bot.slack.home.welcome import build_welcome
from bot.slack.home.wishes import build_wishes
from bot.slack.newest import Newest
from bot.slack.people.access import Access, tell_refusal
from bot.slack.people.speech import Speech
from bot.slack.throttle import Limits, Throttle
from bot.slack.workspaces import key_of
from bot.storage.db import Database
from bot.storage.fates import Fate, Opinions, count_opinions, list_fates
from bot.storage.privacy import STORING
from bot.storage.runs import find_picture

WEEKS = 8
HOMES_PER_PERSON = 20  # a minute: Slack takes ninety for all
DIVIDER: Block = {"type": "divider"}


@dataclass(frozen=True, kw_only=True)
class AdminFacts:
    """What only admins see."""

    health: Health
    weeks: Sequence[Week]
    runs: Sequence[RunReport]
    adapters: Sequence[AdapterLine]
    picture_id: str = ""


@dataclass(frozen=True, kw_only=True)
class HomeFacts:
    """What a person's Home is made of; *note* is what their last press did."""

    use: Use
    opinions: Opinions
    fates: Sequence[Fate]
    wishes: Sequence[Wish]
    is_learned_from: bool | None
    is_stored: bool
    status: LearningStatus
    learned: RunReport | None = None
    admin: AdminFacts | None = None
    note: str = ""


class Home:
    """Publishes to each person their own Home as things are now."""

    def __init__(
        self,
        database: Database,
        calls: Calls,
        *,
        access: Access,
        speech: Speech,
        engine: EngineClient,
        learning: Learning,
        budgets: Budgets,
        folder: Path,
    ) -> None:
        self._database = database
        self._calls = calls
        self._access = access
        self._speech = speech
        self._engine = engine
        self._learning = learning
        self._budgets = budgets
        self._folder = folder
        self._newest = Newest()
        self._shown = Throttle(Limits(person=HOMES_PER_PERSON), clock=calls.clock.now)

    async def publish(self, user_id: str, *, note: str = "") -> None:
        """Show somebody their Home, with *note* at its top, unless a newer one is to be made."""
        await self._newest.run(key_of(user_id), partial(self._publish, user_id, note))

    async def _publish(self, user_id: str, note: str) -> None:
        while (full := self._shown.take(key_of(user_id))) is not None:
            await self._calls.clock.sleep(full.seconds)
        with speaking(await self._speech.language_of(user_id)):
            try:
                role = await self._access.role_for(user_id, Role.MEMBER)
                refusal = tell_refusal(role, Role.MEMBER) if role < Role.MEMBER else ""
            except DeliveryError as error:  # Slack does not tell who this is
                role, refusal = Role.NOBODY, str(error)
            if refusal:
                said = [note, refusal] if note else [refusal]
                await self._show(user_id, {"type": "home", "blocks": [section(text) for text in said]})
                return
            facts = replace(await self._gather(user_id, is_admin=role >= Role.ADMIN), note=note)
            if await self._show(user_id, build_home(facts)) or facts.admin is None or not facts.admin.picture_id:
                return
            unseen = replace(facts, admin=replace(facts.admin, picture_id=""))  # Slack has the picture no more
            await self._show(user_id, build_home(unseen))

    async def _show(self, user_id: str, view: dict[str, object]) -> bool:
        return await self._calls.call_if_possible("views.publish", user_id=user_id, view=view) is not None

    async def _gather(self, user_id: str, *, is_admin: bool) -> HomeFacts:
        learning = self._learning
        status = await learning.status()
        async with self._database.read() as session:
            opinions = await count_opinions(session, user_id)
            fates = [
                replace(fate, adapter="", is_fixed=False) if fate.adapter in status.put_aside else fate
                for fate in await list_fates(session, user_id, most=MOST_FATES)
            ]
        (use,) = await read_use(self._database, self._budgets, user_id=user_id)
        return HomeFacts(
            use=use,
            opinions=opinions,
            fates=fates,
            wishes=await find_wishes(self._database, learning, user_id),
            is_learned_from=await learning.is_chosen("person", user_id),
            is_stored=await learning.is_chosen(STORING, user_id) is not False,
            status=status,
            learned=await self._find_report(status.active),
            admin=await self._gather_for_admins() if is_admin else None,
        )

    async def _gather_for_admins(self) -> AdminFacts:
        runs = await self._learning.reports(most=MOST_RUNS)
        async with self._database.read() as session:
            picture_id = await find_picture(session, runs[0].run_id) if runs else ""
        return AdminFacts(
            health=await read_health(self._database, self._engine, self._folder),
            weeks=await read_trend(self._database, weeks=WEEKS),
            runs=runs,
            adapters=await self._learning.adapters(),
            picture_id=picture_id,
        )

    async def _find_report(self, name: str) -> RunReport | None:
        """Return the report of what is served; None for the base, and for one whose report is lost."""
        try:
            return await self._learning.report(name) if name else None
        except LearningError:
            return None


def build_home(facts: HomeFacts) -> dict[str, object]:
    """Build a Home: for admins first how all is and what they can do, then what concerns the person."""
    parts = [
        *([] if facts.admin is None else [_build_admin_part(facts, facts.admin)]),
        build_welcome(),
        build_usage(facts.use),
        build_opinions(facts.opinions, facts.fates, is_learned_from=facts.is_learned_from is not False),
        build_wishes(facts.wishes),
        build_consent(is_learned_from=facts.is_learned_from, is_stored=facts.is_stored),
        build_learned(facts.status, facts.learned),
    ]
    blocks = [context(facts.note)] if facts.note else []
    for part in parts:
        blocks += [*([DIVIDER] if part is not parts[0] else []), *part]
    return {"type": "home", "blocks": blocks}


def _build_admin_part(facts: HomeFacts, admin: AdminFacts) -> list[Block]:
    is_choice = any(wish.name == ADAPTER for wish in facts.wishes)
    return [
        header(_("For admins")),
        *build_health(admin.health),
        *build_trend(admin.weeks),
        *build_steering(facts.status, admin.runs, admin.adapters, is_choice=is_choice, picture_id=admin.picture_id),
    ]
