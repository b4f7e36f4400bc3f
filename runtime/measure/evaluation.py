"""Word error rate and speed of a recognizer on a manifest."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime.files import replacing
from edgespeech.runtime.manifest import Utterance
from edgespeech.runtime.measure.references import References, read_references, read_speech
from edgespeech.runtime.measure.word_errors import Interval, WordErrors, align_and_count, wer_interval
from edgespeech.runtime.measure.written_errors import WrittenScore
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Condition:
    """A recording condition: ``change(samples, utterance, sample_rate)`` returns what the recognizer is given."""

    name: str
    change: Callable[[Samples, Utterance, int], Samples]


AS_RECORDED = Condition("as recorded", lambda samples, utterance, sample_rate: samples)


@dataclass(frozen=True)
class Evaluation:
    """The hypotheses of a recognizer on a manifest, their errors, and the processing time in seconds.

    Texts are normalised, unknown speakers are None; ``interval`` is the 95 % interval of the word error rate.
    ``left_out`` and ``normalised`` are those of `References`. ``written`` scores marks and cases, if the recognizer
    writes them; word errors are those of the plain words. With ``by_characters`` no label of the model contains a
    space, so each character is counted as a word, and the word error rate is the character error rate.
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
    left_out: Mapping[str, int] = field(default_factory=dict)
    normalised: int = 0
    written: WrittenScore | None = None
    by_characters: bool = False

    @property
    def wer(self) -> float:
        """Word error rate as a fraction."""
        return self.errors.wer

    @property
    def cer(self) -> float:
        """Character error rate as a fraction."""
        return self.errors.cer

    @property
    def words(self) -> int:
        """Number of words in the references."""
        return self.errors.words

    @property
    def rtf(self) -> float:
        """Real-time factor: processing seconds per second of audio."""
        return self.seconds / self.audio_seconds if self.audio_seconds else 0.0

    def as_dict(self) -> dict[str, object]:
        """Return the figures under the keys of ``evaluate --json``."""
        return {
            "wer": self.wer,
            "cer": self.cer,
            "substitutions": self.errors.substitutions,
            "deletions": self.errors.deletions,
            "insertions": self.errors.insertions,
            "words": self.words,
            "utterances": len(self.references),
            "audio_seconds": self.audio_seconds,
            "seconds": self.seconds,
            "rtf": self.rtf,
            "wer_interval": [self.interval.low, self.interval.high],
            "resampled": self.interval.resampled,
            "corpus": self.corpus,
            "condition": self.condition,
            "left_out": dict(self.left_out),
            "normalised": self.normalised,
            "empty_references": sum(not text for text in self.references),
            "unit": "character" if self.by_characters else "word",
        } | ({} if self.written is None else {"written": self.written.as_dict()})


def evaluate_manifest(
    recognizer: Recognizer, manifest: Path, condition: Condition = AS_RECORDED, limit: int | None = None
) -> Evaluation:
    """Evaluate the utterances of a manifest that `read_references` returns, and log what was left out.

    Raises:
        ManifestError: The manifest is invalid, an audio file is missing, or no utterance has a text.
        AudioError: An audio file cannot be read.
    """
    references = read_references(manifest, limit)
    references.log()
    return evaluate_references(recognizer, references, condition)


def evaluate_references(
    recognizer: Recognizer, references: References, condition: Condition = AS_RECORDED
) -> Evaluation:
    """Transcribe utterances under a recording condition and count the errors, of characters if labels have no space.

    Raises:
        AudioError: An audio file cannot be read.
    """
    rate = recognizer.sample_rate
    references = references.for_labels(recognizer.labels)
    speech = read_speech(references, rate, f"{references.corpus}, {condition.name}")
    return score(references, condition.name, [recognise(recognizer, condition, one, it) for one, _, it in speech])


@dataclass(frozen=True)
class Hypothesis:
    """What was recognised in an utterance, with punctuation and without, its length and the processing time."""

    text: str
    plain_text: str
    is_written: bool
    audio_seconds: float
    seconds: float


def recognise(recognizer: Recognizer, condition: Condition, utterance: Utterance, samples: Samples) -> Hypothesis:
    """Transcribe the samples of an utterance under a recording condition."""
    changed = condition.change(samples, utterance, recognizer.sample_rate)
    began = time.perf_counter()
    found = recognizer.transcribe((changed, recognizer.sample_rate))
    seconds = time.perf_counter() - began
    return Hypothesis(found.text, found.plain_text, found.is_written, found.duration, seconds)


def score(references: References, condition: str, found: Sequence[Hypothesis]) -> Evaluation:
    """Count the errors of hypotheses, one for each reference, in words or, by `References.for_labels`, characters."""
    hypotheses = tuple(references.normalise(one.plain_text) for one in found)
    errors = align_and_count(references.texts, hypotheses)
    if references.by_characters:
        errors = replace(errors, cer=errors.wer)
    written = WrittenScore()
    for utterance, one in zip(references.utterances, found, strict=True):
        written.add(utterance.text, one.text)
    speakers = tuple(utterance.speaker for utterance in references.utterances)
    return Evaluation(
        corpus=references.corpus,
        condition=condition,
        audio_filepaths=tuple(utterance.audio_filepath for utterance in references.utterances),
        references=references.texts,
        hypotheses=hypotheses,
        speakers=speakers,
        errors=errors,
        interval=wer_interval(errors, speakers),
        audio_seconds=sum(one.audio_seconds for one in found),
        seconds=sum(one.seconds for one in found),
        left_out=references.left_out,
        normalised=references.normalised,
        written=written if any(one.is_written for one in found) else None,
        by_characters=references.by_characters,
    )


def save_hypotheses(path: Path, evaluations: Sequence[Evaluation]) -> None:
    """Write one JSON object per utterance: ``audio_filepath, text, pred_text, corpus, condition``.

    ``pred_text`` is NeMo's key for the hypothesis; the key "heard" has the same value, for older scripts.

    Raises:
        UsageError: The file cannot be written.
    """
    with replacing(path) as file:
        for one in evaluations:
            for name, reference, text in zip(one.audio_filepaths, one.references, one.hypotheses, strict=True):
                line = {"audio_filepath": name, "text": reference, "pred_text": text, "heard": text}
                line |= {"corpus": one.corpus, "condition": one.condition}
                file.write(json.dumps(line).encode() + b"\n")
