"""Results of an Arm processor are compared by words and divergence, and not by their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.arm64.check import compare


class Archive(dict[str, Any]):
    """Stands in for what `numpy.load` returns."""

    @property
    def files(self) -> list[str]:
        """Names of the arrays."""
        return list(self)


def archive(text: str = "the cat", wer: float = 0.25, shift: float = 0.0) -> Archive:
    log_probs = np.log(np.array([[0.5 + shift, 0.5 - shift], [0.9, 0.1]]))
    return Archive(texts=np.array([text]), wer=np.array(wer), log_probs_0=log_probs)


def test_other_numbers_with_the_same_words_are_equal() -> None:
    found = compare(archive(), archive(shift=0.01))
    assert "1 of 1 texts equal, WER 25.0% and 25.0%, KL 1.0e-04 nats per frame, same best label 100.00%" in found


def test_the_words_of_other_bundles_may_differ() -> None:
    assert "0 of 1 texts equal" in compare(archive(), archive(text="the hat"), words=False)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (archive(text="the hat"), "other words"),
        (archive(wer=0.5), "word error rate 0.5000"),
        (archive(shift=0.1), "KL 1.0e-02 nats"),
        (archive(shift=np.nan), "KL nan"),
    ],
)
def test_other_words_or_a_large_divergence_end_the_check(there: Archive, words: str) -> None:
    with pytest.raises(SystemExit, match=words):
        compare(archive(), there)
