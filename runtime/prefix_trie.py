"""The label prefixes of a beam search: nodes that point to their parents and never change.

A prefix is known by a 64-bit hash of its labels, so two nodes for the same labels (made at different times, or with
different emission frames) are recognised as one prefix without a table of children. A branch that no beam points to
is freed by Python's reference counts; what all beams share is cut off by :func:`cut`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

ROOT_HASH = 0x9E3779B97F4A7C15
_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)


class Node:
    """The last label of one prefix.

    Attributes:
        parent: The prefix without this label; None for the root and where the trie was cut.
        label: Index of the label; -1 for the root.
        frame: Output frame in which the label was emitted; -1 for the root.
        hash: 64-bit hash of all labels from the beginning of the utterance.
        depth: Number of labels from the beginning of the utterance.
    """

    __slots__ = ("depth", "frame", "hash", "label", "parent")

    def __init__(self, parent: Node | None, label: int, frame: int, hash: int, depth: int) -> None:
        """Make a node; it is not changed afterwards."""
        self.parent = parent
        self.label = label
        self.frame = frame
        self.hash = hash
        self.depth = depth


def root() -> Node:
    """Return the empty prefix."""
    return Node(None, -1, -1, ROOT_HASH, 0)


def label_keys(labels: int) -> npt.NDArray[np.uint64]:
    """Draw the fixed random number that each label contributes to hashes."""
    return np.random.default_rng(0).integers(0, 2**64, size=labels, dtype=np.uint64)


def extend_hashes(prefixes: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash prefixes [n] extended by the labels with these keys [n]."""
    mixed = (prefixes ^ keys) * _MULTIPLIER
    return mixed ^ (mixed >> _SHIFT)


def path(node: Node) -> list[Node]:
    """List the nodes from the cut (or the root), which is left out, down to ``node``."""
    nodes = []
    while node.parent is not None:
        nodes.append(node)
        node = node.parent
    nodes.reverse()
    return nodes


def ancestor(node: Node, depth: int) -> Node:
    """Return the prefix of ``node`` with ``depth`` labels, or the node itself where it is not longer."""
    while node.depth > depth and node.parent is not None:
        node = node.parent
    return node


def common_prefix(nodes: Sequence[Node]) -> Node:
    """Return the longest prefix that all nodes share."""
    shared = min(nodes, key=lambda node: node.depth)
    for node in nodes:
        node = ancestor(node, shared.depth)
        while node.hash != shared.hash:
            assert node.parent is not None and shared.parent is not None
            node, shared = node.parent, shared.parent
    return shared


def cut(nodes: Iterable[Node], depth: int) -> list[Node]:
    """Copy the trie above ``nodes`` without what lies before ``depth``, which all nodes must share.

    Nodes at ``depth`` become one node without a parent. The old nodes stay as they were, for whoever still holds them.
    """
    copies: dict[int, Node] = {}
    base: Node | None = None
    result = []
    for node in nodes:
        waiting = []
        walk = node
        while walk.depth > depth and id(walk) not in copies:
            waiting.append(walk)
            assert walk.parent is not None
            walk = walk.parent
        if walk.depth > depth:
            parent = copies[id(walk)]
        else:
            base = base or Node(None, walk.label, walk.frame, walk.hash, walk.depth)
            parent = base
        for old in reversed(waiting):
            parent = copies[id(old)] = Node(parent, old.label, old.frame, old.hash, old.depth)
        result.append(parent)
    return result


def count_nodes(nodes: Iterable[Node]) -> int:
    """Count the nodes that these keep alive: what a search holds in memory."""
    seen: set[int] = set()
    for node in nodes:
        walk: Node | None = node
        while walk is not None and id(walk) not in seen:
            seen.add(id(walk))
            walk = walk.parent
    return len(seen)
