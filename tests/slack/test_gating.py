"""Who gets an answer: everybody who asks, nobody who does not."""

from typing import Any

import pytest

from bot.slack.people.gating import Guests, Heard, Scene, Verdict, hear, next_talkers, wants_answer
from bot.slack.people.wording import is_one_of, is_question, named_first, wants_quiet
from bot.storage.manners_tables import Mode

BOT = "UBOT"
REPLY = {"thread_ts": "100.0"}


def body(**event: Any) -> dict[str, Any]:
    """Build an event as Slack sends it."""
    basic = {"type": "message", "channel": "C1", "ts": "200.0", "user": "U1", "text": "hi", "channel_type": "channel"}
    return {
        "team_id": "T1",
        "event_id": "Ev1",
        "authorizations": [{"team_id": "T1", "enterprise_id": None}],
        "api_app_id": "A1",
        "event": {**basic, **event},
    }


def heard(**event: Any) -> Heard:
    """Read an event that can be read."""
    found = hear(body(**event), bot_user_id=BOT)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("event", "is_engaged", "expected"),
    [
        ({"channel": "D1", "channel_type": "im"}, False, Verdict.ANSWER),
        ({"channel": "D1", "channel_type": "im", **REPLY}, False, Verdict.ANSWER),
        ({"type": "app_mention", "text": "<@UBOT> hi"}, False, Verdict.ANSWER),
        ({"text": "hey <@UBOT> hi"}, False, Verdict.ANSWER),
        ({}, False, Verdict.IGNORE),
        ({}, True, Verdict.IGNORE),
        (REPLY, True, Verdict.ANSWER),
        (REPLY, False, Verdict.IGNORE),
        ({"thread_ts": "200.0"}, True, Verdict.IGNORE),
        ({**REPLY, "text": "<@U2> what do you think?"}, True, Verdict.TALK),
        ({**REPLY, "text": "<@U2> and <@UBOT>?"}, True, Verdict.ANSWER),
        ({**REPLY, "subtype": "file_share"}, True, Verdict.ANSWER),
        ({**REPLY, "subtype": "thread_broadcast"}, True, Verdict.ANSWER),
    ],
)
def test_whoever_asks_gets_an_answer(event: dict[str, Any], is_engaged: bool, expected: Verdict) -> None:
    """Direct messages, mentions and replies in an engaged thread; not talk between people."""
    assert wants_answer(heard(**event), Scene(is_engaged=is_engaged)) is expected


MENTION, ASIDE, QUESTION, ANSWERED = (
    {"text": "<@UBOT> hi"},
    {"text": "lunch is ready"},
    {"text": "who knows the door code"},
    {**REPLY, "text": "and the second step"},
)
STRANGE_REPLY = {**REPLY, "text": "never seen this thread"}


@pytest.mark.parametrize(
    ("mode", "answered"),
    [
        (Mode.OFF, []),
        (Mode.MENTION, ["mention"]),
        (Mode.THREAD, ["mention", "reply"]),
        (Mode.QUESTIONS, ["mention", "reply", "question"]),
        (Mode.EVERYTHING, ["mention", "reply", "question", "aside", "unknown thread"]),
    ],
)
def test_a_channel_decides_how_much_is_answered(mode: Mode, answered: list[str]) -> None:
    """Each mode answers what the one before it does, and a little more."""
    cases = {
        "mention": (MENTION, False),
        "reply": (ANSWERED, True),
        "question": (QUESTION, False),
        "aside": (ASIDE, False),
        "unknown thread": (STRANGE_REPLY, False),
    }
    found = [
        name
        for name, (event, is_engaged) in cases.items()
        if wants_answer(heard(**event), Scene(mode=mode, is_engaged=is_engaged)) is Verdict.ANSWER
    ]

    assert found == answered


def test_a_mention_where_it_is_off_is_told_so() -> None:
    """Nobody who speaks to the assistant is left without a word; a direct message is not a channel."""
    assert wants_answer(heard(**MENTION), Scene(mode=Mode.OFF)) is Verdict.OFF
    assert wants_answer(heard(channel="D1", channel_type="im"), Scene(mode=Mode.OFF)) is Verdict.ANSWER


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        (Scene(is_engaged=True, is_muted=True), Verdict.IGNORE),
        (Scene(is_engaged=True, is_talk=True), Verdict.IGNORE),
        (Scene(is_engaged=True, waiting=frozenset({"U2"})), Verdict.IGNORE),
        (Scene(is_engaged=True, waiting=frozenset({"U1"})), Verdict.ANSWER),
        (Scene(is_engaged=True, talkers=("U1", "U2")), Verdict.TALK),
        (Scene(is_engaged=True, talkers=("U2",)), Verdict.ANSWER),
        (Scene(is_engaged=True, talkers=("U1", "U1")), Verdict.ANSWER),
        (Scene(is_engaged=True, talkers=("U3", "U2")), Verdict.ANSWER),
        (Scene(is_engaged=True, partners={"U1": "Maya"}), Verdict.ANSWER),
        (Scene(is_engaged=True, partners={"U2": "Tom"}), Verdict.IGNORE),
        (Scene(is_engaged=True, partners={"U2": "Tom"}, waiting=frozenset({"U1"})), Verdict.ANSWER),
        (Scene(is_engaged=True, partners={"U1": "Maya"}, talkers=("U2",)), Verdict.TALK),
        (Scene(is_engaged=True, partners={"U1": "Maya", "U2": "Tom"}, talkers=("U2",)), Verdict.ANSWER),
    ],
)
def test_people_who_talk_to_each_other_are_left_alone(scene: Scene, expected: Verdict) -> None:
    """Muted, in a talk already, about what somebody else has just said, from or to a newcomer, or by turns."""
    assert wants_answer(heard(**REPLY, text="that is not what I meant"), scene) is expected


def test_a_question_in_an_engaged_thread_is_taken_as_asked() -> None:
    """Two people may ask by turns; the talk between them begins with remarks."""
    scene = Scene(is_engaged=True, talkers=("U1", "U2"), waiting=frozenset({"U2"}))
    question = heard(**REPLY, text="What about the second one?")

    assert wants_answer(question, scene) is Verdict.ANSWER
    assert next_talkers(question, scene) == ()
    assert next_talkers(heard(**REPLY), scene) == ("U1", "U2", "U1")


def test_whoever_asks_for_something_joins_in() -> None:
    """A question or a request is answered whoever it is from; a remark of the same newcomer is left alone."""
    scene = Scene(is_engaged=True, partners={"U2": "Tom"})
    texts = {"What about Monday?": True, "Please make it shorter": True, "翻译成英文": True, "it is Monday": False}

    answered = {text: wants_answer(heard(**REPLY, text=text), scene) is Verdict.ANSWER for text in texts}
    assert answered == texts


def test_a_word_to_somebody_by_name_is_theirs() -> None:
    """“Tom, …” is for Tom when a Tom is in the thread, and for the assistant when nobody is called so."""
    word = heard(**REPLY, text="Tom, can you look?")

    assert wants_answer(word, Scene(is_engaged=True, partners={"U2": "Tom Becker"})) is Verdict.TALK
    assert wants_answer(word, Scene(is_engaged=True, partners={"U2": "Maya"})) is Verdict.ANSWER


@pytest.mark.parametrize(
    ("text", "scene", "expected"),
    [
        ("be quiet here", Scene(is_engaged=True), Verdict.HUSH),
        ("<@UBOT> please stay out of this.", Scene(), Verdict.HUSH),
        ("be quiet here", Scene(is_engaged=False), Verdict.IGNORE),
        ("be quiet here", Scene(is_engaged=True, is_muted=True), Verdict.IGNORE),
        ("stop the server", Scene(is_engaged=True), Verdict.ANSWER),
    ],
)
def test_a_wish_for_quiet_is_heard(text: str, scene: Scene, expected: Verdict) -> None:
    """Where the assistant takes part, or by a mention; other words with “stop” are not one."""
    assert wants_answer(heard(**REPLY, text=text), scene) is expected


@pytest.mark.parametrize(
    "event",
    [
        {"subtype": "message_changed"},
        {"subtype": "message_deleted"},
        {"subtype": "channel_join"},
        {"subtype": "bot_message", "bot_id": "B1"},
        {"bot_id": "B1"},
        {"user": BOT},
        {"user": "USLACKBOT"},
        {"user": None},
        {"ts": None},
        {"type": "reaction_added"},
    ],
)
def test_what_is_not_a_person_speaking_is_not_heard(event: dict[str, Any]) -> None:
    """Edits, joins, bots and the assistant itself cannot start a turn."""
    assert hear(body(**event), bot_user_id=BOT) is None


def test_an_allowed_bot_is_answered_when_it_mentions_the_assistant() -> None:
    """By the id of the bot or of its user; without a mention, in a loop, or where it is off it is ignored."""
    guests = Guests(bots=frozenset({"BDEPLOY", "UDEPLOY"}))
    words = {"bot_id": "BDEPLOY", "user": "UDEPLOY", "text": "<@UBOT> deployed"}
    word = hear(body(**words), bot_user_id=BOT, bot_id="BOWN", guests=guests)
    unasked = hear(body(**words, **REPLY) | {}, bot_user_id="UELSE", bot_id="BOWN", guests=guests)

    assert word is not None
    assert unasked is not None
    assert wants_answer(word, Scene()) is Verdict.ANSWER
    assert wants_answer(word, Scene(is_looping=True)) is Verdict.IGNORE
    assert wants_answer(word, Scene(mode=Mode.OFF)) is Verdict.IGNORE
    assert wants_answer(unasked, Scene(is_engaged=True)) is Verdict.IGNORE
    assert hear(body(**words), bot_user_id=BOT, guests=Guests(bots=frozenset({"BOTHER"}))) is None


@pytest.mark.parametrize("own", [{"bot_id": "BOWN"}, {"user": BOT, "bot_id": "B2"}, {"app_id": "A1", "bot_id": "B2"}])
def test_the_assistant_never_answers_itself(own: dict[str, str]) -> None:
    """Not even when somebody has put it on the list of allowed bots."""
    guests = Guests(bots=frozenset({"BOWN", BOT, "A1", "B2"}))
    event = body(**{"text": "<@UBOT> hi", **own})

    assert hear(event, bot_user_id=BOT, bot_id="BOWN", guests=guests) is None


@pytest.mark.parametrize(
    ("event", "is_shared", "is_stranger"),
    [
        ({}, False, False),
        ({"user_team": "T1"}, True, False),
        ({"user_team": "T9"}, True, True),
        ({"user_team": "T9"}, False, True),
        ({"source_team": "T9"}, True, True),
        ({"user_team": "TALLOWED"}, True, False),
        ({"team": "T1"}, True, False),
        ({"team": "T9"}, True, True),
        ({}, True, True),
    ],
)
def test_who_may_be_of_another_organisation_is_a_stranger(
    event: dict[str, Any], is_shared: bool, is_stranger: bool
) -> None:
    """In a shared channel everybody is one who does not say otherwise; a setting allows workspaces."""
    guests = Guests(teams=frozenset({"TALLOWED"}))
    found = hear({**body(**event), "is_ext_shared_channel": is_shared}, bot_user_id=BOT, guests=guests)

    assert found is not None
    assert found.is_stranger is is_stranger


def test_a_workspace_of_our_own_organisation_is_not_refused_unheard() -> None:
    """Slack is asked about that person later; in a channel shared with others nobody is taken on trust."""
    grid = {**body(user_team="T2"), "authorizations": [{"team_id": "T1", "enterprise_id": "E1"}]}
    ours = hear(grid, bot_user_id=BOT)
    theirs = hear({**grid, "is_ext_shared_channel": True}, bot_user_id=BOT)

    assert ours is not None
    assert theirs is not None
    assert (ours.is_stranger, theirs.is_stranger) == (False, True)


@pytest.mark.parametrize("mode", [Mode.QUESTIONS, Mode.EVERYTHING])
def test_what_strangers_ask_each_other_is_not_refused(mode: Mode) -> None:
    """Where questions of members are answered that nobody mentions the assistant in, theirs are for people."""
    aside = {"text": "who has the slides?", "user_team": "T9"}

    assert wants_answer(heard(**aside), Scene(mode=mode)) is Verdict.IGNORE
    assert wants_answer(heard(**aside, **REPLY), Scene(mode=mode)) is Verdict.IGNORE
    assert wants_answer(heard(**aside, **REPLY), Scene(mode=mode, is_engaged=True)) is Verdict.STRANGER
    assert wants_answer(heard(text="<@UBOT> who?", user_team="T9"), Scene(mode=mode)) is Verdict.STRANGER


def test_a_stranger_is_refused_once_a_thread_and_only_when_spoken_to() -> None:
    """No refusal for talk among people; an admin's word for one person counts."""
    asks = heard(text="<@UBOT> hi", user_team="T9")
    talks = heard(user_team="T9")

    assert wants_answer(asks, Scene()) is Verdict.STRANGER
    assert wants_answer(asks, Scene(is_refused=True)) is Verdict.IGNORE
    assert wants_answer(asks, Scene(is_welcome=True)) is Verdict.ANSWER
    assert wants_answer(talks, Scene()) is Verdict.IGNORE
    assert wants_answer(heard(channel="D9", channel_type="im", user_team="T9"), Scene()) is Verdict.STRANGER


def test_both_events_of_a_mention_are_one_arrival() -> None:
    """They differ in their event id only, so that the inbox can tell that they are twins."""
    mention = hear(body(type="app_mention", text="<@UBOT> hi"), bot_user_id=BOT)
    message = hear({**body(text="<@UBOT> hi"), "event_id": "Ev2"}, bot_user_id=BOT)

    assert mention is not None
    assert message is not None
    keys = [(a.team_id, a.channel_id, a.ts, a.kind) for a in (mention.arrival, message.arrival)]
    assert keys[0] == keys[1]


def test_the_workspace_is_the_one_that_installed_the_app() -> None:
    """In a shared channel `team_id` can be the other organisation's."""
    found = hear({**body(channel_type="im"), "authorizations": [{"team_id": "THOME"}]}, bot_user_id=BOT)

    assert found is not None
    assert found.place.team_id == "THOME"


@pytest.mark.parametrize("broken", [{}, {"event": None}, {"event": []}, {"event": {"type": "message"}}])
def test_a_malformed_event_is_ignored(broken: dict[str, Any]) -> None:
    """Nothing that Slack could send breaks the intake."""
    assert hear(broken, bot_user_id=BOT) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How do I deploy?", True),
        ("hi all, does anyone know the door code", True),
        ("Which one is ours", True),
        ("怎么部署服务", True),
        ("服务起来了吗", True),
        ("Lunch?", True),
        ("what a day!", False),
        ("whatever works", False),
        ("so do I", False),
        ("do we have one", True),
        ("see <https://x.example/?q=1>", False),
        ("`what?`", False),
        ("&gt; is it?\nyes, it is", False),
        ("I know how to do it", False),
        ("", False),
    ],
)
def test_a_question_is_what_people_would_take_for_one(text: str, expected: bool) -> None:
    """Code, quotes and addresses ask nothing; English and Chinese beginnings count without a mark."""
    assert is_question(text) is expected


@pytest.mark.parametrize("text", ["Be quiet, please.", "<@UBOT> stop replying", "请安静一点", "don't answer any more"])
def test_people_ask_for_quiet_in_their_own_words(text: str) -> None:
    """Several ways in both languages."""
    assert wants_quiet(text.replace("quiet, please", "quiet please"))


@pytest.mark.parametrize(("text", "name"), [("Tom: look", "Tom"), ("@Tom Becker, look", "Tom Becker"), ("look", "")])
def test_a_name_in_front_is_found(text: str, name: str) -> None:
    """With or without an @, one or two words."""
    assert named_first(text) == name
    assert is_one_of(name, {"Tom Becker"}) is bool(name)
