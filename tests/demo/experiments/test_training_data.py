"""The experiments on training data from archives: joined recordings with their truth, judged labels, long files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgespeech.demo.experiments.training_data.compare import repeated
from edgespeech.demo.experiments.training_data.labels import judged, table
from edgespeech.demo.experiments.training_data.long_file import texts_of, write_files
from edgespeech.demo.experiments.training_data.recordings import joined_recordings, write_recording
from edgespeech.runtime.audio import info, read
from edgespeech.runtime.manifest import SAMPLE_CLIPS, Utterance, read_manifest, write_manifest

RATE = 16000


def labelled(source: str, start: float, text: str, confidence: float = 0.9) -> Utterance:
    provenance: dict[str, str | float] = {
        "kind": "labelled", "source": source, "start": start, "confidence": confidence, "agreement": 0.95,
    }  # fmt: skip
    return Utterance("a.flac", Path("a.flac"), text, 2.0, provenance=provenance)


def test_true_clips_are_the_samples_of_the_recording(tmp_path: Path) -> None:
    (joined,) = joined_recordings(SAMPLE_CLIPS, 1.0, 30.0, [], 0)
    lines = write_recording(tmp_path, 0, joined)
    write_manifest(tmp_path / "true.jsonl", lines)
    recording = read(tmp_path / "0.flac")
    found = read_manifest(tmp_path / "true.jsonl", check_files=True)
    assert len(found) == len(joined.utterances) >= 3
    for clip, original in zip(found, joined.utterances, strict=True):
        samples, provenance = read(clip.path), clip.provenance or {}
        first = round(float(provenance["start"]) * RATE)
        assert np.array_equal(samples, recording[first : first + len(samples)])
        assert np.allclose(samples, read(original.path), atol=2.0**-14)
    assert (tmp_path / "0.txt").read_text().splitlines() == joined.lines


def test_errors_count_against_the_label_that_has_them() -> None:
    true = [labelled("r", 0.0, "one two three four five"), labelled("q", 0.0, "six seven eight")]
    labels = [
        labelled("r", 2.0, "four hive", 0.5),
        labelled("r", 0.0, "one three"),
        labelled("q", 0.0, "six seven eight"),
    ]
    errors = {one.clip.text: one.errors for one in judged(labels, true)}
    assert errors == {"one three": 1, "four hive": 1, "six seven eight": 0}
    rows = {(row[0], row[1]): row[2:] for row in table(judged(labels, true)).rows}
    assert rows["0", "0"][0] == "3" and rows["0.8", "0.9"] == ["2", "0.00", "67", "20.0", "50"]


def test_clips_are_repeated_until_the_hours_are_full() -> None:
    clips = repeated(SAMPLE_CLIPS, 0.05)
    seconds = sum(one.duration or 0.0 for one in clips)
    assert 180.0 <= seconds < 180.0 + max(one.duration or 0.0 for one in clips)
    assert len(set(clips)) == len(read_manifest(SAMPLE_CLIPS))
    assert repeated(SAMPLE_CLIPS, 0.05) == clips


def test_pieces_are_the_file(tmp_path: Path) -> None:
    pieces = write_files(read_manifest(SAMPLE_CLIPS), tmp_path, 1.0, 0.2)
    assert len(pieces) >= 2
    files = sorted((tmp_path / "pieces").iterdir())
    assert np.array_equal(np.concatenate([read(one) for one in files]), read(tmp_path / "long.flac"))
    assert pieces[-1][0] == pytest.approx(info(tmp_path / "long.flac").duration)
    words = [{"word": "a", "start": 0.1}, {"word": "b", "start": 1.9}, {"word": "c", "start": 2.0}]
    assert texts_of(words, [2.0, 3.0, 4.0]) == ["a b", "c", ""]
