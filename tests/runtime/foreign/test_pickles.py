"""The outline of a pickle equals what loading it gives, and nothing is run, however damaged it is."""

from __future__ import annotations

import os
import pickle
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgespeech.runtime.foreign.pickles import Instance, instances, read_outline

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


class Thing:
    """An object with state."""

    def __init__(self, inner: object) -> None:
        self.inner = inner


class Hostile:
    """A pickle that makes a folder where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@given(values, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_are_read_as_they_are(value: object, protocol: int) -> None:
    # Below protocol 3 bytes are the result of a call.
    if protocol > 2 or not any(isinstance(one, bytes) for one in flat(value)):
        assert read_outline(pickle.dumps(value, protocol)) == value


def flat(value: object) -> list[object]:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else []
    return [value, *(one for item in inner for one in flat(item))]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_objects_are_named_and_not_made(tmp_path: Path, protocol: int) -> None:
    value = OrderedDict(a=1, thing=Thing([Hostile(tmp_path / "mark")]))
    outline = read_outline(pickle.dumps(value, protocol))
    assert isinstance(outline, Instance) and outline.name == "collections.OrderedDict"
    assert outline.items["a"] == 1
    names = {one.name for one in instances(outline)}
    assert f"{os.mkdir.__module__}.mkdir" in names
    assert f"{__name__}.Thing" in names or "copyreg._reconstructor" in names or "copy_reg._reconstructor" in names
    assert not (tmp_path / "mark").exists()


def test_a_cut_pickle_gives_the_part_before_the_cut() -> None:
    data = pickle.dumps({"format": "something", "numbers": list(range(5000))}, 2)
    assert read_outline(data[: len(data) // 2])["format"] == "something"
    assert read_outline(b"") is None


def test_objects_that_contain_themselves_end() -> None:
    circle: list[Any] = [Thing(None)]
    circle += [circle] * 2000
    assert [one.name.rpartition(".")[2] for one in instances(read_outline(pickle.dumps(circle)))] == ["Thing"]


@pytest.mark.parametrize("seed", range(200))
def test_damaged_pickles_are_read_as_far_as_possible(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(pickle.dumps({"a": [1, (2, Thing({"b": 3}))], "c": {4, 5}}, seed % 6))
    for _ in range(3):
        data[chance.randrange(len(data))] = chance.randrange(256)
    list(instances(read_outline(bytes(data))))


@pytest.mark.parametrize("piece", [b"(", b"N", b"(N", b"](", b"}(", b"2", b"N0", b"(1", b"]q\0"])
def test_long_pickles_take_no_long_time(piece: bytes) -> None:
    # Quadratic time would take hours.
    read_outline(b"\x80\x02]" + piece * (400_000 // len(piece)))
