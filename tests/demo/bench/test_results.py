"""Figures of several launches become one result, in which each launch counts once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edgespeech.demo.bench.interleaved import ConfigurationTimes
from edgespeech.demo.bench.isolated import IsolatedFigures
from edgespeech.demo.bench.report import Accuracy, Configuration, Memory, Spread, spread
from edgespeech.demo.bench.results import Launches, combine, find_wide_spreads, name_configurations
from edgespeech.demo.bench.streams import StreamFigures
from edgespeech.errors import UsageError


def configuration(**changes: Any) -> Configuration:
    plain = Configuration(
        name="", bundle="/x/a", model="edge", sha256="", form="cells", precision="int8", provider="cpu", threads=1,
        chunk_ms=320.0, lookahead_ms=320.0, beam_width=64, language_model=True, acoustic_mb=6.0, bundle_mb=15.0,
    )  # fmt: skip
    changed: Configuration = msgspec.structs.replace(plain, **changes)
    return changed


def isolated(**changes: Any) -> IsolatedFigures:
    plain = IsolatedFigures(
        configuration=configuration(), cold=0.3, warm=0.1, files_were_cold=True, first_partial=[0.4, 0.5, 0.9],
        final_on_stop=[0.01], final_on_silence=[], memory=Memory(steady=spread([100.0]), peak=spread([120.0]),
        added=spread([30.0])), cpu_per_audio=0.02, cores_busy=1.0, energy=None,
        accuracy=Accuracy("clips", 0.5, 0.2, None, 73, 6, 0.02), nodes=None, nodes_on_cpu=None,
    )  # fmt: skip
    changed: IsolatedFigures = msgspec.structs.replace(plain, **changes)
    return changed


def launch(*rounds: float) -> ConfigurationTimes:
    """Make rounds of two chunks each, of which the acoustic model takes half of the time."""
    factors = [(one, one / 2, one / 4) for one in rounds]
    return ConfigurationTimes(rounds=factors, chunks=[[one, one] for one in factors])


def test_a_launch_counts_once() -> None:
    figures = combine(
        "x",
        Launches(
            [isolated(), isolated(first_partial=[0.7], cold=0.5), isolated(first_partial=[], accuracy=None)],
            [launch(0.01, 0.02, 0.09), launch(0.03, 0.03, 0.03), launch(0.05, 0.04, 0.06)],
            [StreamFigures(unbatched=40, batched=None), StreamFigures(unbatched=44, batched=None)],
        ),
        None,
        512,
    )
    assert figures.rtf.all == Spread(0.03, 0.02, 0.05, 3), "a bad round does not make a bad launch"
    assert figures.rtf.acoustic.median == pytest.approx(0.015) and figures.relative is None
    assert figures.chunk_times.all.count == 18 and figures.chunk_times.all.max == pytest.approx(90.0)
    assert figures.latency.first_partial == Spread(600.0, 500.0, 700.0, 2)
    assert figures.latency.final_on_silence is None
    assert figures.load.cold == Spread(300.0, 300.0, 500.0, 3)
    assert figures.memory is not None and figures.memory.peak == Spread(120.0, 120.0, 120.0, 3)
    assert figures.streams is not None and figures.streams.unbatched == Spread(42.0, 40.0, 44.0, 2)
    assert figures.streams.batched is None and not figures.streams.at_least


def test_ratios_are_taken_round_by_round() -> None:
    slowing = [launch(0.1, 0.2, 0.4), launch(0.4, 0.8, 1.6)]
    halves = [launch(0.05, 0.1, 0.2), launch(0.2, 0.4, 0.8)]
    ratios = combine("x", Launches([isolated()] * 2, halves), slowing, 0).relative
    assert ratios is not None and ratios.all == Spread(0.5, 0.5, 0.5, 2), "drift hits both alike"


def test_speech_without_a_full_chunk_is_refused() -> None:
    with pytest.raises(UsageError, match="no chunk of the speech is full"):
        combine("x", Launches([isolated()], [ConfigurationTimes(rounds=[(0.1, 0.1, 0.0)], chunks=[[]])]), None, 0)


def test_launches_that_differ_widely_are_noted() -> None:
    calm, wild = (
        combine(name, Launches([isolated()] * 2, [launch(0.1, 0.1), launch(other, other)]), None, 0)
        for name, other in (("calm", 0.11), ("wild", 0.14))
    )
    assert find_wide_spreads([calm, wild]) == ["wild: repeated runs differ by up to 33%"]


def test_names_tell_configurations_apart() -> None:
    assert name_configurations([configuration()]) == ["int8 cells"]
    assert name_configurations([configuration(), configuration(threads=4, provider="cuda")]) == [
        "int8 cells, cpu, 1 thread",
        "int8 cells, cuda, 4 threads",
    ]
    assert name_configurations([configuration(), configuration(bundle="/x/b", chunk_ms=80.0, beam_width=8)]) == [
        "a, int8 cells, 320 ms, beam 64",
        "b, int8 cells, 80 ms, beam 8",
    ]
