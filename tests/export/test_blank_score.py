"""A constant on the blank's logit moves probability to the other labels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from edgespeech.errors import UsageError
from edgespeech.export.blank_score import shift_blank
from edgespeech.reference.model.deep_speech2 import DeepSpeech2


def test_other_labels_gain_in_proportion_what_the_blank_loses(
    tiny_model_factory: Callable[..., DeepSpeech2],
) -> None:
    model = tiny_model_factory().eval()
    samples = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)) * 0.1
    lengths = torch.tensor([8000])
    before = model(samples, lengths)[0]
    after = shift_blank(model, -1.0)(samples, lengths)[0]
    odds = (after - before)[..., 1:]
    assert torch.allclose(odds, odds[..., :1].expand_as(odds), atol=1e-5)
    assert bool((odds > 0).all())
    assert torch.allclose((after - before)[..., 0], odds[..., 0] - 1.0, atol=1e-5)
    assert torch.equal(model(samples, lengths)[0], before)


@pytest.mark.parametrize("score", [float("nan"), 11.0, -11.0])
def test_a_score_out_of_range_is_refused(tiny_model_factory: Callable[..., DeepSpeech2], score: float) -> None:
    with pytest.raises(UsageError, match="blank score is .*; wanted a number from -10 to 10"):
        shift_blank(tiny_model_factory(), score)
