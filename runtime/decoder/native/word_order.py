"""Sorts the words that a language model lists in another order, without a Python string for each of them."""

from __future__ import annotations

from ctypes import Structure, byref, c_int64, c_void_p

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.decoder.native.library import library

Numbers = npt.NDArray[np.uint32]


class StoredTexts(Structure):
    """Texts with a zero byte behind each."""

    _fields_ = (("bytes", c_void_p), ("size", c_int64))


def sort_words(stored: bytes, left_out: bytes) -> tuple[bytes, Numbers, Numbers]:
    """Sort words by their bytes.

    Args:
        stored: The words, with a zero byte behind each.
        left_out: Words to leave out, as above.

    Returns:
        The distinct words one after the other, where each of them ends, and which of the stored ones it is.
    """
    count = int(np.count_nonzero(np.frombuffer(stored, np.uint8) == 0))
    joined, ends, numbers = np.empty(len(stored), np.uint8), np.empty(count, np.uint32), np.empty(count, np.uint32)
    texts = [np.frombuffer(one, np.uint8) for one in (stored, left_out)]
    first, second = (StoredTexts(one.ctypes.data, len(one)) for one in texts)
    addresses = (one.ctypes.data for one in (joined, ends, numbers))
    kept = library().edgespeech_sort_words(byref(first), byref(second), *addresses)
    if kept < 0:
        raise MemoryError
    return joined[: ends[kept - 1] if kept else 0].tobytes(), ends[:kept].copy(), numbers[:kept].copy()
