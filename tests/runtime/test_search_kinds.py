"""The compiled search and that in numpy give the same events on the sample clips, partial results included."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgespeech.runtime import audio
from edgespeech.runtime.decoder.native.library import search_kind
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event
from tests.runtime.decoder.ctc_examples import exact, numbers

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "fast partials, hot words": {"hot_words": {"twentieth row": 8.0, "zyx": 4.0}, "beam_width": 64},
    "no language model": {"use_lm": False, "beam_width": 64},
    "grammar": {"grammar": ("make one", "good hands", "the new year"), "beam_width": 64},
}


def events(recognizer: Recognizer, fast_partials: bool) -> list[Event]:
    found = []
    for clip in read_manifest(SAMPLE_CLIPS)[::2]:
        stream = recognizer.stream(fast_partials=fast_partials)
        for samples in audio.read_blocks(clip.path, 16000):
            found += stream.accept(samples)
        found += stream.finish()
    return [replace(event, latency_ms=0.0) for event in found]


def exact_event(event: Event) -> tuple[Any, ...]:
    return event.type, event.text, event.committed, event.start, event.end, [exact(one) for one in event.nbest]


def test_fast_partials_change_no_final() -> None:
    recognizer = Recognizer(nbest=5)
    found, wanted = (
        [event for event in events(recognizer, fast_partials) if event.type == "final"]
        for fast_partials in (True, False)
    )
    assert len(found) > 3 and found == wanted


@pytest.mark.skipif(bool(search_kind().reason), reason=search_kind().reason or "-")
@pytest.mark.parametrize("name", SETTINGS)
def test_sample_clips_give_the_same_events(name: str) -> None:
    found, wanted = (
        events(Recognizer(search=kind, nbest=5, **SETTINGS[name]), "fast" in name) for kind in ("native", "numpy")
    )
    assert len(found) > 3 and [exact_event(one) for one in found] == [exact_event(one) for one in wanted]
    for event, other in zip(found, wanted, strict=True):
        for hypothesis, expected in zip(event.nbest, other.nbest, strict=True):
            assert numbers(hypothesis) == pytest.approx(numbers(expected), abs=1e-6)
