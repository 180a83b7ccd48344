"""What people decided about answers, as they would tell it themselves: a plain model, which knows no table.

Each text that somebody writes is one invented word, so that it can be looked for anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

UP, DOWN, NONE = "up", "down", "none"
EMOJI = {"+1": UP, "heart": UP, "x": DOWN}
BUTTON = "button"
GENERAL, LEADS = "general", "leads"
Triple = tuple[str, str, str]
NUMBERS = count(1)


def invent() -> str:
    """Return a word that nobody has said before."""
    number, letters = next(NUMBERS), ""
    for _ in range(3):
        number, rest = divmod(number, 80)
        letters = "bdfgklmnprstvwzj"[rest // 5] + "aeiou"[rest % 5] + letters
    return f"{letters}k"


@dataclass(eq=False)
class Said:
    """A thumb that stands: pressed, or an emoji by its name."""

    source: str
    vote: str
    remark: str | None = None  # what was written beside it; empty: nothing any more
    at: int = field(default_factory=lambda: next(NUMBERS))


@dataclass(eq=False)
class Taught:
    """What somebody says that an answer should have been, when, and about which wording of its question."""

    word: str
    edits: int
    is_for_everyone: bool = False
    is_rejected: bool = False
    is_approved: bool = False
    at: int = field(default_factory=lambda: next(NUMBERS))


@dataclass(eq=False, repr=False)
class Answered:
    """An answer by its word, with what each person thinks of it."""

    word: str
    question: "Question"
    edits: int
    replaces: str = ""
    said: dict[str, list[Said]] = field(default_factory=dict)
    hushed: set[str] = field(default_factory=set)  # people whose last thumb was overtaken before a restore
    taught: dict[str, Taught] = field(default_factory=dict)
    lasting: dict[str, Taught] = field(default_factory=dict)  # approved before what is taught, and kept beside it
    words: set[str] = field(default_factory=set)  # all that was ever written about it

    def __repr__(self) -> str:
        """Show it as a course is told."""
        return self.word

    def standing(self, person: str) -> Said | None:
        """Return somebody's newest thumb that stands."""
        said = self.said.get(person)
        return said[-1] if said and person not in self.hushed else None

    def vote_of(self, person: str) -> str:
        """Return what somebody thinks."""
        newest = self.standing(person)
        return newest.vote if newest else NONE

    def opinion_of(self, person: str) -> tuple[str, str]:
        """Return what somebody thinks, in their words."""
        return self.vote_of(person), self.remark_of(person)

    def remark_of(self, person: str) -> str:
        """Return what somebody wrote beside the thumb that stands."""
        said, vote = self.said.get(person, []), self.vote_of(person)
        for one in reversed(said):
            if one.vote != vote or one.remark is not None:
                return (one.remark or "") if one.vote == vote else ""
        return ""

    def says(self, person: str, taught: Taught) -> bool:
        """Return whether somebody says the same as in *taught*."""
        mine = [one for one in (self.taught.get(person), self.lasting.get(person)) if one]
        return (taught.word, taught.is_for_everyone) in [(one.word, one.is_for_everyone) for one in mine]

    def all_taught(self) -> list[tuple[str, Taught]]:
        """Return what each person says that it should have been, and what of theirs was approved before."""
        return [*self.taught.items(), *self.lasting.items()]

    def counts(self, person: str, taught: Taught) -> bool:
        """Return whether something is not behind what was approved of the same person's."""
        newest, lasting = self.taught[person], self.lasting.get(person)
        if lasting is None:
            return True
        return (taught is lasting) is (lasting.is_approved and not newest.is_approved)

    def add(self, person: str, source: str, vote: str) -> None:
        """Put a thumb on top, once."""
        said = self.said.setdefault(person, [])
        self.hushed.discard(person)
        if not said or (said[-1].source, said[-1].vote) != (source, vote):
            said.append(Said(source, vote))


@dataclass(eq=False, repr=False)
class Question:
    """A question by its word; *edits* counts how often it became another one."""

    word: str
    author: str
    place: str
    ts: str
    root: str
    edits: int = 0
    answers: list[Answered] = field(default_factory=list)
    is_open: bool = False  # several answers, of which nobody has chosen one
    compared: tuple[str, str] | None = None  # the answer that was chosen, and the other

    def __repr__(self) -> str:
        """Show it as a course is told."""
        return f"{self.author}: {self.word}"


@dataclass(frozen=True)
class Lesson:
    """What somebody wrote, and another wants taught as the answer to a question."""

    asker: str
    author: str
    question: str
    word: str
    ts: str


@dataclass
class Model:
    """All that people said and want, as far as it is stored."""

    questions: list[Question] = field(default_factory=list)
    unlearned: set[str] = field(default_factory=set)
    unstored: set[str] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)
    lessons: dict[str, Lesson] = field(default_factory=dict)  # whose author has not answered, by their messages
    channel: bool = True

    def find(self, ts: str) -> Question | None:
        """Return the question that was asked at *ts*, if it is still stored."""
        return next((one for one in self.questions if one.ts == ts), None)

    def edits_of(self, ts: str) -> int | None:
        """Return how often the question that was asked at *ts* became another one; None where it is gone."""
        found = self.find(ts)
        return found.edits if found else None

    def find_answer(self, word: str) -> Answered | None:
        """Return an answer that is still stored."""
        return next((one for one in self.answers() if one.word == word), None)

    def answers(self) -> Iterator[Answered]:
        """Yield every answer that is stored."""
        for question in self.questions:
            yield from question.answers

    def words(self) -> set[str]:
        """Return every word that is stored, also what counts no more."""
        own = {question.word for question in self.questions}
        own |= {word for lesson in self.lessons.values() for word in (lesson.question, lesson.word)}
        return own | {word for answer in self.answers() for word in (answer.word, *answer.words)}

    def unreact(self, question: Question, person: str, emoji: str) -> None:
        """Take an emoji away, from whichever answer stood there when it was put."""
        for answer in question.answers:
            left = [one for one in answer.said.get(person, ()) if one.source != emoji]
            answer.said[person] = _merge(left)

    def undo(self, answer: Answered, person: str) -> None:
        """Take the thumb back that was pressed last, and with a 👎 what was written with it."""
        standing = answer.said[person]
        taken, taught = standing.pop(), answer.taught.get(person)
        since = standing[-1].at if standing else 0
        if taken.vote == DOWN and taught is not None and taught.at > since:
            del answer.taught[person]
            answer.lasting.pop(person, None)

    def teach(self, answer: Answered, person: str, word: str, *, everyone: bool) -> None:
        """Let somebody say what an answer should have been; empty takes an earlier word back."""
        known, edits = answer.taught.get(person), answer.question.edits
        if known is not None and (known.word, known.is_for_everyone, known.edits) == (word, everyone, edits):
            return
        standing = [one for one in (answer.lasting.get(person), answer.taught.pop(person, None)) if one]
        kept = next((one for one in standing[::-1] if one.is_approved and one.edits == edits), None)
        answer.lasting.pop(person, None)
        if not word or (kept and kept.is_for_everyone and not everyone):
            kept = None
        if kept and (kept.word, kept.is_for_everyone) == (word, everyone):
            answer.taught[person] = kept
            return
        if kept:
            answer.lasting[person] = kept
        if word:
            answer.taught[person] = Taught(word, edits, everyone)
            answer.words.add(word)

    def learn(self, lesson: Lesson) -> None:
        """Keep what its author agreed to as a correction of theirs; below a question of whoever asked for it."""
        question = Question(lesson.question, lesson.asker, GENERAL, lesson.ts, lesson.ts)
        answer = Answered(f"={lesson.question}", question, 0, words={lesson.word})
        answer.taught[lesson.author] = Taught(lesson.word, 0)
        question.answers = [answer]
        self.questions.append(question)

    def drop(self, ts: str) -> None:
        """Let go what stands on a message."""
        self.questions = [one for one in self.questions if one.ts != ts]
        self.lessons.pop(ts, None)

    def edit(self, question: Question, word: str) -> None:
        """Let a question be another one; of whoever wants nothing stored nothing stays."""
        question.word, question.edits = "" if question.author in self.unstored else word, question.edits + 1

    def forget(self, person: str, owners: dict[str, str]) -> None:
        """Let all go that is somebody's, and what was said about it."""
        self.questions = [one for one in self.questions if one.author != person]
        self.lessons = {ts: one for ts, one in self.lessons.items() if person not in {one.asker, one.author}}
        for answer in self.answers():
            answer.said.pop(person, None)
            answer.taught.pop(person, None)
            answer.lasting.pop(person, None)
            answer.words = {word for word in answer.words if owners[word] != person}

    def votes(self) -> set[Triple]:
        """Return who thinks what of which answer."""
        said = {(person, answer.word, answer.vote_of(person)) for answer in self.answers() for person in answer.said}
        return {one for one in said if one[2] != NONE}

    def remarks(self) -> set[Triple]:
        """Return who wrote what beside their thumb."""
        said = {(person, answer.word, answer.remark_of(person)) for answer in self.answers() for person in answer.said}
        return {one for one in said if one[2]}

    def corrections(self) -> set[Triple]:
        """Return who says what instead of which answer."""
        return {
            (person, answer.word, taught.word) for answer in self.answers() for person, taught in answer.all_taught()
        }

    def pairs(self) -> set[Triple]:
        """Return who prefers which answer to which: whoever likes one that took another's place, or chose it."""
        found = {
            (person, answer.word, answer.replaces)
            for answer in self.answers()
            for person in answer.said
            if self.find_answer(answer.replaces) and answer.vote_of(person) == UP
        }
        chosen = {(question.author, *question.compared) for question in self.questions if question.compared}
        return found | {one for one in chosen if self.find_answer(one[1]) and self.find_answer(one[2])}

    def _may_learn(self, answer: Answered, person: str, *, edits: int, is_given: bool = False) -> bool:
        question = answer.question
        if {person, question.author} & self.unlearned or edits != question.edits or not question.word:
            return False
        if question.place != GENERAL:
            return is_given and person == question.author
        return self.channel

    def learnable(self) -> set[Triple]:
        """Return what may be learned: who said it, about which answer, and the words, the vote or the other answer."""
        found = set()
        for answer in self.answers():
            for person, taught in answer.all_taught():
                is_given = taught.is_for_everyone
                may_learn = self._may_learn(answer, person, edits=taught.edits, is_given=is_given)
                if may_learn and not taught.is_rejected and answer.counts(person, taught):
                    found.add((person, answer.word, taught.word))
        for one in self.votes() | self.pairs():
            known = self.find_answer(one[1])
            if known is not None and self._may_learn(known, one[0], edits=known.edits):
                found.add(one)
        return found

    def uncontested(self) -> set[Triple]:
        """Return what must be learned: of questions about which one thing was said in all."""
        found, allowed = set(), self.learnable()
        for question in self.questions:
            said = {one for one in self.votes() | self.corrections() | self.pairs() if _is_about(one, question)}
            words = {one for one in said if one in self.corrections()}
            thread = {one.author for one in self.questions if one.root == question.root}
            if len(words) == 1 and {one[0] for one in said} == {one[0] for one in words}:
                found |= words & allowed
            elif len(said) == 1 and not thread & self.unlearned:
                found |= said & allowed
        return found

    def after_restore(self, since: "Model", forgotten: set[str], owners: dict[str, str]) -> None:
        """Let hold what went, was refused or was overtaken *since* this was put into a backup."""
        self.questions = [one for one in self.questions if since.edits_of(one.ts) == one.edits]
        for question in self.questions:
            question.answers = [one for one in question.answers if since.find_answer(one.word)]
        for answer in self.answers():
            now = since.find_answer(answer.word)
            for person in answer.said:
                if now is None or now.opinion_of(person) != answer.opinion_of(person):
                    answer.hushed.add(person)
            said = [(person, one) for person, one in answer.all_taught() if now and now.says(person, one)]
            answer.taught, answer.lasting = dict(sorted(said, key=lambda each: each[1].at)), {}
            for person, one in said:
                later = [it for who, it in (now.all_taught() if now else []) if who == person and it.at == one.at]
                for it in later:
                    one.is_rejected, one.is_approved = it.is_rejected, it.is_approved
                if one is not answer.taught[person]:
                    answer.lasting[person] = one
        self.lessons = {ts: one for ts, one in self.lessons.items() if ts in since.lessons or since.find(ts)}
        for person in forgotten:
            self.forget(person, owners)
        self.unlearned, self.unstored, self.channel = set(since.unlearned), set(since.unstored), since.channel
        self.blocked |= since.blocked


def _is_about(one: Triple, question: Question) -> bool:
    return one[1] in {answer.word for answer in question.answers}


def _merge(standing: list[Said]) -> list[Said]:
    """Return what stands with what was pressed twice in a row counted once."""
    merged: list[Said] = []
    for one in standing:
        if not merged or (merged[-1].source, merged[-1].vote) != (one.source, one.vote):
            merged.append(one)
    return merged
