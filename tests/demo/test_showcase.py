"""`make demo`: every sample clip is shown, the best first, and the commands at the end can be typed as they stand."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from edgespeech.demo import showcase
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


def test_the_last_line_names_commands_of_this_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.setattr(showcase, "find_spec", lambda name: None)
    program = Path(".venv/bin/edgespeech")
    assert showcase.next_steps() == f"next: {program} transcribe YOUR.wav   or   {program} live --replay YOUR.wav"
    monkeypatch.setattr(showcase, "find_spec", lambda name: name)
    assert showcase.next_steps().endswith(f"{program} live")
    monkeypatch.setattr(sys, "executable", "/elsewhere/bin/python")
    assert showcase.command() == str(Path("/elsewhere/bin/edgespeech"))
