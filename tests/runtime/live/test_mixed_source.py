"""Several sources mixed into one: sample by sample, aligned by arrival, with the problems of all of them."""

# ruff: noqa: D102  (the stand-ins do what the real things do)

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.errors import UsageError
from edgespeech.runtime.live.mixed_source import MixedSource
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.live.session import run_live
from edgespeech.runtime.live.sources import Block
from edgespeech.runtime.recognizer import Recognizer
from tests.runtime.live.stand_ins import RATE, CollectingOutput, FakeSource


class Blocks(FakeSource):
    """Gives blocks of the given values, each with its time of arrival."""

    def __init__(self, *blocks: tuple[Sequence[float], float], absent: bool = False) -> None:
        super().__init__()
        self.blocks, self.absent = blocks, absent

    def __iter__(self) -> Iterator[Block]:
        for values, arrived in self.blocks:
            yield Block(np.array(values, np.float32), arrived, self.absent, held_seconds=arrived / 10.0)


def mixed(*sources: FakeSource, by_arrival: bool = True) -> tuple[list[float], list[float]]:
    blocks = list(MixedSource(sources, by_arrival))
    samples = [round(float(sample), 3) for block in blocks for sample in block.samples]
    return samples, [block.arrived for block in blocks]


def test_blocks_of_any_length_are_added_sample_by_sample_until_all_sources_end() -> None:
    first = Blocks(([0.1, 0.2], 1.0), ([], 1.0), ([0.3, 0.9], 1.1))
    second = Blocks(([0.01], 1.0), ([0.02, 0.03, 0.9, 0.05], 1.1))
    assert mixed(first, second) == ([0.11, 0.22, 0.33, 1.0, 0.05], [1.0, 1.1, 1.1, 1.1])
    (block,) = MixedSource([Blocks(([0.1], 1.0)), Blocks(([0.1], 2.0), absent=True)], by_arrival=False)
    assert (block.held_seconds, block.absent) == (0.2, False)


@pytest.mark.parametrize(("by_arrival", "expected"), [(True, [0.1, 0.1, 0.3, 0.3, 0.2]), (False, [0.3, 0.3, 0.3, 0.1])])
def test_what_arrived_before_the_other_device_began_is_passed_on_alone(by_arrival: bool, expected: list[float]) -> None:
    early = Blocks(*(([0.1], second) for second in (1.0, 1.5, 2.0, 2.5)))
    late = Blocks(*(([0.2], second) for second in (2.1, 2.6, 3.1)))
    samples, _ = mixed(early, late, by_arrival=by_arrival)
    assert samples == expected


def test_the_mix_speaks_for_its_sources() -> None:
    left, right = FakeSource(), FakeSource()
    left.messages, right.messages = ["the device coughed"], []
    left.problem_counts, right.problem_counts = {"overflows": 1}, {"overflows": 2, "unplugged": 1}
    left.device_seconds = 0.06
    source = MixedSource([left, right], by_arrival=True)
    assert source.name == "test and test" and source.description == "mixing: a test; a test"
    assert source.take_messages() == ["test: the device coughed"] and source.take_messages() == []
    assert source.counts() == {"overflows": 3, "unplugged": 1}
    assert source.device_seconds == 0.06
    source.stop()
    assert left.stopped and right.stopped


def test_two_recordings_mixed_give_the_text_of_their_sum(
    tiny_bundle: Any, tmp_path: Path, noise: Callable[[int], Any]
) -> None:
    recognizer = Recognizer(tiny_bundle, beam_width=8, min_evidence=0.0)
    long, short = 0.5 * noise(3 * RATE), 0.5 * noise(2 * RATE + 77)
    soundfile.write(tmp_path / "long.wav", long, RATE, "FLOAT")
    soundfile.write(tmp_path / "short.wav", short, RATE, "FLOAT")
    output = CollectingOutput()
    replays = [tmp_path / "long.wav", tmp_path / "short.wav"]
    run_live(recognizer, LiveRequest(replays=replays, speed=0, mix=True, record=tmp_path / "mix.wav"), output)
    long[: len(short)] += short
    recorded, _ = soundfile.read(tmp_path / "mix.wav", dtype="float32")
    np.testing.assert_allclose(recorded, long, atol=2.0**-15)
    assert " ".join(output.texts("final")) == recognizer.transcribe(tmp_path / "mix.wav").text != ""
    assert set(output.sources) == {""}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mix": True}, "--mix needs two sources"),
        ({"mix": True, "devices": ["system"]}, "--mix needs two sources"),
        ({"mix": True, "devices": ["a", "b"], "channel": "each"}, "--mix and --channel each exclude each other"),
        ({"devices": ["a", "system"], "record": "a.wav"}, "--record takes one source; add --mix"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LiveRequest(**options)
