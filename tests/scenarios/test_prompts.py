"""Prompts and personas as a team lives with them: chosen for a channel, changed in a file, visible in the record."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli import cli
from bot.conversation.prompt_book import PromptBook
from bot.engine.client import EngineClient
from bot.playground.testing import Playground
from bot.shipped import shipped
from bot.slack.commands.orders import Call, Role
from bot.slack.commands.prompts import PromptOrders, build_prompt_commands
from bot.storage.db import Database
from tests.scenarios.conftest import KEY, EngineProcess, Finished, StartBot

BOT = "<@U0APPRENTICE>"
TEAM = "T0PLAYGRND"


def order(words: str, *, channel: str = "C0GENERAL", role: Role = Role.ADMIN) -> Call:
    """Build what somebody orders."""
    return Call(user_id="U0MAYA", team_id=TEAM, channel_id=channel, words=words, role=role)


async def test_a_channel_has_a_persona_and_the_record_shows_it(
    playground: Playground, start_bot: StartBot, finished: Finished, rows: Database, tmp_path: Path
) -> None:
    """Chosen in one channel it counts there and only there; a changed file shows in the next answer's version."""
    own = tmp_path / "prompts"
    (own / "personas").mkdir(parents=True)
    persona = own / "personas" / "formal.md"
    persona.write_text("---\npurpose: formal\n---\nBe formal.\n")
    book = PromptBook(shipped("prompts"), own)
    async with start_bot(prompts_dir=own), EngineClient("http://nowhere") as nowhere:
        await playground.wait_for_connection()
        orders = PromptOrders(rows, book, nowhere)
        assert (await orders.persona(order("formal"))).is_done
        await playground.tom.say("general", f"{BOT} hello")
        await finished(1)
        await playground.tom.say("random", f"{BOT} hello")
        await finished(2)
        persona.write_text("---\npurpose: formal\n---\nBe very formal.\n")
        reloaded = PromptBook(shipped("prompts"), own)
        version = reloaded.get("personas/formal").version
        answers = []
        for count in range(3, 60):  # the change is noticed within a second or so; until then the old one answers
            await playground.tom.say("general", f"{BOT} hello")
            answers = await finished(count)
            if answers[-1].prompt_version.endswith(version):
                break

    system = book.get("system").version
    assert answers[0].prompt_name == "system+formal"
    assert answers[0].prompt_version == f"{system}+{book.get('personas/formal').version}"
    assert (answers[1].prompt_name, answers[1].prompt_version) == ("system", system)
    assert answers[-1].prompt_version == f"{system}+{version}"


async def test_only_admins_choose_where_others_read_along(playground: Playground, rows: Database) -> None:
    """Everybody may ask; in a direct message everybody may also choose; a name that is not there is refused."""
    await rows.migrate()
    book = PromptBook(shipped("prompts"))
    async with EngineClient("http://nowhere") as nowhere:
        orders = PromptOrders(rows, book, nowhere)
        refused = await orders.persona(order("brief", role=Role.MEMBER))
        unknown = await orders.persona(order("<!channel>"))
        direct = await orders.persona(order("brief", channel="D0TOM", role=Role.MEMBER))
        told = await orders.persona(order("", channel="D0TOM", role=Role.MEMBER))
        elsewhere = await orders.persona(order(""))
        off = await orders.persona(order("off", channel="D0TOM", role=Role.MEMBER))
        after = await orders.persona(order("", channel="D0TOM", role=Role.MEMBER))

    assert (refused.is_done, unknown.is_done) == (False, False)
    assert "<!channel>" not in unknown.text
    assert direct.is_done
    assert "`brief`" in told.text.splitlines()[0]
    assert "as everywhere" in elsewhere.text
    assert off.is_done
    assert "as everywhere" in after.text


async def test_admins_see_reload_and_try_prompts(
    playground: Playground, rows: Database, tmp_path: Path, engine_process: EngineProcess
) -> None:
    """The same as `bot prompts` does; a broken file is named and changes nothing."""
    await rows.migrate()
    own = tmp_path / "prompts"
    own.mkdir()
    (own / "cases.toml").write_text('[[case]]\nname = "hi"\nquestion = "hello"\n')
    book = PromptBook(shipped("prompts"), own)
    async with EngineClient(engine_process.url, api_key=KEY) as engine:
        _, prompts = build_prompt_commands(rows, book, engine)
        assert prompts.role == Role.ADMIN
        shown = await prompts.run(order("show"))
        (own / "system.md").write_text("---\n---\n{{ moon }}")
        broken = await prompts.run(order("reload"))
        listed = await prompts.run(order(""))
        tried = await prompts.run(order("test"))
        wrong = await prompts.run(order("dance"))

    assert "You are Apprentice" in str(shown.blocks)
    assert not broken.is_done
    assert "moon" in broken.text
    assert "moon" in listed.text
    assert "`system`" in listed.text
    assert "0 of 1" in tried.text
    assert "hi: nobody has accepted it yet" in str(tried.blocks)
    assert not wrong.is_done


def test_the_terminal_tries_prompts_and_keeps_what_is_accepted(
    tmp_path: Path, engine_process: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs with the same prompt agree; another prompt shows as a difference and ends with 1."""
    own = tmp_path / "prompts"
    own.mkdir()
    (own / "cases.toml").write_text('[[case]]\nname = "hi"\nquestion = "hello"\n')
    for name, value in {
        "DATA_DIR": str(tmp_path / "data"),
        "PROMPTS_DIR": str(own),
        "ENGINE_URL": engine_process.url,
        "ENGINE_API_KEY": KEY,
    }.items():
        monkeypatch.setenv(name, value)
    terminal = CliRunner()
    first = terminal.invoke(cli, ["prompts", "test"])
    accepted = terminal.invoke(cli, ["prompts", "test", "--accept"])
    again = terminal.invoke(cli, ["prompts", "test"])
    kept = own / "cases.accepted.json"
    kept.write_text(kept.read_text().replace('"answer": "', '"answer": "Ahoy. '))
    changed = terminal.invoke(cli, ["prompts", "test"])

    assert (first.exit_code, accepted.exit_code, again.exit_code, changed.exit_code) == (1, 0, 0, 1)
    assert first.output.startswith("new      hi")
    assert again.output.startswith("same     hi")
    assert "-Ahoy." in changed.output
