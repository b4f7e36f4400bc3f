"""Label sets of thousands of characters: both searches find what they found by sorting every label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.log_probs import choose_symbols
from tests.runtime.decoder.ctc_examples import GOLDEN, Array, exact, numbers, random_log_probs

CHARACTERS = ("", *map(chr, range(0x4E00, 0x4E00 + 3999)))


def chosen_by_sorting(row: Array, blank: int, mass: float, max_symbols: int) -> list[int]:
    """Take labels one by one, the most probable first, of equal ones the first."""
    chosen: list[int] = []
    reached = 0.0
    for label in np.argsort(-row, kind="stable")[:max_symbols]:
        if row[label] == -np.inf or (mass < 1.0 and reached >= mass * (1 - 1e-9)):
            break
        chosen.append(int(label))
        reached += float(np.exp(row[label]))
    return sorted(label for label in chosen if label != blank)


def rows_of_many_kinds(labels: int) -> Array:
    rows = [random_log_probs(seed, 4, labels, peak) for seed, peak in enumerate([0.0, 0.3, 1.0, 4.0, 12.0])]
    ties = np.round(random_log_probs(9, 6, labels, 1.0))  # many labels with the same number
    ties[0, 5:] = -np.inf
    ties[1, : labels - 3] = -np.inf
    ties[2] = -9.0
    ties[2, -7:] = -3.0
    return np.concatenate([*rows, np.minimum(ties, 0.0)])


@pytest.mark.parametrize("max_symbols", [1, 2, 40, 5000])
@pytest.mark.parametrize("labels", [2, 29, 81, 479, 480, 481, 1000, 4000, 4001, 4003])
def test_the_choice_of_symbols_equals_that_by_sorting(labels: int, max_symbols: int) -> None:
    rows = rows_of_many_kinds(labels)
    for mass in (0.9, 0.99, 1.0):
        for frame, row in zip(choose_symbols(rows, 1, mass, max_symbols, 0), rows, strict=True):
            assert frame.symbols.tolist() == [*chosen_by_sorting(row, 1, mass, max_symbols), 1]


LM = LanguageModel(GOLDEN / "tiny_characters.bin")
LM_300 = LanguageModel(GOLDEN / "many_characters.bin")  # of the first 300 of them
HOT_WORDS = {"aba": 3.0, CHARACTERS[7] + "b": 5.0, CHARACTERS[3] + CHARACTERS[4]: 4.0, CHARACTERS[3]: 1.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "three symbols": {"max_symbols": 3},
    "all symbols": {"max_symbols": None},
    "two beams": {"beam_width": 2},
    "wide": {"beam_width": 200, "beam_threshold": None},
    "beta": {"beta": 0.7},
    "model": {"lm": LM},
    "model of 300 characters": {"lm": LM_300, "unknown_score": 0.0},
    "wide, model of 300 characters": {"lm": LM_300, "beam_width": 100, "alpha": 2.0, "beta": 1.0},
    "model of 300 characters and hot words": {"lm": LM_300, "hot_words": HOT_WORDS},
    "model without a penalty": {"lm": LM, "unknown_score": 0.0, "beta": 3.0},
    "hot words": {"hot_words": HOT_WORDS},
    "hot words and model": {"hot_words": HOT_WORDS, "lm": LM, "unknown_score": -1.0},
}


@pytest.mark.parametrize("case", SETTINGS)
@pytest.mark.parametrize("labels", [480, 1000, 4000])
@pytest.mark.usefixtures("native_search")
def test_both_searches_agree(labels: int, case: str) -> None:
    rows = rows_of_many_kinds(labels)
    options: dict[str, Any] = {"beam_width": 20, "unit": "character", **SETTINGS[case]}
    symbols = ("", "a", "b", *CHARACTERS[1 : labels - 2])
    native, reference = (BeamSearchDecoder(symbols, search=search, **options) for search in ("native", "numpy"))
    assert native.search_kind.name == "native"
    for log_probs in (rows, rows.astype(np.float32)):
        found, wanted = native.decode(log_probs), reference.decode(log_probs)
        assert [exact(one) for one in found] == [exact(one) for one in wanted]
        for one, other in zip(found, wanted, strict=True):
            assert numbers(one) == pytest.approx(numbers(other), abs=1e-6)
