"""`make demo`: every sample clip is shown, the best first, and the commands at the end can be typed as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edgespeech.demo import showcase
from edgespeech.errors import MissingDependencyError
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest


def test_all_sample_clips_are_shown_with_the_lowest_error_rate_first(capsys: pytest.CaptureFixture[str]) -> None:
    showcase.main()
    out = capsys.readouterr().out
    clips = read_manifest(SAMPLE_CLIPS)
    rates = [int(rate) for rate in re.findall(r"WER (\d+)%", out)]
    assert len(rates) == len(clips) and rates == sorted(rates)
    assert all(one.path.name in out for one in clips)
    assert out.startswith(f"loading the default bundle and transcribing {len(clips)} sample clips ...\n")
    overall = re.search(r"all 6 clips: WER ([\d.]+)%", out)
    assert overall and rates[0] < float(overall.group(1)) < rates[-1]


def test_without_the_compiled_search_the_command_that_compiles_it_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGESPEECH_SEARCH", "numpy")
    showcase.main()
    assert "sudo apt-get install g++, then touch setup.py and run make demo again\n\nnext:" in capsys.readouterr().out
    assert showcase.about_search("native") == ""


def raise_error(error: Exception) -> None:
    raise error


def test_without_a_microphone_the_commands_work_too_and_the_fix_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    program, clip = Path(".venv/bin/edgespeech"), tmp_path / "clips" / "one.opus"
    error = MissingDependencyError("no PortAudio: sudo apt-get install libportaudio2")
    monkeypatch.setattr(showcase, "import_portaudio", lambda: raise_error(error))
    assert showcase.next_steps(clip).splitlines() == [
        "next:",
        f"  {program} transcribe {Path('clips/one.opus')}    # or a recording of your own",
        f"  {program} live --replay {Path('clips/one.opus')}",
        f"for {program} live: {error}",
    ]
    monkeypatch.setattr(sys, "executable", "/elsewhere/bin/python")
    assert showcase.command() == str(Path("/elsewhere/bin/edgespeech"))


def test_with_a_microphone_live_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showcase, "import_portaudio", lambda: None)
    monkeypatch.setattr(showcase, "input_devices", lambda portaudio: ["one"])
    assert showcase.next_steps(Path("one.opus")).splitlines()[2:] == [
        f"  {showcase.command()} live    # the microphone; Ctrl-C ends"
    ]


def test_the_commands_at_the_end_run_as_they_stand() -> None:
    """They are typed in the folder where `make demo` ran; a microphone is not needed for those tried here."""
    clip = read_manifest(SAMPLE_CLIPS)[0].path
    lines = [shlex.split(line, comments=True) for line in showcase.next_steps(clip).splitlines() if line[:1] == " "]
    commands = [line for line in lines if line[-1] != "live"]
    assert commands
    for one in commands:
        command = [*one, "--speed", "0"] if "--replay" in one else one
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stdout.strip(), done.stderr
