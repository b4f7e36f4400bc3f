"""A live session as a process of its own: interrupted, killed, and left by its reader."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.runtime import audio
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest

RATE = 16000

PROGRAM = """
import sys
from pathlib import Path
from edgespeech.demo.live.terminal import run_on_terminal
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.recognizer import Recognizer
recognizer = Recognizer(load_bundle(Path(sys.argv[1])), beam_width=4, min_evidence=0.0)
run_on_terminal(recognizer, LiveRequest(replays=sys.argv[2:3], save=sys.argv[3], record=sys.argv[4]), as_json=True)
"""


@pytest.fixture
def process(tiny_bundle: Any, tmp_path: Path, noise: Callable[[int], Any]) -> Iterator[subprocess.Popen[str]]:
    """A session of ten minutes in real time, from which the first partial has come."""
    soundfile.write(tmp_path / "long.wav", noise(600 * RATE), RATE)
    command = [sys.executable, "-c", PROGRAM, str(tiny_bundle.folder), str(tmp_path / "long.wav")]
    with subprocess.Popen(
        [*command, str(tmp_path / "saved.txt"), str(tmp_path / "recorded.wav")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            while json.loads(running.stdout.readline())["type"] != "partial":
                pass
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_process_prints_its_last_final(
    process: subprocess.Popen[str], number: signal.Signals, tmp_path: Path
) -> None:
    process.send_signal(number)
    out, err = process.communicate()
    events = [json.loads(line) for line in out.splitlines()]
    assert (process.returncode, err) == (0, "")
    assert [event["type"] for event in events[-2:]] == ["final", "status"]
    assert events[-2]["text"] + "\n" == (tmp_path / "saved.txt").read_text()
    assert events[-1]["text"].startswith("end: ") and events[-1]["end"] < 600.0


def test_a_process_whose_reader_leaves_ends_without_an_error(process: subprocess.Popen[str], tmp_path: Path) -> None:
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0
    assert (tmp_path / "saved.txt").read_text().strip()


@pytest.mark.slow
def test_kill_9_leaves_every_final_and_a_valid_wav_file(tmp_path: Path) -> None:
    pause = np.zeros(2 * RATE, np.float32)
    clips = [audio.read(utterance.path) for utterance in read_manifest(SAMPLE_CLIPS)]
    soundfile.write(tmp_path / "clips.wav", np.concatenate([part for clip in clips for part in (clip, pause)]), RATE)
    command = [sys.executable, "-m", "edgespeech.demo.cli", "live", "--json", "--speed"]
    files = ["--save", str(tmp_path / "saved.txt"), "--record", str(tmp_path / "recorded.wav")]
    seen: list[dict[str, Any]] = []
    with subprocess.Popen(
        [*command, "10", "--replay", str(tmp_path / "clips.wav"), *files], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        while sum(event["type"] == "final" for event in seen) < 2:
            seen.append(json.loads(running.stdout.readline()))
        running.kill()
        seen += [json.loads(line) for line in running.stdout.read().splitlines()]
    shown = [event["text"] for event in seen if event["type"] == "final"]
    saved = (tmp_path / "saved.txt").read_text().splitlines()
    assert saved[: len(shown)] == shown and len(saved) <= len(shown) + 1
    recorded, rate = soundfile.read(tmp_path / "recorded.wav")
    assert rate == RATE and len(recorded) / RATE >= seen[-1]["end"]
    again = subprocess.run(
        [*command, "0", "--replay", str(tmp_path / "recorded.wav")], capture_output=True, text=True, check=True
    )
    repeated = [event["text"] for event in map(json.loads, again.stdout.splitlines()) if event["type"] == "final"]
    assert repeated[: len(shown)] == shown
