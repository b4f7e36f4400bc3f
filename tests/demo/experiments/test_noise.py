"""The noise experiment: words found in noise, and those that have the minimum evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.experiments import noise
from edgespeech.demo.experiments.noise import AcceptAll
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.recognizer import Recognizer
from tests.markdown_tables import cells


def test_words_that_the_minimum_evidence_accepts_are_counted() -> None:
    counting = AcceptAll(MinEvidence(12.0))
    words = tuple(Word(word, 0.0, 1.0, 0.9) for word in ("yes", "please"))
    labels = tuple(range(len("yes please")))
    for evidence in (40.0, 27.0, 28.0):
        assert counting.passes(Hypothesis("yes please", words, 0.0, -5.0, 0.0, labels, ()), -5.0 - evidence)
    assert counting.words == 4


def test_the_noise_table_counts_words_per_minute(
    tiny_bundle: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(noise, "SECONDS", 3)
    noise.main([], Recognizer(tiny_bundle, beam_width=4))
    title, _, *lines = capsys.readouterr().out.splitlines()
    head, _, *rows = map(cells, lines)
    assert title.startswith("words per minute")
    assert head == ["noise", "minutes", "without", "12 nats"] and len(rows) == 3
    for _, minutes, invented, accepted in rows:
        assert minutes == "0.1" and float(invented) >= float(accepted) >= 0.0


def test_the_noise_of_folders_can_be_made_quieter(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(1600, 0.5), 16000)
    plain, quiet = (list(noise.noises([str(tmp_path)], down))[-1][1] for down in (0.0, 20.0))
    np.testing.assert_allclose(quiet, plain / 10.0, rtol=1e-6)
