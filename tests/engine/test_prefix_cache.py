"""The radix tree and the two caches over it, against lists that are compared from end to end."""

from itertools import count

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bot.engine.batching.host_tier import HostTier, Saved, choose_limit
from bot.engine.batching.prefix_cache import Entry, PrefixCache
from bot.engine.batching.radix_tree import Node, RadixTree
from bot.engine.batching.tokens import Tokens

LETTERS = st.lists(st.integers(0, 1), max_size=12)


def tokens_of(letters: list[int]) -> Tokens:
    """Return letters as the tree takes them."""
    return np.array(letters, dtype=np.int32)


def shared(left: list[int], right: list[int]) -> int:
    """Return how much two lists have in common at their beginning."""
    return next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


class Trees(RuleBasedStateMachine):
    """Holders come, grow and go."""

    def __init__(self) -> None:
        super().__init__()
        self.tree: RadixTree[int] = RadixTree()
        self.texts: dict[int, list[int]] = {}

    @rule(holder=st.integers(0, 5), more=LETTERS)
    def hold(self, holder: int, more: list[int]) -> None:
        """Somebody begins a text or goes on with it."""
        text = self.texts.get(holder, []) + more
        if text:
            self.texts[holder] = text
            self.tree.hold(holder, tokens_of(text))

    @rule(holder=st.integers(0, 5))
    def drop(self, holder: int) -> None:
        """Somebody lets go, or held nothing anyway."""
        self.texts.pop(holder, None)
        self.tree.drop(holder)

    @rule(text=LETTERS)
    def match(self, text: list[int]) -> None:
        """Every length at which holders part is found, with exactly those who hold that much."""
        lengths = {holder: shared(held, text) for holder, held in self.texts.items()}
        path = self.tree.match(tokens_of(text))

        assert [length for length, _ in path] == sorted({length for length, _ in path})
        assert (path[-1][0] if path else 0) == max(lengths.values(), default=0)
        for length, holders in path:
            assert holders == {holder for holder, common in lengths.items() if common >= length}
        ends = {len(held) for holder, held in self.texts.items() if lengths[holder] == len(held)}
        assert ends <= {length for length, _ in path}

    @invariant()
    def the_tree_is_tight(self) -> None:
        """Every node is held, no two children begin alike, and none could be joined with its only child."""
        assert len(self.tree) == len(self.texts)
        assert all(self.tree.length(holder) == len(text) for holder, text in self.texts.items())
        nodes: list[Node[int]] = [self.tree._root]
        for node in nodes:
            for first, child in node.children.items():
                assert child.parent is node
                assert child.holders
                assert node is self.tree._root or child.holders <= node.holders
                assert (child.start, int(child.label[0])) == (node.stop, first)
                assert len(node.children) > 1 or node is self.tree._root or child.holders != node.holders
                nodes.append(child)


class Caches(RuleBasedStateMachine):
    """Slots of three scopes hold, rest and are dropped; every search finds what comparing everything finds."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = PrefixCache()
        self.entries: dict[int, Entry] = {}
        self.idle: list[int] = []

    @rule(slot=st.integers(0, 5), text=LETTERS, scope=st.sampled_from(["", "a", "b"]), shared_length=st.integers(0, 9))
    def hold(self, slot: int, text: list[int], scope: str, shared_length: int) -> None:
        """A slot begins another text."""
        self.drop(slot)
        if text and (scope or shared_length):
            self.entries[slot] = Entry(slot, tokens_of(text), scope, min(shared_length, len(text)))
            self.cache.hold(self.entries[slot])

    @rule(slot=st.integers(0, 5))
    def rest(self, slot: int) -> None:
        """An answer is complete."""
        if slot in self.entries:
            self.cache.rest(slot)
            self.idle = [other for other in self.idle if other != slot] + [slot]

    @rule(slot=st.integers(0, 5))
    def drop(self, slot: int) -> None:
        """A slot is cleared."""
        assert self.cache.drop(slot) is self.entries.pop(slot, None)
        self.idle = [other for other in self.idle if other != slot]

    @rule(text=LETTERS, scope=st.sampled_from(["", "a", "b"]), shared_length=st.integers(0, 9))
    def find(self, text: list[int], scope: str, shared_length: int) -> None:
        """The longest allowed beginning is found; an own idle slot comes first, whole ones end where it ends."""
        limits = {
            slot: len(entry.tokens) if scope and entry.scope == scope else min(entry.shared_length, shared_length)
            for slot, entry in self.entries.items()
        }
        lengths = {slot: shared(entry.tokens.tolist()[: limits[slot]], text) for slot, entry in self.entries.items()}
        hit = self.cache.find(tokens_of(text), scope, shared_length=shared_length)
        best = max(lengths.values(), default=0)
        own = {slot for slot, entry in self.entries.items() if scope and entry.scope == scope}
        assert (hit.length if hit else 0) == best
        if hit:
            assert lengths[hit.slot] == best
            assert hit.is_own == any(lengths[slot] == best for slot in own & set(self.idle))
            assert not hit.is_own or hit.slot in own & set(self.idle)
        whole = self.cache.find_whole(tokens_of(text), scope)
        ends = [lengths[slot] for slot in own & set(self.idle) if lengths[slot] == len(self.entries[slot].tokens)]
        assert (whole.length if whole else 0) == max(ends, default=0)

    @invariant()
    def the_oldest_goes_first(self) -> None:
        """Idle slots are evicted in the order of their last use, but for the protected one."""
        assert self.cache.oldest() == (self.idle[0] if self.idle else None)
        assert self.cache.oldest(protected=self.cache.oldest()) == (self.idle[1] if len(self.idle) > 1 else None)
        assert len(self.cache) == len(self.idle)


class Tiers(RuleBasedStateMachine):
    """States of two lanes and two scopes under a byte limit."""

    LIMIT = 30

    def __init__(self) -> None:
        super().__init__()
        self.tier = HostTier(self.LIMIT)
        self.lanes = [self.tier.join() for _ in range(2)]
        self.held: list[tuple[Saved, list[int]]] = []
        self.spilled = [0, 0]
        self.numbers = count()

    @rule(lane=st.integers(0, 1), scope=st.sampled_from("ab"), text=LETTERS, size=st.integers(1, 20))
    def store(self, lane: int, scope: str, text: list[int], size: int) -> None:
        """A state takes the place of its own beginnings, and the oldest go until it fits; a huge one is refused."""
        saved = Saved(tokens_of(text), size, self.lanes[lane], scope)
        is_kept = self.tier.store(saved) if text else False
        assert is_kept == (bool(text) and size <= self.LIMIT - sum(self.spilled))
        if is_kept:
            self.held = [
                (other, words)
                for other, words in self.held
                if (other.lane, other.scope) != (saved.lane, scope) or words != text[: len(words)]
            ]
            self.held.append((saved, text))
            self.shrink()

    @rule(lane=st.integers(0, 1), size=st.integers(1, 20))
    def reserve(self, lane: int, size: int) -> None:
        """A preempted answer's state is never refused."""
        self.tier.reserve(size, self.lanes[lane])
        self.spilled[lane] += size
        self.shrink()

    @rule(lane=st.integers(0, 1))
    def release(self, lane: int) -> None:
        """The preempted answers of a lane go on."""
        self.tier.release(self.spilled[lane], self.lanes[lane])
        self.spilled[lane] = 0

    @rule(lane=st.integers(0, 1))
    def forget(self, lane: int) -> None:
        """An adapter is unloaded: nothing of it is left."""
        self.tier.forget(self.lanes[lane])
        self.held = [(saved, words) for saved, words in self.held if saved.lane != self.lanes[lane]]

    @rule(lane=st.integers(0, 1), scope=st.sampled_from("ab"), text=LETTERS, is_whole=st.booleans())
    def find_and_take(self, lane: int, scope: str, text: list[int], is_whole: bool) -> None:
        """Only the own lane and scope are searched; what is taken is gone."""
        own = [(s, words) for s, words in self.held if (s.lane, s.scope) == (self.lanes[lane], scope)]
        lengths = [shared(words, text) for _, words in own if not is_whole or words == text[: len(words)]]
        found = self.tier.find(tokens_of(text), lane=self.lanes[lane], scope=scope, is_whole=is_whole)
        assert (found[0] if found else 0) == max(lengths, default=0)
        if found:
            self.tier.take(found[1])
            self.held = [(saved, words) for saved, words in self.held if saved is not found[1]]

    def shrink(self) -> None:
        """Let the oldest go while there is too much."""
        while self.held and sum(self.spilled) + sum(saved.size for saved, _ in self.held) > self.LIMIT:
            self.held.pop(0)

    @invariant()
    def everything_is_counted(self) -> None:
        """The same states are held in the same order, and their bytes are known lane by lane."""
        assert list(self.tier._held) == [saved for saved, _ in self.held]
        for lane, spilled in zip(self.lanes, self.spilled, strict=True):
            assert self.tier.used_by(lane) == spilled + sum(s.size for s, _ in self.held if s.lane == lane)
        assert self.tier.used == sum(self.tier.used_by(lane) for lane in self.lanes)


TestTrees = Trees.TestCase
TestCaches = Caches.TestCase
TestTiers = Tiers.TestCase
TestTrees.settings = TestCaches.settings = TestTiers.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_labels_are_views_on_the_holders_tokens() -> None:
    """A growing answer costs no copy of its tokens."""
    buffer = np.arange(1000, dtype=np.int32)
    tree: RadixTree[str] = RadixTree()
    for length in (10, 500, 1000):
        tree.hold("answer", buffer[:length])

    ((length, _),) = tree.match(buffer)
    (node,) = tree._root.children.values()

    assert length == 1000
    assert np.shares_memory(node.label, buffer)


def test_the_limit_is_what_was_asked_for_or_a_share_of_what_is_free() -> None:
    """A negative limit leaves most of the memory to others."""
    assert choose_limit(0, free=10**12) == 0
    assert choose_limit(12345, free=0) == 12345
    assert choose_limit(-1, free=8 * 1024**3) == 2 * 1024**3
    assert choose_limit(-1, free=10**12) == 4 * 1024**3
