"""Changes to bytes, texts and JSON values that keep most of their structure."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

_NUMBERS = (
    0,
    1,
    2,
    3,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
_LETTERS = (
    "",
    " ",
    "\0",
    "\n",
    "\t",
    "\u00e9",
    "\u4e00",
    "\u202e",
    "\U0001f600",
    "%s",
    "{}",
    "..",
    "/",
    "\\",
    '"',
    "'",
)
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 10**9, 10**30, 0.5, -0.0, 1e-320, 1e308, 1e30, "", "a",
    "../x", "/etc/hostname", "a\0b", "\u202e", "x" * 70_000, [], {}, [[]], [None], {"": None},
)  # fmt: skip
# Texts that JSON's writer does not make.
_RAW = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "1" * 400,
    '"\\ud800"',
    "[" * 3000,
    '{"a":' * 2000,
    "01",
    "'a'",
)
_LONG_WORD = 100_000
_LONGEST = 1 << 20  # characters: more costs time and finds nothing else
_RAW_MARK = "\x02raw\x03"


def mutate_bytes(data: bytes, chance: Random, others: Sequence[bytes] = (), in_place: float = 0.3) -> bytes:
    """Change, add, remove, cut and splice in one to a few places, more often near the beginning.

    With the probability ``in_place`` nothing moves, as a format of fixed sizes needs it.
    """
    changed = bytearray(data)
    if chance.random() < in_place:
        for _ in range(chance.choice((1, 1, 2, 4, 12))):
            chance.choice(_IN_PLACE)(changed, _place(changed, chance), chance)
        return bytes(changed)
    for _ in range(chance.choice((1, 1, 2, 4, 12))):
        chance.choice(_BYTES)(changed, _place(changed, chance), chance)
    if others and chance.random() < 0.05:
        other = chance.choice(others)
        changed[_place(changed, chance) :] = other[chance.randrange(len(other) + 1) :]
    return bytes(changed)


def _place(data: bytearray, chance: Random) -> int:
    reach = min(len(data), chance.choice((64, 512, 1 << 40)))
    return chance.randrange(reach) if reach else 0


def _flip(data: bytearray, at: int, chance: Random) -> None:
    if data:
        data[at] ^= 1 << chance.randrange(8)


def _set(data: bytearray, at: int, chance: Random) -> None:
    data[at : at + 1] = bytes([chance.randrange(256)])


def _write_number(data: bytearray, at: int, chance: Random) -> None:
    form = chance.choice("<>") + chance.choice("BHIQ")
    size = struct.calcsize(form)
    data[at : at + size] = struct.pack(form, chance.choice(_NUMBERS) & (1 << 8 * size) - 1)


def _write_float(data: bytearray, at: int, chance: Random) -> None:
    number = chance.choice((float("nan"), float("inf"), -float("inf"), 1e38, -1e38, 1e-45, 0.0))
    data[at : at + 4] = struct.pack("<f", number)


def _remove(data: bytearray, at: int, chance: Random) -> None:
    del data[at : at + chance.choice((1, 2, 4, 16, 300))]


def _insert(data: bytearray, at: int, chance: Random) -> None:
    data[at:at] = chance.randbytes(chance.choice((1, 2, 8, 100)))


def _repeat(data: bytearray, at: int, chance: Random) -> None:
    data[at:at] = data[at : at + chance.choice((1, 8, 64, 500))] * chance.choice((1, 2, 20))


def _cut(data: bytearray, at: int, chance: Random) -> None:
    del data[chance.choice((at, max(0, len(data) - chance.randrange(1, 40)))) :]


_IN_PLACE = (_flip, _flip, _set, _write_number, _write_float)
_BYTES: tuple[Callable[[bytearray, int, Random], None], ...] = (
    _flip, _flip, _set, _set, _write_number, _write_number, _write_number, _write_float, _remove, _insert, _repeat, _cut
)  # fmt: skip


def mutate_text(text: str, chance: Random) -> str:
    """Change lines and words: repeated, swapped, removed, joined, replaced by numbers and odd letters."""
    lines = text.split("\n")
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(lines))
        match chance.randrange(8):
            case 0:
                del lines[at : at + chance.choice((1, 1, 4))]
            case 1:
                lines[at:at] = [lines[at]] * min(chance.choice((1, 2, 300)), 1 + _LONGEST // (len(lines[at]) + 1))
            case 2:
                other = chance.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
            case _:
                lines[at] = mutate_words(lines[at], chance)
        lines = lines or [""]
    return "\n".join(lines)[:_LONGEST]


def mutate_words(line: str, chance: Random) -> str:
    """Change one word of a line."""
    words = line.split(" ")
    at = chance.randrange(len(words))
    match chance.randrange(5):
        case 0:
            words[at] = str(chance.choice(_NUMBERS) * chance.choice((1, -1)))
        case 1:
            words[at] = chance.choice(("nan", "inf", "-inf", "1e999", "-1e-999", "0x10", "1_0", "\u0661", "true"))
        case 2:
            place = chance.randrange(len(words[at]) + 1)
            words[at] = words[at][:place] + chance.choice(_LETTERS) + words[at][place:]
        case 3:
            words[at] *= min(chance.choice((0, 2, 2000)), 1 + _LONG_WORD // (len(words[at]) + 1))
        case 4:
            words.insert(at, chance.choice(words))
    return " ".join(words)


def mutate_json(value: Any, chance: Random) -> str:
    """Change values, keys and lists anywhere inside, and return the text; a few texts are not JSON any more."""
    changed = value
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        changed = _mutate_value(deepcopy(changed), chance)
    text = json.dumps(changed, ensure_ascii=chance.random() < 0.5)
    text = text.replace(json.dumps(_RAW_MARK), chance.choice(_RAW)).replace(_RAW_MARK, chance.choice(_RAW))
    return (mutate_text(text, chance) if chance.random() < 0.1 else text)[:_LONGEST]


def _mutate_value(value: Any, chance: Random) -> Any:
    """Walk down by chance, and change what is there."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        match chance.randrange(12):
            case 0:
                del value[key]
            case 1:
                value[chance.choice(("", "extra", key + " ", key.upper()))] = value[key]
            case 2:
                value[key] = value[chance.choice(list(value))]
            case _:
                value[key] = _mutate_value(value[key], chance)
        return value
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        match chance.randrange(8):
            case 0:
                del value[at]
            case 1:
                value[at:at] = [value[at]] * chance.choice((1, 2, 1000))
            case 2:
                chance.shuffle(value)
            case _:
                value[at] = _mutate_value(value[at], chance)
        return value
    if isinstance(value, bool) or value is None:
        return deepcopy(chance.choice(_VALUES))
    if isinstance(value, (int, float)) and chance.random() < 0.6:
        return chance.choice((value + 1, value - 1, -value, value * 2, value * 1000, value // 2, 0, 2**31, 1e30))
    if isinstance(value, str) and chance.random() < 0.6:
        return mutate_words(value, chance)
    return _RAW_MARK if chance.random() < 0.15 else deepcopy(chance.choice(_VALUES))
