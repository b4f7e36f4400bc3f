"""The table of commands: what is right, rejected and false."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.experiments.vocabulary import commands
from edgespeech.demo.experiments.vocabulary.commands import Outcome
from edgespeech.runtime.recognizer import Recognizer


def test_outcomes_are_counted() -> None:
    inside = [
        Outcome("stop", "stop"),
        Outcome("stop", ""),
        Outcome("go on", "stop"),
        Outcome("go on", "<unknown> go on"),
    ]
    outside = [Outcome("please stop now", "<unknown> stop"), Outcome("stoop", "stop"), Outcome("other", "")]
    assert commands.row("a.jsonl", [*inside, *outside], {"stop", "go on"}) == [
        "a.jsonl", "4", "25.0 %", "25.0 %", "25.0 %", "25.0 %", "3", "33.3 %", "5", "1",
    ]  # fmt: skip


def test_the_table_has_a_row_for_each_manifest(
    tiny_bundle: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    lines = [{"audio_filepath": "a.wav", "duration": 1.0, "text": text} for text in ("a", "b", "a b c")]
    manifest = tmp_path / "dev.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    grammar = tmp_path / "grammar.txt"
    grammar.write_text("a\nb\n")
    recognizer = Recognizer(tiny_bundle, grammar=["a", "b"], min_evidence=1e6)
    commands.main([str(grammar), str(manifest), str(manifest), "--every", "2"], recognizer)
    rows = [line.replace("|", " ").split() for line in capsys.readouterr().out.splitlines()[-2:]]
    assert [one[:4] for one in rows] == [[f"{tmp_path.name}/dev.jsonl", "1", "0.0", "%"]] * 2
