"""Recordings of live sessions: valid at every moment, and replayed to the same events."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.errors import UsageError
from edgespeech.runtime.live import recording as live_record
from edgespeech.runtime.live.recording import Recording, round_to_16_bits
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.live.session import run_session
from edgespeech.runtime.live.sources import Replay
from edgespeech.runtime.recognizer import Recognizer
from tests.runtime.live.stand_ins import RATE, CollectingOutput


def test_the_file_is_valid_after_every_block(tmp_path: Path, noise: Callable[[int], Any]) -> None:
    recording = Recording(tmp_path / "a.wav", RATE)
    written = np.zeros(0, np.float32)
    for samples in (*np.split(noise(1000), 4), np.full(10, 1.0, np.float32), np.full(10, -1.0, np.float32)):
        assert recording.add(samples) == ""
        written = np.concatenate([written, round_to_16_bits(samples)])
        read, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
        assert rate == RATE
        np.testing.assert_array_equal(read, written)
    np.testing.assert_allclose(written[:1000], noise(1000), atol=2.0**-16)
    recording.close()


def test_samples_that_the_header_does_not_count_are_ignored(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "a.wav", RATE)
    recording.add(np.zeros(100, np.float32))
    recording.close()
    with open(tmp_path / "a.wav", "ab") as file:
        file.write(b"x" * 33)  # killed between the samples and the header
    assert len(soundfile.read(tmp_path / "a.wav")[0]) == 100


def test_a_recording_is_replayed_to_the_same_events(
    tiny_bundle: Any, tmp_path: Path, noise: Callable[[int], Any]
) -> None:
    recognizer = Recognizer(tiny_bundle, beam_width=8, min_evidence=0.0)
    soundfile.write(tmp_path / "in.wav", noise(3 * 44100), 44100, subtype="FLOAT")
    events = []
    for source, record in (("in.wav", "one.wav"), ("one.wav", "two.wav")):
        output, recording = CollectingOutput(), Recording(tmp_path / record, RATE)
        run_session(recognizer, [Replay(tmp_path / source, RATE, 0)], output, recording=recording)
        recording.close()
        events.append([(e.type, e.text, e.start, e.end, e.words) for e in output.events if e.type != "status"])
    assert len(events[0]) > 10
    assert events[0] == events[1]
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()


@pytest.mark.parametrize("name", ["talk", "talk.mp3", "missing/talk.wav"])
def test_files_that_cannot_be_recorded_to(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="^cannot record to .*") as caught:
        Recording(tmp_path / name, RATE)
    assert "\n" not in str(caught.value)


def test_a_file_that_exists_is_kept_unless_it_may_be_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "old.wav"
    path.write_text("kept")
    with pytest.raises(UsageError, match=r"old.wav exists; give --overwrite to replace it, or another file$"):
        Recording(path, RATE)
    assert path.read_text() == "kept"
    Recording(path, RATE, overwrite=True).close()
    assert len(soundfile.read(path)[0]) == 0
    path.write_bytes(b"")  # as mktemp makes it
    Recording(path, RATE).close()
    assert path.stat().st_size == 44


def test_a_full_disk_ends_the_recording_and_not_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crowded(io.FileIO):
        room = 44 + 200

        def write(self, data: Any) -> int:
            if self.tell() + len(data) > self.room:
                super().write(bytes(data[: self.room - self.tell()]))
                raise OSError(28, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(live_record, "open", lambda path, *_, **__: Crowded(path, "xb"), raising=False)
    recording = Recording(tmp_path / "a.wav", 100)
    assert recording.add(np.zeros(100, np.float32)) == ""
    assert recording.add(np.zeros(1, np.float32)).endswith("No space left on device; it ends at 1.0 s")
    assert recording.add(np.zeros(1, np.float32)) == ""
    recording.close()
    assert len(soundfile.read(tmp_path / "a.wav")[0]) == 100


def test_a_recording_ends_at_the_largest_size_of_a_wav_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_record, "_MAX_BYTES", 100)
    recording = Recording(tmp_path / "a.wav", RATE)
    assert recording.add(np.zeros(50, np.float32)) == ""
    assert "a WAV file cannot be longer" in recording.add(np.zeros(1, np.float32))
    recording.close()


def test_several_sources_are_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--record takes one source"):
        LiveRequest(devices=["a", "b"], record=tmp_path / "a.wav")
