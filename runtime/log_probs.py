"""What a CTC model says about each frame: checked, and read without a search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgespeech.errors import DecodingError

_POSITIVE_TOLERANCE = 1e-3


def check_log_probs(log_probs: npt.ArrayLike, labels: int) -> npt.NDArray[np.float64]:
    """Make sure that an array can be natural-log CTC probabilities.

    Args:
        log_probs: [frames, labels], natural logarithm; minus infinity (impossible) is allowed.
        labels: Number of labels, blank included.

    Returns:
        The same values as float64.

    Raises:
        DecodingError: Wrong number of axes, wrong width, NaN, positive values, or a frame where nothing is possible.
    """
    try:
        values = np.asarray(log_probs, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DecodingError("the log-probabilities are no array of numbers; give an array [frames, labels]") from error
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
        raise DecodingError(f"the log-probabilities hold NaN, first in frame {frame}; check the model or its input")
    if best.max() > _POSITIVE_TOLERANCE:
        frame = int(best.argmax())
        raise DecodingError(
            f"a log-probability of {best[frame]:.4g} in frame {frame} is positive; "
            "wanted natural logarithms of probabilities: apply log-softmax to the logits"
        )
    if best.min() == -np.inf:
        raise DecodingError(f"every label of frame {int(best.argmin())} is impossible (-inf); check the model's output")
    return values


def greedy(log_probs: npt.ArrayLike, labels: Sequence[str], blank: int = 0) -> str:
    """Read the best path: the most probable label of each frame, repeats merged, blanks dropped.

    Args:
        log_probs: [frames, labels], natural logarithm.
        labels: The text of each label.
        blank: Index of the CTC blank.

    Returns:
        The text.

    Raises:
        DecodingError: As :func:`check_log_probs`.
    """
    path = check_log_probs(log_probs, len(labels)).argmax(axis=1)
    changed = np.ones(len(path), dtype=bool)
    changed[1:] = path[1:] != path[:-1]
    return "".join(labels[label] for label in path[changed & (path != blank)])
