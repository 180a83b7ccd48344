"""What the Home shows: everything that it should, within Slack's limits, in the language of whoever reads it."""

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.admin.budgets import Use
from bot.admin.feedback import Week
from bot.admin.status import Health
from bot.language import speaking
from bot.learning.figures import Role
from bot.learning.views import LearningStatus
from bot.playground.blocks import check_home
from bot.slack.commands.preferences import list_wishes
from bot.slack.home.controls import read_order
from bot.slack.home.page import AdminFacts, HomeFacts, build_home
from bot.slack.home.pictures import draw_bar, draw_line
from bot.slack.home.suggestions import build_again, choose_topics, read_channel
from bot.slack.home.usage import tell_use
from bot.slack.newest import Newest
from bot.storage.fates import Fate, Opinions
from bot.storage.preferences import Preferences
from tests.slack.test_learning_blocks import ADAPTER, NOON, STATUSES, TEXTS, figure, report, texts_of

ENGLISH_SENTENCE = re.compile(r"[A-Za-z]{3,} [a-z]{2,} [a-z]{2,}")
HEALTH = Health("sqlite", "0003", True, 1.2, "starter", ("run-7",), 3, NOON, 20.0)
EMPTY_USE = Use("person", "U0TOM", 0, 0, 0, NOON)


def fate(**changes: Any) -> Fate:
    """Build a correction that waits."""
    values = {
        "question": "Who owns billing?",
        "text": "Priya",
        "at": NOON,
        "is_rejected": False,
        "adapter": "",
        "is_fixed": False,
    }
    return Fate(**{**values, **changes})


def weeks(count: int = 8) -> list[Week]:
    """Build weeks that get better."""
    return [Week(date(2026, 10, 5) + timedelta(weeks=n), n * 10, n, count - n, n % 3) for n in range(count)]


def admin(**changes: Any) -> AdminFacts:
    """Build what an admin sees."""
    values = {"health": HEALTH, "weeks": weeks(), "runs": [report()], "adapters": [ADAPTER]}
    return AdminFacts(**{**values, **changes})


def facts(**changes: Any) -> HomeFacts:
    """Build what somebody sees who has never done anything here."""
    values = {
        "use": EMPTY_USE,
        "opinions": Opinions(),
        "fates": [],
        "wishes": list_wishes(Preferences(), has_news=True, adapters=None),
        "is_learned_from": None,
        "is_stored": True,
        "status": LearningStatus(),
    }
    return HomeFacts(**{**values, **changes})


def orders_of(view: dict[str, Any]) -> list[str]:
    """Return every order that can be given in a Home."""
    elements = [
        element
        for block in view["blocks"]
        for element in [*block.get("elements", []), block.get("accessory")]
        if element and "action_id" in element
    ]
    options = [option["value"] for element in elements for option in element.get("options", [])]
    return options + [read_order(element) for element in elements if element["type"] == "button"]


def words_of(blocks: Any, *kinds: str) -> str:
    """Return what people read, of texts of some kinds: `mrkdwn` is what Slack reads as markup, `plain_text` is not."""
    if isinstance(blocks, list):
        return "\n".join(words_of(item, *kinds) for item in blocks)
    if not isinstance(blocks, dict):
        return ""
    own = str(blocks["text"]) if blocks.get("type") in kinds else ""
    return "\n".join([own, *(words_of(value, *kinds) for value in blocks.values())])


def test_an_empty_home_tells_what_there_will_be() -> None:
    """Nobody meets an empty place: each part says what it is for."""
    view = build_home(facts())
    said = texts_of(view)

    assert check_home(view) == []
    for words in (
        "Ask me",
        "You have not asked me anything today",
        "Nothing yet",
        "Download",
        "The same model answers",
    ):
        assert words in said
    assert "For admins" not in said
    assert set(orders_of(view)) == {
        *(f"preferences language {code}" for code in ("auto", "en", "zh")),
        *(f"preferences length {length}" for length in ("short", "normal", "long")),
        *(f"preferences {name} {word}" for name in ("streaming", "news") for word in ("on", "off")),
        "learn-from-me off",
        "my-data",
        "forget-me --yes",
    }


def test_an_admin_sees_how_all_is_and_what_to_do() -> None:
    """Health, feedback as a line, trainings with before and after, adapters, curves, and buttons that give orders."""
    status = LearningStatus(allowed_by="U0MAYA", active="run-7")
    wishes = list_wishes(Preferences(adapter="run-6"), has_news=False, adapters=["run-7", "run-6"])
    view = build_home(facts(status=status, wishes=wishes, admin=admin(picture_id="F1"), note="Done."))
    said = texts_of(view)

    assert check_home(view) == []
    assert view["blocks"][0]["elements"][0]["text"] == "Done."
    for words in ("All is well", "Queue: 3 wait", "▁▂▃▄▅▆▇█", "liked 88%", "4% → 92%", "`run-7` answers everybody"):
        assert words in said
    assert {"id": "F1"} in [block.get("slack_file") for block in view["blocks"]]
    assert {"train now", "train pause", "adapters rollback run-7", "dataset review", "adapters choice off"} <= set(
        orders_of(view)
    )
    lists = [block["accessory"] for block in view["blocks"] if "options" in block.get("accessory", {})]
    chosen = [found["initial_option"]["text"]["text"] for found in lists]
    assert chosen == ["the one of your Slack", "normal", "yes", "run-6", "no"]


@pytest.mark.parametrize("status", STATUSES)
def test_only_what_can_be_done_has_a_button(status: LearningStatus) -> None:
    """No training where nobody allowed one, no rollback where nothing is served."""
    orders = set(orders_of(build_home(facts(status=status, admin=admin(runs=[], adapters=[])))))

    assert ("train now" in orders) is bool(status.allowed_by)
    assert any(order.startswith("adapters rollback") for order in orders) is bool(status.canary or status.active)
    assert ("train resume" in orders) is (status.is_paused and bool(status.allowed_by))


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS, note=TEXTS, count=st.integers(0, 60))
def test_slack_takes_every_home(text: str, note: str, count: int) -> None:
    """Whatever people wrote and however much there is: at most 100 blocks, none too long, every text escaped."""
    status = LearningStatus(allowed_by="U0MAYA", active=text[:64], last_run_id=1, last_outcome=text)
    run = report(outcome=text, figures=(figure(label=text), figure(label=text, role=Role.NOTE)), learned_from={text: 3})
    view = build_home(
        facts(
            use=Use("person", "U0TOM", 10**9, 10**9, 10**6, NOON),
            opinions=Opinions(count, count, count, count, count),
            fates=[fate(question=text, text=text, adapter=text[:64])] * min(count, 5),
            wishes=list_wishes(Preferences(), has_news=True, adapters=[f"run-{number}" for number in range(count)]),
            status=status,
            learned=run,
            admin=admin(weeks=weeks(26), runs=[run] * count, adapters=[ADAPTER] * count),
            note=note,
        )
    )

    assert check_home(view) == []
    assert "<!channel>" not in words_of(
        view["blocks"][1:], "mrkdwn"
    )  # what is said at the top was escaped where it was said


def test_the_whole_home_is_said_in_chinese() -> None:
    """Nothing but names and commands stays English."""
    with speaking("zh"):
        view = build_home(
            facts(
                use=Use("person", "U0TOM", 900, 1000, 3, NOON),
                opinions=Opinions(1, 2, 9, 1, 1),
                fates=[fate(is_fixed=True), fate(adapter="run-7"), fate(is_rejected=True), fate()],
                wishes=list_wishes(Preferences(), has_news=True, adapters=["run-7"]),
                status=LearningStatus(allowed_by="U0MAYA", active="run-7", points_needed=50),
                admin=admin(),
            )
        )
    said = words_of(view["blocks"], "mrkdwn", "plain_text")
    lines = [re.sub(r"`[^`]*`|“[^”]*”|<[^>]*>", "", line) for line in said.splitlines()]
    own = (
        "Run 7 learned",
        "Better by",
        "corrected questions right",
        "Who owns billing",
    )  # what a run said of itself stays as it was said

    assert [line for line in lines if ENGLISH_SENTENCE.search(line) and not any(words in line for words in own)] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"is_fixed": True, "adapter": "run-7"}, "✅ *Who owns billing?*: “Priya”  _Answered right now._"),
        ({"adapter": "run-7"}, "📘 *Who owns billing?*: “Priya”  _Learned; `run-7` answers with it._"),
        ({"is_rejected": True, "is_fixed": True}, "✋ *Who owns billing?*: “Priya”  _A reviewer set it aside._"),
        ({"run_id": 7}, "_It went into training 7, whose adapter does not answer._"),
        ({"run_id": 7, "is_outvoted": True}, "⚖️ *Who owns billing?*: “Priya”  _Not learned so far: others taught"),
        ({"is_liked_anyway": True}, "_Not learned so far: more people like the answer than correct it._"),
        (
            {"waits": True},
            "⏳ *Who owns billing?*: “Priya”  _Waits for a reviewer; until then what one approved before",
        ),
        ({"question": "", "is_outdated": True}, "⏳ “Priya”  _Counts no more: its question was made another one"),
        ({}, "⏳ *Who owns billing?*: “Priya”  _Kept since"),
    ],
)
def test_what_became_of_a_correction(changes: dict[str, Any], words: str) -> None:
    """One line each: the newest thing that is known of it."""
    said = texts_of(build_home(facts(opinions=Opinions(corrected=1), fates=[fate(**changes)])))

    assert words in said
    assert "🔒" in texts_of(build_home(facts(opinions=Opinions(corrected=1), fates=[fate()], is_learned_from=False)))


@pytest.mark.parametrize(
    ("used", "limit", "answers", "words"),
    [
        (0, 0, 0, "You have not asked me anything today. There is no limit for you."),
        (1200, 0, 1, "1 answer, 1,200 tokens. There is no limit for you."),
        (500, 1000, 2, "2 answers, 500 tokens.\n`▓▓▓▓▓░░░░░` 50% of 1,000 tokens a day"),
        (1000, 1000, 2, "Nothing is left"),
    ],
)
def test_the_use_of_a_day(used: int, limit: int, answers: int, words: str) -> None:
    """What was used and what is left."""
    assert words in tell_use(Use("person", "U0TOM", used, limit, answers, datetime(2026, 11, 28, tzinfo=UTC)))


def test_pictures_of_characters() -> None:
    """The highest is highest, nothing is nothing, and a bar that is not full never looks full."""
    assert draw_line([0, 1, None, 2, 4]) == "▁▃·▅█"
    assert draw_line([]) == ""
    assert draw_line([0.5, 1.0], most=1.0) == "▅█"
    assert [draw_bar(share) for share in (0, 0.01, 0.99, 1, 7)] == [
        "░" * 10,
        "▓" + "░" * 9,
        "▓" * 9 + "░",
        "▓" * 10,
        "▓" * 10,
    ]


def test_what_is_asked_most_is_suggested_again() -> None:
    """Ordered by how often, then by how new; differences of case and marks do not count, what is long is left out."""
    asked = ["How do I deploy?", "x" * 400, "hello", " ", "Who is on call", "who is on call?", "What is a runbook?"]

    assert choose_topics(asked) == ["Who is on call", "How do I deploy?"]
    assert choose_topics([]) == []
    assert len(build_again("word " * 50)["title"]) <= 60


@pytest.mark.parametrize(
    ("context", "channel"),
    [
        ({}, ""),
        ({"entities": []}, ""),
        ({"entities": [{"type": "slack#/types/canvas_id", "value": "F1"}]}, ""),
        (
            {"entities": [{"type": "slack#/types/canvas_id"}, {"type": "slack#/types/channel_id", "value": "C1"}]},
            "C1",
        ),
    ],
)
def test_what_somebody_looks_at(context: dict[str, Any], channel: str) -> None:
    """The first channel among what Slack names; it can name nothing at all."""
    assert read_channel(context) == channel


async def test_of_many_wishes_for_a_home_the_first_and_the_newest_count() -> None:
    """Somebody who opens theirs without end has it made once more, and holds up nobody else's; nothing is left over."""
    newest, may_end, made = Newest(), asyncio.Event(), []

    async def make(name: str) -> None:
        made.append(name)
        await may_end.wait()

    opened = [asyncio.create_task(newest.run("U1", partial(make, f"theirs {number}"))) for number in range(100)]
    opened.append(asyncio.create_task(newest.run("U2", partial(make, "another's"))))
    await asyncio.sleep(0)
    assert made == ["theirs 0", "another's"]
    may_end.set()
    await asyncio.gather(*opened)
    assert made == ["theirs 0", "another's", "theirs 99"]
    await newest.run("U1", partial(make, "again"))
    assert made[-1] == "again"
    assert vars(newest) == vars(Newest())
