"""The table of commands: who may order what, what was probably meant, and what a wrong use is told."""

import logging
from dataclasses import replace

import pytest

from bot.errors import ApprenticeError
from bot.slack.commands.orders import BANG, Call, Command, Commands, Reply, Role, UsageError
from bot.slack.commands.table import ORDERS_PER_PERSON, Desk

CALL = Call(user_id="U0TOM", team_id="T0PLAYGRND", channel_id="C0GENERAL", words="")


async def echo(call: Call) -> Reply:
    """Say what was understood."""
    return Reply(f"{call.words}|{call.role.name}")


async def misused(_call: Call) -> Reply:
    """Want to be written otherwise."""
    raise UsageError("I need a <question>.")


async def broken(_call: Call) -> Reply:
    """Fail for a reason that is nobody's business."""
    raise ValueError("secret of a payload")


async def refused(_call: Call) -> Reply:
    """Fail for a reason that is said."""
    raise ApprenticeError("Nothing <was> learned.")


COMMANDS = [
    Command(name="echo", usage="WORDS", purpose="say it", run=echo, group="Talk", example="echo hello"),
    Command(name="train", usage="[now]", purpose="learn", run=echo, group="Learn", roles={"now": Role.ADMIN}),
    Command(name="audit", usage="", purpose="look back", run=echo, role=Role.ADMIN, group="Run me"),
    Command(name="ask", usage="QUESTION", purpose="ask", run=misused),
    Command(name="break", usage="", purpose="break", run=broken),
    Command(name="refuse", usage="", purpose="refuse", run=refused),
    Command(name="stop", usage="", purpose="stop", run=echo, is_uncounted=True),
]


def build_desk(role: Role = Role.MEMBER) -> Desk:
    """Build a desk at which everybody has *role*."""

    async def role_for(_user_id: str, _needed: Role) -> Role:
        return role

    return Desk(COMMANDS, role_for=role_for)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo hello", "hello|MEMBER"),
        ("  Echo   two  words ", "two  words|MEMBER"),
        ("echo", "|MEMBER"),
        ("echo\nline one\nline two", "line one\nline two|MEMBER"),
        ("echo it's <@U1> & more", "it's <@U1> & more|MEMBER"),
        ("train", "|MEMBER"),
    ],
)
async def test_an_order_is_a_name_and_words(text: str, said: str) -> None:
    """Case and outer spaces do not matter; the words stay as they were written."""
    assert (await build_desk().take(text, CALL)).text == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ehco hello", "I do not know `/apprentice ehco`. Did you mean `/apprentice echo`?"),
        ("trian", "Did you mean `/apprentice train`?"),
        ("`<!channel>`", "I do not know `/apprentice &lt;!channel&gt;`."),
        ("zzz", "All of them: `/apprentice help`"),
    ],
)
async def test_the_nearest_name_is_suggested(text: str, said: str) -> None:
    """Whoever mistypes reads what they meant; what they typed is shown harmlessly."""
    reply = await build_desk().take(text, CALL)
    assert said in reply.text
    assert not reply.is_done


async def test_what_one_may_not_order_is_not_suggested() -> None:
    """A member does not hear of the admins' commands by a typing error."""
    assert "audit" not in (await build_desk().take("audti", CALL)).text.replace("audti", "")
    for role in (Role.NOBODY, Role.BARRED):
        assert "only help members" in (await build_desk(role).take("audti", CALL)).text
    assert "Did you mean `/apprentice audit`?" in (await build_desk(Role.ADMIN).take("audti", CALL)).text


@pytest.mark.parametrize(
    ("text", "role", "is_allowed"),
    [
        ("audit", Role.MEMBER, False),
        ("audit", Role.REVIEWER, False),
        ("audit", Role.ADMIN, True),
        ("audit", Role.OWNER, True),
        ("train NOW", Role.MEMBER, False),
        ("train now", Role.ADMIN, True),
        ("echo", Role.NOBODY, False),
        ("help", Role.NOBODY, False),
        ("echo", Role.BARRED, False),
        ("help", Role.BARRED, False),
    ],
)
async def test_the_role_is_checked_before_anything_runs(text: str, role: Role, *, is_allowed: bool) -> None:
    """The table says who may, also for certain first words; a refusal runs nothing."""
    reply = await build_desk(role).take(text, CALL)
    assert reply.is_done is is_allowed
    assert ("|" in reply.text) is (is_allowed and text != "help")


async def test_a_wrong_use_is_one_sentence_with_the_usage() -> None:
    """In the form in which it was ordered."""
    assert (await build_desk().take("ask", CALL)).text == (
        "I need a <question>. It is written `/apprentice ask QUESTION`."
    )
    in_thread = Call(user_id="U0TOM", team_id="T", channel_id="C", words="", lead=BANG)
    assert "It is written `!ask QUESTION`." in (await build_desk().take("ask", in_thread)).text


async def test_failures_become_sentences(caplog: pytest.LogCaptureFixture) -> None:
    """Ours is shown, escaped; any other has an id that leads to the log."""
    assert (await build_desk().take("refuse", CALL)).text == "⚠️ Nothing &lt;was&gt; learned."
    with caplog.at_level(logging.ERROR):
        said = (await build_desk().take("break", CALL)).text
    assert "secret" not in said
    error_id = said.split("(error ")[1].split(")")[0]
    assert error_id in caplog.text


async def test_help_shows_what_the_reader_may_order() -> None:
    """Under headings; one command in full on demand."""
    member = await build_desk().take("help", CALL)
    texts = [block["text"]["text"] for block in member.blocks]
    assert "*Talk*\n`/apprentice echo WORDS`  say it" in texts
    assert not any("audit" in text for text in texts)
    assert any("*Run me*" in str(block) for block in (await build_desk(Role.ADMIN).take("", CALL)).blocks)
    one = await build_desk().take("help echo", CALL)
    assert one.text == ("say it\nIt is written `/apprentice echo WORDS`.\nFor example: `/apprentice echo hello`")
    assert "I do not know" in (await build_desk().take("help audit", CALL)).text
    assert "Did you mean `/apprentice echo`?" in (await build_desk().take("help ecko", CALL)).text


async def test_help_fits_into_slack() -> None:
    """However many commands there are, no section is too long."""
    many = [Command(name=f"c{n}", usage="x" * 60, purpose="y" * 80, run=echo, group="Many") for n in range(60)]

    async def role_for(_user_id: str, _needed: Role) -> Role:
        return Role.MEMBER

    reply = await Desk(many, role_for=role_for).take("help", CALL)
    assert all(len(block["text"]["text"]) <= 3000 for block in reply.blocks)
    assert all(any(f"c{n} " in block["text"]["text"] for block in reply.blocks) for n in range(60))


def test_two_commands_of_one_name_are_a_mistake() -> None:
    """Neither silently hides the other."""
    with pytest.raises(ValueError, match="Two commands are called echo"):
        Commands([COMMANDS[0], COMMANDS[0]])


async def test_a_flood_of_orders_is_refused_with_one_word() -> None:
    """What is uncounted works all the same, and so do the orders of everybody else."""
    desk = build_desk()
    replies = [await desk.take("echo hello", CALL) for _ in range(ORDERS_PER_PERSON + 20)]

    assert [reply.is_done for reply in replies] == [True] * ORDERS_PER_PERSON + [False] * 20
    assert "more than I can do" in replies[ORDERS_PER_PERSON].text
    assert {reply.text for reply in replies[ORDERS_PER_PERSON + 1 :]} == {""}
    assert (await desk.take("stop", CALL)).is_done
    assert (await desk.take("echo hello", replace(CALL, user_id="U0MAYA"))).is_done


async def test_half_a_surrogate_pair_is_no_error() -> None:
    """It can be neither stored nor sent, so a question mark stands for it."""
    assert (await build_desk().take("echo a\ud800b", CALL)).text == "a?b|MEMBER"
