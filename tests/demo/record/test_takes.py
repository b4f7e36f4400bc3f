"""The folder of a recording session: complete after every take, and continued later."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.record.capture import Recorded
from edgespeech.demo.record.takes import Takes
from edgespeech.errors import ManifestError, UsageError


def recorded(seconds: float = 1.0, value: float = 0.25) -> Recorded:
    return Recorded(np.full(round(16000 * seconds), value, np.float32), 16000, -12.0, -60.0, 0.0, True)


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "speech.jsonl").read_text(encoding="utf-8").splitlines()]


def test_each_take_is_a_file_and_a_line(tmp_path: Path) -> None:
    takes = Takes(tmp_path / "mine", "me")
    assert takes.store("Hello, there!", recorded()).name == "0001.flac"
    takes.store("Good-bye.", recorded(2.0))
    assert lines(tmp_path / "mine") == [
        {"audio_filepath": "0001.flac", "duration": 1.0, "speaker": "me", "text": "hello there"},
        {"audio_filepath": "0002.flac", "duration": 2.0, "speaker": "me", "text": "good bye"},
    ]
    samples, rate = soundfile.read(tmp_path / "mine" / "0001.flac")
    assert rate == 16000 and np.allclose(samples, 0.25) and len(samples) == 16000
    assert takes.missing(["Hello there", "Another one"]) == ["Another one"]


def test_a_later_session_goes_on_and_a_repeated_sentence_replaces_its_file(tmp_path: Path) -> None:
    Takes(tmp_path, "me").store("one", recorded())
    takes = Takes(tmp_path, "me")
    assert len(takes) == 1 and takes.missing(["One!"]) == []
    takes.store("two", recorded())
    takes.store("one", recorded(3.0, 0.5))
    assert takes.seconds == 4.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001.flac", "0002.flac", "speech.jsonl"]
    assert soundfile.info(tmp_path / "0001.flac").frames == 48000
    (tmp_path / "speech.jsonl").write_text((tmp_path / "speech.jsonl").read_text("utf-8").splitlines()[-1] + "\n")
    assert Takes(tmp_path, "me").store("three", recorded()).name == "0002.flac"


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="has files, but no speech.jsonl of `edgespeech record`; give another folder"):
        Takes(tmp_path, "me")
    with pytest.raises(UsageError, match="notes.txt is a file; give a folder"):
        Takes(tmp_path / "notes.txt", "me")
    (tmp_path / "speech.jsonl").write_text("no json\n")
    with pytest.raises(ManifestError, match="invalid JSON"):
        Takes(tmp_path, "me")


def test_files_that_an_interrupted_take_left_are_no_reason_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "0001.flac").write_bytes(b"half")
    assert Takes(tmp_path, "me").store("one", recorded()).name == "0001.flac"
