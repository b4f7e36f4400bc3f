"""Combinations of settings, the passage of speech, and the effort of a request."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.bench.plan import Grid, Speech
from edgespeech.demo.bench.request import QUICK, BenchRequest, Effort
from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.manifest import SAMPLE_CLIPS


def test_too_little_sound_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(100, np.float32), 16000)
    with pytest.raises(AudioError, match="less than half a second"):
        Speech(manifest=str(SAMPLE_CLIPS), audio=str(tmp_path / "short.wav")).read(16000)


def test_a_long_recording_is_cut_into_pieces(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(16000 * 25, np.float32), 16000)
    pieces = Speech(manifest=str(SAMPLE_CLIPS), audio=str(tmp_path / "long.wav"), seconds=22.0).read(16000)
    assert [len(piece) for piece in pieces] == [160000, 160000, 32000]


def test_every_combination_is_a_configuration() -> None:
    plans = Grid([Path("/a"), Path("/b")], ["cpu"], [1, 2], [160.0, 80.0]).plans()
    assert len({msgspec.json.encode(one) for one in plans}) == 8
    with pytest.raises(UsageError, match="configurations"):
        Grid([Path("/a")] * 65).plans()


def test_defaults_of_the_bundle_are_one_configuration() -> None:
    (only,) = BenchRequest([Path("/a")], no_lm=True).plans()
    assert (only.chunk_ms, only.beam_width, only.language_model) == (None, None, False)


def test_options_change_the_effort() -> None:
    assert BenchRequest([]).effort == Effort()
    assert BenchRequest([], quick=True).effort == QUICK
    changed = BenchRequest([], quick=True, launches=3, no_streams=True).effort
    assert (changed.launches, changed.max_streams, changed.quick) == (3, 0, True)
