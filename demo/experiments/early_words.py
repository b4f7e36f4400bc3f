"""Would words from half-finished outputs help? Measures text from frames whose look-ahead is not there yet.

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
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.live.latency import Ledger
from edgespeech.runtime.manifest import read_manifest
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event

Floats = NDArray[np.float32]
KINDS = ("as it is", "taps that have arrived", "silence ahead")
CHUNK_FRAMES = 8


@torch.inference_mode()
def chunks(model: DeepSpeech2, samples: Floats) -> Iterator[tuple[Floats, dict[str, Floats]]]:
    """For each chunk the rows that are certain, and those of the look-ahead as each kind guesses them."""
    frame, delay = model.config.frame_samples, model.delay_frames
    size = CHUNK_FRAMES * frame
    padded = np.pad(samples, (0, -len(samples) % size + -(-delay // CHUNK_FRAMES) * size))
    state, dropped = model.initial_state(1), delay
    assert model.lookahead is not None
    for start in range(0, len(padded), size):
        chunk = torch.from_numpy(padded[None, start : start + size])
        rows, state = model.step(chunk, state)
        certain, dropped = rows[0, dropped:].numpy(), max(0, dropped - CHUNK_FRAMES)
        silence, _ = model.step(torch.zeros(1, delay * frame), state)
        convolved, _ = model.lookahead.step(
            torch.zeros(1, delay, model.config.hidden), {"context": state["lookahead_context"]}
        )
        arrived, _ = model.output.step(convolved, {})
        yield certain, {KINDS[1]: arrived[0].numpy(), KINDS[2]: silence[0].numpy()}


def measure(model: DeepSpeech2, decoder: BeamSearchDecoder, samples: Floats, ledgers: dict[str, Ledger]) -> None:
    """Note when each word would have been shown, for each kind."""
    frame_seconds = model.config.frame_samples / model.config.features.sample_rate
    state, heard, shown = decoder.initial_state(), 0.0, dict.fromkeys(KINDS, "")
    for certain, guesses in chunks(model, samples):
        partial, state = decoder.step(certain, state)
        heard += CHUNK_FRAMES * frame_seconds
        texts = {KINDS[0]: partial.text}
        texts |= {kind: decoder.step(rows, state)[0].text for kind, rows in guesses.items()}
        for kind, text in texts.items():
            if text != shown[kind]:
                shown[kind] = text
                ledgers[kind].step(Event("partial", text), heard)
    best = decoder.finish(state, 1)[0]
    if best.words:
        for ledger in ledgers.values():
            ledger.step(Event("final", best.text, words=best.words), heard)


def main(checkpoint: str, manifest: str, utterances: str = "30") -> None:
    """Print a table."""
    model = load_checkpoint(Path(checkpoint))[0].eval()
    decoder = Recognizer().decoder
    ledgers = {kind: Ledger() for kind in KINDS}
    for utterance in read_manifest(Path(manifest))[: int(utterances)]:
        measure(model, decoder, audio.read(utterance.path), ledgers)
    print(f"{'partials from':<24} {'words':>6} {'shown after, median':>20} {'90 %':>8} {'taken back':>14}")
    for kind, ledger in ledgers.items():
        median, most = (f"{1000.0 * np.quantile(ledger.word_delays, share):.0f} ms" for share in (0.5, 0.9))
        words = len(ledger.word_delays)
        print(f"{kind:<24} {words:>6} {median:>20} {most:>8} {ledger.revisions / words:>13.1%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
