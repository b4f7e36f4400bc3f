"""Our reader of protocol buffers: everything that onnx writes, and nothing but `WireError` for other bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgespeech.runtime.graph.wire import BITS_32, VARINT, Field, WireError, read_fields, read_message, read_varints

SCHEMA = {
    1: Field("number", VARINT),
    2: Field("numbers", VARINT, repeated=True),
    3: Field("text"),
    4: Field("no", None),
}


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_numbers_are_read_as_they_were_written(numbers: list[int]) -> None:
    packed = b"".join(map(varint, numbers))
    assert read_varints(memoryview(packed)) == numbers
    apart = b"".join(b"\x10" + varint(number) for number in numbers)
    together = b"\x12" + varint(len(packed)) + packed
    for message in (apart, together):
        assert read_message(memoryview(message), SCHEMA, "a test").get("numbers", []) == numbers


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (lambda view: list(read_fields(view)), lambda view: read_message(view, SCHEMA, "a test"), read_varints):
        try:
            read(memoryview(data))
        except WireError as error:
            assert str(error).startswith(("has", "is"))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"\x08", "is cut off inside a number"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "more than 64 bits"),
        (b"\x1a\x05abc", "is cut off"),
        (b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "a length that is too large"),
        (b"\x0b", "wire type 3"),
        (b"\x28\x01", "the unknown field 5"),
        (b"\x22\x00", "has no"),
        (b"\x08\x01\x08\x02", "the field number twice"),
        (b"\x0a\x01\x01", "a damaged field number"),
        (b"\x1d" + bytes(4), "a damaged field text"),
    ],
)
def test_what_is_refused_is_named(message: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        read_message(memoryview(message), SCHEMA, "a test")


def test_bytes_of_a_fixed_width_are_returned_as_they_are() -> None:
    assert [(number, kind, bytes(value)) for number, kind, value in read_fields(memoryview(b"\x0d\x00\x00\x80\x3f"))
            if isinstance(value, memoryview)] == [(1, BITS_32, b"\x00\x00\x80\x3f")]  # fmt: skip
