"""Word error rate and speed of a recognizer on a manifest; the counting is jiwer's."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import jiwer
from rich.console import Console
from rich.progress import track

from edgespeech.errors import ManifestError, UsageError
from edgespeech.runtime.atomic_file import replacing
from edgespeech.runtime.manifest import Utterance, hear, read_manifest
from edgespeech.runtime.recognizer import Recognizer

# The clips that ship: speakers that the default bundle was not trained on.
CLIPS = Path(__file__).parent / "clips" / "clips.jsonl"


@dataclass(frozen=True)
class Evaluation:
    """Error rates as shares of the reference, counts of words, and seconds."""

    wer: float
    cer: float
    substitutions: int
    deletions: int
    insertions: int
    words: int
    utterances: int
    audio_seconds: float
    seconds: float

    @property
    def rtf(self) -> float:
        """Seconds of computing per second of audio."""
        return self.seconds / self.audio_seconds if self.audio_seconds else 0.0

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {**asdict(self), "rtf": self.rtf}

    def table(self) -> str:
        """For people."""
        return (
            f"WER {self.wer:.2%}   ({self.substitutions} substitutions, {self.deletions} deletions, "
            f"{self.insertions} insertions in {self.words} words)\n"
            f"CER {self.cer:.2%}\n"
            f"{self.utterances} utterances, {self.audio_seconds:.1f} s of audio in {self.seconds:.1f} s: "
            f"real-time factor {self.rtf:.4f}"
        )


def normalise(text: str) -> str:
    """Lower case, single spaces."""
    return " ".join(text.lower().split())


def evaluate_manifest(recognizer: Recognizer, manifest: Path, save: Path | None = None) -> Evaluation:
    """Transcribe every utterance that has a reference text.

    Args:
        recognizer: Ready to use.
        manifest: NeMo-style JSON lines.
        save: File for one JSON object per utterance: ``audio_filepath, text, heard``.

    Raises:
        ManifestError: The manifest, or an audio file it names, is unusable, or no utterance has a text.
        UsageError: ``save`` cannot be written.
    """
    utterances = [one for one in read_manifest(manifest, check_files=True) if normalise(one.text)]
    if not utterances:
        raise ManifestError(f"{manifest} has no utterance with a text; word errors need references")
    if save is not None and (save.is_dir() or not save.parent.is_dir()):
        raise UsageError(f"cannot write {save}; give a file in a folder that exists")
    references, hypotheses = [], []
    audio_seconds = seconds = 0.0
    console = Console(stderr=True)
    for utterance in track(utterances, "evaluating", console=console, disable=not console.is_terminal):
        samples = hear(utterance, recognizer.sample_rate)
        began = time.perf_counter()
        transcript = recognizer.transcribe((samples, recognizer.sample_rate))
        seconds += time.perf_counter() - began
        audio_seconds += transcript.duration
        references.append(normalise(utterance.text))
        hypotheses.append(normalise(transcript.text))
    if save is not None:
        _save(save, utterances, references, hypotheses)
    words = jiwer.process_words(references, hypotheses)
    return Evaluation(
        wer=float(words.wer),
        cer=float(jiwer.cer(references, hypotheses)),
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        words=words.hits + words.substitutions + words.deletions,
        utterances=len(utterances),
        audio_seconds=audio_seconds,
        seconds=seconds,
    )


def _save(path: Path, utterances: list[Utterance], references: list[str], hypotheses: list[str]) -> None:
    with replacing(path) as file:
        for utterance, text, heard in zip(utterances, references, hypotheses, strict=True):
            line = {"audio_filepath": utterance.audio_filepath, "text": text, "heard": heard}
            file.write(json.dumps(line).encode() + b"\n")
