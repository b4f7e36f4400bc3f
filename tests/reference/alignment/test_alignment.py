"""The whole way, on a recording that is joined from clips: the small form of `demo.experiments.alignment`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.demo.experiments.alignment import join, measure
from edgespeech.errors import AudioError
from edgespeech.reference.alignment.emissions import Recognised, compute_emissions
from edgespeech.reference.alignment.rules import ClipLimits
from edgespeech.runtime.audio import read
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer

SPEECH = Path(__file__).parents[4] / "shared" / "speech"


def pieces(samples: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    return (samples[at : at + size] for at in range(0, len(samples), size))


def test_emissions_are_those_of_the_whole_recording() -> None:
    recognizer = Recognizer(use_lm=False)
    parts, facts = recognizer.parts, recognizer.parts.audio
    samples = read(read_manifest(SAMPLE_CLIPS)[3].path)
    frames = facts.frames_decoded(len(samples))
    length = (facts.delay_frames + frames) * facts.frame_samples
    whole = recognizer.model.stream(parts.conditioner.whole(samples, length)[None], length=len(samples))[0]
    for size in (333, 16000, len(samples)):
        found = compute_emissions(parts, pieces(samples, size))
        assert found.log_probs.shape == (frames, len(found.labels)) == (len(found.best), len(found.labels))
        assert len(found.levels) == frames
        assert np.allclose(found.log_probs, whole[facts.delay_frames :][:frames], atol=0.02)
    recognised = Recognised.of(found)
    assert len(recognised.text) == len(recognised.frames) > 10


def test_an_empty_recording() -> None:
    with pytest.raises(AudioError, match="shorter than a frame"):
        compute_emissions(Recognizer(use_lm=False).parts, [])


def test_clips_have_their_text_although_the_script_has_another_order() -> None:
    joined = join([SAMPLE_CLIPS], 10.0, [], seed=3)
    figures, alignment = measure(joined, None, ClipLimits(max_cer=0.5))
    assert figures["kept"] >= 0.6 * figures["findable"]
    assert figures["exact"] == 1.0
    assert figures["inserted_kept"] == 0
    assert all(0.0 <= clip.start < clip.end <= alignment.seconds for clip in alignment.kept)


@pytest.mark.slow
@pytest.mark.skipif(not (SPEECH / "librispeech" / "dev.jsonl").exists(), reason="no speech beside the repository")
def test_half_an_hour_of_unseen_speakers() -> None:
    joined = join([SPEECH / "librispeech" / "dev.jsonl", SPEECH / "ljspeech_more" / "train.jsonl"], 30.0, [], seed=1)
    figures, _ = measure(joined, None, ClipLimits())
    assert figures["exact"] >= 0.95
    assert figures["borders"] >= 0.94
    assert figures["inserted_kept"] == 0
    assert figures["kept"] >= 0.9 * figures["findable"]
