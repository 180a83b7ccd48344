"""Who may use the assistant, and who may do more than others."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.errors import AdminError
from bot.language import _
from bot.storage import rights
from bot.storage.admin_tables import Right
from bot.storage.audit import record
from bot.storage.db import Database

WORDS = {right.value: right for right in (Right.MEMBER, Right.REVIEWER, Right.ADMIN)}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody about whom an admin, or the settings, have decided something."""

    user_id: str
    right: str
    by: str


async def list_people(database: Database, owners: frozenset[str]) -> Sequence[Person]:
    """Return the owners, and everybody about whom something was decided."""
    async with database.read() as session:
        rows = await rights.all_rights(session)
    named = [Person(user_id, "owner", "ADMIN_USER_IDS") for user_id in sorted(owners)]
    return [*named, *(Person(row.user_id, str(row.right), row.by) for row in rows if row.user_id not in owners)]


async def decide(database: Database, user_id: str, right: Right | None, *, by: str, owners: frozenset[str]) -> str:
    """Give somebody a right, or none of their own (None); return the word for what they had before, empty for none."""
    if user_id in owners:
        sentence = _("{user} is an owner by ADMIN_USER_IDS: change the settings to change that.")
        raise AdminError(sentence.format(user=user_id))
    if user_id == by:
        raise AdminError(_("Nobody decides about themselves: ask another admin."))
    async with database.begin() as session:
        if right is None:
            before = await rights.drop_right(session, user_id)
        else:
            before = await rights.set_right(session, user_id, right, by=by)
        action = {Right.BLOCKED: "users.block", None: "users.reset"}.get(right, "users.role")
        record(session, action, by=by, target=user_id, right=str(right or ""), before=str(before or ""))
    return str(before or "")
