"""The work of ``edgespeech data label``: a model transcribes, a second opinion agrees or not, and clips are kept."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

from edgespeech.demo.archive.cutting import Stretch, cut
from edgespeech.demo.archive.report import Dropped, KeptClip, Summary
from edgespeech.demo.archive.sources import clip_path, local_path, source_name
from edgespeech.demo.transcribe.bulk_task import bundle_id, local_copy
from edgespeech.errors import UsageError
from edgespeech.runtime.audio import read_blocks
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import Utterance
from edgespeech.runtime.measure.normalisation import scoring_text
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Segment
from edgespeech.runtime.transcription import Transcription

PAD_SECONDS = 0.2  # of the pauses around a segment
WITHOUT_LM = "the same bundle without its language model"


@dataclass(frozen=True)
class LabelLimits:
    """Limits of a clip; what is outside of them is dropped.

    Attributes:
        min_seconds, max_seconds: Length.
        min_confidence: Mean confidence of its words, from 0 to 1.
        min_agreement: Characters in which both opinions agree, a fraction.
        min_words: Words.
    """

    min_seconds: float = 1.0
    max_seconds: float = 20.0
    min_confidence: float = 0.8
    min_agreement: float = 0.9
    min_words: int = 2


@dataclass(frozen=True)
class LabelItem:
    """A recording, and its number among all."""

    audio: str
    number: int


@dataclass(frozen=True)
class LabelTask:
    """What each worker does with a recording; the results are the JSON of `Summary`.

    Attributes:
        bundle: Bundle folder; None for the default bundle.
        options: Options of the recognizer.
        other: Bundle of the second opinion; None for the same bundle without its language model.
        limits: What a clip must meet.
        clips: Folder for the clips.
    """

    bundle: Path | None
    options: RecognizerOptions
    other: Path | None
    limits: LabelLimits
    clips: Path

    def open(self) -> Callable[[LabelItem], str]:
        """Load the models.

        Raises:
            EdgespeechError: A bundle or a setting is invalid, or a second opinion is missing.
        """
        first = Recognizer(load_bundle(self.bundle), self.options)
        if self.other is not None:
            second = Recognizer(load_bundle(self.other), chunk_ms=None)
            opinion = bundle_id(second.bundle)
        elif first.decoder.lm is None:
            raise UsageError("the bundle has no language model to leave out; give another bundle with --agree-with")
        else:
            second = Recognizer(first.bundle, replace(self.options, use_lm=False, lm=None))
            opinion = WITHOUT_LM
        labeller = _Labeller(first, second, opinion, self.limits, self.clips)
        return lambda item: labeller.label(item).to_json()


@dataclass(frozen=True)
class _Labeller:
    first: Recognizer
    second: Recognizer
    opinion: str
    limits: LabelLimits
    clips: Path

    def label(self, item: LabelItem) -> Summary:
        with local_copy(local_path(item.audio), item.audio) as path:
            rate = self.first.sample_rate
            work = Transcription(self.first.stream, (block[:, None] for block in read_blocks(path, rate)))
            segments = [segment for _, segment in work]
            candidates = list(self._candidates(segments, work.seconds_processed))
            with tempfile.TemporaryDirectory(dir=self.clips, prefix=".label-") as folder:
                parts = [Stretch(Path(folder, f"{index}.flac"), *one[1:]) for index, one in enumerate(candidates)]
                cut(read_blocks(path, rate), rate, parts)
                kept, dropped = self._judge(item, candidates, parts)
        return Summary(item.audio, work.seconds_processed, kept, dropped, {})

    def _candidates(self, segments: Sequence[Segment], seconds: float) -> Iterator[tuple[Segment, float, float]]:
        """Yield the segments with their borders, in the pauses around them."""
        starts = [segment.start for segment in segments[1:]] + [seconds]
        before = 0.0
        for segment, following in zip(segments, starts, strict=True):
            start = max(segment.start - PAD_SECONDS, (before + segment.start) / 2.0)
            yield segment, start, min(segment.end + PAD_SECONDS, (segment.end + following) / 2.0)
            before = segment.end

    def _judge(
        self, item: LabelItem, candidates: Sequence[tuple[Segment, float, float]], parts: Sequence[Stretch]
    ) -> tuple[list[KeptClip], list[Dropped]]:
        kept: list[KeptClip] = []
        dropped: list[Dropped] = []
        for (segment, start, end), part in zip(candidates, parts, strict=True):
            confidence = float(np.mean([word.confidence for word in segment.words]))
            reason, agreement = self._early_reason(segment, end - start, confidence), 0.0
            if reason is None:
                agreement = agreement_of(segment.text, self.second.transcribe(part.path).text)
                if agreement < self.limits.min_agreement:
                    reason = f"an agreement below {self.limits.min_agreement:g}"
            if reason is not None:
                dropped.append(Dropped(reason, end - start, confidence, segment.text))
                continue
            path = clip_path(self.clips, item.audio, item.number, len(kept))
            os.replace(part.path, path)
            provenance: dict[str, str | float] = {
                "kind": "labelled",
                "source": source_name(item.audio),
                "start": round(start, 3),
                "end": round(end, 3),
                "confidence": round(confidence, 4),
                "agreement": round(agreement, 4),
                "bundle": bundle_id(self.first.bundle),
                "agrees_with": self.opinion,
            }
            one = Utterance(path.name, path, segment.text, end - start, provenance=provenance)
            kept.append(KeptClip.of(one, confidence))
        return kept, dropped

    def _early_reason(self, segment: Segment, seconds: float, confidence: float) -> str | None:
        """Return why a segment is dropped without a second opinion."""
        limits = self.limits
        if not limits.min_seconds <= seconds <= limits.max_seconds:
            return f"not between {limits.min_seconds:g} and {limits.max_seconds:g} s"
        if len(segment.words) < limits.min_words:
            return f"fewer than {limits.min_words} words"
        if confidence < limits.min_confidence:
            return f"a confidence below {limits.min_confidence:g}"
        return None


def agreement_of(one: str, other: str) -> float:
    """Return the fraction of the characters of the longer text in which both agree."""
    left, right = scoring_text(one), scoring_text(other)
    return 1.0 - Levenshtein.distance(left, right) / max(1, len(left), len(right))
