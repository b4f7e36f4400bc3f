"""The command that measures word errors on manifests: formats, files, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

Command = Callable[..., Any]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two recordings of noise, in which a tiny model recognises something."""
    for index in range(2):
        samples = 0.1 * np.random.default_rng(index).standard_normal(8000)
        soundfile.write(tmp_path / f"{index}.wav", samples, 16000)
    lines = [{"audio_filepath": f"{index}.wav", "text": "one two"} for index in range(2)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "m.jsonl"


def test_one_row_per_manifest_and_condition(
    edgespeech: Command, tiny_bundle: Any, manifest: Path, tmp_path: Path
) -> None:
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "n.wav", 0.1 * np.random.default_rng(9).standard_normal(16000), 16000)
    document = tmp_path / "card.md"
    document.write_text("<!-- figures: begin -->\n<!-- figures: end -->\n")
    common = ["--bundle", tiny_bundle.folder, "--noise", tmp_path / "noise", "--snr", "10,0"]
    common += ["--rooms", tmp_path / "noise"]
    saved = tmp_path / "hypotheses.jsonl"
    outcome = edgespeech("evaluate", manifest, manifest, *common, "--json", "--confusions", 2, "--save", saved)
    assert (outcome.code, outcome.err) == (0, "")
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [row["condition"] for row in rows] == ["as recorded", "noise, 10 dB", "noise, 0 dB", "rooms"] * 2
    assert all(set(row["confusions"]) == {"substituted", "deleted", "inserted"} for row in rows)
    assert len(saved.read_text().splitlines()) == 16
    outcome = edgespeech("evaluate", manifest, *common, "--limit", 1)
    assert len(outcome.out.splitlines()) == 6 and outcome.out.startswith("| speech")
    outcome = edgespeech("evaluate", manifest, *common, "--into", f"{document}#figures", "--confusions", 1)
    assert (outcome.code, outcome.out) == (0, "")
    written = document.read_text()
    assert (
        written.count("| noise, 10 dB |") == 1
        and "`edgespeech evaluate " in written
        and "as recorded, substituted: " in written
    )
    outcome = edgespeech("evaluate", manifest, "--markdown", "--bundle", tiny_bundle.folder)
    assert outcome.out.replace(" ", "").startswith("|speech|condition|")


def test_several_workers_have_the_figures_of_one(
    edgespeech: Command, tiny_bundle: Any, manifest: Path, tmp_path: Path
) -> None:
    found = []
    for name, more in {"one": (), "two": ("--jobs", 2)}.items():
        saved = tmp_path / f"{name}.jsonl"
        outcome = edgespeech(
            "evaluate", manifest, "--rooms", tmp_path, "--json", "--bundle", tiny_bundle.folder, "--save", saved, *more
        )
        assert outcome.code == 0, outcome.err
        lines = [json.loads(line) for line in outcome.out.splitlines()]
        found.append(([line | {"seconds": 0.0, "rtf": 0.0} for line in lines], saved.read_text()))
    assert found[0] == found[1]
    assert len(found[0][0]) == 2
    (tmp_path / "1.wav").write_text("no audio")
    outcome = edgespeech("evaluate", manifest, "--bundle", tiny_bundle.folder, "--jobs", 2)
    assert outcome.code == 2 and "1.wav" in outcome.err


def test_against_another_bundle(edgespeech: Command, tiny_bundle: Any, manifest: Path) -> None:
    both = ["--bundle", tiny_bundle.folder, "--against", tiny_bundle.folder]
    outcome = edgespeech("evaluate", manifest, manifest, *both)
    assert outcome.code == 0 and outcome.out.count(": +0.00 points against ") == 2
    outcome = edgespeech("evaluate", manifest, *both, "--json")
    found = json.loads(outcome.out)
    assert found["against"] == {
        "wer": found["wer"],
        "difference": 0.0,
        "difference_interval": [0.0, 0.0],
        "resampled": "utterances",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "--markdown"], "clash"),
        (["--into", "card.md"], "wanted FILE#NAME"),
        (["--into", "lost.md#a"], "cannot read lost.md"),
        (["--noise", "lost"], "lost has no audio files"),
        (["--noise", ".", "--snr", "loud"], "wanted decibels"),
        (["--limit", "0"], "--limit"),
        (["--save", "lost/hypotheses.jsonl"], "cannot write"),
        (["--against", "lost"], "lost"),
    ],
)
def test_invalid_options_are_refused(
    edgespeech: Command,
    tiny_bundle: Any,
    manifest: Path,
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(manifest.parent)
    outcome = edgespeech("evaluate", manifest, "--bundle", tiny_bundle.folder, *options)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1
