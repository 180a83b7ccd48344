"""What went after a backup was made: read from the database that a restore replaces, made true in what is put back.

Told by what the backup does not know, never by the clock: that may have been set back since.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from bot.storage.adapters import BY_ENGINE, find_adapter, move_adapter
from bot.storage.admin_tables import Right, UserRight
from bot.storage.audit import ALLOW, APART, FORBID, FORGET, UNPLAN, is_apart, newest, record
from bot.storage.channels import close_channel, list_closed
from bot.storage.choices import save_choice
from bot.storage.erasure_tables import Erasure
from bot.storage.forgetting import erase_again
from bot.storage.learning_tables import Adapter, AdapterState, AuditRow, DecisionRow, TrainingChoice
from bot.storage.outliving import Rows as Outliving
from bot.storage.outliving import read_outliving, remove_again, settle_outliving
from bot.storage.privacy import newest_refusals
from bot.storage.rights import drop_right, find_right, set_right

TAKEN_BACK = (AdapterState.ROLLED_BACK, AdapterState.REJECTED, AdapterState.TAINTED)
RANKS = ("blocked", "", "member", "reviewer", "admin")
BECAUSE = "It was taken back after the backup was made that was restored."
ERASED = select(Erasure.row_table, Erasure.row_id, Erasure.sha256, Erasure.cause)
NAMES = ("row_table", "row_id", "sha256", "cause")
Rows = Sequence[Sequence[str]]  # the id of what tells of something, and what it tells


@dataclass(frozen=True, slots=True)
class Since:
    """What a backup that is put back may not know: what went, who was forgotten, what was taken away or chosen."""

    erasures: Rows = ()  # table, id, checksum, why
    people: Rows = ()  # who was forgotten
    refused: Rows = ()  # kind, subject, who said so
    rights: Rows = ()  # whom it was decided about, and what is left of it
    adapters: Rows = ()  # name, checksum, state
    unplanned: Rows = ()  # number, when it was planned
    closed: Rows = ()  # the channels that are private by now
    outliving: Outliving = ()
    is_forbidden: bool = False
    is_apart: bool = False  # adapters are put aside


@dataclass(frozen=True, slots=True)
class Settled:
    """How many rows went again, None where nothing could say; who has to be forgotten again; how many choices hold."""

    erased: int | None = None
    people: Collection[str] = ()
    outlived: int = 0


async def read_since(session: AsyncSession) -> Since:
    """Return all that a database knows to have gone, whenever."""
    erasures = await session.execute(ERASED)
    people = await session.execute(select(AuditRow.id, AuditRow.target).where(AuditRow.action == FORGET))
    left = {row[0]: str(row[1]) for row in await session.execute(select(UserRight.user_id, UserRight.right))}
    decided = await session.execute(select(AuditRow.id, AuditRow.target).where(AuditRow.action.startswith("users.")))
    taken_back = select(DecisionRow.id, Adapter.name, Adapter.sha256, Adapter.state).join(Adapter)
    taken_back = taken_back.where(Adapter.state.in_(TAKEN_BACK), DecisionRow.to_state == Adapter.state)
    taken_back = taken_back.where(DecisionRow.by != BY_ENGINE)  # its file was not to be read; the backup may have it
    unplanned = select(AuditRow.id, AuditRow.details).where(AuditRow.action == UNPLAN)
    allowed = await newest(session, (ALLOW, FORBID))
    return Since(
        [tuple(row) for row in erasures],
        [tuple(row) for row in people],
        await newest_refusals(session),
        [(row_id, person, left.get(person, "")) for row_id, person in decided],
        [tuple(row) for row in await session.execute(taken_back)],
        [
            (row_id, str(details["number"]), details["planned_at"])
            for row_id, details in await session.execute(unplanned)
            if "planned_at" in details  # which earlier versions did not note
        ],
        await list_closed(session),
        await read_outliving(session),
        is_forbidden=allowed is not None and allowed.action == FORBID,
        is_apart=await is_apart(session),
    )


async def settle_since(session: AsyncSession, since: Since, *, by: str) -> Settled:
    """Let what went be gone here too, and what was chosen hold."""
    known = {tuple(row[:3]) for row in await session.execute(ERASED)}
    gone = [row for row in since.erasures if tuple(row[:3]) not in known]
    people = {row[0] for row in await _unknown(session, AuditRow.id, since.people)}
    known_there = {row[0] for row in since.people}
    forgotten = await session.execute(select(AuditRow.id, AuditRow.target).where(AuditRow.action == FORGET))
    without = {row[1] for row in forgotten if row[0] not in known_there}
    erased = await erase_again(session, [dict(zip(NAMES, row, strict=False)) for row in gone])
    outlived = 0
    for kind, subject_id, who in await _unknown(session, TrainingChoice.id, since.refused):
        await save_choice(session, kind=kind, subject_id=subject_id, is_allowed=False, by=who)
        outlived += 1
    for person, left in await _unknown(session, AuditRow.id, since.rights):
        outlived += await _take_away(session, person, left, by=by)
    for name, sha256, state in await _unknown(session, DecisionRow.id, since.adapters):
        adapter = await find_adapter(session, name)
        if adapter is not None and adapter.sha256 == sha256 and adapter.state not in TAKEN_BACK:
            await move_adapter(session, adapter, AdapterState(state), by=by, reasons=[BECAUSE])
            outlived += 1
    if since.is_forbidden:
        allowed = await newest(session, (ALLOW, FORBID))
        outlived += allowed is None or allowed.action != FORBID
        record(session, FORBID, by=by)
    if since.is_apart:
        record(session, APART, by=by)
    for (channel_id,) in since.closed:
        await close_channel(session, channel_id)
    outlived += await settle_outliving(session, since.outliving, without=without)
    for number, planned_at in await _unknown(session, AuditRow.id, since.unplanned):
        outlived += await remove_again(session, number, planned_at)
    return Settled(erased, people, outlived)


async def _unknown(session: AsyncSession, column: InstrumentedAttribute[str], rows: Rows) -> Sequence[Sequence[str]]:
    """Return what is told by rows that are not here."""
    known = set(await session.scalars(select(column)))
    return [row[1:] for row in rows if row[0] not in known]


async def _take_away(session: AsyncSession, person: str, left: str, *, by: str) -> bool:
    """Let somebody have no more rights than they had in the end; return whether they had."""
    before = str(await find_right(session, person) or "")
    if RANKS.index(left) >= RANKS.index(before):
        return False
    if left:
        await set_right(session, person, Right(left), by=by)
    else:
        await drop_right(session, person)
    action = {"blocked": "users.block", "": "users.reset"}.get(left, "users.role")
    record(session, action, by=by, target=person, right=left, before=before)
    return True
