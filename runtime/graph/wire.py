"""Fields of a message in the binary form of protocol buffers, without its schema.

Source: the encoding that https://protobuf.dev/programming-guides/encoding/ describes. Groups, which ONNX does not use,
are refused; so is everything that two readers could understand differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

VARINT, BITS_64, BYTES, BITS_32 = 0, 1, 2, 5
_WIDTHS = {BITS_64: 8, BITS_32: 4}
_64_BITS, _SIGN = (1 << 64) - 1, 1 << 63

Value = int | memoryview
"""The signed number of a varint; the bytes of everything else."""


class WireError(ValueError):
    """Bytes that are not the message that was expected; the text says why, to follow the name of the file."""


class Field(NamedTuple):
    """What a message may have under a number.

    Attributes:
        name: Name of the field.
        kind: Wire type; None for a field that is refused.
        repeated: Whether it may occur more than once.
    """

    name: str
    kind: int | None = BYTES
    repeated: bool = False


Schema = Mapping[int, Field]


def read_message(message: memoryview, schema: Schema, what: str) -> dict[str, list[Value]]:
    """Read the fields of a message by their names; each has all of its values in their order.

    Raises:
        WireError: A field is not in the schema, refused by it, of another wire type, occurs twice, or is cut off.
    """
    found: dict[str, list[Value]] = {}
    for number, kind, value in read_fields(message):
        field = schema.get(number)
        if field is None:
            raise WireError(f"has the unknown field {number} in {what}")
        if field.kind is None:
            raise WireError(f"has {field.name}")
        if field.kind != kind and not (field.repeated and kind == BYTES):  # numbers may be packed
            raise WireError(f"has a damaged field {field.name} in {what}")
        values = found.setdefault(field.name, [])
        if values and not field.repeated:
            raise WireError(f"has the field {field.name} twice in {what}")
        if field.kind == VARINT and isinstance(value, memoryview):
            values += read_varints(value)
        else:
            values.append(value)
    return found


def read_fields(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    """Yield number, wire type and value of each field.

    Raises:
        WireError: The message is cut off, or has an unknown wire type.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = message[at], at + 1
        if key > 0x7F:
            key, at = _varint(message, at - 1)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield key >> 3, kind, value - (1 << 64) if value & _SIGN else value
            continue
        if kind == BYTES:
            length = message[at] if at < end else 0x80
            if length > 0x7F:
                length, at = _varint(message, at)
            else:
                at += 1
        elif kind in _WIDTHS:
            length = _WIDTHS[kind]
        else:
            raise WireError(f"has the unknown wire type {kind}")
        if length > end - at:
            raise WireError("is cut off, or has a length that is too large")
        yield key >> 3, kind, message[at : at + length]
        at += length


def read_varints(packed: memoryview) -> list[Value]:
    """Read signed numbers that follow each other.

    Raises:
        WireError: The last one is cut off.
    """
    numbers: list[Value] = []
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        numbers.append(value - (1 << 64) if value & _SIGN else value)
    return numbers


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Read an unsigned number of at most 64 bits; return it and where it ends."""
    value = shift = 0
    try:
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & _64_BITS, at
            shift += 7
            if shift > 63:
                raise WireError("has a number of more than 64 bits")
    except IndexError:
        raise WireError("is cut off inside a number") from None
