"""Recordings in turn: text as it comes, to standard output and to files, and what goes wrong on the way."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.transcribe.bar import AudioBar
from edgespeech.demo.transcribe.recordings import plan
from edgespeech.demo.transcribe.request import FORMATS, TranscribeRequest
from edgespeech.demo.transcribe.run import transcribe_recordings
from edgespeech.errors import UsageError
from edgespeech.runtime import formats
from edgespeech.runtime.audio import read_blocks
from edgespeech.runtime.recognizer import Recognizer


def transcribed(recognizer: Recognizer, *audio: object, **settings: Any) -> tuple[int, list[str]]:
    """Return the exit code and the pieces that were printed."""
    request = TranscribeRequest(tuple(map(str, audio)), **settings)
    pieces: list[str] = []
    code = transcribe_recordings(recognizer, request, plan(request), pieces.append)
    return code, pieces


@pytest.fixture
def recording(tmp_path: Path, noise: Callable[[int], Any]) -> str:
    soundfile.write(tmp_path / "noise.wav", noise(16000), 16000)
    return str(tmp_path / "noise.wav")


def test_segments_are_printed_while_the_recording_is_read(
    recognizer: Recognizer, talk: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counting(*arguments: Any, **settings: Any) -> Any:
        for block in read_blocks(*arguments, **settings):
            read.append(len(block))
            yield block

    monkeypatch.setattr("edgespeech.demo.transcribe.run.read_blocks", counting)
    request = TranscribeRequest((str(talk),))
    shown: list[tuple[str, int]] = []
    assert transcribe_recordings(recognizer, request, plan(request), lambda text: shown.append((text, len(read)))) == 0
    assert [text for text, _ in shown] == [f"{line}\n" for line in lines]
    assert shown[0][1] < shown[1][1] < shown[2][1]


@pytest.mark.parametrize("output_format", FORMATS)
def test_pieces_are_the_formats_of_the_whole(
    recognizer: Recognizer, talk: Path, lines: list[str], output_format: str
) -> None:
    code, pieces = transcribed(recognizer, talk, output_format=output_format)
    text = "".join(pieces)
    transcript = recognizer.transcribe(talk)
    assert code == 0 and text.endswith("\n") and not text.endswith("\n\n")
    if output_format == "txt":
        assert text.splitlines() == [segment.text for segment in transcript.segments] == lines
    elif output_format == "srt":
        assert text == formats.to_srt(transcript.segments)[:-1] and len(pieces) == 3
    elif output_format == "vtt":
        assert text == formats.to_vtt(transcript.segments)[:-1] and len(pieces) == 3
    elif output_format == "tsv":
        rows = [line.split("\t") for line in text.splitlines()]
        assert rows[0] == ["start", "end", "text"] and [row[2] for row in rows[1:]] == lines
        first, last = transcript.segments[0], transcript.segments[-1]
        assert rows[1][:2] == [str(round(first.start * 1000)), str(round(first.end * 1000))]
        assert rows[-1][:2] == [str(round(last.start * 1000)), str(round(last.end * 1000))]
    elif output_format == "json":
        (found,) = map(json.loads, text.splitlines())
        assert (found["text"], found["duration"]) == (" ".join(lines), round(transcript.duration, 3))
    else:
        *found, end = map(json.loads, text.splitlines())
        assert [(one["type"], one["text"], one["file"]) for one in found] == [("final", x, str(talk)) for x in lines]
        assert [[word["word"] for word in one["words"]] for one in found] == [line.split() for line in lines]
        assert (end["type"], end["duration"]) == ("end", round(transcript.duration, 3))


@pytest.mark.parametrize("output_format", FORMATS)
def test_silence_gives_no_text_in_any_format(recognizer: Recognizer, tmp_path: Path, output_format: str) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(32000, np.int16), 16000)
    code, pieces = transcribed(recognizer, tmp_path / "silence.wav", output_format=output_format)
    text = "".join(pieces)
    expected = {"txt": "\n", "srt": "\n", "vtt": "WEBVTT\n", "tsv": "start\tend\ttext\n"}
    assert code == 0 and text == expected.get(output_format, text)
    if output_format.startswith("json"):
        (found,) = map(json.loads, text.splitlines())
        assert found["duration"] == 2.0


def test_lines_and_rows_of_several_recordings_are_named(recognizer: Recognizer, talk: Path, lines: list[str]) -> None:
    _, pieces = transcribed(recognizer, talk, talk)
    assert "".join(pieces).splitlines() == [f"{talk}\t{line}" for line in lines * 2]
    _, pieces = transcribed(recognizer, talk, talk, output_format="tsv")
    rows = [line.split("\t") for line in "".join(pieces).splitlines()]
    assert rows[0] == ["file", "start", "end", "text"] and len(rows) == 7
    assert {row[0] for row in rows[1:]} == {str(talk)} and [row[3] for row in rows[1:]] == lines * 2


def test_a_recording_that_cannot_be_read_does_not_stop_the_others(
    recognizer: Recognizer, talk: Path, lines: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "text.wav").write_text("no sound at all, but text of more than a line\n")
    files = (tmp_path / "no.wav", talk, tmp_path / "text.wav", tmp_path, talk)
    code, pieces = transcribed(recognizer, *files)
    assert code == 2 and "".join(pieces).splitlines() == [f"{talk}\t{line}" for line in lines * 2]
    messages = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    for message, words in zip(messages, ("does not exist", "unknown format", "or --recursive"), strict=True):
        assert words in message
    caplog.clear()
    code, _ = transcribed(recognizer, *files[:-1], output_dir=tmp_path / "out", output_format="vtt")
    assert code == 2 and [path.name for path in (tmp_path / "out").iterdir()] == ["talk.vtt"]


def test_a_file_is_complete_or_not_there(recognizer: Recognizer, talk: Path, tmp_path: Path) -> None:
    output = tmp_path / "talk.srt"
    assert transcribed(recognizer, talk, output=output) == (0, [])
    assert output.read_text() == formats.to_srt(recognizer.transcribe(talk).segments)[:-1]
    with pytest.raises(UsageError, match="exists"):
        transcribed(recognizer, talk, output=output)
    assert transcribed(recognizer, tmp_path / "no.wav", output=tmp_path / "no.vtt") == (2, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk.srt"]


def test_text_can_be_appended(recognizer: Recognizer, talk: Path, lines: list[str], tmp_path: Path) -> None:
    output = tmp_path / "notes.txt"
    output.write_text("torn by a cra")
    assert transcribed(recognizer, talk, output=output, append=True) == (0, [])
    assert output.read_text().splitlines() == ["torn by a cra", *lines]
    table = tmp_path / "table.tsv"
    for _ in range(2):
        assert transcribed(recognizer, talk, output=table, append=True) == (0, [])
    assert [line.split("\t")[2] for line in table.read_text().splitlines()] == ["text", *lines, *lines]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
def test_a_full_disk_is_one_line(edgespeech: Callable[..., Any], tiny_bundle: Any, recording: str) -> None:
    options = ("--min-evidence", 0, "--bundle", tiny_bundle.folder)
    outcome = edgespeech("transcribe", recording, "-o", "/dev/full", *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "edgespeech: cannot write /dev/full: No space left on device; give another file\n"
    assert Path("/dev/full").is_char_device()


def test_ctrl_c_that_ends_the_reader_too(recognizer: Recognizer, talk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    abandoned = []
    monkeypatch.setattr("edgespeech.demo.transcribe.run.abandon_standard_output", lambda: abandoned.append(True))
    request = TranscribeRequest((str(talk),))

    def show(text: str, interrupted: bool) -> None:
        if interrupted:
            os.kill(os.getpid(), signal.SIGINT)
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        transcribe_recordings(recognizer, request, plan(request), lambda text: show(text, False))
    assert transcribe_recordings(recognizer, request, plan(request), lambda text: show(text, True)) == 130
    assert abandoned == [True]


@pytest.mark.parametrize("output_format", FORMATS)
def test_ctrl_c_keeps_the_text_so_far(
    recognizer: Recognizer, talk: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path, output_format: str
) -> None:
    request = TranscribeRequest((str(talk), str(talk)), output_format, output_dir=tmp_path)
    jobs = plan(TranscribeRequest((str(talk),), output_format, output_dir=tmp_path)) * 2
    blocks = 0

    class Counted(AudioBar):
        def advance(self, seconds: float) -> None:
            nonlocal blocks
            super().advance(seconds)
            blocks += seconds > 0.0
            if blocks == 10:  # the second sentence is being read
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgespeech.demo.transcribe.run.AudioBar", Counted)
        assert transcribe_recordings(recognizer, request, jobs, print) == 130
    assert blocks == 10
    assert caplog.messages[-1] == (
        f"edgespeech: stopped at 0:10 of 0:16 in {talk}; the text up to there is complete; 1 more not read"
    )
    text = (tmp_path / f"talk.{output_format}").read_text()
    until = recognizer.transcribe((soundfile.read(talk, dtype="int16")[0][: 10 * 16000], 16000))
    if output_format.startswith("json"):
        end = json.loads(text.splitlines()[-1])
        assert end["duration"] == 10.0 and end["stopped"] is True
    else:
        assert all(segment.text.split()[-1] in text for segment in until.segments) and len(until.segments) == 2


def test_errors_are_printed_even_with_quiet(edgespeech: Callable[..., Any], tiny_bundle: Any, recording: str) -> None:
    outcome = edgespeech("transcribe", "no.wav", recording, "--quiet", "--bundle", tiny_bundle.folder)
    assert outcome.code == 2 and outcome.out.startswith(f"{recording}\t")
    assert outcome.err.startswith("edgespeech: ") and "no.wav" in outcome.err


@pytest.fixture
def call(tmp_path: Path, noise: Callable[[int], Any]) -> str:
    """Two speakers, one on each channel, who speak in turn."""
    left, right = np.zeros(64000), np.zeros(64000)
    left[:16000], right[32000:48000] = noise(16000), noise(16000)
    soundfile.write(tmp_path / "call.wav", np.stack([left, right], axis=1), 16000)
    return str(tmp_path / "call.wav")


def test_channels_are_merged_by_time(edgespeech: Callable[..., Any], tiny_bundle: Any, call: str) -> None:
    options = ("--channel", "each", "--min-evidence", 0, "--endpoint", 0.5, "--bundle", tiny_bundle.folder)
    alone = [edgespeech("transcribe", call, *options[2:], "--channel", number).out.strip() for number in (1, 2)]
    lines = edgespeech("transcribe", call, *options).out.splitlines()
    assert lines == sorted(lines, key=lambda line: line.startswith("channel 2: "))
    for number, text in enumerate(alone, start=1):
        name = f"channel {number}: "
        assert " ".join(line.removeprefix(name) for line in lines if line.startswith(name)) == text != ""
    records = [
        json.loads(line) for line in edgespeech("transcribe", call, *options, "--format", "json").out.splitlines()
    ]
    assert [(one["channel"], one["text"]) for one in records] == list(enumerate(alone, start=1))
    srt = edgespeech("transcribe", call, *options, "--format", "srt").out
    srt = " ".join(srt.split())
    assert srt.index("channel 1: ") < srt.index("channel 2: ")
    one = json.loads(edgespeech("transcribe", call, *options[2:], "--channel", 2, "--format", "json").out)
    assert (one["channel"], one["text"]) == (2, alone[1])


def test_a_warning_comes_with_channels_that_cancel(
    edgespeech: Callable[..., Any], tiny_bundle: Any, tmp_path: Path, noise: Callable[[int], Any]
) -> None:
    sound = noise(48000)
    soundfile.write(tmp_path / "inverted.wav", np.stack([sound, -sound], axis=1), 16000)
    outcome = edgespeech("transcribe", tmp_path / "inverted.wav", "--bundle", tiny_bundle.folder)
    assert outcome.code == 0 and "cancel each other" in outcome.err and "--channel 1" in outcome.err


def test_the_words_before_damage_are_printed(edgespeech: Callable[..., Any], tiny_bundle: Any, recording: str) -> None:
    options = ("--min-evidence", 0, "--bundle", tiny_bundle.folder)
    whole = Path(recording)
    cut = whole.with_name("cut.wav")
    cut.write_bytes(whole.read_bytes()[:-3200])
    outcome = edgespeech("transcribe", cut, whole, *options)
    lines = outcome.out.splitlines()
    assert outcome.code == 2 and len(lines) == 2
    assert lines[0].removeprefix(f"{cut}\t") not in ("", lines[0])
    assert "is damaged at 0.90 s" in outcome.err and len(outcome.err.splitlines()) == 1
    found = json.loads(edgespeech("transcribe", cut, *options, "--format", "json").out)
    assert "is damaged at 0.90 s" in found["damage"] and found["text"]


def test_raw_files_need_their_format(edgespeech: Callable[..., Any], tiny_bundle: Any, recording: str) -> None:
    options = ("--min-evidence", 0, "--bundle", tiny_bundle.folder)
    samples, _ = soundfile.read(recording, dtype="int16")
    raw = Path(recording).with_suffix(".raw")
    np.stack([samples, samples], axis=1).astype(">i2").tofile(raw)
    text = edgespeech("transcribe", recording, *options).out
    assert edgespeech("transcribe", raw, "--raw", "s16be:16000:2", *options).out == text
    outcome = edgespeech("transcribe", raw, *options)
    assert outcome.code == 2 and "--raw" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--channel", "left"), "wanted mix, each, or a number"),
        (("--channel", "0"), "wanted mix, each, or a number"),
        (("--channel", "2"), "has 1 channel; wanted channel 2"),
        (("--raw", "s16le:16000:1"), "--raw is for standard input"),
        (("--raw", "s16:16000:1"), "raw audio format 's16'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    edgespeech: Callable[..., Any], tiny_bundle: Any, recording: str, arguments: tuple[str, ...], words: str
) -> None:
    outcome = edgespeech("transcribe", recording, *arguments, "--bundle", tiny_bundle.folder)
    assert outcome.code == 2 and outcome.out == "" and words in outcome.err
