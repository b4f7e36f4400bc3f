"""Constants on the logits move probability between the blank, frequent and rare labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgespeech.errors import UsageError
from edgespeech.export.label_scores import require_blank_score, require_prior_power, shift_labels
from edgespeech.reference.language_model.label_scores import label_scores
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.labels import CHARACTERS, Labels
from edgespeech.runtime.bundle import load_bundle

LABELS = Labels(CHARACTERS)
ARPA = """\\data\\
ngram 1=5
ngram 2=1

\\1-grams:
-9\t<unk>\t0
-99\t<s>\t0
-0.5\t</s>\t0
-0.3010300\taab\t0
-0.6020600\tb'\t0

\\2-grams:
-0.1\taab b'

\\end\\
"""


def test_other_labels_gain_in_proportion_what_the_blank_loses(
    tiny_model_factory: Callable[..., DeepSpeech2],
) -> None:
    model = tiny_model_factory().eval()
    samples = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)) * 0.1
    lengths = torch.tensor([8000])
    before = model(samples, lengths)[0]
    after = shift_labels(model, label_scores(LABELS, -1.0))(samples, lengths)[0]
    odds = (after - before)[..., 1:]
    assert torch.allclose(odds, odds[..., :1].expand_as(odds), atol=1e-5)
    assert bool((odds > 0).all())
    assert torch.allclose((after - before)[..., 0], odds[..., 0] - 1.0, atol=1e-5)
    assert torch.equal(model(samples, lengths)[0], before)


def test_frequent_labels_lose_by_their_frequency_in_the_words_of_the_language_model(tmp_path: Path) -> None:
    lm = tmp_path / "lm.arpa"
    lm.write_text(ARPA)
    # In a mean word: one a, 0.75 b, 0.25 apostrophes, and a space after 0.75 words.
    counts = {"a": 1.0, "b": 0.75, "'": 0.25, " ": 0.75}
    logs = {label: np.log(count / 2.75) for label, count in counts.items()}
    mean = sum(counts[label] / 2.75 * logs[label] for label in counts)
    found = label_scores(LABELS, -0.75, 0.4, lm)
    expected = np.zeros(len(LABELS), np.float32)
    expected[0] = -0.75
    for label, value in logs.items():
        expected[CHARACTERS.index(label)] = -0.4 * (value - mean)
    assert found == pytest.approx(expected, abs=1e-5) and found.dtype == np.float32
    assert label_scores(LABELS, -0.75, 0.0, lm) == pytest.approx(label_scores(LABELS, -0.75), abs=0)


def test_the_default_language_model_makes_rare_letters_likelier_and_spaces_less_likely() -> None:
    scores = dict(zip(CHARACTERS, label_scores(LABELS, 0.0, 0.3, load_bundle().language_model_path), strict=True))
    assert scores["e"] < -0.1 and scores[" "] < -0.2 and 0.4 < scores["p"] * 2 < scores["z"] < 1.5 and scores[""] == 0.0


@pytest.mark.parametrize("score", [float("nan"), 11.0, -11.0])
def test_a_blank_score_out_of_range_is_refused(score: float) -> None:
    with pytest.raises(UsageError, match="blank score is .*; wanted a number from -10 to 10"):
        require_blank_score(score)


@pytest.mark.parametrize("power", [float("nan"), 1.1, -0.1])
def test_a_prior_power_out_of_range_is_refused(power: float) -> None:
    with pytest.raises(UsageError, match="prior power is .*; wanted a number from 0 to 1"):
        require_prior_power(power, True)


def test_a_prior_power_needs_a_language_model() -> None:
    require_prior_power(0.0, False)
    with pytest.raises(UsageError, match="without a language model, .*; add --lm"):
        require_prior_power(0.3, False)
