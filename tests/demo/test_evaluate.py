"""Word errors and speed on a manifest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.evaluate import CLIPS, Evaluation, evaluate_manifest, normalise
from edgespeech.errors import AudioError, ManifestError, UsageError
from edgespeech.runtime.manifest import Utterance, hear, read_manifest
from edgespeech.runtime.transcript import Segment, Transcript

RATE = 16000


class Parrot:
    """Hears what it is told, one text per utterance; keeps the lengths."""

    sample_rate = RATE

    def __init__(self, *texts: str) -> None:
        """Texts in the order of the utterances."""
        self.texts = list(texts)
        self.lengths: list[int] = []

    def transcribe(self, source: Any) -> Transcript:
        """Ignore the sound."""
        samples, rate = source
        assert rate == RATE
        self.lengths.append(len(samples))
        text = self.texts.pop(0)
        return Transcript(text, (Segment(text, 0.0, 1.0, ()),), len(samples) / rate, 0.0)


def write_manifest(folder: Path, *lines: dict[str, Any]) -> Path:
    ramp = np.arange(RATE, dtype=np.float32) / RATE
    soundfile.write(folder / "a.wav", ramp, RATE, subtype="FLOAT")
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps({"audio_filepath": "a.wav", **line}) + "\n" for line in lines))
    return path


def evaluated(parrot: Parrot, manifest: Path, save: Path | None = None) -> Evaluation:
    recognizer: Any = parrot
    return evaluate_manifest(recognizer, manifest, save)


def test_errors_are_counted_by_hand(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, {"text": "The cat  sat"}, {"text": "on the mat"}, {"text": " "})
    parrot = Parrot("the bat sat down", "on mat")
    result = evaluated(parrot, manifest)
    assert (result.substitutions, result.deletions, result.insertions, result.words) == (1, 1, 1, 6)
    assert result.wer == pytest.approx(3 / 6)
    # "cat" -> "bat" 1, " down" 5, "the " 4, of 11 + 10 characters
    assert result.cer == pytest.approx(10 / 21)
    assert (result.utterances, result.audio_seconds) == (2, 2.0)
    assert result.rtf == result.seconds / 2.0
    assert list(result.as_dict()) == [
        *("wer", "cer", "substitutions", "deletions", "insertions", "words"),
        *("utterances", "audio_seconds", "seconds", "rtf"),
    ]
    assert "WER 50.00%" in result.table() and "2 utterances, 2.0 s of audio" in result.table()


def test_nothing_heard_is_all_deleted(tmp_path: Path) -> None:
    result = evaluated(Parrot(""), write_manifest(tmp_path, {"text": "the cat sat"}))
    assert (result.wer, result.cer, result.deletions) == (1.0, 1.0, 3)


def test_what_was_heard_is_saved(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, {"text": "The cat"}, {"text": "sat"})
    (tmp_path / "out").mkdir()
    evaluated(Parrot("the bat", ""), manifest, tmp_path / "out" / "heard.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out" / "heard.jsonl").read_text().splitlines()]
    assert lines == [
        {"audio_filepath": "a.wav", "text": "the cat", "heard": "the bat"},
        {"audio_filepath": "a.wav", "text": "sat", "heard": ""},
    ]
    assert os.listdir(tmp_path / "out") == ["heard.jsonl"]


@pytest.mark.parametrize("save", [".", "nowhere/heard.jsonl", "a.wav/heard.jsonl"])
def test_a_file_that_cannot_be_saved_is_refused_before_the_work(tmp_path: Path, save: str) -> None:
    parrot = Parrot("the cat")
    with pytest.raises(UsageError, match="cannot write"):
        evaluated(parrot, write_manifest(tmp_path, {"text": "the cat"}), tmp_path / save)
    assert parrot.lengths == []


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    manifest = write_manifest(tmp_path, {"text": "the cat"})
    with pytest.raises(UsageError, match="No space left on device; give another file"):
        evaluated(Parrot("the cat"), manifest, tmp_path / "heard.jsonl")
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "manifest.jsonl"]


@pytest.mark.parametrize(
    ("offset", "duration", "wanted"),
    [
        (0.0, None, (0, 16000)),
        (0.25, None, (4000, 16000)),
        (0.25, 0.5, (4000, 12000)),
        (0.0, 0.5, (0, 8000)),
        (0.0, 1.0, (0, 16000)),
        (0.5, 9.0, (8000, 16000)),
        (2.0, 1.0, (0, 0)),
    ],
)
def test_an_utterance_may_be_a_part_of_its_file(
    tmp_path: Path, offset: float, duration: float | None, wanted: tuple[int, int]
) -> None:
    write_manifest(tmp_path)
    samples = hear(Utterance("a.wav", tmp_path / "a.wav", offset=offset, duration=duration), RATE)
    np.testing.assert_array_equal(samples, np.arange(*wanted, dtype=np.float32) / RATE)


def test_a_manifest_without_references(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no utterance with a text"):
        evaluated(Parrot(), write_manifest(tmp_path, {}, {"text": "  "}))


def test_audio_that_cannot_be_heard_or_is_missing(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, {"text": "a", "audio_filepath": "b.wav"})
    with pytest.raises(ManifestError, match="'b.wav' does not exist"):
        evaluated(Parrot("a"), manifest)
    (tmp_path / "b.wav").write_text("no sound")
    with pytest.raises(AudioError, match="no known format"):
        evaluated(Parrot("a"), manifest)


def test_case_and_spaces_do_not_count() -> None:
    assert normalise("  The\tCAT \n sat ") == "the cat sat"


def test_the_clips_that_ship_have_texts_and_speakers() -> None:
    utterances = read_manifest(CLIPS, check_files=True)
    assert len(utterances) >= 4
    for utterance in utterances:
        assert normalise(utterance.text) == utterance.text and utterance.speaker
        assert len(hear(utterance, RATE)) / RATE == pytest.approx(utterance.duration, abs=0.01)
