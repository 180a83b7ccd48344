"""The machine's clock was set back: what is in the database seems to come from the future, and nothing is undone."""

from datetime import timedelta

import pytest
from ulid import ULID

from bot.storage.answers import find_standing
from bot.storage.audit import is_decided_since, record
from bot.storage.choices import load_opted_out, newest_choice, save_choice
from bot.storage.db import Database
from bot.storage.erasures import has_erased
from bot.storage.forgetting import change_message
from bot.storage.ids import Ids
from bot.storage.learning_tables import RunState, TrainingChoice
from bot.storage.runs import has_unwilling, queue_run, save_examples
from bot.storage.tables import Answer, new_id, now
from tests.builders import PLACE, answered, said

AHEAD = timedelta(hours=1)


async def test_a_no_counts_although_the_yes_before_it_seems_younger(database: Database) -> None:
    """What was said last is what somebody wants, in whichever order the stamps are."""
    async with database.begin() as session:
        at = now() + AHEAD
        session.add(TrainingChoice(kind="person", subject_id="U1", is_allowed=True, by="U1", at=at))
    async with database.begin() as session:
        await save_choice(session, kind="person", subject_id="U1", is_allowed=False, by="U1")

    async with database.read() as session:
        assert (await load_opted_out(session)).people == {"U1"}
        chosen = await newest_choice(session, kind="person", subject_id="U1")
    assert chosen is not None
    assert not chosen.is_allowed


async def test_a_run_hears_of_a_no_and_of_an_edit_although_it_seems_to_begin_later(database: Database) -> None:
    """It had read the words that somebody takes back now."""
    async with database.begin() as session:
        message = await said(session, "The key is in the drawer", ts="1.000", user="U1")
        run = await queue_run(session, trigger="cli", by="test")
        run.state, run.started_at = RunState.TRAINING, now() + AHEAD
        known = {"user_id": "U1", "source": "liked", "split": "train", "weight": 1.0, "sha256": "0" * 64}
        await save_examples(session, run.id, [{"row_table": "messages", "row_id": message.id} | known])
    async with database.begin() as session:
        await save_choice(session, kind="person", subject_id="U1", is_allowed=False, by="U1")
        await change_message(session, PLACE.team_id, PLACE.channel_id, ts="1.000", text="The key is with Tom")

    async with database.read() as session:
        assert await has_unwilling(session, run.id)
        assert await has_erased(session, run.id)


async def test_what_is_written_last_sorts_last(database: Database) -> None:
    """An answer written anew is the newer one, and an old Undo knows what was decided since."""
    ahead = str(ULID.from_datetime(now() + AHEAD))
    async with database.begin() as session:
        message = await said(session)
        session.add(
            Answer(id=ahead, message_id=message.id, state="complete", text="old", audience="public", reply_ts=[])
        )
        record(session, "users.role", by="U0", target="U1")
    await database.migrate()  # as at each start
    button = new_id()
    async with database.begin() as session:
        await answered(session, message, "new", replaces_id=ahead)
        record(session, "users.block", by="U2", target="U1")

    async with database.read() as session:
        standing = await find_standing(session, message.id)
        assert standing is not None
        assert standing.text == "new"
        assert await is_decided_since(session, button, actions=["users."], targets=["U1"])


def test_ids_go_on_from_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the clock is set back while they are given; what is no id is passed over."""
    ids = Ids()
    ids.go_on_after([None, "a1", str(ULID.from_datetime(now() + AHEAD))])
    given = [ids.give() for _ in range(3)]
    monkeypatch.setattr("time.time_ns", lambda: 0)
    given += [ids.give() for _ in range(3)]
    assert given == sorted(set(given))
    assert given[0] > new_id()
