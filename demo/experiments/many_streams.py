"""Measures the beam search of many streams at once: CPU time per stream, with one thread and with several.

Run: python -m edgespeech.demo.experiments.many_streams PICTURE [MANIFEST [THREADS]]

Every number of streams decodes the same 64 utterances, chunk by chunk as they would arrive, with one decoder. The
search releases the interpreter's lock, so threads decode streams at the same time. The cases take turns.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.tune_decoder.log_prob_cache import AcousticUtterance, compute_log_probs
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.bundle_decoder import bundle_decoder
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.dependencies import require
from edgespeech.runtime.files import replacing
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from edgespeech.runtime.measure.tables import Table, output_text
from edgespeech.runtime.options import RecognizerOptions

Floats = NDArray[np.floating[Any]]
Apply = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]

UTTERANCES = 64
STREAMS = (1, 4, 16, 64)
CHUNK_FRAMES = 10
ROUNDS = 7
COLOURS = ("#2a6f97", "#c2703d")


@dataclass(frozen=True)
class Case:
    """A number of streams and threads, with the times of each round."""

    streams: int
    threads: int
    cpu: list[float] = field(default_factory=list)  # seconds
    elapsed: list[float] = field(default_factory=list)

    def run(self, decoder: BeamSearchDecoder, utterances: Sequence[AcousticUtterance]) -> list[str]:
        """Decode all utterances, this many at a time, and return their texts."""
        texts: list[str] = []
        with ThreadPoolExecutor(self.threads) as pool:
            apply: Apply = map if self.threads == 1 else pool.map
            cpu, began = time.process_time(), time.perf_counter()
            for first in range(0, len(utterances), self.streams):
                batch = utterances[first : first + self.streams]
                texts += decode([one.log_probs for one in batch], decoder, apply)
            self.cpu.append(time.process_time() - cpu)
            self.elapsed.append(time.perf_counter() - began)
        return texts


def decode(inputs: Sequence[Floats], decoder: BeamSearchDecoder, apply: Apply) -> list[str]:
    """Advance all streams by one chunk after the other, and return the best text of each."""
    states = [decoder.initial_state() for _ in inputs]
    for start in range(0, max(map(len, inputs)), CHUNK_FRAMES):

        def step(index: int, start: int = start) -> Any:
            return decoder.step(inputs[index][start : start + CHUNK_FRAMES], states[index])[1]

        going = [index for index, one in enumerate(inputs) if start < len(one)]
        for index, state in zip(going, apply(step, going), strict=True):
            states[index] = state
    return [hypotheses[0].text for hypotheses in apply(lambda state: decoder.finish(state, 1), states)]


def measure(decoder: BeamSearchDecoder, utterances: Sequence[AcousticUtterance], threads: int) -> list[Case]:
    """Run the cases in turns.

    Raises:
        SystemExit: A case gives other texts than one stream after the other.
    """
    wanted = Case(1, 1).run(decoder, utterances)  # also fills the table of prefix states, as in a server
    cases = [Case(streams, number) for number in dict.fromkeys((1, threads)) for streams in STREAMS]
    for turn in range(ROUNDS):
        for case in cases[turn % len(cases) :] + cases[: turn % len(cases)]:
            if case.run(decoder, utterances) != wanted:
                sys.exit(f"{case.streams} streams on {case.threads} threads give other texts than one after the other")
    return cases


def draw(cases: Sequence[Case], seconds: float, path: Path) -> None:
    """Draw the median CPU time over the number of streams, with the range of the rounds, as a PNG."""
    require("matplotlib", "report")
    figure: Any = import_module("matplotlib.figure").Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for colour, threads in zip(COLOURS, dict.fromkeys(case.threads for case in cases), strict=False):
        own = [case for case in cases if case.threads == threads]
        values = [[1000.0 * cpu / seconds for cpu in case.cpu] for case in own]
        middle = [statistics.median(one) for one in values]
        low = [median - min(one) for median, one in zip(middle, values, strict=True)]
        high = [max(one) - median for median, one in zip(middle, values, strict=True)]
        label = "1 thread" if threads == 1 else f"{threads} threads"
        axes.errorbar(STREAMS, middle, (low, high), color=colour, marker="o", capsize=4, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(STREAMS, [str(one) for one in STREAMS])
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("streams at once")
    axes.set_ylabel("CPU ms per second of audio")
    axes.set_title("Beam search, CPU time per stream")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with replacing(path) as file:
        figure.savefig(file, dpi=130, format="png")


def rows(cases: Sequence[Case], seconds: float) -> list[list[str]]:
    """Format the cells of the table."""
    found = []
    for case in cases:
        low, middle, high = (
            1000.0 * one / seconds for one in (min(case.cpu), statistics.median(case.cpu), max(case.cpu))
        )
        speed = seconds / statistics.median(case.elapsed)
        found.append(
            [f"{case.streams}", f"{case.threads}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}", f"{speed:.0f}"]
        )
    return found


def main(picture: str, manifest: str = str(SAMPLE_CLIPS), threads: str = str(os.cpu_count() or 1)) -> None:
    """Print the table and draw the picture."""
    require("matplotlib", "report")
    bundle = load_bundle(None)
    utterances = list(islice(cycle(compute_log_probs(bundle, Path(manifest))), UTTERANCES))
    seconds = sum(one.seconds for one in utterances)
    cases = measure(bundle_decoder(bundle, RecognizerOptions(search="native")), utterances, int(threads))
    headings = ("streams", "threads", "CPU ms per second of audio", "range", "seconds of audio per second")
    print(output_text([Table(headings, rows(cases, seconds)), f"{UTTERANCES} utterances, {seconds:.0f} s of audio."]))
    draw(cases, seconds, Path(picture))


if __name__ == "__main__":
    main(*sys.argv[1:])
