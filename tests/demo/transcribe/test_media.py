"""A phone's memo and a meeting's recording: files that need the extra `media`, made and transcribed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgespeech.runtime.audio import read

RATE = 48000
# Ending, codec, FFmpeg's name of the format, and whether there is a picture too.
FILES = [
    ("m4a", "aac", "ipod", False),
    ("mp4", "aac", "mp4", True),
    ("mov", "pcm_s16le", "mov", False),
    ("3gp", "aac", "3gp", False),
    ("aac", "aac", "adts", False),
    ("webm", "libopus", "webm", False),
    ("mkv", "ac3", "matroska", True),
    ("wma", "wmav2", "asf", False),
]


def write_media(path: Path, samples: np.ndarray[Any, np.dtype[np.float32]], codec: str, form: str, video: bool) -> None:
    """Write float32 [n] at 48 kHz with PyAV."""
    av: Any = pytest.importorskip("av")
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg cannot write {codec}")
    sound = av.AudioFrame.from_ndarray(np.round(samples[None] * 32767).astype(np.int16), format="s16", layout="mono")
    sound.sample_rate = RATE
    with av.open(str(path), "w", format=form) as file:
        picture = None
        if video:
            picture = file.add_stream("mpeg4", rate=5)
            picture.width = picture.height = 16
            picture.pix_fmt = "yuv420p"
        track = file.add_stream(codec, rate=RATE)
        track.layout = "mono"
        if not codec.startswith("pcm"):
            track.bit_rate = 128000
        if picture is not None:
            for frame in [av.VideoFrame(16, 16, "yuv420p") for _ in range(5)]:
                file.mux(picture.encode(frame))
            file.mux(picture.encode(None))
        file.mux(track.encode(sound))
        file.mux(track.encode(None))


@pytest.mark.parametrize(("ending", "codec", "form", "video"), FILES, ids=[one[0] for one in FILES])
def test_it_has_the_words_of_the_wave_file(
    edgespeech: Callable[..., Any],
    talk: Path,
    lines: list[str],
    tmp_path: Path,
    ending: str,
    codec: str,
    form: str,
    video: bool,
) -> None:
    memo = tmp_path / f"memo.{ending}"
    write_media(memo, read(talk, RATE), codec, form, video)
    outcome = edgespeech("transcribe", memo, "--plain", "--beam-width", 16)
    assert (outcome.code, outcome.err) == (0, "")
    found, wanted = outcome.out.split(), " ".join(lines).split()
    assert SequenceMatcher(None, found, wanted).ratio() > 0.7  # the codecs cost a word here and there


def test_without_the_extra_the_line_names_it(
    edgespeech: Callable[..., Any], talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_media(tmp_path / "memo.m4a", read(talk, RATE), "aac", "ipod", False)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(shutil, "which", lambda program: None)
    outcome = edgespeech("transcribe", tmp_path / "memo.m4a", "-o", tmp_path / "memo.txt")
    assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (2, "", 1)
    assert "is MP4 (M4A, MOV, 3GP)" in outcome.err and "pip install 'edgespeech[media]'" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["memo.m4a"]
