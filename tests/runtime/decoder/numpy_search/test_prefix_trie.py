"""Records of equal prefixes, shared prefixes, and what compacting keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgespeech.runtime.decoder.numpy_search.prefix_trie import (
    DEPTH,
    FIELDS,
    FRAME,
    HASH,
    LABEL,
    PARENT,
    ROOT_HASH,
    Branches,
    Integers,
    Trie,
    extend_hashes,
    label_keys,
)

KEYS = label_keys(4)


def grow(trie: Trie, record: Integers, labels: Sequence[int], frame: int = 0) -> Integers:
    """Append labels to a prefix [6, 1]; all but the last go into the trie."""
    for label in labels:
        column = trie.add(record)
        record = record.copy()
        record[HASH] = extend_hashes(record[HASH], KEYS[[label]])
        record[DEPTH] += 1
        record[LABEL], record[FRAME], record[PARENT] = label, frame, column
    return record


def root() -> Integers:
    record = np.zeros((FIELDS, 1), np.int64)
    record[HASH], record[PARENT] = ROOT_HASH, -1
    return record


def spell(branches: Branches, column: int) -> list[int]:
    return branches.labels_of(branches.path(column))


def test_hashes_depend_on_the_labels_and_their_order_alone() -> None:
    trie = Trie()
    assert grow(trie, root(), [1, 2], frame=3)[HASH] == grow(trie, root(), [1, 2], frame=9)[HASH]
    prefixes = [[], [1], [1, 1], [1, 2], [2, 1], [2], [1, 2, 1], [2, 1, 1], [1, 1, 2]]
    assert len({int(grow(trie, root(), labels)[HASH, 0]) for labels in prefixes}) == len(prefixes)


def test_separate_copies_of_a_prefix_are_shared() -> None:
    trie = Trie()
    left = grow(trie, root(), [1, 2, 3, 1], frame=1)
    right = grow(trie, root(), [1, 2, 2, 2, 2], frame=2)

    def shared(*beams: Integers) -> int:
        return Branches(trie, np.concatenate(beams, axis=1), 0).shared_depth()

    assert shared(left, right) == shared(right, left) == 2
    assert shared(left, right, grow(trie, root(), [1])) == 1
    assert shared(left, grow(trie, left, [2, 2]), grow(trie, left, [3])) == 4
    assert shared(left, right, grow(trie, root(), [3])) == 0
    assert shared(left, root()) == 0
    assert shared(left) == 4


def test_compacting_keeps_the_ancestors_and_does_not_change_the_old_trie() -> None:
    trie = Trie()
    shared = grow(trie, root(), [1, 2, 3])
    beams = [grow(trie, shared, [1, 1]), grow(trie, shared, [2]), grow(trie, grow(trie, root(), [1, 2, 3], 5), [3])]
    grow(trie, shared, [3, 3, 3])  # of no beam
    leaves = np.concatenate(beams, axis=1)
    before = Branches(trie, leaves, 0)
    assert [spell(before, leaf) for leaf in before.leaves] == [[1, 2, 3, 1, 1], [1, 2, 3, 2], [1, 2, 3, 3]]
    smaller, parents = trie.compact(leaves[PARENT], 2)
    assert smaller.size == 4  # two copies of 1 2 3, one 1 2 3 1, and the first copy again for the second beam
    moved = leaves.copy()
    moved[PARENT] = parents
    after = Branches(smaller, moved, 2)
    assert [spell(after, leaf) for leaf in after.leaves] == [[3, 1, 1], [3, 2], [3, 3]]
    assert after.shared_depth() == 3
    assert after.frames[after.path(after.leaves[2])[0]] == 5
    assert [spell(before, leaf) for leaf in before.leaves] == [[1, 2, 3, 1, 1], [1, 2, 3, 2], [1, 2, 3, 3]]


def test_descendants_begin_with_the_prefix_in_any_copy() -> None:
    trie = Trie()
    beams = [
        grow(trie, root(), [1, 2, 3], frame=1),
        grow(trie, root(), [1, 3, 3]),
        grow(trie, root(), [1, 2, 1, 1], frame=4),
        grow(trie, root(), [1, 2]),
        grow(trie, root(), [1]),
    ]
    branches = Branches(trie, np.concatenate(beams, axis=1), 0)
    assert branches.descendants(branches.path(branches.leaves[0])[1]) == [0, 2, 3]
    assert branches.descendants(branches.path(branches.leaves[1])[0]) == [0, 1, 2, 3, 4]


def test_appending_to_a_copy_does_not_change_the_trie() -> None:
    trie = Trie()
    grow(trie, root(), [1, 2, 3])
    copy, records = trie.copy(), trie.records.copy()
    grow(copy, root(), [3] * 2000)
    assert (trie.size, copy.size) == (3, 2003)
    np.testing.assert_array_equal(trie.records, records)


def test_keys_are_those_of_numpys_generator() -> None:
    expected = np.random.default_rng(0).integers(-(2**63), 2**63, size=300, dtype=np.int64)
    assert np.array_equal(label_keys(300), expected) and label_keys(0).dtype == np.int64
