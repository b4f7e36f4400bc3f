"""The padding of training batches, as `bucketing` prints it."""

from __future__ import annotations

import pytest

from edgespeech.demo.experiments import bucketing
from edgespeech.runtime.manifest import SAMPLE_CLIPS


def test_padding_is_a_fraction_of_the_padded_batches() -> None:
    assert bucketing.padding([[1.0, 3.0], [2.0, 2.0]]).split() == ["2", "20.0%", "6.0"]


def test_the_table_has_our_sampler_first(capsys: pytest.CaptureFixture[str]) -> None:
    bucketing.main([str(SAMPLE_CLIPS)])
    clips, _, ours, *_ = capsys.readouterr().out.splitlines()
    assert clips.startswith("6 clips, ") and ours.split()[:2] == ["BucketSampler", "1"]
