"""In a quiet room a live stream computes each chunk once, and shows the same as one that always looks ahead."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.runtime import audio, recognition
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]
Shown = list[tuple[int, str, str]]
CHUNK = 4800


@pytest.fixture(scope="module")
def shipped() -> Recognizer:
    return Recognizer(beam_width=32)


@pytest.fixture(scope="module")
def speech() -> Samples:
    blocks = audio.read_blocks(read_manifest(SAMPLE_CLIPS)[0].path, 16000)
    return np.concatenate(list(blocks)).reshape(-1)


def noise(seconds: float) -> Samples:
    draw = np.random.default_rng(1)
    return (0.001 * draw.standard_normal(round(16000 * seconds))).astype(np.float32)


def listen(recognizer: Recognizer, samples: Samples, fast_partials: bool = True) -> tuple[list[int], Shown]:
    """Return how often the model computed for each chunk, and what was shown after which of them."""
    stream, steps, shown = recognizer.stream(fast_partials=fast_partials), list[int](), Shown()
    for at in range(0, len(samples) - CHUNK, CHUNK):
        count, wanted = 0, stream.accept_steps(samples[at : at + CHUNK])
        try:
            step = next(wanted)
            while True:
                count += 1
                step = wanted.send(recognizer.parts.model.step(step.samples, step.state))
        except StopIteration as stop:
            shown += [(len(steps), event.type, event.text) for event in stop.value]
        steps.append(count)
    return steps, shown


def test_noise_alone_is_computed_once(shipped: Recognizer) -> None:
    steps, shown = listen(shipped, noise(12.0))
    assert not shown
    assert steps[1:4] == [2, 2, 2], "a stream may begin within speech"
    # Where an empty segment may end after five seconds, the look-ahead decides.
    assert steps[5:].count(1) > 0.85 * len(steps[5:]) and set(steps[5:]) <= {1, 2}


def test_partials_come_as_early_as_without(
    shipped: Recognizer, speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = np.concatenate([noise(4.0), speech[: 16000 * 5] + noise(5.0)[: len(speech[: 16000 * 5])], noise(3.0)])
    steps, shown = listen(shipped, samples)
    monkeypatch.setattr(recognition, "_SPEECH_ABOVE_FLOOR", -np.inf)
    every_step, wanted = listen(shipped, samples)
    assert sum(event == "partial" for _, event, _ in wanted) > 4 and shown == wanted
    assert sum(steps) < 0.85 * sum(every_step)
