"""Who may do what: asked of Slack and of our own rows at each call, never taken from what a payload claims.

Guests, strangers, bots and people of other organisations get nothing unless an admin has allowed them by name, and then
no more than any member. Whoever is blocked gets nothing. What Slack does not tell counts as nothing. But guests, and
members who were blocked or deactivated, may see and take back what was stored of them before, and say no to learning.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bot.errors import DeliveryError
from bot.language import _
from bot.slack.commands.orders import Role
from bot.slack.people.directory import Directory
from bot.slack.setup.manifest import COMMAND
from bot.slack.workspaces import serving
from bot.storage.admin_tables import Right
from bot.storage.channel_settings import load_rules
from bot.storage.db import Database
from bot.storage.manners_tables import Mode
from bot.storage.rights import all_rights, find_right

FRESH_S = 60.0  # for so long Slack is not asked again
STALE_S = 24 * 3600.0  # for so long an answer makes a member of somebody while Slack is away, and no more than that
ROLES = {
    Right.BLOCKED: Role.BARRED,
    Right.MEMBER: Role.MEMBER,
    Right.REVIEWER: Role.REVIEWER,
    Right.ADMIN: Role.ADMIN,
}

log = logging.getLogger(__name__)


class Standing(Enum):
    """What somebody is in the workspace, as far as Slack tells."""

    OURS = "one of ours"
    ALLOWED = "of another organisation that the settings allow"
    GUEST = "a guest of the workspace"
    OUTSIDER = "of another organisation"
    LEFT = "one of ours who was deactivated"
    GONE = "a bot, or deactivated elsewhere"
    UNKNOWN = "unknown to Slack, or Slack is away"


@dataclass(frozen=True, slots=True)
class Home:
    """The workspace that the assistant is installed in, its organisation if it has one, and the workspaces allowed."""

    team_id: str
    enterprise_id: str = ""
    allowed_team_ids: frozenset[str] = frozenset()


class Access:
    """Knows the role of everybody; *owners* are those whom the settings name."""

    def __init__(self, database: Database, directory: Directory, *, owners: frozenset[str], home: Home) -> None:
        self._database = database
        self._directory = directory
        self._home = home
        self.owners = owners

    async def role_of(self, user_id: str, team_id: str = "") -> Role:  # noqa: ARG002 - for when several are ours
        """Return what somebody may do now; *team_id* is what their payload claims, and proves nothing."""
        user, is_fresh = await self._directory.user(user_id, fresh_s=FRESH_S, stale_s=STALE_S)
        return await self._decide(user_id, user, is_fresh=is_fresh)

    async def role_for(self, user_id: str, needed: Role) -> Role:
        """Return what somebody may do now; raise a passing *DeliveryError* where only Slack's silence is in the way.

        For whoever is answered with a refusal: an admin would read that they are none, or a member that they are a
        guest, because Slack does not tell who they are.
        """
        user, is_fresh = await self._directory.user(user_id, fresh_s=FRESH_S, stale_s=STALE_S)
        role = await self._decide(user_id, user, is_fresh=is_fresh)
        if role < needed and not is_fresh:
            raise DeliveryError(tell_away(), is_passing=True)
        return role

    async def known_role_of(self, user_id: str) -> Role:
        """Return what somebody may do now; raise a passing *DeliveryError* where Slack does not tell who they are.

        For whoever ends something with a no. It asks once: to look afterwards whether Slack had told could find that it
        has since, as where a new token came in between, and take what was no answer for a no.
        """
        user, is_fresh = await self._directory.user(user_id, fresh_s=FRESH_S, stale_s=STALE_S)
        if user is None:
            raise DeliveryError(is_passing=True)
        return await self._decide(user_id, user, is_fresh=is_fresh)

    async def _decide(self, user_id: str, user: Mapping[str, Any] | None, *, is_fresh: bool) -> Role:
        standing = read_standing(user, home=self._here())
        async with self._database.read() as session:
            right = await find_right(session, user_id)
        role = decide_role(standing, right, is_owner=user_id in self.owners)
        return role if is_fresh else min(role, Role.MEMBER)

    async def is_admin(self, user_id: str, team_id: str = "") -> bool:
        """Return whether somebody may steer the assistant."""
        return await self.role_of(user_id, team_id) >= Role.ADMIN

    async def has_other_reviewer(self, user_id: str) -> bool:
        """Return whether somebody else may decide about corrections, too."""
        async with self._database.read() as session:
            named = {row.user_id for row in await all_rights(session) if row.right in {Right.REVIEWER, Right.ADMIN}}
        for other in sorted((self.owners | named) - {user_id}):
            if await self.role_of(other) >= Role.REVIEWER:
                return True
        return False

    async def is_off(self, team_id: str, channel_id: str) -> bool:
        """Return whether the assistant is switched off in a channel."""
        async with self._database.read() as session:
            return (await load_rules(session, team_id, channel_id)).mode is Mode.OFF

    async def is_ours(self, user_id: str) -> bool:
        """Return whether somebody is a member of the workspace, who may read all that is public in it."""
        user, _ = await self._directory.user(user_id, fresh_s=FRESH_S, stale_s=STALE_S)
        return self.is_member(user)

    def is_member(self, user: Mapping[str, Any] | None) -> bool:
        """Return whether Slack describes a member of the workspace: no guest, and of no other organisation."""
        return read_standing(user, home=self._here()) is Standing.OURS

    def _here(self) -> Home:
        """Return the workspace that is being served."""
        workspace = serving()
        if workspace is None:
            return self._home
        return Home(workspace.team_id, workspace.enterprise_id, self._home.allowed_team_ids)

    async def is_known(self, user_id: str) -> bool:
        """Return whether Slack has said within a day who somebody is; if not, it is away."""
        return (await self._directory.user(user_id, fresh_s=FRESH_S, stale_s=STALE_S))[0] is not None


def read_standing(user: Mapping[str, Any] | None, *, home: Home) -> Standing:
    """Read what users.info says about somebody; None: it says nothing."""
    if not user or not user.get("id"):
        return Standing.UNKNOWN
    if user.get("is_bot") or user.get("id") == "USLACKBOT":
        return Standing.GONE
    enterprise = str((user.get("enterprise_user") or {}).get("enterprise_id") or "")
    is_ours = user.get("team_id") == home.team_id or bool(home.enterprise_id and enterprise == home.enterprise_id)
    is_ours = is_ours and not user.get("is_stranger")
    if user.get("deleted"):
        return Standing.LEFT if is_ours else Standing.GONE
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return Standing.GUEST if is_ours else Standing.OUTSIDER
    if is_ours:
        return Standing.OURS
    is_allowed = user.get("team_id") in home.allowed_team_ids and not user.get("is_stranger")
    return Standing.ALLOWED if is_allowed else Standing.OUTSIDER


def decide_role(standing: Standing, right: Right | None, *, is_owner: bool) -> Role:
    """Return what somebody may do; an owner cannot be blocked by a row, for the settings name them."""
    if standing in {Standing.GONE, Standing.UNKNOWN}:
        return Role.NOBODY
    if standing is Standing.LEFT:
        return Role.BARRED
    if standing in {Standing.GUEST, Standing.OUTSIDER}:
        barred = Role.BARRED if standing is Standing.GUEST else Role.NOBODY
        return Role.MEMBER if right is Right.MEMBER else barred
    if standing is Standing.ALLOWED:
        return Role.NOBODY if right is Right.BLOCKED else Role.MEMBER
    if is_owner:
        return Role.OWNER
    return Role.MEMBER if right is None else ROLES[right]


def tell_away() -> str:
    """Say that Slack is away, to whoever wanted what needs its word."""
    return _("Slack does not answer me at the moment. Please try again in a minute.")


def tell_refusal(role: Role, needed: Role) -> str:
    """Say to somebody of *role* that they may not do what needs another."""
    if role < Role.MEMBER:
        refusal = _(
            "I may not do that for you. I only help members of this workspace: guests, people of other organisations "
            "and whoever was blocked need the word of an admin (`users allow`)."
        )
        orders = ", ".join(f"`{COMMAND} {order}`" for order in ("my-data", "forget-me", "learn-from-me off"))
        yours = _("What I have stored of you stays yours: {orders}.").format(orders=orders)
        return f"{refusal} {yours}" if role is Role.BARRED else refusal
    if needed is Role.OWNER:
        return _("Only the owners of the assistant may do that. They are named in its settings (`ADMIN_USER_IDS`).")
    if needed is Role.ADMIN:
        return _(
            "Only the admins of the assistant may do that. They are named in its settings (`ADMIN_USER_IDS`) or by "
            "another admin (`users role`)."
        )
    return _("Only reviewers and admins of the assistant may do that.")
