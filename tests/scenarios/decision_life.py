"""What people do with answers, in Slack and in the model at once."""

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from bot.admin.backup import back_up
from bot.admin.data import forget_expired, set_retention
from bot.admin.restore import restore
from bot.slack.setup.manifest import TEACH
from bot.storage.tables import Correction, Message, now
from tests.scenarios.decision_model import (
    BUTTON,
    DOWN,
    EMOJI,
    GENERAL,
    LEADS,
    UP,
    Answered,
    Lesson,
    Model,
    Question,
    invent,
)
from tests.scenarios.decision_office import BOT, Form, Note, Office, Shown

OWNER = "U0MAYA"
PEOPLE = (OWNER, "U0TOM", "U0PRIYA")
MEMBERS = {GENERAL: PEOPLE, LEADS: (OWNER, "U0PRIYA")}


class Life:
    """Everything that is done, and what must come of it."""

    def __init__(self, server: str = "") -> None:
        self.model = Model()
        self.owners: dict[str, str] = {}
        self.asker = OWNER
        self.office = Office(lambda: self.new_word(self.asker), server)
        self.shown: list[Shown] = []
        self.forms: dict[str, Form] = {}
        self.notes: list[Note] = []
        self.lessons: list[tuple[Lesson, dict[str, Any]]] = []  # whose author was asked
        self.backup: tuple[Any, Model] | None = None
        self.forgotten: set[str] = set()  # since the backup

    def new_word(self, owner: str) -> str:
        """Return a new word of somebody."""
        word = invent()
        self.owners[word] = owner
        return word

    def seen_by(self, person: str) -> list[Shown]:
        """Return the replies that somebody sees."""
        return [one for one in self.shown if one.place in self.places_of(person)]

    def places_of(self, person: str) -> list[str]:
        """Return where somebody can ask."""
        return [self.office.person(person).dm, *(place for place, members in MEMBERS.items() if person in members)]

    async def ask(self, person: str, place: str, *, root: str = "", count: int = 1) -> None:
        """Ask, and read the answer."""
        word, self.asker = self.new_word(person), person
        text = f"!ask -n {count} {word}" if count > 1 else word
        ts = await self.office.person(person).say(
            place, text if place not in MEMBERS else f"{BOT} {text}", thread_ts=root or None
        )
        reply = await self.office.playground.wait_for_reply(place, root or ts, after=ts)
        await self.office.settle()
        given = self.office.engine.take()
        if person in self.model.blocked or person in self.model.unstored:
            return
        question = Question(word, person, place, ts, root or ts, is_open=count > 1)
        question.answers = [Answered(one, question, 0) for one in given]
        self.model.questions.append(question)
        self.shown.append(Shown(person, place, ts, root or ts, reply["ts"], given[0]))

    async def choose(self, shown: Shown) -> None:
        """Let whoever asked choose the second of several answers."""
        buttons = [
            element["value"]
            for block in self._reply(shown)["blocks"]
            for element in block.get("elements", [])
            if element.get("action_id") == "choose_answer"
        ]
        if not buttons:
            return
        blocks = [block for block in self._reply(shown)["blocks"] if buttons[-1] in str(block)]
        await self.office.person(shown.author).click({**self._reply(shown), "blocks": blocks}, "choose_answer")
        await self.office.settle()
        question = self.model.find(shown.ts)
        if question is not None and question.is_open:
            question.is_open, question.answers = False, question.answers[:]
            question.compared = question.answers[-1].word, question.answers[0].word
            shown.word = question.answers[-1].word

    async def regenerate(self, shown: Shown, person: str) -> None:
        """Want another answer; hear why there is none."""
        self.asker = shown.author
        question, answer = self.model.find(shown.ts), self.model.find_answer(shown.word)
        is_gone = question is None or answer is None or not question.word
        is_kept = (
            answer is not None
            and person != shown.author
            and (answer.vote_of(shown.author) == UP or answer.question.compared is not None)
        )
        if is_gone or is_kept:
            await self._hear(person, shown.place, lambda: self._click(shown, person, "regenerate"))
        else:
            await self._click(shown, person, "regenerate")
        await self.office.settle()
        given = self.office.engine.take()
        assert bool(given) is not (is_gone or is_kept)
        if question is None or answer is None or not given:
            return
        if shown.author in self.model.unstored:
            self.shown.remove(shown)
            return
        replaces = answer.word if answer.edits == question.edits else ""
        question.answers.append(Answered(given[0], question, question.edits, replaces))
        shown.word = given[0]

    async def edit(self, shown: Shown) -> None:
        """Make another question of it."""
        word, question = self.new_word(shown.author), self.model.find(shown.ts)
        text = word if shown.place not in MEMBERS else f"{BOT} {word}"
        await self.office.person(shown.author).edit(shown.place, shown.ts, text)
        await self.office.settle()
        if question is not None and question.word:
            self.model.edit(question, word)

    async def delete_question(self, shown: Shown) -> None:
        """Delete a question in Slack."""
        await self.office.person(shown.author).delete(shown.place, shown.ts)
        await self.office.settle()
        self.model.drop(shown.ts)
        self.shown.remove(shown)

    async def delete_answer(self, shown: Shown) -> None:
        """Let the admin delete what was answered."""
        await self.office.person(OWNER).delete(shown.place, shown.reply_ts)
        await self.office.settle()
        question = self.model.find(shown.ts)
        if question is not None:
            question.answers, question.compared = [], None
        self.shown.remove(shown)

    async def press(self, shown: Shown, person: str, vote: str) -> None:
        """Press a thumb; the form of a 👎 stays open."""
        answer = self.model.find_answer(shown.word)
        button = "positive_button" if vote == UP else "negative_button"
        notes = await self._hear(person, shown.place, lambda: self._click(shown, person, "feedback", button))
        if answer is None or person in self.model.blocked:
            await self._close(person)
            return
        answer.add(person, BUTTON, vote)
        self.notes.append(Note(person, answer.word, vote, notes[-1]))
        if vote == DOWN:
            await self.office.playground.wait_for_view(person)
            self.forms[person] = Form(answer.word, shown.place, answer.question.edits, person in answer.taught)

    async def undo(self, note: Note) -> None:
        """Press Undo below any thumb that was noted."""
        answer = self.model.find_answer(note.word)
        newest = answer.standing(note.person) if answer else None
        press = self.office.person(note.person).click
        await self._hear(note.person, note.message["channel"], lambda: press(note.message, "undo_vote"))
        if answer and newest and newest.vote == note.vote and note.person not in self.model.blocked:
            self.model.undo(answer, note.person)

    async def send_form(self, person: str, way: str, *, everyone: bool, has_remark: bool = False) -> None:
        """Send a form that is open, or close it."""
        form, view = self.forms.pop(person), self.office.playground.views(person)[-1]
        if way == "close":
            await self.office.person(person).close_view()
            return
        is_asked = any(one.get("block_id") == "everyone" and "element" in one for one in view["blocks"])
        word = {"new": self.new_word(person), "same": self._initial(view, "correction"), "empty": ""}[way]
        given: dict[str, Any] = {"correction": word} | (
            {"everyone": ["everyone"] if everyone else []} if is_asked else {}
        )
        remark = self._initial(view, "comment")
        if has_remark and way == "new":
            remark = given["comment"] = self.new_word(person)
        elif way == "empty":
            remark = given["comment"] = ""
        answer = self.model.find_answer(form.word)
        if answer is not None and answer.question.edits != form.edits:
            answer = None  # what was written is about other words
        where = form.place if answer else self.office.person(person).dm
        await self._hear(person, where, lambda: self.office.person(person).submit_view(given))
        await self.office.settle()
        if answer is None or person in self.model.blocked:
            return
        answer.add(person, BUTTON, DOWN)
        answer.said[person][-1].remark = remark if person not in self.model.unstored else ""
        answer.words |= {remark} - {""} if person not in self.model.unstored else set()
        if person not in self.model.unstored and (word or form.has_shown):
            self.model.teach(answer, person, word, everyone=is_asked and everyone)

    async def react(self, shown: Shown, person: str, emoji: str) -> None:
        """Put an emoji below an answer, or take it away."""
        reactions = self._reply(shown)["reactions"]
        stands = any(one["name"] == emoji and person in one["users"] for one in reactions)
        await self.office.person(person).react(shown.place, shown.reply_ts, emoji, remove=stands)
        await self.office.settle()
        question = self.model.find(shown.ts)
        if question is None or person in self.model.blocked or not question.word or question.is_open:
            return
        if stands:
            self.model.unreact(question, person, emoji)
        elif question.answers:
            question.answers[-1].add(person, emoji, EMOJI[emoji])

    def may_miss(self, shown: Shown, person: str, emoji: str) -> bool:
        """Return whether an emoji says what nobody knows of yet, or would be taken away, and no other says the same."""
        names = {one["name"] for one in self._reply(shown)["reactions"] if person in one["users"]}
        return not any(EMOJI[name] == EMOJI[emoji] for name in (names & EMOJI.keys()) - {emoji})

    async def review(self, person: str, word: str, text: str, verb: str) -> None:
        """Let the admin decide about somebody's correction."""
        async with self.office.rows.read() as session:
            row = await session.scalar(
                select(Correction.id).where(Correction.text == text, Correction.superseded_at.is_(None))
            )
        await self.office.order(OWNER, f"dataset {verb} {row}")
        answer = self.model.find_answer(word)
        if answer is not None:
            for who, one in answer.all_taught():
                if (who, one.word) == (person, text):
                    one.is_rejected, one.is_approved = verb == "reject", verb == "approve"

    async def forget(self, person: str, *, is_own: bool) -> None:
        """Forget somebody, as they or the owner want it."""
        by, words = (person, "forget-me") if is_own else (OWNER, f"data forget <@{person}>")
        await self.office.order(by, words, is_sure=True)
        self.model.forget(person, self.owners)
        self.forgotten.add(person)

    async def block(self, person: str) -> None:
        """Block somebody, or take that back."""
        if person in self.model.blocked:
            await self.office.order(OWNER, f"users reset <@{person}>")
        else:
            await self.office.order(OWNER, f"users block <@{person}>", is_sure=True)
        self.model.blocked ^= {person}

    async def expire(self, shown: Shown) -> None:
        """Let a question be too old, in a channel that keeps nothing for so long."""
        channel = self.office.playground.channel(shown.place)
        async with self.office.rows.begin() as session:
            aged = update(Message).where(Message.ts == shown.ts).values(created_at=now() - timedelta(days=40))
            await session.execute(aged)
        await set_retention(self.office.rows, channel, 30, by=OWNER)
        await forget_expired(self.office.rows, 0)
        self.model.drop(shown.ts)

    async def want_taught(self, asker: str, author: str) -> None:
        """Want a message of somebody taught; who wrote it is asked, unless they want it themselves."""
        lesson = Lesson(asker, author, self.new_word(asker), self.new_word(author), "")
        ts = await self.office.person(author).say(GENERAL, lesson.word)
        lesson = replace(lesson, ts=ts)
        await self.office.person(asker).shortcut(GENERAL, ts, TEACH)
        await self.office.playground.wait_for_view(asker)
        dm = self.office.person(author).dm
        before = len(self.office.playground.messages(dm))
        await self.office.person(asker).submit_view({"question": lesson.question})
        await self._close(asker)
        if asker == author:
            self.model.learn(lesson)
            return
        request = await self.office.playground.wait_until(
            lambda: self.office.playground.messages(dm)[before:], what="the request"
        )
        self.model.lessons[ts] = lesson
        self.lessons.append((lesson, request[0]))

    async def answer_lesson(self, lesson: Lesson, request: dict[str, Any], *, is_yes: bool) -> None:
        """Let the author say yes or no."""
        message = self.office.playground.message(request["channel"], request["ts"])
        shown = str(message)
        await self.office.person(lesson.author).click(message, "lesson_yes" if is_yes else "lesson_no")
        await self.office.playground.wait_until(
            lambda: str(self.office.playground.message(request["channel"], request["ts"])) != shown, what="the end"
        )
        await self.office.settle()
        known = self.model.lessons.pop(lesson.ts, None)
        unwilling = {lesson.author, lesson.asker} & (self.model.unlearned | self.model.unstored)
        if known and is_yes and not unwilling:
            self.model.learn(lesson)

    async def end_lesson(self, lesson: Lesson, *, is_edit: bool) -> None:
        """Let the author delete what they wrote, or make other words of it."""
        author = self.office.person(lesson.author)
        if is_edit:
            await author.edit(GENERAL, lesson.ts, self.new_word(lesson.author))
        else:
            await author.delete(GENERAL, lesson.ts)
        await self.office.settle()
        self.model.drop(lesson.ts)

    async def restart(self) -> None:
        """Stop the bot and start it again."""
        await self.office.stop()
        await self.office.start()

    async def back_up(self) -> None:
        """Make a backup, in the place of an earlier one."""
        target = self.office.data / "backup.tar.gz"
        await back_up(self.office.url, self.office.data, target)
        self.backup, self.forgotten = (target, copy.deepcopy(self.model)), set()

    async def put_back(self) -> None:
        """Restore the backup, as the command does."""
        assert self.backup is not None
        source, model = self.backup
        await self.office.stop()
        await restore(self.office.url, self.office.data, source, is_forced=True, by="test")
        model = copy.deepcopy(model)
        model.after_restore(self.model, self.forgotten, self.owners)
        self.model = model
        await self.office.start()
        await self.office.settle()

    async def _close(self, person: str) -> None:
        while self.office.playground.views(person):
            await self.office.person(person).close_view()

    def _initial(self, view: dict[str, Any], name: str) -> str:
        field = next(one["element"] for one in view["blocks"] if one.get("block_id") == name)
        return str(field.get("initial_value") or "")

    def _reply(self, shown: Shown) -> dict[str, Any]:
        return self.office.playground.message(shown.place, shown.reply_ts)

    async def _click(self, shown: Shown, person: str, action: str, value: str | None = None) -> None:
        await self.office.person(person).click(self._reply(shown), action, value)

    async def _hear(self, person: str, place: str, act: Callable[[], Any]) -> list[dict[str, Any]]:
        async with self.office.told(person, place) as notes:
            await act()
        return notes
