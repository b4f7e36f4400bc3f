"""MP3: every frame is read, whatever a header says, and what the encoder added stays cut off where it is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.runtime.audio import from_array, info, read
from edgespeech.runtime.audio.containers.mpeg_frames import adts_frames, first_mpeg_frame, frame_header, mpeg_frames
from tests.runtime.audio.stand_ins import babble, encode, likeness, put, read_all

if "MP3" not in soundfile.available_formats():
    pytest.skip("this libsndfile has no MP3", allow_module_level=True)

SECONDS = 6.0
KINDS = [(16000, 1, "CONSTANT"), (16000, 1, "VARIABLE"), (44100, 2, "VARIABLE"), (48000, 1, "AVERAGE")]
ID3V2 = b"ID3\x03\0\0\0\0\x08\0" + bytes(1024)
ID3V1 = b"TAG" + bytes(125)


class Mp3(NamedTuple):
    """A file and its pieces: the frame with the tag, where it counts the frames, and the rest."""

    whole: bytes
    tag: bytes
    count_at: int
    frames: bytes
    rate: int

    def with_count(self, frames: int) -> bytes:
        """Return the file with another number of frames in its tag."""
        return put(self.whole, self.count_at, ">I", frames)


@pytest.fixture(params=KINDS, ids=str)
def mp3(request: pytest.FixtureRequest) -> Mp3:
    rate, channels, mode = request.param
    options = {"bitrate_mode": mode, "compression_level": 0.5}
    whole = encode("MP3", "MPEG_LAYER_III", babble(rate, channels, SECONDS), rate, **options)
    header = frame_header(whole)
    assert header is not None
    count = 4 + header.side_info + 8
    assert whole[count - 8 : count - 4] in (b"Xing", b"Info")
    return Mp3(whole, whole[: header.length], count, whole[header.length :], rate)


def with_vbri(mp3: Mp3) -> bytes:
    """Return the file with the tag of another encoder, which counts 20 frames."""
    vbri = mp3.tag[:4] + bytes(32) + b"VBRI" + bytes(10) + (20).to_bytes(4, "big")
    return vbri.ljust(len(mp3.tag), b"\0") + mp3.frames


FILES: dict[str, tuple[Callable[[Mp3], bytes], int]] = {
    "as it was encoded": (lambda mp3: mp3.whole, 1),
    "without a count": (lambda mp3: mp3.frames, 1),
    "count too small": (lambda mp3: mp3.with_count(20), 1),
    "count of zero": (lambda mp3: mp3.with_count(0), 1),
    "count too large": (lambda mp3: mp3.with_count(2000), 1),
    "another tag with a wrong count": (with_vbri, 1),
    "joined": (lambda mp3: mp3.whole * 3, 3),
    "joined without counts": (lambda mp3: mp3.frames * 2, 2),
    "joined with one count": (lambda mp3: mp3.whole + mp3.frames, 2),
    "joined with tags": (lambda mp3: (ID3V2 + mp3.whole + ID3V1) * 2, 2),
    "bytes before": (lambda mp3: bytes(range(250, 0, -1)) + mp3.frames, 1),
    "zeros behind": (lambda mp3: mp3.frames + bytes(4000), 1),
    "a frame that begins before the file": (lambda mp3: mp3.frames[-50:] + mp3.frames, 1),
}


@pytest.mark.parametrize("name", FILES)
def test_all_of_it_is_read(tmp_path: Path, mp3: Mp3, name: str) -> None:
    make, times = FILES[name]
    path = tmp_path / "sound"
    path.write_bytes(make(mp3))
    found, damage = read_all(path)
    assert damage is None
    assert len(found) / 16000 == pytest.approx(SECONDS * times, abs=0.12 * times)
    assert info(path).duration == pytest.approx(len(found) / 16000, abs=0.01)
    wanted = from_array(babble(mp3.rate, seconds=SECONDS), mp3.rate, 16000)
    begin = int(np.argmax(np.correlate(found[:34400], wanted[:32000], "valid")))
    assert likeness(found[begin:], wanted) > 0.95


def test_what_the_encoder_added_is_cut_off(tmp_path: Path, mp3: Mp3) -> None:
    wanted = from_array(babble(mp3.rate, seconds=SECONDS), mp3.rate, 16000)
    for name, content in (("whole", mp3.whole), ("tagged", ID3V2 + mp3.whole + ID3V1), ("joined", mp3.whole * 2)):
        path = tmp_path / name
        path.write_bytes(content)
        found = read(path)
        assert abs(len(found) - len(wanted) * (2 if name == "joined" else 1)) <= 2
        assert likeness(found[-len(wanted) :], wanted) > 0.95


def test_other_rates_may_follow(tmp_path: Path, mp3: Mp3) -> None:
    other = encode("MP3", "MPEG_LAYER_III", babble(32000, 1, SECONDS), 32000)
    path = tmp_path / "sound"
    path.write_bytes(mp3.frames + other)
    found, damage = read_all(path)
    assert damage is None and len(found) / 16000 == pytest.approx(2 * SECONDS, abs=0.2)
    assert likeness(found[-96000:], from_array(babble(32000, seconds=SECONDS), 32000, 16000)) > 0.95


@pytest.mark.parametrize(("cut", "longest"), [(0, 0.1), (700, 0.5)])
def test_bytes_that_are_not_audio_are_left_out_and_reported(tmp_path: Path, mp3: Mp3, cut: int, longest: float) -> None:
    middle = len(mp3.frames) // 2 + 5
    path = tmp_path / "sound"
    path.write_bytes(mp3.frames[:middle] + (b"" if cut else bytes(range(1, 256)) * 9) + mp3.frames[middle + cut :])
    found, damage = read_all(path)
    assert damage is not None and "are not audio" in str(damage)
    assert damage.second == pytest.approx(SECONDS / 2, abs=0.7)
    assert len(found) / 16000 > SECONDS - longest - 0.1  # what follows is read nevertheless


@pytest.mark.parametrize("tagged", [False, True])
def test_a_file_that_is_cut_off_is_reported(tmp_path: Path, mp3: Mp3, tagged: bool) -> None:
    content = mp3.whole if tagged else mp3.frames
    path = tmp_path / "sound"
    path.write_bytes(content[: len(content) * 2 // 3 + 1])
    found, damage = read_all(path)
    assert damage is not None and "cut off" in str(damage)
    assert len(found) / 16000 == pytest.approx(SECONDS * 2 / 3, abs=0.7)


def test_the_decoder_does_not_complain(tmp_path: Path, mp3: Mp3, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sound"
    path.write_bytes(mp3.whole + b"\x80junk" * 5000)
    read(path)
    assert capfd.readouterr() == ("", "")


def test_random_bytes_and_samples_are_not_frames() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        noise = rng.integers(0, 256, 8192, np.uint8).tobytes()
        assert first_mpeg_frame(noise) < 0 and not mpeg_frames(noise) and not adts_frames(noise)
    for value in range(-9, 1):
        samples = np.full(4096, value, "<i2").tobytes()
        assert first_mpeg_frame(samples) < 0 and not adts_frames(samples)
