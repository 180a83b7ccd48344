"""Several workspaces: the app is installed by OAuth, serves each as itself, and forgets what is taken back."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import select

from bot.app import RunningBot
from bot.errors import ConfigError
from bot.playground.person import Person
from bot.playground.testing import Playground
from bot.settings import Settings
from bot.slack import workspaces
from bot.slack.calls import Calls
from bot.slack.turns.shares import MOST
from bot.slack.workspaces import Workspace, Workspaces, own_user_id, serving
from bot.storage.db import Database
from bot.storage.installations import (
    Installed,
    drop_installation,
    find_installation,
    note_team,
    relock_installations,
    save_installation,
)
from bot.storage.installing_tables import Installation
from bot.storage.keyring import Keyring, make_key
from bot.storage.personas import choose_persona, find_persona
from bot.storage.schedule_tables import Kind, Schedule
from bot.storage.schedules import add_schedule
from bot.storage.tables import Answer, AnswerState, Inbox, InboxState, Message, Thread, now
from tests.scenarios.conftest import Finished, StartBot
from tests.scenarios.test_admin import order, press

pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")  # Slack's SDK still uses it
KEY = make_key()
OAUTH = {
    "slack_client_id": "111.222",
    "slack_client_secret": "playground-client-secret",
    "token_encryption_keys": KEY,
    "install_url": "http://127.0.0.1:1",  # only its path counts here: the test is the browser
}


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open two workspaces; the app is only in the first."""
    async with Playground(has_second=True) as opened:
        yield opened


async def install(playground: Playground, bot: RunningBot, *, state: str = "", cookie: str = "") -> str:
    """Install the app as a browser would, and return the page that is shown at the end."""
    here = f"http://127.0.0.1:{bot.http_port}"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
        async with browser.get(f"{here}/slack/install") as page:
            said = await page.text()
            own = page.headers["Set-Cookie"].split(";")[0]
        link = re.search(r'<a href="([^"]+)"', said)
        assert link is not None
        address = link[1].replace("&amp;", "&")
        assert address.startswith(f"{playground.base_url}/oauth/v2/authorize")
        assert "chat:write" in address.replace("%3A", ":")
        async with browser.get(address, allow_redirects=False) as agreed:
            back = agreed.headers["Location"].partition("?")[2]
        query = re.sub(r"state=[^&]*", f"state={state}", back) if state else back
        headers = {"Cookie": cookie or own}
        async with browser.get(f"{here}/slack/oauth_redirect?{query}", headers=headers) as done:
            return await done.text()


async def test_a_second_workspace_installs_uses_and_removes_it(
    playground: Playground, start_bot: StartBot, finished: Finished, rows: Database
) -> None:
    """Each is answered with its own token and bot; the token lies locked on the disk; removing it ends everything."""
    second = playground.second
    maya, zoe = playground.maya, Person(second.hub, "U0ZOE")
    async with start_bot(**OAUTH) as bot:
        await playground.wait_for_connection()
        assert "Thank you" in await install(playground, bot)
        async with rows.read() as session:
            (kept,) = list(await session.scalars(select(Installation)))
        assert (kept.team_id, kept.bot_user_id, kept.name) == ("T0SECOND", "U0APPRENT2", "Second Office")
        assert "xoxb" not in kept.token

        here = await maya.say(maya.dm, "hello")
        there = await zoe.say(zoe.dm, "hello")
        group = await zoe.say("general", "<@U0APPRENT2> hello")
        assert (await playground.wait_for_reply(maya.dm, here))["user"] == "U0APPRENTICE"
        assert (await second.wait_for_reply(zoe.dm, there))["user"] == "U0APPRENT2"
        assert (await second.wait_for_reply("general", group))["user"] == "U0APPRENT2"
        await finished(3)
        await zoe.command("/apprentice", "help")
        await second.wait_until(lambda: zoe.ephemerals(zoe.dm), what="help in the second workspace")

        await second.uninstall()
        await gone(rows)
        await zoe.say(zoe.dm, "still there?")
        again = await maya.say(maya.dm, "hello again")
        await playground.wait_for_reply(maya.dm, again)
        assert len(await finished(4)) == 4

    async with rows.read() as session:
        teams = sorted(set(await session.scalars(select(Thread.team_id))))
    assert teams == ["T0PLAYGRND", "T0SECOND"]


async def test_a_notice_stays_in_the_workspace_of_its_author(
    playground: Playground, start_bot: StartBot, finished: Finished
) -> None:
    """The other's channels are neither named nor written to."""
    second, maya = playground.second, playground.maya
    zoe = Person(second.hub, "U0ZOE")
    async with start_bot(**OAUTH, admin_user_ids="U0MAYA,U0ZOE") as bot:
        await playground.wait_for_connection()
        await install(playground, bot)
        await maya.say("general", "<@U0APPRENTICE> hello")
        await zoe.say("general", "<@U0APPRENT2> hello")
        await finished(2)
        before = len(second.hub.workspace.messages)
        asked = await order(playground, maya, "broadcast I am away at six.")
        assert "in 1 channels" in asked["text"]
        posted = await press(playground, maya, asked, "order:yes")
        assert "Posted in 1 of 1" in posted["text"]
        assert len(second.hub.workspace.messages) == before


async def test_what_waits_when_it_is_removed_is_not_stored(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """Questions that wait for another answer of their author leave nothing behind where the app is gone."""
    second = playground.second
    zoe = Person(second.hub, "U0ZOE")
    async with start_bot(**OAUTH) as bot:
        await playground.wait_for_connection()
        await install(playground, bot)
        second.fault("latency", seconds=1.0, methods="chat.*")
        for number in range(MOST + 2):
            await zoe.say(zoe.dm, f"hello {number}")
        await finished_or_begun(rows, MOST)
        await second.uninstall()
        await gone(rows)
        second.fault("latency", enabled=False)
        await finished_or_begun(rows, 0)
    async with rows.read() as session:
        assert len(list(await session.scalars(select(Message)))) == MOST


async def test_an_old_word_of_its_end_takes_no_new_installation(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """Slack may deliver again that the app was removed, when it has been installed anew already."""
    second = playground.second
    zoe = Person(second.hub, "U0ZOE")
    async with start_bot(**OAUTH) as bot:
        await playground.wait_for_connection()
        await install(playground, bot)
        second.fault("late_redelivery", seconds=60, copies=1)
        await second.uninstall()
        await gone(rows)
        await install(playground, bot)
        asked = len(second.log("api", "auth.test"))
        await playground.advance(75)
        await playground.wait_until(lambda: len(second.log("api", "auth.test")) == asked + 2, what="both words")
        there = await zoe.say(zoe.dm, "hello again")
        assert (await second.wait_for_reply(zoe.dm, there))["user"] == "U0APPRENT2"


@pytest.mark.parametrize("is_refused", [True, False])
async def test_what_another_process_installed_counts_within_a_minute(database: Database, *, is_refused: bool) -> None:
    """Several bots share one database, and only one of them serves the page that installs.

    Where Slack refuses the older token it counts at once.
    """
    moment = 0.0
    keyring = Keyring([KEY])
    here, there = Workspaces(database, keyring, clock=lambda: moment), Workspaces(database, keyring)
    calls = Calls(AsyncWebClient())
    await there.save(installed())
    await here.enter("T1")
    assert calls.token() == "xoxb-one"
    await there.save(installed(token="xoxb-new"))
    if is_refused:
        here.doubt("T1")
    else:
        moment += 61
    await here.enter("T1")
    assert calls.token() == "xoxb-new"
    one = await there.find(team_id="T1")
    assert one is not None
    await there.drop(one)
    assert await here.find(team_id="T1", is_fresh=True) is None


async def test_a_newer_token_outlives_the_end_of_an_older_one(database: Database) -> None:
    """One process finds the old token dead while another keeps the new one."""
    workspaces = Workspaces(database, Keyring([KEY]))
    await workspaces.save(installed())
    old = await workspaces.find(team_id="T1")
    assert old is not None
    await workspaces.save(installed(token="xoxb-new"))
    await workspaces.drop(old)
    found = await workspaces.find(team_id="T1")
    assert found is not None
    assert found.token == "xoxb-new"


async def finished_or_begun(rows: Database, count: int) -> None:
    """Wait until *count* answers are being written, and nothing is under way where that is none."""
    for _ in range(1000):
        async with rows.read() as session:
            writing = list(await session.scalars(select(Answer).where(Answer.state == AnswerState.WRITING)))
            under_way = list(await session.scalars(select(Inbox).where(Inbox.state != InboxState.DONE)))
        if len(writing) == count and (count or not under_way):
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"{len(writing)} answers, {len(under_way)} under way")


async def gone(rows: Database) -> None:
    """Wait until no installation is kept."""
    for _ in range(500):
        async with rows.read() as session:
            if not list(await session.scalars(select(Installation))):
                return
        await asyncio.sleep(0.02)
    raise AssertionError("the installation is still there")


async def test_without_a_token_of_its_own_it_waits_for_installations(
    playground: Playground, start_bot: StartBot, finished: Finished
) -> None:
    """No SLACK_BOT_TOKEN at all: nobody is answered before somebody has installed it."""
    second = playground.second
    zoe = Person(second.hub, "U0ZOE")
    async with start_bot(**OAUTH, slack_bot_token="") as bot:
        await playground.wait_for_connection()
        await playground.maya.say(playground.maya.dm, "hello")
        await install(playground, bot)
        there = await zoe.say(zoe.dm, "hello")
        assert (await second.wait_for_reply(zoe.dm, there))["user"] == "U0APPRENT2"
        assert len(await finished(1)) == 1


async def test_only_the_browser_that_began_can_finish(playground: Playground, start_bot: StartBot) -> None:
    """A made-up state, or another browser's, installs nothing."""
    async with start_bot(**OAUTH) as bot:
        made_up = await install(playground, bot, state="x")
        foreign = await install(playground, bot, cookie="slack-app-oauth-state=other")

    assert "Thank you" not in made_up
    assert "Thank you" not in foreign
    assert not playground.second.hub.is_installed


def installed(**changes: Any) -> Installed:
    """Build an installation."""
    values = {
        "enterprise_id": "",
        "team_id": "T1",
        "name": "One",
        "app_id": "A1",
        "bot_id": "B1",
        "bot_user_id": "U1",
        "token": "xoxb-one",
        "scopes": "chat:write",
        "installed_by": "U9",
    }
    return Installed(**{**values, **changes})


@pytest.mark.parametrize("is_removed", [False, True])
async def test_two_processes_install_or_remove_at_once(
    database: Database, database_url: str, *, is_removed: bool
) -> None:
    """Neither makes the other fail, and what was written last counts."""
    keyring, other = Keyring([KEY]), Database(database_url)
    async with database.begin() as session:
        await save_installation(session, installed(token="xoxb-first"), keyring)
        await note_team(session, "T2", "E1")

    async def meanwhile() -> None:
        async with other.begin() as session:
            if is_removed:
                await drop_installation(session, keyring, team_id="T1", enterprise_id="", token="xoxb-one")
            else:
                await save_installation(session, installed(token="xoxb-later"), keyring)
                await note_team(session, "T2", "E2")

    async with database.begin() as session:
        await save_installation(session, installed(token="xoxb-one"), keyring)
        await note_team(session, "T2", "E3")
        going = asyncio.create_task(meanwhile())
        await asyncio.sleep(0.3)  # it waits for what this transaction has written
    await going
    await other.close()
    async with database.read() as session:
        found = await find_installation(session, keyring, team_id="T1")
        assert (found and found.token) == (None if is_removed else "xoxb-later")


async def test_keys_can_change(database: Database) -> None:
    """A new key before the old one reads everything; after the next start the old one is no longer needed."""
    old, new = make_key(), make_key()
    async with database.begin() as session:
        await save_installation(session, installed(), Keyring([old]))
    async with database.begin() as session:
        assert await relock_installations(session, Keyring([new, old])) == 1
    async with database.read() as session:
        found = await find_installation(session, Keyring([new]), team_id="T1")
        assert found is not None
        assert found.token == "xoxb-one"
        with pytest.raises(ConfigError, match="none of them opens"):
            await find_installation(session, Keyring([old]), team_id="T1")


async def test_a_bot_that_lacks_another_bots_key_stops(
    playground: Playground, start_bot: StartBot, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could store nothing of what it hears there, and stand in the way of the one that can."""
    monkeypatch.setattr(workspaces, "FRESH_S", 0.0)
    monkeypatch.setattr(gc, "freeze", lambda: None)  # what a process of tests has loaded is not the bot's alone
    second, zoe = playground.second, Person(playground.second.hub, "U0ZOE")
    async with start_bot(**OAUTH) as bot:
        await playground.wait_for_connection()
        await install(playground, bot)
        serving_on = asyncio.create_task(bot.run_until(asyncio.Event()))
        there = await zoe.say(zoe.dm, "hello")
        await second.wait_for_reply(zoe.dm, there)
        async with rows.begin() as session:  # as the next one does when it starts
            await relock_installations(session, Keyring([make_key(), KEY]))
        assert not serving_on.done()
        await zoe.say(zoe.dm, "hello again")
        with pytest.raises(ConfigError, match="Give every bot the same keys"):
            async with asyncio.timeout(20):
                await serving_on


async def test_an_organisation_installs_for_all_its_workspaces(database: Database) -> None:
    """Its one token serves each of them, also after a restart, when only the workspace is known; others not."""
    keyring = Keyring([KEY])
    async with database.begin() as session:
        await save_installation(session, installed(enterprise_id="E1", team_id="", token="xoxb-org"), keyring)
        await save_installation(session, installed(enterprise_id="E1", team_id="T2", token="xoxb-two"), keyring)
    first = Workspaces(database, keyring)
    one = await first.find(team_id="T1", enterprise_id="E1")
    own = await first.find(team_id="T2", enterprise_id="E1")
    restarted = Workspaces(database, keyring)
    again = await restarted.find(team_id="T1")

    assert one is not None
    assert own is not None
    assert again is not None
    assert (one.token, own.token, again.token) == ("xoxb-org", "xoxb-two", "xoxb-org")
    assert await restarted.find(team_id="T3") is None
    assert await restarted.find(team_id="T1", enterprise_id="E2") is None


async def test_what_belonged_to_an_installation_goes_with_it(database: Database) -> None:
    """Its token, its personas, its reminders; nobody else's."""
    keyring = Keyring([KEY])
    workspaces = Workspaces(database, keyring)
    await workspaces.save(installed())
    await workspaces.save(installed(team_id="T2", token="xoxb-two"))
    async with database.begin() as session:
        await choose_persona(session, "T1", "C1", persona="brief", by="U1")
        await choose_persona(session, "T2", "C2", persona="brief", by="U1")
        for team in ("T1", "T2"):
            plan = {
                "team_id": team,
                "user_id": "U1",
                "kind": Kind.REMINDER,
                "channel_id": "",
                "text": team,
                "tz": "UTC",
            }
            await add_schedule(session, Schedule(**plan, next_at=now()))
        await note_team(session, "T5", "E5")
    one = await workspaces.find(team_id="T1")
    assert one is not None
    await workspaces.drop(one)

    assert await workspaces.find(team_id="T1") is None
    assert await workspaces.find(team_id="T2") is not None
    async with database.read() as session:
        assert [await find_persona(session, f"T{number}", f"C{number}") for number in (1, 2)] == ["", "brief"]
        assert list(await session.scalars(select(Schedule.text))) == ["T2"]


async def test_each_workspace_has_its_own_line(database: Database, playground: Playground) -> None:
    """Token, limits and what it lacks are those of the workspace that was entered, and of nobody else."""
    home = Workspace("", "T0PLAYGRND", "B0", "U0APPRENTICE", "xoxb-playground")
    workspaces = Workspaces(database, Keyring([KEY]), home=home)
    await workspaces.save(installed())
    calls = Calls(AsyncWebClient("xoxb-playground", base_url=playground.api_url))
    await workspaces.enter("T1")
    assert (calls.token(), own_user_id("U0APPRENTICE")) == ("xoxb-one", "U1")
    calls.budget.rest("chat.update", "", 60)
    assert await workspaces.enter("T9") is None
    await workspaces.enter("T0PLAYGRND")
    assert serving() is None
    assert (calls.token(), own_user_id("U0APPRENTICE")) == ("xoxb-playground", "U0APPRENTICE")
    assert calls.budget.room("chat.update") > 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slack_client_id": "1"}, "SLACK_CLIENT_SECRET, TOKEN_ENCRYPTION_KEYS, INSTALL_URL"),
        ({"token_encryption_keys": KEY}, "SLACK_CLIENT_ID"),
    ],
)
def test_half_a_setting_is_named(changes: dict[str, str], said: str) -> None:
    """What belongs together is asked for together."""
    with pytest.raises(ValueError, match=said):
        Settings(**changes)


def test_a_wrong_key_is_named_and_never_shown() -> None:
    """The sentence says how to make one, and nothing that somebody typed."""
    with pytest.raises(ConfigError, match="new-key") as raised:
        Keyring(["secret-nonsense"])
    assert "secret-nonsense" not in str(raised.value)
    assert KEY not in repr(Settings(**OAUTH))


def test_strange_workspaces_do_not_learn_together(tmp_path: Path) -> None:
    """What one company taught must not answer another: nothing is trained unless somebody says that it may."""
    assert Settings(data_dir=tmp_path, **OAUTH).learning_off_by == "LEARN_ACROSS_WORKSPACES"
    assert Settings(data_dir=tmp_path).learning_off_by == ""
    assert Settings(data_dir=tmp_path, **OAUTH, learn_across_workspaces=True).learning_off_by == ""
    for is_across in (False, True):
        off = Settings(data_dir=tmp_path, **OAUTH, training_enabled=False, learn_across_workspaces=is_across)
        assert off.learning_off_by == "TRAINING_ENABLED"


async def test_what_switches_learning_off_is_named(playground: Playground, start_bot: StartBot) -> None:
    """Training is on and the workspaces may not mix: every sentence names the variable that keeps it off."""
    maya = playground.maya
    async with start_bot(**OAUTH):
        await playground.wait_for_connection()
        for order in ("status", "train", "train on", "train now", "train dry"):
            before = len(maya.ephemerals(maya.dm))
            await maya.command("/apprentice", order, channel=maya.dm)
            (said, *_more) = await playground.wait_until(
                lambda: maya.ephemerals(maya.dm)[before:],  # noqa: B023 - waited for here
                what=f"the answer to {order}",
            )
            assert "LEARN_ACROSS_WORKSPACES" in str(said), order
            assert "TRAINING_ENABLED" not in str(said), order
