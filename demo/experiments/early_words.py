"""Measures partials made of frames whose look-ahead has not arrived: how early words are shown, how often they change.

Run: python -m edgespeech.demo.experiments.early_words CHECKPOINT MANIFEST [UTTERANCES]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgespeech.reference.model.checkpoint import load_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.runtime import audio
from edgespeech.runtime.conditioning.conditioner import Conditioner
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.live.latency import LatencyBreakdown
from edgespeech.runtime.manifest import read_manifest
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.tables import Table, output_text
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event

Floats = NDArray[np.float32]
CERTAIN, ARRIVED_TAPS, ZEROS, PREVIEW = KINDS = (
    "certain outputs only",
    "taps that have arrived",
    "look-ahead padded with zeros",
    "the same with fewer prefixes",
)
CHUNK_FRAMES = 8


@torch.inference_mode()
def chunks(model: DeepSpeech2, samples: Floats) -> Iterator[tuple[Floats, dict[str, Floats]]]:
    """Yield for each chunk its certain log-probabilities, and guesses of those that lack their look-ahead by kind."""
    frame, delay = model.config.frame_samples, model.delay_frames
    size = CHUNK_FRAMES * frame
    padded = np.pad(samples, (0, -len(samples) % size + -(-delay // CHUNK_FRAMES) * size))
    state, dropped = model.initial_state(1), delay
    assert model.lookahead is not None
    for start in range(0, len(padded), size):
        chunk = torch.from_numpy(padded[None, start : start + size])
        rows, state = model.step(chunk, state)
        certain, dropped = rows[0, dropped:].numpy(), max(0, dropped - CHUNK_FRAMES)
        with_zeros, _ = model.step(torch.zeros(1, delay * frame), state)
        convolved, _ = model.lookahead.step(
            torch.zeros(1, delay, model.config.hidden), {"context": state["lookahead_context"]}
        )
        arrived, _ = model.output.step(convolved, {})
        yield certain, {ARRIVED_TAPS: arrived[0].numpy(), ZEROS: with_zeros[0].numpy()}


def measure(
    model: DeepSpeech2, decoder: BeamSearchDecoder, samples: Floats, breakdowns: dict[str, LatencyBreakdown]
) -> None:
    """Record for each kind when each word of a recording would have been shown."""
    frame_seconds = model.config.frame_samples / model.config.features.sample_rate
    state, processed, shown = decoder.initial_state(), 0.0, dict.fromkeys(KINDS, "")
    for certain, guesses in chunks(model, samples):
        partial, state = decoder.step(certain, state)
        processed += CHUNK_FRAMES * frame_seconds
        texts = {CERTAIN: partial.text}
        texts |= {kind: decoder.step(rows, state)[0].text for kind, rows in guesses.items()}
        texts[PREVIEW] = decoder.preview(guesses[ZEROS], state)
        for kind, text in texts.items():
            if text != shown[kind]:
                shown[kind] = text
                breakdowns[kind].step(Event("partial", text), processed)
    best = decoder.finish(state, 1)[0]
    if best.words:
        for breakdown in breakdowns.values():
            breakdown.step(Event("final", best.text, words=best.words), processed)


def row(kind: str, breakdown: LatencyBreakdown) -> list[str]:
    """Return the cells of the table for one kind of partials."""
    words = len(breakdown.word_delays)
    delays = (f"{1000.0 * np.quantile(breakdown.word_delays, q):.0f} ms" for q in (0.5, 0.9))
    return [kind, str(words), *delays, f"{breakdown.revisions / words:.1%}"]


def main(checkpoint: str, manifest: str, utterances: str = "30") -> None:
    """Print a table with one row per kind of partials."""
    model = load_checkpoint(Path(checkpoint))[0].eval()
    decoder = Recognizer().decoder
    conditioner = Conditioner(model.config.features.sample_rate, model.config.frame_samples)
    breakdowns = {kind: LatencyBreakdown() for kind in KINDS}
    for utterance in track(read_manifest(Path(manifest))[: int(utterances)], "early words"):
        samples, _ = conditioner.step(audio.read(utterance.path), conditioner.initial_state(), last=True)
        measure(model, decoder, samples, breakdowns)
    headings = ("partials from", "words", "shown after, median", "90 %", "revised")
    print(output_text([Table(headings, [row(kind, breakdown) for kind, breakdown in breakdowns.items()])]))


if __name__ == "__main__":
    main(*sys.argv[1:])
