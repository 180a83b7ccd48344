"""The machine's clock was set back: what is in the database seems to come from the future, and nothing is undone."""

from datetime import timedelta

from bot.storage.choices import load_opted_out, newest_choice, save_choice
from bot.storage.db import Database
from bot.storage.erasures import has_erased
from bot.storage.forgetting import change_message
from bot.storage.learning_tables import RunState, TrainingChoice
from bot.storage.runs import has_unwilling, queue_run, save_examples
from bot.storage.tables import now
from tests.builders import PLACE, said

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
