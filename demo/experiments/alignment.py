"""How well long recordings are aligned: clips of a manifest joined to one recording whose true times are known.

Some sentences are missing in its text, others are only there, some are in another order, and noise lies between.

    python -m edgespeech.demo.experiments.alignment MANIFEST... --minutes 30 --noise FOLDER
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from edgespeech.reference.alignment.alignment import Alignment, align
from edgespeech.reference.alignment.clips import Clip
from edgespeech.reference.alignment.rules import ClipLimits
from edgespeech.reference.alignment.script import Sentence, spelled_sentences
from edgespeech.reference.data.acoustics import audio_files
from edgespeech.reference.language_model.text import ENGLISH, spoken_line
from edgespeech.runtime import audio
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import Utterance, read_manifest, read_samples
from edgespeech.runtime.recognizer import Recognizer, recording_chunk_ms

Samples = NDArray[np.float32]

FILE = click.Path(path_type=Path)
RATE = 16000
CHANGED = 0.05  # of the sentences: missing in the text, only in the text, in another place
MAX_BORDER_SECONDS = 0.2
SPEECH_DB = -35.0  # below the loudest 10 ms of a clip, where its speech begins and ends
NOISE_PROB = 0.2  # of noise between two clips


@dataclass(frozen=True)
class Truth:
    """A clip in the joined recording: its text, from where to where it is, and its speech within, in seconds."""

    text: str
    start: float
    end: float
    speech_start: float
    speech_end: float


@dataclass(frozen=True)
class Joined:
    """A recording and its text, and what is true of both.

    Attributes:
        utterances: What the recording consists of.
        gaps: Samples behind each.
        lines: The text.
        inserted: Texts that are not in the recording.
    """

    utterances: list[Utterance]
    gaps: list[Samples]
    lines: list[str]
    inserted: frozenset[str]

    def blocks(self) -> Iterator[Samples]:
        """Yield the samples of the recording."""
        for utterance, gap in zip(self.utterances, self.gaps, strict=True):
            yield read_samples(utterance, RATE)
            yield gap

    def truths(self) -> list[Truth]:
        """Return where each clip is."""
        found, at = [], 0.0
        for utterance, gap in zip(self.utterances, self.gaps, strict=True):
            samples = read_samples(utterance, RATE)
            first, last = speech_borders(samples)
            end = at + len(samples) / RATE
            text = spoken_line(utterance.text, ENGLISH) or utterance.text
            found.append(Truth(text, at, end, at + first, at + last))
            at = end + len(gap) / RATE
        return found


def speech_borders(samples: Samples) -> tuple[float, float]:
    """Return where the speech of a clip begins and ends, in seconds, by its level."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    power = 10.0 * np.log10(np.square(frames, dtype=np.float64).mean(axis=1) + 1e-10)
    loud = np.flatnonzero(power > power.max() + SPEECH_DB)
    return float(loud[0]) / 100.0, float(loud[-1] + 1) / 100.0


def join(manifests: Sequence[Path], minutes: float, noise: Sequence[Path], seed: int) -> Joined:
    """Choose clips up to this length, and change their text."""
    random = Random(seed)
    clips = [one for manifest in manifests for one in read_manifest(manifest) if (one.duration or 0.0) > 1.0]
    numbers = sorted(random.sample(range(len(clips)), len(clips)))
    used: list[Utterance] = []
    seconds = 0.0
    spare: list[Utterance] = []
    for number in numbers:
        if random.random() < CHANGED / (1.0 + CHANGED):
            spare.append(clips[number])
        elif seconds < 60.0 * minutes:
            used.append(clips[number])
            seconds += (clips[number].duration or 0.0) + 0.5
    return changed(used, spare, [audio.read(file, RATE) for file in noise], random)


def changed(used: list[Utterance], spare: Sequence[Utterance], noises: Sequence[Samples], random: Random) -> Joined:
    """Join clips with noise and pauses between them; their text lacks some, and has spare and moved ones."""
    lines = [one.text for one in used]
    count = max(1, round(CHANGED * len(lines)))
    for number in sorted(random.sample(range(len(lines)), count), reverse=True):
        del lines[number]
    for _ in range(count):
        lines.insert(random.randrange(len(lines)), lines.pop(random.randrange(len(lines))))
    inserted = [one.text for one in spare[:count]]
    for text in inserted:
        lines.insert(random.randrange(len(lines) + 1), text)
    return Joined(used, [_gap(random, noises) for _ in used], lines, frozenset(inserted) - {one.text for one in used})


def _gap(random: Random, noises: Sequence[Samples]) -> Samples:
    """Return a pause of up to a second, or noise of up to four."""
    if not noises or random.random() > NOISE_PROB:
        silence = np.random.default_rng(random.randrange(1 << 30)).standard_normal(random.randrange(RATE // 10, RATE))
        return np.asarray(silence * 3e-4, np.float32)
    noise = random.choice(noises)
    begin = random.randrange(max(1, len(noise) - RATE))
    piece = noise[begin : begin + random.randrange(RATE, 4 * RATE)]
    return np.asarray(piece * (0.05 / max(1e-4, float(np.abs(piece).max(initial=0.0)))), np.float32)


def compare(alignment: Alignment, joined: Joined) -> dict[str, Any]:
    """Count the clips whose text is exactly what is said in them, and the borders that are where speech ends."""
    truths = joined.truths()
    exact = close = inserted = 0
    errors: list[float] = []
    for clip in alignment.kept:
        inside = [one for one in truths if min(clip.end, one.speech_end) - max(clip.start, one.speech_start) > 0.1]
        exact += " ".join(one.text for one in inside) == clip.text
        inserted += clip.text in joined.inserted
        if inside:
            errors += [_outside(clip.start, inside[0].start, inside[0].speech_start),
                       _outside(clip.end, inside[-1].speech_end, inside[-1].end)]  # fmt: skip
    close = sum(error <= MAX_BORDER_SECONDS for error in errors)
    kept_seconds = sum(clip.seconds for clip in alignment.kept)
    said = [one.text for one in truths]
    wanted = sum((spoken_line(text, ENGLISH) or text) in said for text in joined.lines)
    return {
        "sentences": len(truths),
        "lines": len(joined.lines),
        "findable": wanted,
        "kept": len(alignment.kept),
        "kept_hours": kept_seconds / 3600.0,
        "exact": exact / max(1, len(alignment.kept)),
        "borders": close / max(1, len(errors)),
        "border_p95": float(np.percentile(errors, 95)) if errors else 0.0,
        "inserted_kept": inserted,
        "inserted": len(joined.inserted),
        "dropped": {reason: sum(one == reason for _, one in alignment.dropped) for _, reason in alignment.dropped},
        "left_out": alignment.left_out,
    }


def _outside(border: float, low: float, high: float) -> float:
    """Return by how many seconds a border is outside of the pause that it should be in."""
    return max(0.0, low - border, border - high)


def sentences_of(lines: Sequence[str], labels: Sequence[str]) -> list[Sentence]:
    """Return the sentences of lines."""
    return [sentence for line in lines for sentence in spelled_sentences(line, labels)]


def measure(joined: Joined, bundle: Path | None, limits: ClipLimits) -> tuple[dict[str, Any], Alignment]:
    """Align a joined recording, and return the figures and the clips."""
    loaded = load_bundle(bundle)
    recognizer = Recognizer(loaded, use_lm=False, chunk_ms=recording_chunk_ms(loaded))
    began = time.process_time()
    alignment = align(recognizer.parts, joined.blocks(), sentences_of(joined.lines, loaded.manifest.labels), limits)
    seconds = time.process_time() - began
    figures = {
        "minutes": alignment.seconds / 60.0,
        **compare(alignment, joined),
        "times_real_time": alignment.seconds / seconds,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
    }
    return figures, alignment


def wrong_clips(alignment: Alignment, joined: Joined) -> list[tuple[Clip, str]]:
    """Return the clips whose text is not exactly what is said in them, and what is."""
    truths = joined.truths()
    found = []
    for clip in alignment.kept:
        inside = [one for one in truths if min(clip.end, one.speech_end) - max(clip.start, one.speech_start) > 0.1]
        said = " ".join(one.text for one in inside)
        if said != clip.text:
            found.append((clip, said))
    return found


@click.command()
@click.argument("manifests", type=FILE, nargs=-1, required=True)
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--noise", type=FILE, multiple=True, help="Folder of noise.")
@click.option("--bundle", type=FILE)
@click.option("--seed", default=0)
@click.option("--max-cer", default=ClipLimits.max_cer, show_default=True)
@click.option("--show-wrong", is_flag=True)
def main(
    manifests: tuple[Path, ...], minutes: float, noise: tuple[Path, ...], bundle: Path | None, seed: int,
    max_cer: float, show_wrong: bool,
) -> None:  # fmt: skip
    """Print the figures as JSON."""
    joined = join(manifests, minutes, audio_files(noise) if noise else [], seed)
    figures, alignment = measure(joined, bundle, ClipLimits(max_cer=max_cer))
    click.echo(json.dumps(figures, indent=1))
    for clip, said in wrong_clips(alignment, joined) if show_wrong else ():
        click.echo(f"{clip.start:.2f}-{clip.end:.2f} cer {clip.cer:.2f}\n  text: {clip.text}\n  said: {said}")


if __name__ == "__main__":
    main()
