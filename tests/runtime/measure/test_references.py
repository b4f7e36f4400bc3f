"""What a manifest hides from the score is counted and logged; what it can count, it counts."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.errors import ManifestError
from edgespeech.runtime.measure.evaluation import Evaluation, evaluate_manifest, evaluate_references
from edgespeech.runtime.measure.references import NO_AUDIO, NO_TEXT, read_references
from tests.runtime.measure.test_evaluation import FixedRecognizer, write_manifest

RATE = 16000


def evaluated(recognizer: FixedRecognizer, manifest: Path) -> Evaluation:
    given: Any = recognizer
    return evaluate_manifest(given, manifest)


def test_words_recognised_where_nothing_is_spoken_are_insertions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    manifest = write_manifest(tmp_path, {"text": "yes"}, {"text": ""}, {"text": " ... "}, {"text": "no"}, {})
    result = evaluated(FixedRecognizer("yes", "oh my", "", "no"), manifest)
    assert (result.errors.insertions, result.words, result.wer) == (2, 2, 1.0)
    assert result.errors.utterance_errors.tolist() == [0, 2, 0, 0]
    assert result.left_out == {NO_TEXT: 1}
    assert result.as_dict()["empty_references"] == 2
    messages = [record.getMessage() for record in caplog.records]
    assert any("1 utterances are left out: without a text" in message for message in messages)
    assert any("2 texts are empty; words recognised there count as inserted" in message for message in messages)


@pytest.mark.parametrize("offset", [1.0, 1.5, 1e6])
def test_an_offset_behind_the_end_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture, offset: float) -> None:
    manifest = write_manifest(tmp_path, {"text": "yes", "offset": 0.5}, {"text": "not there", "offset": offset})
    result = evaluated(FixedRecognizer("yes"), manifest)
    assert (result.errors.deletions, result.left_out) == (0, {NO_AUDIO: 1})
    assert "1 utterances are left out: offset behind the end of the recording" in caplog.text
    write_manifest(tmp_path, {"text": "not there", "offset": offset})
    with pytest.raises(ManifestError, match="no utterance with a text; left out: 1 offset behind the end"):
        read_references(manifest)


@pytest.mark.parametrize("line", [{"duration": 3.0}, {"offset": 0.5, "duration": 2.0}, {"audio_filepath": "empty.wav"}])
def test_missing_audio_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture, line: dict[str, Any]) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), RATE)
    evaluated(FixedRecognizer("yes"), write_manifest(tmp_path, {"text": "yes", **line}))
    assert "1 recordings are empty or more than 0.5 s shorter" in caplog.text


def test_both_texts_are_normalised_by_the_rule_or_neither(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    manifest = write_manifest(tmp_path, {"text": "Well-known, isn\u2019t it?"}, {"text": "Yes"})
    result = evaluated(FixedRecognizer("well known isn't it", "yes!"), manifest)
    assert (result.wer, result.normalised) == (0.0, 1)
    assert "1 of 2 texts were normalised (lower case, no punctuation" in caplog.text
    given: Any = FixedRecognizer("well known isn't it", "yes!")
    plain = evaluate_references(given, read_references(manifest, by_rule=False))
    assert plain.references == ("well-known, isn\u2019t it?", "yes") and plain.hypotheses[1] == "yes!"
    assert plain.normalised == 0 and plain.wer > 1.0


def test_a_manifest_of_any_name_is_evaluated_with_its_texts_in_files(tmp_path: Path) -> None:
    write_manifest(tmp_path)
    (tmp_path / "a.txt").write_text("The cat.\n")
    line = json.dumps({"audio_filepath": "a.wav", "text_filepath": "a.txt"})
    (tmp_path / "dev.json").write_text("\ufeff" + line, encoding="utf-8")
    assert evaluated(FixedRecognizer("the cat"), tmp_path / "dev.json").wer == 0.0
