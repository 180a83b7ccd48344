"""What a training may learn from, and how much of it: every number of the data set in one place."""

from dataclasses import dataclass, replace
from typing import Self

from bot.storage.tables import Audience


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """How much a signal says: 20 corrections alone are enough, or 100 votes."""

    correction: float = 2.5
    pair: float = 1.0
    vote: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much an example of a source counts in training."""

    correction: float = 1.0
    phrasing: float = 1.0
    liked: float = 0.5
    disliked: float = 0.5
    implicit: float = 0.5  # times what the sign says: a third of a vote at most
    regenerated: float = 1.0
    compared: float = 1.0
    rehearsal: float = 1.0
    canary: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The most that one of many may give: a share of all that is kept, an equal part where they are few.

    Up to *least* is always kept, so that a small team can teach anything at all.
    """

    share: float
    least: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How far one person's word counts that no reviewer has approved.

    So many signals within a week, and from one message so many answers; from whoever came less than *newcomer_days* ago
    none, unless all did. Whoever votes *most_against* the others, where *least_shared* answers tell, is put aside.
    From *enough_people* on, one person's preferences alone do not decide that thumbs are not trained on.
    """

    week_cap: int = 20
    message_cap: int = 3
    newcomer_days: int = 14
    least_shared: int = 8
    most_against: float = 0.75
    enough_people: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPolicy:
    """How a data set is made.

    *audiences* are those that an adapter for everybody may learn from; what was said elsewhere only counts when its
    author corrected the answer to a question of their own and said that it is for everyone. *window_days* is how old a
    signal may be, *most_signals* how many of each kind are looked at, newest first. *checks_served* renders each prompt
    again from what is stored, so that a message that was edited or deleted since is not learned from the served tokens;
    it costs a call of the engine for each row. *only_channel* is the channel whose own adapter it is for: then nothing
    of any other is read. *needs_review* lets nothing be learned from a correction that no reviewer has approved.
    *needs_consent* lets nothing be learned from a channel that no admin has turned on. *trust* guards against few who
    would bend what all get; None trusts everybody.
    *uses_signs* takes what people showed without saying it for weak dislikes: to train on, never to judge by.
    """

    least_points: float = 50.0
    points: Points = Points()
    weights: Weights = Weights()
    person_cap: Cap = Cap(share=0.1, least=20)
    channel_cap: Cap = Cap(share=0.5, least=200)
    least_people: int = 3  # or as many as have used the assistant, if that is fewer
    audiences: frozenset[Audience] = frozenset({Audience.PUBLIC})
    window_days: int = 365
    most_signals: int = 20_000
    most_tokens: int = 2048
    duplicate_threshold: float = 0.85
    validation_share: float = 0.1
    test_share: float = 0.2
    tail_share: float = 0.1  # the newest threads are only tested on
    rehearsal_share: float = 0.25
    least_rehearsal: int = 0  # rows beside taught facts, where the share is not 0
    most_rehearsal: int = 0  # 0: as many as the share asks for
    phrasings: int = 10
    validation_phrasings: int = 1
    test_phrasings: int = 2
    canaries: int = 16
    least_votes_each: int = 20  # of either kind, before thumbs say anything about taste
    checks_served: bool = True
    only_channel: str = ""
    needs_review: bool = False
    needs_consent: bool = False
    trust: Trust | None = None
    uses_signs: bool = False

    def among_people(self) -> Self:
        """Return the same policy where people are real: they are asked, and nobody of many gives more than a 50th."""
        return replace(self, needs_consent=True, trust=Trust(), person_cap=Cap(share=0.02, least=20))

    def for_channel(self, channel_id: str) -> Self:
        """Return the same policy for an adapter that only one channel's people are served; empty: for everybody.

        Whoever is served could read the channel, private or not, so that its own words may be learned from.
        """
        if not channel_id:
            return self
        return replace(self, only_channel=channel_id, audiences=frozenset({Audience.PUBLIC, Audience.PRIVATE}))
