"""What people decide about answers, in any order: each decision holds as its author would say, and nothing else does.

A plain model of what they said and want is compared with the tables after every step of a whole bot's life.
"""

import os
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.scenarios.decision_life import MEMBERS, OWNER, PEOPLE, Life
from tests.scenarios.decision_model import BUTTON, DOWN, EMOJI, GENERAL, UP
from tests.scenarios.decision_office import read_all, read_decisions, read_learned, read_own
from tests.storage.test_backup import TOOLS

OTHERS = st.sampled_from(PEOPLE[1:])
PERSON = st.sampled_from(PEOPLE)
WORD = re.compile(r"\b(?:[bdfgklmnprstvwzj][aeiou]){3}k\b")
MOST = 3  # questions at the same time: what few people say about few answers meets


class DecisionMachine(RuleBasedStateMachine):
    """Lets people do what they do, and looks at what came of it."""

    server = ""  # of PostgreSQL; else each course has a file of SQLite

    def __init__(self) -> None:
        super().__init__()
        self.life = Life(self.server)
        self.run = self.life.office.run
        self.steps = 0
        self.run(self.life.office.order(OWNER, "learn-from-channel on", channel=GENERAL))

    def teardown(self) -> None:
        """End the bot."""
        try:
            self._check_my_data()
        finally:
            self.life.office.close()

    @precondition(lambda self: len(self.life.shown) < MOST)
    @rule(person=PERSON, count=st.sampled_from([1, 1, 2]), data=st.data())
    def ask(self, person: str, count: int, data: st.DataObject) -> None:
        """Ask something in a thread of its own, for one answer or two."""
        place = data.draw(st.sampled_from([GENERAL, *self.life.places_of(person)]))
        if person not in self.life.model.blocked:
            self.run(self.life.ask(person, place, count=count))

    @precondition(lambda self: 0 < len(self.life.shown) < MOST)
    @rule(person=PERSON, data=st.data())
    def follow_up(self, person: str, data: st.DataObject) -> None:
        """Ask something more in a thread."""
        if (seen := self.life.seen_by(person)) and person not in self.life.model.blocked:
            before = data.draw(st.sampled_from(seen))
            self.run(self.life.ask(person, before.place, root=before.root))

    @precondition(lambda self: self.life.shown)
    @rule(data=st.data())
    def choose(self, data: st.DataObject) -> None:
        """Choose among several answers."""
        shown = data.draw(st.sampled_from(self.life.shown))
        if shown.author not in self.life.model.blocked:
            self.run(self.life.choose(shown))

    @precondition(lambda self: self.life.shown)
    @rule(person=PERSON, data=st.data())
    def regenerate(self, person: str, data: st.DataObject) -> None:
        """Want another answer."""
        seen = [one for one in self.life.seen_by(person) if self._has_buttons(one)]
        if seen and person not in self.life.model.blocked:
            self.run(self.life.regenerate(data.draw(st.sampled_from(seen)), person))

    @precondition(lambda self: self.life.shown)
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        """Make another question of it."""
        shown = data.draw(st.sampled_from(self.life.shown))
        if self.life.model.find(shown.ts):  # of what is not stored any more a mention by an edit asks anew
            self.run(self.life.edit(shown))

    @precondition(lambda self: self.life.shown)
    @rule(data=st.data())
    def delete_question(self, data: st.DataObject) -> None:
        """Delete a question."""
        self.run(self.life.delete_question(data.draw(st.sampled_from(self.life.shown))))

    @precondition(lambda self: any(one.place in MEMBERS for one in self.life.shown))
    @rule(data=st.data())
    def delete_answer(self, data: st.DataObject) -> None:
        """Delete what was answered."""
        here = [one for one in self.life.shown if one.place in MEMBERS]
        self.run(self.life.delete_answer(data.draw(st.sampled_from(here))))

    @precondition(lambda self: self.life.shown)
    @rule(person=PERSON, vote=st.sampled_from([UP, DOWN]), data=st.data())
    def press(self, person: str, vote: str, data: st.DataObject) -> None:
        """Press a thumb."""
        seen = [one for one in self.life.seen_by(person) if self._has_buttons(one)]
        if seen and person not in self.life.forms:
            self.run(self.life.press(data.draw(st.sampled_from(seen)), person, vote))

    @precondition(lambda self: self.life.forms)
    @rule(
        way=st.sampled_from(["new", "new", "same", "empty", "close"]),
        everyone=st.booleans(),
        has_remark=st.booleans(),
        data=st.data(),
    )
    def send_form(self, way: str, data: st.DataObject, *, everyone: bool, has_remark: bool) -> None:
        """Send a form that is open, or close it."""
        person = data.draw(st.sampled_from(sorted(self.life.forms)))
        if person not in self.life.model.blocked:
            self.run(self.life.send_form(person, way, everyone=everyone, has_remark=has_remark))

    @precondition(lambda self: self.life.notes)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        """Press Undo, unless an emoji that says the same still stands in Slack, for all to see."""
        note = data.draw(st.sampled_from(self.life.notes))
        answer = self.life.model.find_answer(note.word)
        said = answer.said.get(note.person, []) if answer else []
        if not any(one.source != BUTTON and one.vote == note.vote for one in said):
            self.run(self.life.undo(note))

    @precondition(lambda self: self.life.shown)
    @rule(person=PERSON, emoji=st.sampled_from(sorted(EMOJI)), data=st.data())
    def react(self, person: str, emoji: str, data: st.DataObject) -> None:
        """Put an emoji below an answer, or take it away."""
        if seen := self.life.seen_by(person):
            self.run(self.life.react(data.draw(st.sampled_from(seen)), person, emoji))

    @rule(person=PERSON)
    def switch_learning(self, person: str) -> None:
        """Want no learning from oneself, or allow it again."""
        is_off = person in self.life.model.unlearned
        self.run(self.life.office.order(person, f"learn-from-me {'on' if is_off else 'off'}"))
        if not (is_off and person in self.life.model.blocked):
            self.life.model.unlearned ^= {person}

    @rule(choice=st.sampled_from(["on", "off", "own", "shared"]))
    def switch_channel(self, choice: str) -> None:
        """Let the channel teach, or not, or itself alone."""
        self.run(self.life.office.order(OWNER, f"learn-from-channel {choice}", channel=GENERAL))
        if choice != "shared":  # an adapter of its own wants to learn
            self.life.model.channel = choice != "off"

    @rule(person=OTHERS)
    def switch_storing(self, person: str) -> None:
        """Want nothing stored, or everything again."""
        model = self.life.model
        wish = "normal" if person in model.unstored else "unstored"
        if person in model.blocked:
            return
        self.run(self.life.office.order(person, f"preferences privacy {wish}"))
        for wanted in (model.unstored, model.unlearned):
            (wanted.discard if wish == "normal" else wanted.add)(person)

    @precondition(lambda self: self.life.model.corrections())
    @rule(verb=st.sampled_from(["approve", "reject"]), data=st.data())
    def review(self, verb: str, data: st.DataObject) -> None:
        """Let the admin decide about somebody's correction."""
        person, word, text = data.draw(st.sampled_from(sorted(self.life.model.corrections())))
        answer = self.life.model.find_answer(word)
        assert answer is not None
        taught = next(one for who, one in answer.all_taught() if (who, one.word) == (person, text))
        question = answer.question
        is_open = question.place == GENERAL or (taught.is_for_everyone and person == question.author)
        if person != OWNER and is_open and taught.edits == question.edits:
            self.run(self.life.review(person, word, text, verb))

    @precondition(lambda self: len(self.life.model.lessons) < MOST)
    @rule(asker=PERSON, author=PERSON)
    def want_taught(self, asker: str, author: str) -> None:
        """Want taught what somebody wrote."""
        model = self.life.model
        is_unfit = {asker, author} & (model.blocked | model.unstored | model.unlearned)
        if asker not in self.life.forms and not is_unfit:
            self.run(self.life.want_taught(asker, author))

    @precondition(lambda self: self.life.lessons)
    @rule(is_yes=st.booleans(), data=st.data())
    def answer_lesson(self, data: st.DataObject, *, is_yes: bool) -> None:
        """Answer whether it may be learned."""
        lesson, request = data.draw(st.sampled_from(self.life.lessons))
        if lesson.author not in self.life.model.blocked:
            self.life.lessons.remove((lesson, request))
            self.run(self.life.answer_lesson(lesson, request, is_yes=is_yes))

    @precondition(lambda self: self.life.lessons)
    @rule(is_edit=st.booleans(), data=st.data())
    def end_lesson(self, data: st.DataObject, *, is_edit: bool) -> None:
        """Delete what is to be taught, or write something else in its place."""
        lesson, request = data.draw(st.sampled_from(self.life.lessons))
        self.run(self.life.end_lesson(lesson, is_edit=is_edit))
        if not is_edit:
            self.life.lessons.remove((lesson, request))

    @rule(person=OTHERS)
    def block(self, person: str) -> None:
        """Block somebody, or take that back."""
        self.run(self.life.block(person))

    @precondition(lambda self: self.life.shown)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        """Keep nothing for so long."""
        self.run(self.life.expire(data.draw(st.sampled_from(self.life.shown))))

    @rule(person=OTHERS, is_own=st.booleans())
    def forget(self, person: str, *, is_own: bool) -> None:
        """Forget somebody."""
        self.run(self.life.forget(person, is_own=is_own))

    @rule()
    def restart(self) -> None:
        """Stop the bot and start it again."""
        self.run(self.life.restart())

    @precondition(lambda self: self.life.shown)
    @rule(
        acts=st.lists(st.sampled_from(["edit", "delete_question", "delete_answer", "react"]), min_size=1, max_size=3),
        data=st.data(),
    )
    def be_away(self, acts: list[str], data: st.DataObject) -> None:
        """Hear nothing of what is done meanwhile, and look for it afterwards."""
        self.run(self.life.office.leave())
        for act in acts:
            if not self.life.shown:
                break
            shown = data.draw(st.sampled_from(self.life.shown))
            if act == "edit" and self.life.model.find(shown.ts):
                self.run(self.life.edit(shown))
            elif act == "delete_question":
                self.run(self.life.delete_question(shown))
            elif act == "delete_answer" and shown.place in MEMBERS:
                self.run(self.life.delete_answer(shown))
            elif act == "react":
                person, emoji = data.draw(PERSON), data.draw(st.sampled_from(sorted(EMOJI)))
                if shown in self.life.seen_by(person) and self.life.may_miss(shown, person, emoji):
                    self.run(self.life.react(shown, person, emoji))
        self.run(self.life.office.come_back())

    @rule()
    def back_up(self) -> None:
        """Make a backup."""
        self.run(self.life.back_up())

    @precondition(lambda self: self.life.backup)
    @rule()
    def put_back(self) -> None:
        """Restore the backup."""
        self.run(self.life.put_back())

    @invariant()
    def all_holds(self) -> None:
        """Look at everything that must hold."""
        self._check_decisions()
        self._check_words()
        self._check_learning()
        self.steps += 1
        if self.steps % 5 == 0:
            self._check_my_data()

    def _check_decisions(self) -> None:
        """Each standing decision counts once, in its newest words, and nothing else does."""
        votes, remarks, corrections, pairs = self.run(self._read(read_decisions))
        model = self.life.model
        assert votes == model.votes(), (votes, model.votes())
        assert remarks == model.remarks(), (remarks, model.remarks())
        assert corrections == model.corrections(), (corrections, model.corrections())
        assert pairs == model.pairs(), (pairs, model.pairs())

    def _check_words(self) -> None:
        """No word stands in any table that its author or an admin took back, or never gave."""
        found = set(WORD.findall(self.run(self._read(read_all))))
        assert found <= self.life.model.words(), [
            (one, self.life.owners[one]) for one in found - self.life.model.words()
        ]

    def _check_learning(self) -> None:
        """Of every text the author agrees; of what nobody contradicts all is taken."""
        taken, texts = self.run(read_learned(self.life.office.rows))
        allowed = self.life.model.learnable()
        assert taken <= allowed, taken - allowed
        people = {self.life.owners[word] for text in texts for word in WORD.findall(text)}
        assert not people & self.life.model.unlearned
        missing = self.life.model.uncontested() - taken
        assert not missing, missing

    def _check_my_data(self) -> None:
        """Everybody sees what is theirs, and nothing of others."""
        model = self.life.model
        for person in PEOPLE:
            found = set(WORD.findall(self.run(read_own(self.life.office.rows, person))))
            asked = {one.question for one in model.lessons.values() if one.author == person}  # which they were shown
            assert {self.life.owners[word] for word in found - asked} <= {person}
            mine = {question.word for question in model.questions if question.author == person} - {""}
            mine |= {answer.word.lstrip("=") for answer in model.answers() if answer.question.author == person}
            mine |= {word for user, _, word in model.corrections() if user == person}
            assert mine <= found

    def _has_buttons(self, shown: Any) -> bool:
        question = self.life.model.find(shown.ts)
        return "feedback" in str(self.life.office.playground.message(shown.place, shown.reply_ts)["blocks"]) and not (
            question is not None and question.is_open
        )

    async def _read(self, look: Any) -> Any:
        async with self.life.office.rows.read() as session:
            return await look(session)


QUIET = list(HealthCheck)
SHORT = 15
NIGHT = [pytest.mark.nightly, pytest.mark.timeout(7200)]


@pytest.mark.parametrize(
    ("kind", "examples", "steps"),
    [
        pytest.param("sqlite", 3, SHORT, marks=pytest.mark.timeout(300)),
        pytest.param("sqlite", 200, 40, marks=NIGHT),
        pytest.param("postgres", 60, 40, marks=NIGHT),
    ],
)
def test_decisions_stand_whatever_the_order(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str, examples: int, steps: int
) -> None:
    """Whatever people do with answers, and with what they said of them."""
    monkeypatch.setenv("PATH", f"{TOOLS}{os.pathsep}{os.environ['PATH']}")
    server = request.getfixturevalue("postgres") if kind == "postgres" else ""
    monkeypatch.setattr(DecisionMachine, "server", server)
    plan = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=steps == SHORT,  # by day always the same ones
        database=None,
        phases=[Phase.generate],  # a course takes seconds: one that fails is shown as it is
        deadline=None,
        suppress_health_check=QUIET,
    )
    run_state_machine_as_test(DecisionMachine, settings=plan)
