"""Alignment by the package ctc-segmentation, on the recordings that `demo/experiments/alignment.py` joins.

pip install ctc-segmentation
python -m edgespeech.demo.experiments.training_data.segmentation MANIFEST... --minutes 30 --noise FOLDER
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.experiments.alignment import FILE, Joined, compare, join
from edgespeech.reference.alignment.alignment import Alignment
from edgespeech.reference.alignment.clips import Clip, Word
from edgespeech.reference.alignment.emissions import Emissions, compute_emissions
from edgespeech.reference.data.acoustics import audio_files
from edgespeech.reference.language_model.text import ENGLISH, spoken_line
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.recognizer import Recognizer, recording_chunk_ms

MIN_SCORES = (-10.0, -3.0, -2.0, -1.5, -1.0)  # of the worst second of a segment, mean natural log


@dataclass(frozen=True)
class Segment:
    """A line of the text, where the package places it, and its score."""

    text: str
    start: float
    end: float
    score: float


def segments_of(emissions: Emissions, lines: Sequence[str]) -> list[Segment]:
    """Align the lines in their order; lines that the labels cannot spell lose those characters."""
    package: Any = import_module("ctc_segmentation")
    settings = package.CtcSegmentationParameters(
        char_list=["·", *emissions.labels[1:]], index_duration=emissions.frame_seconds, space=" ",
        excluded_characters="",
    )  # fmt: skip
    assert emissions.blank == 0
    texts, begins = package.prepare_text(settings, lines)
    log_probs: NDArray[np.float32] = np.asarray(emissions.log_probs, np.float32)
    times, probs, _ = package.ctc_segmentation(settings, log_probs, texts)
    found = package.determine_utterance_segments(settings, begins, probs, times, lines)
    return [Segment(line, *map(float, one)) for line, one in zip(lines, found, strict=True)]


def kept(segments: Sequence[Segment], min_score: float, seconds: float) -> Alignment:
    """Return the segments that score as much as this."""
    clips = tuple(
        Clip((Word(one.text, 0, 0, ()),), index, index, True, one.start, one.end, score=one.score)
        for index, one in enumerate(segments)
        if one.score >= min_score
    )
    return Alignment(clips, (), len(segments), {}, seconds)


def measure(joined: Joined, bundle: Path | None) -> dict[str, Any]:
    """Align a joined recording, and return the figures for several scores."""
    loaded = load_bundle(bundle)
    recognizer = Recognizer(loaded, use_lm=False, chunk_ms=recording_chunk_ms(loaded))
    emissions = compute_emissions(recognizer.parts, joined.blocks())
    lines = [spoken_line(line, ENGLISH) or line for line in joined.lines]
    before, began = _peak_mb(), time.process_time()
    segments = segments_of(emissions, lines)
    figures: dict[str, Any] = {
        "minutes": emissions.seconds / 60.0,
        "seconds": time.process_time() - began,
        "memory_mb_before": before,
        "memory_mb": _peak_mb(),
    }
    for score in MIN_SCORES:
        figures[f"score of {score:g}"] = compare(kept(segments, score, emissions.seconds), joined)
    return figures


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


@click.command()
@click.argument("manifests", type=FILE, nargs=-1, required=True)
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--noise", type=FILE, multiple=True, help="Folder of noise.")
@click.option("--bundle", type=FILE)
@click.option("--seed", default=0)
def main(manifests: tuple[Path, ...], minutes: float, noise: tuple[Path, ...], bundle: Path | None, seed: int) -> None:
    """Print the figures as JSON."""
    joined = join(manifests, minutes, audio_files(noise) if noise else [], seed)
    click.echo(json.dumps(measure(joined, bundle), indent=1))


if __name__ == "__main__":
    main()
