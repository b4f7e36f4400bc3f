"""Word error rate and speed of a recognizer on a manifest."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from edgespeech.errors import ManifestError
from edgespeech.runtime.files import replacing
from edgespeech.runtime.manifest import Utterance, read_manifest, read_samples
from edgespeech.runtime.measure.word_errors import Interval, WordErrors, count_errors, wer_interval
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Condition:
    """How speech is heard: ``change`` turns the samples of an utterance into what reaches the recognizer."""

    name: str
    change: Callable[[Samples, Utterance, int], Samples]


AS_RECORDED = Condition("as recorded", lambda samples, utterance, sample_rate: samples)


@dataclass(frozen=True)
class Evaluation:
    """What a recognizer made of a manifest.

    Attributes:
        corpus: The manifest, with its folder.
        condition: How it was heard.
        audio_filepaths: Of each utterance, as in the manifest.
        references: What was said.
        hypotheses: What was heard.
        speakers: Who said it; None where unknown.
        errors: Counts of words.
        interval: 95 % interval of the word error rate.
        audio_seconds: Length of all utterances.
        seconds: Computing.
    """

    corpus: str
    condition: str
    audio_filepaths: tuple[str, ...]
    references: tuple[str, ...]
    hypotheses: tuple[str, ...]
    speakers: tuple[str | None, ...]
    errors: WordErrors
    interval: Interval
    audio_seconds: float
    seconds: float

    @property
    def wer(self) -> float:
        """Word errors as a share of the words said."""
        return self.errors.wer

    @property
    def cer(self) -> float:
        """Wrong characters as a share of the characters said."""
        return self.errors.cer

    @property
    def deletions(self) -> int:
        """Words that were not heard."""
        return self.errors.deletions

    @property
    def words(self) -> int:
        """Words that were said."""
        return self.errors.words

    @property
    def rtf(self) -> float:
        """Seconds of computing per second of audio."""
        return self.seconds / self.audio_seconds if self.audio_seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "wer": self.wer,
            "cer": self.cer,
            "substitutions": self.errors.substitutions,
            "deletions": self.deletions,
            "insertions": self.errors.insertions,
            "words": self.words,
            "utterances": len(self.references),
            "audio_seconds": self.audio_seconds,
            "seconds": self.seconds,
            "rtf": self.rtf,
            "wer_interval": [self.interval.low, self.interval.high],
            "resampled": self.interval.over,
            "corpus": self.corpus,
            "condition": self.condition,
        }


def normalise(text: str) -> str:
    """Lower case, single spaces."""
    return " ".join(text.lower().split())


def evaluate_manifest(
    recognizer: Recognizer, manifest: Path, condition: Condition = AS_RECORDED, limit: int | None = None
) -> Evaluation:
    """Transcribe every utterance that has a reference text.

    Args:
        recognizer: Ready to use.
        manifest: NeMo-style JSON lines.
        condition: What happens to the samples before.
        limit: So many utterances, from all over the manifest; None for all.

    Raises:
        ManifestError: The manifest, or an audio file it names, is unusable, or no utterance has a text.
    """
    utterances = [one for one in read_manifest(manifest, check_files=True) if normalise(one.text)]
    if not utterances:
        raise ManifestError(f"{manifest} has no utterance with a text; word errors need references")
    if limit is not None and limit < len(utterances):
        utterances = [utterances[index * len(utterances) // limit] for index in range(limit)]
    corpus = f"{manifest.absolute().parent.name}/{manifest.name}"
    references, hypotheses = [], []
    audio_seconds = seconds = 0.0
    console = Console(stderr=True)
    for utterance in track(utterances, f"{corpus}, {condition.name}", console=console, disable=not console.is_terminal):
        samples = condition.change(read_samples(utterance, recognizer.sample_rate), utterance, recognizer.sample_rate)
        began = time.perf_counter()
        transcript = recognizer.transcribe((samples, recognizer.sample_rate))
        seconds += time.perf_counter() - began
        audio_seconds += transcript.duration
        references.append(normalise(utterance.text))
        hypotheses.append(normalise(transcript.text))
    errors = count_errors(references, hypotheses)
    speakers = tuple(utterance.speaker for utterance in utterances)
    return Evaluation(
        corpus=corpus,
        condition=condition.name,
        audio_filepaths=tuple(utterance.audio_filepath for utterance in utterances),
        references=tuple(references),
        hypotheses=tuple(hypotheses),
        speakers=speakers,
        errors=errors,
        interval=wer_interval(errors, speakers),
        audio_seconds=audio_seconds,
        seconds=seconds,
    )


def save_heard(path: Path, evaluations: Sequence[Evaluation]) -> None:
    """Write one JSON object per utterance: ``audio_filepath, text, heard, corpus, condition``.

    Raises:
        UsageError: The file cannot be written.
    """
    with replacing(path) as file:
        for one in evaluations:
            for name, text, heard in zip(one.audio_filepaths, one.references, one.hypotheses, strict=True):
                line = {"audio_filepath": name, "text": text, "heard": heard}
                line |= {"corpus": one.corpus, "condition": one.condition}
                file.write(json.dumps(line).encode() + b"\n")
