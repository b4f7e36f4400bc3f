"""The table of one-word utterances: how many come out empty, and how many are right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.experiments import single_words
from edgespeech.runtime.recognizer import Recognizer


def test_the_table_counts_utterances_of_one_word_only(
    tiny_bundle: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    lines = [{"audio_filepath": "a.wav", "duration": 1.0, "text": text} for text in ("yes", "no", "yes or no")]
    manifest = tmp_path / "dev.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    single_words.main([str(manifest)], Recognizer(tiny_bundle, beam_width=4, min_evidence=1e6))
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.replace("|", " ").split()[:4] == [f"{tmp_path.name}/dev.jsonl", "2", "2", "0"]
