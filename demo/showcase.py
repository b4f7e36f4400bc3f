"""`make demo`: the shipped bundle on the shipped clips; text, reference, word errors, real-time factor."""

from __future__ import annotations

import jiwer
from rich.console import Console
from rich.text import Text

from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.measure.word_errors import normalise
from edgespeech.runtime.recognizer import Recognizer


def main() -> None:
    """Transcribe the clips; their speakers were never trained on."""
    console = Console(highlight=False, soft_wrap=True)
    bundle = load_bundle()
    recognizer = Recognizer(bundle)
    size = sum(entry.bytes for entry in bundle.manifest.files.values()) / 1e6
    console.print(f"{bundle.manifest.name}: {bundle.manifest.graph.precision}, {size:.1f} MB with its language model\n")
    references, hypotheses, audio_seconds, seconds = [], [], 0.0, 0.0
    for utterance in read_manifest(SAMPLE_CLIPS, check_files=True):
        transcript = recognizer.transcribe(utterance.path)
        references.append(normalise(utterance.text))
        hypotheses.append(normalise(transcript.text))
        audio_seconds += transcript.duration
        seconds += transcript.seconds
        facts = f"{transcript.duration:.1f} s, speaker {utterance.speaker}"
        console.print(Text(utterance.path.name, "bold"), Text(facts))
        console.print(Text(f"  said   {references[-1]}"))
        console.print(Text(f"  heard  {hypotheses[-1]}"))
        console.print(Text(f"  real-time factor {transcript.rtf:.3f}\n", "dim"))
    console.print(
        f"{len(references)} clips: WER {jiwer.wer(references, hypotheses):.1%}, {audio_seconds:.1f} s of audio in "
        f"{seconds:.2f} s, real-time factor {seconds / audio_seconds:.3f} on one core"
    )
    console.print("\nnow: edgespeech transcribe YOUR.wav   or   edgespeech live")


if __name__ == "__main__":
    main()
