"""The experiment with many streams: every case decodes the same audio to the same texts, and the picture is drawn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edgespeech.demo.experiments import many_streams
from edgespeech.demo.experiments.many_streams import Case, decode, main, measure
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.native.library import search_kind
from tests.runtime.decoder.ctc_examples import LETTERS, random_log_probs

pytestmark = pytest.mark.skipif(bool(search_kind().reason), reason=search_kind().reason or "-")


def test_streams_of_other_lengths_are_decoded_as_one_by_one() -> None:
    decoder = BeamSearchDecoder(LETTERS)
    inputs = [random_log_probs(seed, frames, len(LETTERS)) for seed, frames in enumerate((35, 0, 10, 21))]
    assert decode(inputs, decoder, map) == [decoder.decode(one, 1)[0].text for one in inputs]


def test_the_sample_clips_give_a_table_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(many_streams, "UTTERANCES", 6)
    monkeypatch.setattr(many_streams, "ROUNDS", 2)
    main(str(tmp_path / "streams.png"), threads="3")
    lines = [re.sub(r"[|]|to ", " ", line).split() for line in capsys.readouterr().out.splitlines()]
    cases = [[float(cell) for cell in line] for line in lines if len(line) == 6 and line[1].isdigit()]
    assert [line[:2] for line in cases] == [[streams, threads] for threads in (1, 3) for streams in (1, 4, 16, 64)]
    assert all(0.0 < low <= middle <= high for _, _, middle, low, high, _ in cases)
    assert (tmp_path / "streams.png").read_bytes().startswith(b"\x89PNG")


def test_other_texts_end_the_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = iter([["a"], ["a"], ["b"]])
    monkeypatch.setattr(Case, "run", lambda *_: next(texts))
    nothing: Any = None
    with pytest.raises(SystemExit, match="4 streams on 1 threads give other texts"):
        measure(nothing, [], 2)
