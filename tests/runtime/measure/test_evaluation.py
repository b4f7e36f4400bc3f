"""Word error rate and speed of a recognizer on a manifest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.errors import AudioError, ManifestError, UsageError
from edgespeech.runtime.files import require_writable
from edgespeech.runtime.manifest import SAMPLE_CLIPS, Utterance, read_manifest, read_samples
from edgespeech.runtime.measure.evaluation import (
    Condition,
    Evaluation,
    evaluate_manifest,
    save_hypotheses,
)
from edgespeech.runtime.measure.word_errors import normalise
from edgespeech.runtime.transcript import Segment, Transcript

RATE = 16000


class FixedRecognizer:
    """A recognizer that returns given texts, one per utterance, and keeps the lengths."""

    sample_rate = RATE
    labels: tuple[str, ...] = ("", " ", "a")

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.lengths: list[int] = []

    def transcribe(self, source: Any) -> Transcript:
        """Return the next text, whatever the samples."""
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


def evaluated(recognizer: FixedRecognizer, manifest: Path, **settings: Any) -> Evaluation:
    given: Any = recognizer
    return evaluate_manifest(given, manifest, **settings)


def test_errors_match_a_count_by_hand(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, {"text": "The cat  sat"}, {"text": "on the mat"}, {})
    recognizer = FixedRecognizer("the bat sat down", "on mat")
    result = evaluated(recognizer, manifest)
    assert result.wer == pytest.approx(3 / 6)
    # "cat" -> "bat" 1, " down" 5, "the " 4, of 11 + 10 characters
    assert result.cer == pytest.approx(10 / 21)
    assert (result.errors.deletions, result.words) == (1, 6)
    found: dict[str, Any] = dict(result.as_dict())
    assert [found[name] for name in ("substitutions", "insertions", "utterances", "audio_seconds")] == [1, 1, 2, 2.0]
    assert result.rtf == result.seconds / 2.0
    assert list(found)[:10] == [
        *("wer", "cer", "substitutions", "deletions", "insertions", "words"),
        *("utterances", "audio_seconds", "seconds", "rtf"),
    ]
    assert found["resampled"] == "utterances" and found["condition"] == "as recorded"
    assert found["wer_interval"][0] <= found["wer"] <= found["wer_interval"][1]
    assert found["corpus"] == f"{tmp_path.name}/manifest.jsonl"
    assert (found["left_out"], found["normalised"], found["empty_references"]) == ({"without a text": 1}, 0, 0)


def test_without_spaces_errors_are_counted_by_characters(tmp_path: Path) -> None:
    """Thai has no spaces, and the rule does not divide it, as it does Chinese."""
    recognizer = FixedRecognizer("กขค ง", "打开")
    recognizer.labels = ("", "ก", "ข", "ค", "ง", "打", "开")
    found = evaluated(recognizer, write_manifest(tmp_path, {"text": "กขงง"}, {"text": "打开 灯"}))
    assert (found.by_characters, found.words, found.errors.substitutions, found.errors.deletions) == (True, 7, 1, 1)
    assert found.wer == found.cer == pytest.approx(2 / 7)
    assert found.as_dict()["unit"] == "character" and found.references[1] == "打 开 灯"
    with_spaces = evaluated(FixedRecognizer("กขค ง"), write_manifest(tmp_path, {"text": "กขงง"}))
    assert (with_spaces.by_characters, with_spaces.words) == (False, 1)
    assert with_spaces.as_dict()["unit"] == "word"


def test_a_condition_changes_the_samples(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, {"text": "a", "offset": 0.5}, {"text": "b"})
    recognizer = FixedRecognizer("a", "b")
    halved = Condition("halved", lambda samples, utterance, rate: samples[: rate // 4 + round(utterance.offset * 10)])
    assert evaluated(recognizer, manifest, condition=halved).condition == "halved"
    assert recognizer.lengths == [4005, 4000]


def test_a_limit_spreads_over_the_manifest(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, *({"text": str(index)} for index in range(10)))
    assert evaluated(FixedRecognizer(*"abcd"), manifest, limit=4).references == ("0", "2", "5", "7")
    assert len(evaluated(FixedRecognizer(*"abcdefghij"), manifest, limit=99).references) == 10


def test_hypotheses_are_saved(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, {"text": "The cat"}, {"text": "sat"})
    (tmp_path / "out").mkdir()
    save_hypotheses(tmp_path / "out" / "hypotheses.jsonl", [evaluated(FixedRecognizer("the bat", ""), manifest)])
    lines = [json.loads(line) for line in (tmp_path / "out" / "hypotheses.jsonl").read_text().splitlines()]
    where = {"corpus": f"{tmp_path.name}/manifest.jsonl", "condition": "as recorded"}
    assert lines == [
        {"audio_filepath": "a.wav", "text": "the cat", "pred_text": "the bat", "heard": "the bat", **where},
        {"audio_filepath": "a.wav", "text": "sat", "pred_text": "", "heard": "", **where},
    ]
    assert os.listdir(tmp_path / "out") == ["hypotheses.jsonl"]


@pytest.mark.parametrize("save", [".", "nowhere/hypotheses.jsonl", "a.wav/hypotheses.jsonl"])
def test_an_unwritable_file_is_refused(tmp_path: Path, save: str) -> None:
    write_manifest(tmp_path)
    with pytest.raises(UsageError, match="cannot write"):
        require_writable(tmp_path / save)
    require_writable(tmp_path / "hypotheses.jsonl")


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    result = evaluated(FixedRecognizer("the cat"), write_manifest(tmp_path, {"text": "the cat"}))
    with pytest.raises(UsageError, match="No space left on device; give another file"):
        save_hypotheses(tmp_path / "hypotheses.jsonl", [result])
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
def test_an_utterance_may_be_part_of_its_file(
    tmp_path: Path, offset: float, duration: float | None, wanted: tuple[int, int]
) -> None:
    write_manifest(tmp_path)
    samples = read_samples(Utterance("a.wav", tmp_path / "a.wav", offset=offset, duration=duration), RATE)
    np.testing.assert_array_equal(samples, np.arange(*wanted, dtype=np.float32) / RATE)


def test_a_manifest_without_references_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no utterance with a text"):
        evaluated(FixedRecognizer(), write_manifest(tmp_path, {}, {"text": "  "}))


def test_missing_or_unreadable_audio_is_refused(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, {"text": "a", "audio_filepath": "b.wav"})
    with pytest.raises(ManifestError, match="'b.wav' does not exist"):
        evaluated(FixedRecognizer("a"), manifest)
    (tmp_path / "b.wav").write_text("no sound")
    with pytest.raises(AudioError, match="unknown format"):
        evaluated(FixedRecognizer("a"), manifest)


def test_case_and_spacing_are_no_errors() -> None:
    assert normalise("  The\tCAT \n sat ") == "the cat sat"


def test_sample_clips_have_texts_and_speakers() -> None:
    utterances = read_manifest(SAMPLE_CLIPS, check_files=True)
    assert len(utterances) >= 4
    for utterance in utterances:
        assert normalise(utterance.text) == utterance.text and utterance.speaker
        assert len(read_samples(utterance, RATE)) / RATE == pytest.approx(utterance.duration, abs=0.01)
