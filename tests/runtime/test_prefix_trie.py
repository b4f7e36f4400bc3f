"""Prefixes that are equal without being identical, what they share, and the cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgespeech.runtime.prefix_trie import (
    Node,
    ancestor,
    common_prefix,
    count_nodes,
    cut,
    extend_hashes,
    label_keys,
    path,
    root,
)

KEYS = label_keys(4)


def grow(node: Node, labels: Sequence[int], frame: int = 0) -> Node:
    for label in labels:
        prefix = int(extend_hashes(np.array([node.hash], dtype=np.uint64), KEYS[[label]])[0])
        node = Node(node, label, frame, prefix, node.depth + 1)
    return node


def spell(node: Node) -> list[int]:
    return [step.label for step in path(node)]


def test_hashes_know_the_order_and_nothing_but_the_labels() -> None:
    assert grow(root(), [1, 2], frame=3).hash == grow(root(), [1, 2], frame=9).hash
    prefixes = [[], [1], [1, 1], [1, 2], [2, 1], [2], [1, 2, 1], [2, 1, 1], [1, 1, 2]]
    assert len({grow(root(), labels).hash for labels in prefixes}) == len(prefixes)


def test_common_prefix_of_separate_copies() -> None:
    left = grow(root(), [1, 2, 3, 1], frame=1)
    right = grow(root(), [1, 2, 2, 2, 2], frame=2)
    assert spell(common_prefix([left, right])) == [1, 2]
    assert spell(common_prefix([left, right, grow(root(), [1])])) == [1]
    assert spell(common_prefix([left, grow(left, [2, 2]), grow(left, [3])])) == [1, 2, 3, 1]
    assert common_prefix([left, right, grow(root(), [3])]).depth == 0


def test_cut_forgets_the_shared_part_and_leaves_old_nodes_alone() -> None:
    shared = grow(root(), [1, 2, 3])
    nodes = [grow(shared, [1, 1]), grow(shared, [2]), shared, grow(grow(root(), [1, 2, 3], frame=5), [3])]
    after = cut(nodes, 3)
    assert [spell(node) for node in after] == [[1, 1], [2], [], [3]]
    assert [node.depth for node in after] == [5, 4, 3, 4]
    assert [node.hash for node in after] == [node.hash for node in nodes]
    assert count_nodes(after) == 5
    assert spell(nodes[0]) == [1, 2, 3, 1, 1]
    assert ancestor(after[0], 3) is ancestor(after[3], 3) is after[2]
