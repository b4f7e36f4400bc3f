"""Bulk transcription: one line for each file, whatever is broken, killed or started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.transcribe.bulk_task import part_of
from edgespeech.runtime.audio import read
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest

FAST = ("--no-lm", "--beam-width", "4")
MAX_KILL_SECONDS = 300.0


def make_archive(folder: Path, count: int, broken: int) -> Path:
    """Write second-long recordings, some of which are not audio, and a manifest of them."""
    speech = np.concatenate([read(clip.path) for clip in read_manifest(SAMPLE_CLIPS)])
    every = count // broken
    lines = []
    for number in range(count):
        path = folder / f"{number:04d}.wav"
        if number % every == every - 1:
            path.write_bytes(b"RIFF....WAVEfmt broken" * (number % 3))
        else:
            start = number * 4001 % (len(speech) - 20_000)
            soundfile.write(path, speech[start : start + 8000 + number % 7 * 1000], 16000)
        lines.append(json.dumps({"audio_filepath": path.name}))
    manifest = folder / "archive.jsonl"
    manifest.write_text("\n".join(lines))
    return manifest


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def without_times(path: Path) -> list[dict[str, Any]]:
    """Return the lines in a fixed order, without how long they took."""
    kept = [{key: value for key, value in line.items() if key not in ("seconds", "rtf")} for line in lines_of(path)]
    return sorted(kept, key=lambda line: str(line["file"]))


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edgespeech.demo.cli", "transcribe", *map(str, arguments)]


def run_until(arguments: Sequence[str], output: Path, lines: int) -> bytes:
    """Run the command, kill it by force once the output has this many lines, and return its content."""
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, start_new_session=True)
    limit = time.monotonic() + MAX_KILL_SECONDS
    while not output.exists() or output.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < limit
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return output.read_bytes()


def kill_and_resume(tmp_path: Path, count: int, broken: int, kills: int, *more: str) -> list[dict[str, Any]]:
    manifest, output = make_archive(tmp_path, count, broken), tmp_path / "out.jsonl"
    arguments = command("--manifest", manifest, "--jobs", 2, "-o", output, "--resume", *FAST, *more)
    for turn in range(1, kills + 1):
        kept = run_until(arguments, output, turn * count // (kills + 1))
    done = subprocess.run(arguments, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert output.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])  # nothing was done twice
    lines = lines_of(output)
    assert sorted(str(line["file"]) for line in lines) == [f"{number:04d}.wav" for number in range(count)]
    assert sum("error" in line for line in lines) == broken
    return lines


def test_every_file_is_once_in_the_output_of_a_run_that_was_killed(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, 24, 3, 1)


@pytest.mark.slow
def test_a_thousand_files_and_three_kills(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, 1000, 10, 3)


@pytest.mark.slow
def test_ray_gives_the_same_lines_although_a_worker_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    import psutil

    manifest = make_archive(tmp_path, 60, 3)
    local, output = tmp_path / "local.jsonl", tmp_path / "ray.jsonl"
    arguments = ("--manifest", manifest, "--jobs", 2, *FAST)
    assert subprocess.run(command(*arguments, "-o", local), check=False).returncode == 2
    process = subprocess.Popen(command(*arguments, "-o", output, "--engine", "ray"))
    limit = time.monotonic() + MAX_KILL_SECONDS
    while not output.exists() or output.read_bytes().count(b"\n") < 5:
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.02)
    workers = [one for one in psutil.Process(process.pid).children(recursive=True) if "MapWorker" in _name(one)]
    assert len(workers) == 2
    workers[0].kill()
    assert process.wait(MAX_KILL_SECONDS) == 2
    assert without_times(output) == without_times(local)


def _name(process: Any) -> str:
    """Return the title that Ray gives to a worker: what it runs."""
    import psutil

    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_a_line_is_that_of_transcribe_and_text_files_lie_beside(
    edgespeech: Callable[..., Any], talk: Path, tmp_path: Path
) -> None:
    recording = tmp_path / "archive" / "talk.wav"
    recording.parent.mkdir()
    recording.write_bytes(talk.read_bytes())
    output = tmp_path / "out.jsonl"
    done = edgespeech("transcribe", recording.parent, "--recursive", "--jobs", 1, "-o", output, "--format", "srt")
    assert (done.code, done.out) == (0, "")
    alone = json.loads(edgespeech("transcribe", recording, "--format", "json").out)
    (line,) = lines_of(output)
    times = ("seconds", "rtf")
    assert line.pop("bundle").startswith("edge ")
    assert {key: line[key] for key in line if key not in times} == {
        key: alone[key] for key in alone if key not in times
    }
    plain = edgespeech("transcribe", recording, "--format", "srt", "--plain").out
    assert recording.with_suffix(".srt").read_text() == plain
    again = edgespeech("transcribe", recording, "--jobs", 1, "-o", output)
    assert again.code == 2 and "give --resume to continue it" in again.err
    edgespeech("transcribe", recording, "--resume", "-o", output)
    assert len(lines_of(output)) == 1


def test_parts_of_a_file_and_both_channels(edgespeech: Callable[..., Any], tmp_path: Path) -> None:
    one, other = (read(clip.path) for clip in read_manifest(SAMPLE_CLIPS)[3:5])
    length = max(len(one), len(other))
    pair = np.stack([np.pad(one, (0, length - len(one))), np.pad(other, (0, length - len(other)))], axis=1)
    soundfile.write(tmp_path / "pair.wav", pair, 16000)
    soundfile.write(tmp_path / "both.wav", np.concatenate([one, other]), 16000)
    parts = [(0.0, len(one) / 16000), (len(one) / 16000, len(other) / 16000)]
    manifest = tmp_path / "parts.jsonl"
    manifest.write_text(
        "\n".join(json.dumps({"audio_filepath": "both.wav", "offset": at, "duration": long}) for at, long in parts)
    )
    output, calls = tmp_path / "out.jsonl", tmp_path / "calls.jsonl"
    assert edgespeech("transcribe", "--manifest", manifest, "-o", output).code == 0
    assert edgespeech("transcribe", tmp_path / "pair.wav", "--jobs", 1, "--channel", "each", "-o", calls).code == 0
    texts = {line.get("offset", 0.0): line["text"] for line in lines_of(output)}
    assert len(texts) == 2 and all(texts.values())
    (line,) = lines_of(calls)
    assert [channel["channel"] for channel in line["channels"]] == [1, 2]
    assert all(channel["text"] for channel in line["channels"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.wav", "--jobs", "2"), "give --output FILE.jsonl"),
        (("-", "--jobs", "2", "-o", "x.jsonl"), "standard input (-) cannot be shared"),
        (("a.wav", "--jobs", "2", "-o", "x.jsonl", "--append"), "give --resume to continue"),
        (("a.wav", "--jobs", "2", "-o", "x.jsonl", "--output-dir", "d"), "without text files"),
        (("--resume", "-o", "x.jsonl"), "no recording; give files"),
        (("a.wav", "--address", "auto", "-o", "x.jsonl"), "give --engine ray too"),
        ((), "Missing argument 'AUDIO...'"),
    ],
)
def test_what_cannot_be_asked_for(edgespeech: Callable[..., Any], arguments: Sequence[str], message: str) -> None:
    done = edgespeech("transcribe", *arguments)
    assert done.code == 2 and message in done.err and done.err.count("\n") == 1
    assert not Path("x.jsonl").exists()


def test_another_bundle_does_not_continue_an_output(
    edgespeech: Callable[..., Any], tiny_bundle: Any, tmp_path: Path
) -> None:
    output, clip = tmp_path / "out.jsonl", read_manifest(SAMPLE_CLIPS)[3].path
    output.write_text('{"file": "other.wav", "bundle": "edge 000000000000"}\n')
    done = edgespeech("transcribe", clip, "--resume", "-o", output, "--bundle", tiny_bundle.folder)
    assert done.code == 2 and "was written with the bundle edge 000000000000" in done.err


def test_part_of_blocks_is_the_slice() -> None:
    samples = np.arange(100, dtype=np.float32)
    for size in (7, 10, 100):
        blocks = [samples[at : at + size] for at in range(0, 100, size)]
        for start, length in ((0, None), (0, 5), (13, 40), (95, 40), (100, None)):
            found = [*part_of(iter(blocks), start, length)]
            wanted = samples[start : None if length is None else start + length]
            assert np.array_equal(np.concatenate([np.empty(0, np.float32), *found]), wanted)
