"""What was read for a data set: examples on the disk, and in memory only what a split must know and what is counted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bot.learning.data.choosing import Chosen
from bot.learning.data.drafts import Draft
from bot.learning.data.facts import name_fact
from bot.learning.data.policy import DataPolicy
from bot.learning.data.splitting import Item, Placed
from bot.learning.data.spool import Spool
from bot.learning.data.tokens import DraftTokens
from bot.learning.examples import Example, Source, Split, Use
from bot.storage.grounds import Row

NOBODYS_WORD = ("messages:", "answers:", "reviews:")  # rows that say nothing about what is to be learned
USES = dict.fromkeys((Source.LIKED, Source.DISLIKED, Source.IMPLICIT), Use.THUMB)


@dataclass(slots=True)
class Basket:
    """What is kept of drafts; *spooled* are the numbers of the items that have an example in the spool."""

    policy: DataPolicy
    person_weights: Mapping[str, float]
    spool: Spool
    items: list[Item] = field(default_factory=list)
    spooled: list[int] = field(default_factory=list)
    facts: list[Draft] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    people: set[str] = field(default_factory=set)
    channels: set[str] = field(default_factory=set)
    signals: Counter[str] = field(default_factory=Counter)
    points: float = 0.0
    rendered: int = 0
    newest: datetime | None = None

    def keep(self, draft: Draft, name: str, tokens: DraftTokens) -> None:
        """Spool the example of a draft and count it; the examples of a fact alone are made later.

        *name* is that of the question among those like it.
        """
        self._count(draft.chosen)
        self.rendered += not tokens.is_served
        self.newest = max(draft.asked_at, self.newest or draft.asked_at)
        self.owners.update({f"{table}:{row_id}": person for table, row_id, person in (*draft.behind, *draft.rows)})
        self.items.append(
            Item(
                thread_id=draft.chosen.newest.thread_id,
                people=draft.people,
                like=name,
                is_fact=draft.is_fact,
                is_liked=draft.chosen.source is Source.LIKED,
                asked_at=draft.asked_at,
            )
        )
        if draft.is_fact:
            self.facts.append(draft)
        if tokens.rejected_ids or not draft.is_fact:
            self.spooled.append(len(self.items) - 1)
            self.spool.add(_build_example(draft, tokens))

    def _count(self, chosen: Chosen) -> None:
        self.points += chosen.points(self.policy.points)
        self.signals[str(chosen.source)] += len(chosen.signals)
        if chosen.source is not Source.IMPLICIT:  # who did something has said nothing
            self.people |= {signal.user_id for signal in chosen.signals}
        self.channels |= {signal.channel_id for signal in chosen.signals}

    def take_out(self, placed: Placed) -> Iterator[Example]:
        """Yield the spooled examples where they belong; an answer that was liked is also one to give."""
        for index, example in zip(self.spooled, self.spool.read(), strict=True):
            done = replace(
                example,
                split=placed.splits[index],
                group=example.group or placed.groups[index],
                weight=round(self.weigh(example.source, example.rows) * example.weight, 4),
            )
            if done.source is Source.IMPLICIT and done.split is not Split.TRAIN:
                continue  # nothing is judged by what nobody said
            yield done
            if done.is_liked:
                yield replace(done, id=done.id.replace(Use.THUMB, Use.SFT, 1), use=Use.SFT, is_liked=None)

    def weigh(self, source: Source, rows: Sequence[str]) -> float:
        """Return how much an example counts: by its source, and less where whoever said it said more than others."""
        said = [self.owners[row] for row in rows if not row.startswith(NOBODYS_WORD)]
        by_person = [self.person_weights.get(person, 1.0) for person in said]
        return round(float(getattr(self.policy.weights, source)) * max(by_person, default=1.0), 4)

    def count_liked(self, placed: Placed) -> int:
        """Return how many liked answers are trained on."""
        liked = (index for index in self.spooled if self.items[index].is_liked)
        return sum(placed.splits[index] is Split.TRAIN for index in liked)


def _build_example(draft: Draft, tokens: DraftTokens) -> Example:
    source, signal = draft.chosen.source, draft.chosen.newest
    use = USES.get(source, Use.PAIR)
    return Example(
        id=f"{use}:{signal.table}:{signal.row_id}",
        use=use,
        source=source,
        split=Split.TRAIN,
        group=name_fact(draft) if draft.is_fact else "",
        prompt_ids=tokens.prompt_ids,
        completion_ids=tokens.completion_ids,
        rejected_ids=tokens.rejected_ids,
        is_liked=source is Source.LIKED if use is Use.THUMB else None,
        weight=max(one.weight for one in draft.chosen.signals),
        question=draft.question,
        answer=draft.answer,
        rejected=draft.rejected,
        rows=name_rows(draft.rows),
        behind=name_rows(draft.behind),
        people=draft.people,
        said_by=draft.said_by,
    )


def name_rows(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return rows as an example names them."""
    return tuple(f"{table}:{row_id}" for table, row_id, _ in rows)
