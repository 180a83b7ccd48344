"""A radix tree over token sequences: who holds which beginning of a text, found by comparing every token.

Pure; it must not know slots, scopes or llama.cpp. A holder is any hashable name.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

import numpy as np

from bot.engine.batching.tokens import Tokens, common_prefix

Holder = TypeVar("Holder", bound=Hashable)


class Node(Generic[Holder]):
    """The part of a text from *start* to *stop*, which every holder holds; *tokens* begin at the text's beginning."""

    __slots__ = ("children", "holders", "parent", "start", "stop", "tokens")

    def __init__(self, tokens: Tokens, start: int, stop: int, *, parent: "Node[Holder] | None") -> None:
        self.tokens = tokens
        self.start = start
        self.stop = stop
        self.parent = parent
        self.children: dict[int, Node[Holder]] = {}
        self.holders: set[Holder] = set()

    @property
    def label(self) -> Tokens:
        """The node's own part of the text."""
        return self.tokens[self.start : self.stop]


class RadixTree(Generic[Holder]):
    """Texts that begin alike share the nodes of their beginning; labels are views, never copies."""

    def __init__(self) -> None:
        self._root: Node[Holder] = Node(np.empty(0, dtype=np.int32), 0, 0, parent=None)
        self._ends: dict[Holder, Node[Holder]] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def __contains__(self, holder: Holder) -> bool:
        return holder in self._ends

    def length(self, holder: Holder) -> int:
        """Return how many tokens *holder* holds."""
        return self._ends[holder].stop if holder in self._ends else 0

    def hold(self, holder: Holder, tokens: Tokens) -> None:
        """Let *holder* hold *tokens*, which begin with what it holds already; they must never change."""
        node = self._ends.get(holder, self._root)
        if len(tokens) <= node.stop:
            return
        if node.parent and len(node.holders) == 1 and not node.children:  # a growing answer that nobody shares
            node.tokens, node.stop = tokens, len(tokens)
            return
        before = node
        while node.stop < len(tokens):
            child = node.children.get(int(tokens[node.stop]))
            if child is None:
                child = node.children[int(tokens[node.stop])] = Node(tokens, node.stop, len(tokens), parent=node)
            else:
                same = common_prefix(child.label, tokens[child.start :])
                child = self._split(child, child.start + same)
            child.holders.add(holder)
            node = child
        self._ends[holder] = node
        self._join(before)

    def drop(self, holder: Holder) -> None:
        """Forget *holder*, and every node that nobody else holds."""
        node = self._ends.pop(holder, self._root)
        while (parent := node.parent) is not None:
            node.holders.discard(holder)
            if node.holders:
                self._join(node)
            else:
                del parent.children[int(node.tokens[node.start])]
            node = parent

    def match(self, tokens: Tokens) -> list[tuple[int, set[Holder]]]:
        """Return growing lengths of the beginning of *tokens* that is held, each with all who hold that much."""
        node, path = self._root, []
        while node.stop < len(tokens) and (child := node.children.get(int(tokens[node.stop]))):
            length = child.start + common_prefix(child.label, tokens[child.start :])
            path.append((length, child.holders))
            if length < child.stop:
                break
            node = child
        return path

    @staticmethod
    def _join(node: Node[Holder]) -> None:
        """Let a node's only child take its place, if nobody ends or turns off between them any more."""
        if node.parent and len(node.children) == 1:
            (child,) = node.children.values()
            if len(child.holders) == len(node.holders):
                child.start, child.parent = node.start, node.parent
                node.parent.children[int(node.tokens[node.start])] = child

    @staticmethod
    def _split(node: Node[Holder], position: int) -> Node[Holder]:
        """Return the node that ends at *position*, which lies in *node*."""
        if position == node.stop:
            return node
        upper: Node[Holder] = Node(node.tokens, node.start, position, parent=node.parent)
        upper.holders = set(node.holders)
        upper.children[int(node.tokens[position])] = node
        if node.parent:
            node.parent.children[int(node.tokens[node.start])] = upper
        node.start, node.parent = position, upper
        return upper
