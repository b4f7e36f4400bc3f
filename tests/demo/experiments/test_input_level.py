"""The input level experiment: changes of the sound, and a table with every condition before and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.experiments import input_level
from edgespeech.runtime.recognizer import Recognizer


def test_sounds_are_made_quieter_and_cut() -> None:
    ramp = np.linspace(-0.5, 0.5, 4800, dtype=np.float32)
    np.testing.assert_allclose(input_level.quieter(20, offset=0.01)(ramp), ramp / 10 + 0.01, atol=1e-7)
    steps = input_level.quieter(20, bits16=True)(ramp) * 32768
    np.testing.assert_array_equal(steps, np.round(steps))
    burst = np.concatenate([np.full(960, 0.5), np.full(4800, 1e-4)]).astype(np.float32)
    cut = input_level.cut_after_speech(burst)
    assert len(cut) == 960 + 8000 and not cut[960:].any()


def test_the_table_has_every_condition(tiny_bundle: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    line = {"audio_filepath": "a.wav", "duration": 1.0, "text": "yes"}
    (tmp_path / "dev.jsonl").write_text(json.dumps(line) + "\n")
    input_level.main(str(tmp_path / "dev.jsonl"), recognizer=Recognizer(tiny_bundle, beam_width=4))
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split("|")[1].strip() for row in rows] == list(input_level.CONDITIONS)
