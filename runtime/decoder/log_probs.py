"""Checks of CTC log-probabilities, the choice of symbols per frame, and the best path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgespeech.errors import DecodingError

_POSITIVE_TOLERANCE = 1e-3
_MASS_TOLERANCE = 1e-9  # a sum of rounded numbers that is the mass reaches it


class Frame(NamedTuple):
    """One output frame of a CTC model."""

    log_probs: npt.NDArray[np.float64]  # [labels], natural logarithm
    symbols: npt.NDArray[np.intp]  # labels that may extend a prefix, ascending, and then the blank
    columns: npt.NDArray[np.intp]  # [labels], index of each label among the symbols; the blank's for the others
    number: int  # since the beginning of the utterance


def check_log_probs(log_probs: npt.ArrayLike, labels: int) -> npt.NDArray[np.float64]:
    """Check that an array can be natural-log CTC probabilities, and return it as float64.

    Args:
        log_probs: [frames, labels], natural logarithm; minus infinity (impossible) is allowed.
        labels: Number of labels, blank included.

    Raises:
        DecodingError: Wrong number of axes, wrong width, NaN, positive values, or a frame where nothing is possible.
    """
    try:
        values = np.asarray(log_probs, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DecodingError("the log-probabilities are not numeric; give numbers [frames, labels]") from error
    if values.ndim != 2:
        raise DecodingError(
            f"the log-probabilities have {values.ndim} axes; wanted 2, [frames, labels]: pass one utterance at a time"
        )
    if values.shape[1] != labels:
        raise DecodingError(
            f"the log-probabilities are {values.shape[1]} labels wide, the decoder knows {labels}; "
            "use the labels of the model they came from"
        )
    if not values.size:
        return values
    best = values.max(axis=1)  # NaN wins a maximum
    if np.isnan(best).any():
        frame = int(np.isnan(best).argmax())
        raise DecodingError(f"the log-probabilities contain NaN, first in frame {frame}; check the model or its input")
    if best.max() > _POSITIVE_TOLERANCE:
        frame = int(best.argmax())
        raise DecodingError(
            f"a log-probability of {best[frame]:.4g} in frame {frame} is positive; "
            "wanted natural logarithms of probabilities: apply log-softmax to the logits"
        )
    if best.min() == -np.inf:
        raise DecodingError(f"every label of frame {int(best.argmin())} is impossible (-inf); check the model's output")
    return values


def choose_symbols(
    log_probs: npt.NDArray[np.float64], blank: int, mass: float, max_symbols: int, first: int
) -> Iterator[Frame]:
    """Choose for each frame the labels that may extend prefixes ("Deep Speech 2", section 7).

    At most ``max_symbols`` labels, blank included, are chosen until their probabilities reach ``mass``; 1 chooses all.
    ``first`` is the number of the first frame.
    """
    order = _rank(log_probs, max_symbols)
    ranked = np.take_along_axis(log_probs, order, axis=1)
    likely = ranked > -np.inf
    if mass < 1.0:
        probabilities = np.exp(ranked)
        likely &= probabilities.cumsum(axis=1) - probabilities < mass * (1.0 - _MASS_TOLERANCE)
    chosen = np.zeros(log_probs.shape, dtype=bool)
    np.put_along_axis(chosen, order, likely, axis=1)
    chosen[:, blank] = False
    counts = chosen.sum(axis=1)
    columns = np.where(chosen, chosen.cumsum(axis=1) - 1, counts[:, None])
    symbols = np.insert(chosen.nonzero()[1], counts.cumsum(), blank)
    ends = np.cumsum(counts + 1).tolist()
    for index, row in enumerate(log_probs):
        yield Frame(row, symbols[ends[index] - counts[index] - 1 : ends[index]], columns[index], first + index)


def _rank(log_probs: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    """Return the ``count`` most probable labels of each frame, best first, of equal ones the first.

    Of thousands of labels only those are sorted that reach the least of them.
    """
    labels = log_probs.shape[1]
    if labels <= 2 * count:
        return np.argsort(-log_probs, axis=1, kind="stable")[:, :count]
    order = np.empty((len(log_probs), count), dtype=np.intp)
    least = np.partition(log_probs, labels - count, axis=1)[:, labels - count]
    for row, (values, bound) in enumerate(zip(log_probs, least, strict=True)):
        likely = (values >= bound).nonzero()[0]
        order[row] = likely[np.argsort(-values[likely], kind="stable")[:count]]
    return order


def greedy(log_probs: npt.ArrayLike, labels: Sequence[str], blank: int = 0) -> str:
    """Decode the best path of [frames, labels]: the most probable labels, repeats merged and blanks removed.

    Raises:
        DecodingError: The array cannot be log-probabilities over these labels.
    """
    path = check_log_probs(log_probs, len(labels)).argmax(axis=1)
    changed = np.ones(len(path), dtype=bool)
    changed[1:] = path[1:] != path[:-1]
    return "".join(labels[label] for label in path[changed & (path != blank)])
