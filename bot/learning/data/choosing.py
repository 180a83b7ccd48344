"""From what people said to what is learned: newest wins, nobody counts twice, and contradictions are settled. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

from bot.language import N_
from bot.learning.data.caps import keep_within
from bot.learning.data.eligibility import find_bar
from bot.learning.data.policy import DataPolicy, Points
from bot.learning.data.reviewed import WAITING
from bot.learning.data.trust import Standing, is_outvoted, keep_trusted
from bot.learning.examples import Source
from bot.storage.choices import OptedOut
from bot.storage.signals import CORRECTIONS, PAIRS, Signal

NEWER = N_("the same person corrected the same question again later")
DISAGREED = N_("others corrected the same question differently")
LIKED_ANYWAY = N_("more people liked the answer than corrected it")
EVEN = N_("as many liked the answer as disliked it")
OUTVOTED = N_("more people thought the opposite")
SAID = N_("what people did after an answer of which somebody said what they think")
CORRECTED = N_("a vote on an answer that was corrected")
ONE_PERSON = N_("one person gave more than one person may")
ONE_CHANNEL = N_("one channel gave more than one channel may")


@dataclass(frozen=True, slots=True)
class Chosen:
    """One thing to learn, and every signal that says it, the newest first."""

    source: Source
    signals: tuple[Signal, ...]

    @property
    def newest(self) -> Signal:
        """The signal that says it last."""
        return self.signals[0]

    def points(self, worth: Points) -> float:
        """Return how much the signals say together; what nobody said starts no training."""
        if self.source is Source.IMPLICIT:
            return 0.0
        each = {Source.CORRECTION: worth.correction, Source.LIKED: worth.vote, Source.DISLIKED: worth.vote}
        return each.get(self.source, worth.pair) * len(self.signals)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is learned from, and what is not and why."""

    chosen: tuple[Chosen, ...]
    left_out: Counter[str]
    notes: tuple[str, ...] = ()
    person_weights: Mapping[str, float] = field(default_factory=dict)


def choose(
    corrections: Iterable[Signal],
    pairs: Iterable[Signal],
    votes: Iterable[Signal],
    signs: Iterable[Signal] = (),
    *,
    policy: DataPolicy,
    without: OptedOut,
    standing: Standing | None = None,
) -> Choice:
    """Choose from signals that come newest first; *standing* is needed where not everybody is trusted."""
    standing = standing or Standing()
    left_out: Counter[str] = Counter()

    def may_use(signal: Signal) -> bool:
        bar = find_bar(signal, policy=policy, without=without)
        left_out.update([bar] if bar else [])
        return not bar

    facts = _keep_newest([signal for signal in corrections if may_use(signal)], left_out, standing.approved)
    wanted = [signal for signal in pairs if may_use(signal)]
    said = {(signal.user_id, answer) for signal in (*facts, *wanted) for answer in (signal.answer_id, signal.other_id)}
    thumbs = [signal for signal in votes if (signal.user_id, signal.answer_id) not in said and may_use(signal)]
    shown = [signal for signal in signs if may_use(signal)]
    trusted = [*facts, *wanted, *thumbs]
    if policy.trust is not None:
        trusted, shown = (
            keep_trusted(one, trust=policy.trust, standing=standing, left_out=left_out) for one in (trusted, shown)
        )
    kept, notes = _cap(trusted, policy, left_out, approved=standing.approved)
    counts = Counter(signal.user_id for signal in kept if signal.row_id not in standing.approved)
    mean = counts.total() / max(1, len(counts))
    spoken = {answer for signal in (*facts, *wanted, *thumbs) for answer in (signal.answer_id, signal.other_id)}
    return Choice(
        (*_settle(kept, left_out, standing.approved), *_settle_signs(shown, spoken, policy, left_out)),
        left_out,
        notes,
        {person: min(1.0, sqrt(mean / count)) for person, count in counts.items()},
    )


def _keep_newest(corrections: Sequence[Signal], left_out: Counter[str], approved: Collection[str]) -> list[Signal]:
    """Return of each person the newest to each question; of what a reviewer approved the newest, if there is any."""
    best: dict[tuple[str, bytes], Signal] = {}
    for signal in sorted(corrections, key=lambda one: one.row_id not in approved):
        best.setdefault((signal.user_id, signal.question_key), signal)
    kept = []
    for signal in corrections:
        chosen = best[signal.user_id, signal.question_key]
        if signal is chosen:
            kept.append(signal)
        else:
            left_out[NEWER if signal.row_id < chosen.row_id else WAITING] += 1
    return kept


def _cap(
    signals: list[Signal], policy: DataPolicy, left_out: Counter[str], *, approved: Collection[str]
) -> tuple[list[Signal], tuple[str, ...]]:
    """Hold people and channels to their caps; corrections are kept before preferences, and these before votes.

    What a reviewer has *approved* is not one person's word alone.
    """
    bound = [signal for signal in signals if signal.row_id not in approved]
    within, too_much = keep_within(bound, policy.person_cap, owner=lambda signal: signal.user_id)
    left_out.update({ONE_PERSON: too_much.total()} if too_much else {})
    counted = {signal.row_id for signal in within} | set(approved)
    kept = [signal for signal in signals if signal.row_id in counted]
    kept, too_much = keep_within(kept, policy.channel_cap, owner=lambda signal: signal.channel_id)
    left_out.update({ONE_CHANNEL: too_much.total()} if too_much else {})
    is_alone = len(signals) > policy.person_cap.least and len({signal.user_id for signal in signals}) == 1
    note = "All of it was said by one person, so no cap holds: what everybody gets is what this person taught."
    return kept, (note,) if is_alone else ()


def _settle(signals: Iterable[Signal], left_out: Counter[str], approved: Collection[str]) -> Iterable[Chosen]:
    """Yield what is learned when people contradict each other."""
    facts: dict[bytes, list[Signal]] = defaultdict(list)
    pairs: list[Signal] = []
    votes: dict[str, list[Signal]] = defaultdict(list)
    for signal in signals:
        if signal.table == CORRECTIONS:
            facts[signal.question_key].append(signal)
        elif signal.table == PAIRS:
            pairs.append(signal)
        else:
            votes[signal.answer_id].append(signal)
    for told in facts.values():
        yield from _settle_fact(told, votes, left_out, approved)
    by_answers: dict[tuple[str, str], list[Signal]] = defaultdict(list)
    for pair in pairs:
        by_answers[pair.answer_id, pair.other_id].append(pair)
    for (chosen, rejected), same in by_answers.items():
        if is_outvoted(same, by_answers.get((rejected, chosen), ()), votes):
            left_out[OUTVOTED] += len(same)
        else:
            source = Source.REGENERATED if same[0].source == "regenerate" else Source.COMPARED
            yield Chosen(source, tuple(same))
    for thumbs in votes.values():
        yield from _settle_votes(thumbs, left_out)


def _settle_fact(
    told: list[Signal], votes: dict[str, list[Signal]], left_out: Counter[str], approved: Collection[str]
) -> Iterable[Chosen]:
    """Yield the answer that most people gave to a question, of several the newest; votes on what it corrects go.

    Where a reviewer has approved one, that is the answer.
    """
    looked_at = [signal for signal in told if signal.row_id in approved]
    texts = Counter(signal.text_key for signal in looked_at or told)
    best = max(texts.values())
    text = next(signal.text_key for signal in looked_at or told if texts[signal.text_key] == best)
    right = [signal for signal in told if signal.text_key == text]
    left_out.update({DISAGREED: len(told) - len(right)} if len(told) > len(right) else {})
    by_answer: dict[str, list[Signal]] = defaultdict(list)
    for signal in right:
        by_answer[signal.answer_id].append(signal)
    kept: list[Signal] = []
    for answer_id, correctors in by_answer.items():
        thumbs = votes.get(answer_id, [])
        likes = sum(bool(vote.is_liked) for vote in thumbs)
        is_approved = any(signal.row_id in approved for signal in correctors)
        if not is_approved and likes > len(correctors) + len(thumbs) - likes:
            left_out[LIKED_ANYWAY] += len(correctors)
        else:
            kept += correctors
            left_out.update({CORRECTED: len(thumbs)} if votes.pop(answer_id, None) else {})
    if kept:
        yield Chosen(Source.CORRECTION, tuple(kept))


def _settle_votes(thumbs: list[Signal], left_out: Counter[str]) -> Iterable[Chosen]:
    likes = [vote for vote in thumbs if vote.is_liked]
    dislikes = [vote for vote in thumbs if not vote.is_liked]
    if len(likes) == len(dislikes):
        left_out[EVEN] += len(thumbs)
    elif len(likes) > len(dislikes):
        left_out.update({OUTVOTED: len(dislikes)} if dislikes else {})
        yield Chosen(Source.LIKED, tuple(likes))
    else:
        left_out.update({OUTVOTED: len(likes)} if likes else {})
        yield Chosen(Source.DISLIKED, tuple(dislikes))


def _settle_signs(
    shown: Iterable[Signal], spoken: Collection[str], policy: DataPolicy, left_out: Counter[str]
) -> Iterable[Chosen]:
    """Yield the answers of which nobody said anything, but somebody showed something; each person within the cap."""
    silent = [signal for signal in shown if signal.answer_id not in spoken]
    kept, too_much = keep_within(silent, policy.person_cap, owner=lambda signal: signal.user_id)
    left_out.update({ONE_PERSON: too_much.total()} if too_much else {})
    by_answer: dict[str, list[Signal]] = defaultdict(list)
    for signal in shown:
        left_out.update([SAID] if signal.answer_id in spoken else [])
    for signal in kept:
        by_answer[signal.answer_id].append(signal)
    for same in by_answer.values():
        yield Chosen(Source.IMPLICIT, tuple(same))
