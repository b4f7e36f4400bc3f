"""Files that libsndfile does not read: through PyAV, through an ffmpeg program, or a line that names both."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgespeech.runtime.audio import from_array, info, is_audio, read, stated_duration
from edgespeech.runtime.audio.containers.kinds import recognise
from tests.runtime.audio.stand_ins import babble, likeness, read_all, refusal

RATE = 48000
SECONDS = 5.0
# Name, codec, format of FFmpeg, and the container as messages call it.
FILES = [
    ("sound.m4a", "aac", "mp4", "MP4"),
    ("sound.aac", "aac", "adts", "AAC"),
    ("sound.webm", "libopus", "webm", "Matroska"),
    ("sound.mkv", "ac3", "matroska", "Matroska"),
    ("sound.wma", "wmav2", "asf", "ASF"),
    ("sound.ts", "aac", "mpegts", "MPEG transport stream"),
    ("sound.wav", "ac3", "wav", "WAV"),
]


def write(path: Path, codec: str, form: str, channels: int = 1) -> Path:
    av: Any = pytest.importorskip("av")
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg cannot write {codec}")
    layout = "mono" if channels == 1 else "stereo"
    samples = np.round(babble(RATE, channels, SECONDS) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate = RATE
    with av.open(str(path), "w", format=form) as file:
        stream = file.add_stream(codec, rate=RATE)
        stream.layout = layout
        stream.bit_rate = 128000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.fixture
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Replace PyAV by a program called ffmpeg, which does with PyAV what ffmpeg would do."""

    def replace() -> None:
        program = tmp_path / "programs" / "ffmpeg"
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable}\n{STAND_IN}")
        program.chmod(0o755)
        monkeypatch.setitem(sys.modules, "av", None)
        monkeypatch.setenv("PATH", str(program.parent))

    return replace


STAND_IN = """
import logging, struct, sys
import av
import numpy as np

logging.disable()  # ffmpeg prints errors only
arguments = dict(zip(sys.argv, sys.argv[1:]))
assert arguments["-map"] == "0:a:0" and arguments["-c:a"] == "pcm_f32le" and sys.argv[-1] == "pipe:1"
resampler, pieces = av.AudioResampler(format="fltp"), []
with av.open(arguments["-i"].removeprefix("file:"), format=sys.argv[sys.argv.index("-f") + 1]) as file:
    for frame in file.decode(audio=0):
        rate = frame.sample_rate
        pieces += [one.to_ndarray() for one in resampler.resample(frame)]
samples = np.concatenate(pieces, axis=1).T.astype("<f4")
size, channels = b"\\xff" * 4, samples.shape[1]
form = struct.pack("<IHHIIHH", 16, 3, channels, rate, 4 * channels * rate, 4 * channels, 32)
sys.stdout.buffer.write(b"RIFF" + size + b"WAVEfmt " + form + b"data" + size + samples.tobytes())
"""


@pytest.mark.parametrize("program", [False, True], ids=["PyAV", "ffmpeg"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("name", "codec", "form", "container"), FILES)
def test_a_file_is_decoded(
    tmp_path: Path,
    ffmpeg: Callable[[], None],
    name: str,
    codec: str,
    form: str,
    container: str,
    channels: int,
    program: bool,
) -> None:
    path = write(tmp_path / name, codec, form, channels)
    if program:
        ffmpeg()
    found, damage = read_all(path)
    assert damage is None
    wanted = from_array(babble(RATE, seconds=SECONDS), RATE, 16000)
    assert len(found) == pytest.approx(len(wanted), abs=3200)
    middle = found[8000:40000]  # encoders add a little before the sound, or leave out a little
    begin = int(np.argmax(np.correlate(wanted[4800:43200], middle, "valid")))
    assert likeness(middle, wanted[4800 + begin :]) > 0.9
    assert (info(path).channels, info(path).sample_rate) == (channels, RATE)


@pytest.mark.parametrize(("name", "codec", "form", "container"), FILES)
def test_the_length_is_known_without_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str, form: str, container: str
) -> None:
    path = write(tmp_path / name, codec, form)
    assert is_audio(path)
    if name not in {"sound.wav", "sound.aac"}:  # a codec that libsndfile does not know; a file without a length
        assert stated_duration(path) == pytest.approx(SECONDS, abs=0.2)
        monkeypatch.setitem(sys.modules, "av", None)
    assert stated_duration(path) is None


@pytest.mark.parametrize(("name", "codec", "form"), [("a.aac", "aac", "adts"), ("a.mkv", "ac3", "matroska")])
def test_a_file_that_is_cut_off_is_read_up_to_there(tmp_path: Path, name: str, codec: str, form: str) -> None:
    path = write(tmp_path / name, codec, form)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    found, damage = read_all(path)
    assert damage is not None and len(found) / 16000 == pytest.approx(0.6 * SECONDS, abs=0.5)


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    av: Any = pytest.importorskip("av")
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w", format="matroska") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        file.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        file.mux(stream.encode(None))
    assert "no audio track" in refusal(lambda: read(path))


HEADS = [
    (b"\0\0\0\x1cftypM4A ", "MP4"), (b"\x1aE\xdf\xa3", "Matroska"), (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF"),
    (b"#!AMR\n", "AMR"), (b"RIFF\0\0\0\0AVI LIST", "AVI"), (b"FLV\x01", "Flash video"), (b"wvpk", "WavPack"),
    (b"\0\0\0\x08wide", "MP4"), (b"\0\0\x01\xba", "MPEG program stream"),
]  # fmt: skip


@pytest.mark.parametrize(("head", "name"), HEADS)
def test_without_a_decoder_the_line_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes, name: str
) -> None:
    kind = recognise(head + bytes(100))
    assert kind is not None and kind.name.startswith(name) and kind.foreign and not kind.native
    path = tmp_path / "sound.wav"
    path.write_bytes(head + bytes(100))
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(shutil, "which", lambda program: None)
    for call in (lambda: read(path), lambda: info(path)):
        message = refusal(call)
        assert name in message and "pip install 'edgespeech[media]'" in message and "ffmpeg" in message


@pytest.mark.parametrize("head", [head for head, _ in HEADS])
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, head: bytes) -> None:
    pytest.importorskip("av")
    path = tmp_path / "sound"
    path.write_bytes(head + b"\x55" * 3000)
    message = refusal(lambda: read(path))
    assert "cannot be decoded" in message or "no audio track" in message
