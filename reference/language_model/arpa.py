"""Writes n-grams as an ARPA file, which KenLM's build_binary packs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TextIO

from edgespeech.reference.language_model.ngrams import NGramArrays, Order

_BLOCK = 1 << 16  # n-grams that are formatted at once
_LN10 = math.log(10.0)


def write_arpa(model: NGramArrays, out: TextIO) -> None:
    """Write a model to an open text file, with base-10 logarithms of seven digits."""
    out.write("\\data\\\n")
    out.writelines(f"ngram {length}={len(order.first)}\n" for length, order in enumerate(model.orders, 1))
    for length in range(1, len(model.orders) + 1):
        out.write(f"\n\\{length}-grams:\n")
        out.writelines(_lines(model, length))
    out.write("\n\\end\\\n")


def _lines(model: NGramArrays, length: int) -> Iterator[str]:
    order, last = model.orders[length - 1], length == len(model.orders)
    for start in range(0, len(order.first), _BLOCK):
        block = slice(start, start + _BLOCK)
        texts = _texts(model, length, order, block)
        log_probs = (order.log_probs[block] / _LN10).tolist()
        if last:
            yield from map("{:.7g}\t{}\n".format, log_probs, texts)
        else:
            yield from map("{:.7g}\t{}\t{:.7g}\n".format, log_probs, texts, (order.backoffs[block] / _LN10).tolist())


def _texts(model: NGramArrays, length: int, order: Order, block: slice) -> Iterator[str]:
    """Yield the words of a block of n-grams with spaces between."""
    columns = []
    first, ends = order.first[block], order.ends[block]
    for below in range(length - 1, -1, -1):
        columns.append(map(model.words.__getitem__, first.tolist()))
        if below:
            first, ends = model.orders[below - 1].first[ends], model.orders[below - 1].ends[ends]
    return map(" ".join, zip(*columns, strict=True)) if length > 1 else map(str, *columns)
