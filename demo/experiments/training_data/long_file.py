"""A file of hours against the same audio in pieces: memory while it is transcribed, and the words.

python -m edgespeech.demo.experiments.training_data.long_file MANIFEST FOLDER --hours 3
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.demo.experiments.alignment import FILE, RATE
from edgespeech.runtime.files import make_folder
from edgespeech.runtime.manifest import Utterance, read_manifest, read_samples
from edgespeech.runtime.measure.normalisation import scoring_text
from edgespeech.runtime.measure.word_errors import align_and_count

PAUSE_FRAMES = 66  # between two clips, 2 s: an endpoint
PAUSE_LEVEL = 3e-4
FRAME_SAMPLES = 480  # pieces begin where a frame of the model does, because another phase gives other features
LOOK_SECONDS = 0.1  # between two looks at the memory


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        hours: Length of the file.
        seconds: Wall-clock time of the command.
        early_mb: Peak of the resident memory while the first tenth of this time passes.
        peak_mb: Peak until the end.
        pieces: Number of pieces.
        words: Words recognised in the pieces.
        different: Fraction of them that the file has not, or others.
        equal_pieces: Pieces whose words are exactly those of the file.
        wer: Word error rate of the file.
        wer_of_pieces: Word error rate of the pieces.
    """

    hours: float
    seconds: float
    early_mb: float
    peak_mb: float
    pieces: int
    words: int
    different: float
    equal_pieces: int
    wer: float
    wer_of_pieces: float


def write_files(
    clips: Sequence[Utterance], folder: Path, hours: float, piece_minutes: float
) -> list[tuple[float, str]]:
    """Write long.flac, and the same samples as pieces/0000.flac and so on; a piece ends in the pause behind a clip.

    Returns:
        Where each piece ends, in seconds of the file, and its text.
    """
    make_folder(folder / "pieces")
    random = np.random.default_rng(0)
    samples, written, found = list[NDArray[np.float32]](), 0, list[tuple[float, str]]()
    texts: list[str] = []
    with soundfile.SoundFile(folder / "long.flac", "w", RATE, 1, "PCM_16", format="FLAC") as file:
        for index, clip in enumerate(clips):
            speech = read_samples(clip, RATE)
            pause = PAUSE_LEVEL * random.standard_normal(PAUSE_FRAMES * FRAME_SAMPLES - len(speech) % FRAME_SAMPLES)
            samples += [speech, pause.astype(np.float32)]
            texts.append(clip.text)
            seconds = sum(map(len, samples)) / RATE
            last = index == len(clips) - 1 or written / RATE + seconds >= 3600.0 * hours
            if seconds >= 60.0 * piece_minutes or last:
                piece = np.clip(np.concatenate(samples), -1.0, 1.0)
                file.write(piece)
                soundfile.write(folder / "pieces" / f"{len(found):04d}.flac", piece, RATE, subtype="PCM_16")
                written += len(piece)
                found.append((written / RATE, " ".join(texts)))
                samples, texts = [], []
            if last:
                return found
    return found


def watched(arguments: Sequence[object]) -> tuple[float, float, float]:
    """Run a command of edgespeech, and return its seconds, and the peak of its memory in MB, early and in all."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "edgespeech.demo.cli", *map(str, arguments)])
    looks: list[tuple[float, float]] = []
    while process.poll() is None:
        try:
            looks.append((time.monotonic() - began, psutil.Process(process.pid).memory_info().rss / 2.0**20))
        except psutil.Error:
            break
        time.sleep(LOOK_SECONDS)
    if process.wait():
        raise SystemExit(process.returncode)
    seconds = time.monotonic() - began
    early = max(memory for at, memory in looks if at <= max(looks[0][0], 0.1 * seconds))
    return seconds, early, max(memory for _, memory in looks)


def texts_of(words: Sequence[dict[str, Any]], ends: Sequence[float]) -> list[str]:
    """Return what was recognised in a recording before each of these times, behind the one before."""
    texts, at = [], 0
    for end in ends:
        behind = next((index for index in range(at, len(words)) if words[index]["start"] >= end), len(words))
        texts.append(" ".join(word["word"] for word in words[at:behind]))
        at = behind
    return texts


def measure(clips: Sequence[Utterance], folder: Path, hours: float, piece_minutes: float) -> Figures:
    """Write the files, transcribe both ways, and compare."""
    pieces = write_files(clips, folder, hours, piece_minutes)
    whole, apart = folder / "long.jsonl", folder / "pieces.jsonl"
    seconds, early, peak = watched(
        ["transcribe", folder / "long.flac", "--format", "jsonl", "-o", whole, "--overwrite"]
    )
    watched(["transcribe", folder / "pieces", "--recursive", "--jobs", 1, "-o", apart, "--overwrite"])
    lines = sorted(map(json.loads, apart.read_text().splitlines()), key=lambda line: str(line["file"]))
    in_pieces = [str(line["text"]) for line in lines]
    segments = map(json.loads, whole.read_text().splitlines())
    words = [word for segment in segments for word in segment.get("words", ())]
    in_file = texts_of(words, [end for end, _ in pieces])
    truths = [scoring_text(text) for _, text in pieces]
    return Figures(
        hours=pieces[-1][0] / 3600.0,
        seconds=seconds,
        early_mb=early,
        peak_mb=peak,
        pieces=len(pieces),
        words=sum(len(text.split()) for text in in_pieces),
        different=align_and_count(in_pieces, in_file).wer,
        equal_pieces=sum(one == other for one, other in zip(in_pieces, in_file, strict=True)),
        wer=align_and_count(truths, in_file).wer,
        wer_of_pieces=align_and_count(truths, in_pieces).wer,
    )


@click.command()
@click.argument("manifest", type=FILE)
@click.argument("folder", type=FILE)
@click.option("--hours", default=3.0, show_default=True)
@click.option("--piece-minutes", default=10.0, show_default=True)
def main(manifest: Path, folder: Path, hours: float, piece_minutes: float) -> None:
    """Print the figures as JSON."""
    click.echo(json.dumps(asdict(measure(read_manifest(manifest), folder, hours, piece_minutes)), indent=1))


if __name__ == "__main__":
    main()
