"""Compares recognition of whole recordings with Moonshine tiny and pocketsphinx: CPU time in turns, and word errors.

Run: pip install moonshine-voice==0.0.55 pocketsphinx==5.1.1
     python -m edgespeech.demo.experiments.peers [MANIFEST [LIMIT]]

Each recogniser has a process of its own, which loads its model, recognises one recording that is not counted, and then
all of them, one after the other. The processes take turns, three rounds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from edgespeech.runtime.measure.references import read_references, read_speech
from edgespeech.runtime.measure.tables import Table, output_text
from edgespeech.runtime.measure.word_errors import align_and_count
from edgespeech.runtime.recognizer import Recognizer, recording_chunk_ms

Samples = NDArray[np.float32]
Transcribe = Callable[[Samples], str]

RATE = 16000  # Hz
ROUNDS = 3


def edgespeech() -> Transcribe:
    """Return the default bundle as `edgespeech transcribe` uses it."""
    bundle = load_bundle()
    recognizer = Recognizer(bundle, chunk_ms=recording_chunk_ms(bundle))
    return lambda samples: recognizer.transcribe((samples, RATE)).text


def moonshine() -> Transcribe:
    """Return Moonshine tiny, whose model lies in its package."""
    package: Any = import_module("moonshine_voice")
    folder = Path(package.__file__).with_name("assets") / "tiny-en"
    transcriber = package.Transcriber(str(folder), package.ModelArch.TINY)

    def transcribe(samples: Samples) -> str:
        lines = transcriber.transcribe_without_streaming(samples.tolist(), RATE).lines
        return " ".join(line.text for line in lines)

    return transcribe


def pocketsphinx(**settings: Any) -> Transcribe:
    """Return pocketsphinx with the model of its package."""
    package: Any = import_module("pocketsphinx")
    decoder = package.Decoder(loglevel="FATAL", **settings)

    def transcribe(samples: Samples) -> str:
        decoder.start_utt()
        decoder.process_raw((samples * 32767).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return found.hypstr if found else ""

    return transcribe


# One pass over every second frame with narrow beams: what pocketsphinx's documentation advises for slow devices.
FAST = {"fwdflat": False, "bestpath": False, "ds": 2, "topn": 2, "maxwpf": 5, "maxhmmpf": 3000}
RECOGNISERS: dict[str, Callable[[], Transcribe]] = {
    "edgespeech": edgespeech,
    "Moonshine tiny": moonshine,
    "pocketsphinx": pocketsphinx,
    "pocketsphinx, fast settings": lambda: pocketsphinx(**FAST),
}


def recognise(name: str, manifest: Path, limit: int | None) -> dict[str, Any]:
    """Return the texts of all recordings, the CPU seconds that they took, and the seconds of audio."""
    references = read_references(manifest, limit)
    speech = [(text, samples) for _, text, samples in read_speech(references, RATE, name)]
    transcribe = RECOGNISERS[name]()
    transcribe(speech[0][1])
    began = time.process_time()
    texts = [transcribe(samples) for _, samples in speech]
    seconds = time.process_time() - began
    audio = sum(len(samples) for _, samples in speech) / RATE
    errors = align_and_count([text for text, _ in speech], [references.normalise(text) for text in texts])
    return {"cpu": seconds / audio, "wer": errors.wer, "clips": len(speech)}


def in_a_process(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run :func:`recognise` in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, "--one", name, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main(*arguments: str) -> None:
    """Print a table with one row per recogniser."""
    if arguments[:1] == ("--one",):
        _, name, manifest, *limit = arguments
        print(json.dumps(recognise(name, Path(manifest), int(limit[0]) if limit else None)))
        return
    arguments = arguments or (str(SAMPLE_CLIPS),)
    rounds = [{name: in_a_process(name, arguments) for name in RECOGNISERS} for _ in range(ROUNDS)]
    cpu = {name: statistics.median(one[name]["cpu"] for one in rounds) for name in RECOGNISERS}
    rows = [
        [name, f"{seconds:.4f}", f"{cpu['edgespeech'] / seconds:.3f}", f"{rounds[0][name]['wer']:.1%}"]
        for name, seconds in cpu.items()
    ]
    headings = ("recogniser", "CPU s per s of audio", "edgespeech's is", "WER")
    note = f"{rounds[0]['edgespeech']['clips']} recordings, medians of {ROUNDS} rounds."
    print(output_text([Table(headings, rows), note]))


if __name__ == "__main__":
    main(*sys.argv[1:])
