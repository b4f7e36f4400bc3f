"""The utterances of a manifest that can be scored, with an account of what was normalised and what was left out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import ManifestError
from edgespeech.runtime import audio
from edgespeech.runtime.decoder.word_times import any_space
from edgespeech.runtime.files import printable_name
from edgespeech.runtime.manifest import Utterance, read_manifest, read_samples
from edgespeech.runtime.measure.normalisation import RULE, scoring_text, separate_characters
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.word_errors import normalise

log = logging.getLogger(__name__)

Samples = NDArray[np.float32]
NO_TEXT = "without a text"
NO_AUDIO = "offset behind the end of the recording"
MAX_MISSING_SECONDS = 0.5  # that a recording may be shorter than its manifest states


@dataclass(frozen=True)
class References:
    """Utterances with their normalised reference texts, some of which may be empty.

    Attributes:
        corpus: The manifest, with the name of its folder.
        left_out: Number of lines of the manifest that cannot be scored, by reason.
        normalised: Number of texts that the rule changed, apart from case and spacing.
        by_rule: Whether hypotheses are normalised by the rule too, or only in case and spacing.
        by_characters: Whether each character is counted as a word.
    """

    corpus: str
    utterances: tuple[Utterance, ...]
    texts: tuple[str, ...]
    left_out: Mapping[str, int]
    normalised: int
    by_rule: bool = True
    by_characters: bool = False

    def normalise(self, hypothesis: str) -> str:
        """Normalise a hypothesis as the reference texts were."""
        text = scoring_text(hypothesis) if self.by_rule else normalise(hypothesis)
        return separate_characters(text) if self.by_characters else text

    def for_labels(self, labels: Iterable[str]) -> References:
        """Return the references as they are counted with these labels: by characters, if none of them has a space."""
        if self.by_characters or any_space(labels):
            return self
        return replace(self, texts=tuple(map(separate_characters, self.texts)), by_characters=True)

    def log(self) -> None:
        """Log what was normalised, left out, and counted without a reference word."""
        for reason, lines in self.left_out.items():
            log.warning("%s: %d utterances are left out: %s", self.corpus, lines, reason)
        if empty := sum(not text for text in self.texts):
            log.info("%s: %d texts are empty; words recognised there count as inserted", self.corpus, empty)
        if self.normalised:
            count = len(self.texts)
            log.info("%s: %d of %d texts were normalised (%s)", self.corpus, self.normalised, count, RULE)


def read_references(manifest: Path, limit: int | None = None, by_rule: bool = True) -> References:
    """Read the utterances that can be scored: all, or at most ``limit``, spread evenly over the manifest.

    Raises:
        ManifestError: The manifest is invalid, an audio file is missing, or no utterance has a text with words.
        AudioError: A file of which a part is to be scored cannot be read.
    """
    left_out: Counter[str] = Counter()
    utterances = []
    durations: dict[Path, float] = {}
    for one in read_manifest(manifest, check_files=True):
        reason = NO_AUDIO if _begins_behind_the_end(one, durations) else None if one.has_text else NO_TEXT
        if reason is None:
            utterances.append(one)
        else:
            left_out[reason] += 1
    if limit is not None and limit < len(utterances):
        utterances = [utterances[index * len(utterances) // limit] for index in range(limit)]
    plain = [normalise(one.text) for one in utterances]
    texts = [scoring_text(text) for text in plain] if by_rule else plain
    if not any(texts):
        reasons = "".join(f"; left out: {count} {reason}" for reason, count in left_out.items())
        raise ManifestError(f"{manifest} has no utterance with a text{reasons}; wanted reference texts; add them")
    return References(
        corpus=printable_name(f"{manifest.absolute().parent.name}/{manifest.name}"),
        utterances=tuple(utterances),
        texts=tuple(texts),
        left_out=dict(left_out),
        normalised=sum(text != before for text, before in zip(texts, plain, strict=True)),
        by_rule=by_rule,
    )


def _begins_behind_the_end(utterance: Utterance, durations: dict[Path, float]) -> bool:
    if utterance.offset and utterance.path not in durations:
        durations[utterance.path] = audio.info(utterance.path).duration
    return utterance.offset > 0.0 and utterance.offset >= durations[utterance.path]


def read_speech(references: References, sample_rate: int, title: str) -> Iterator[tuple[Utterance, str, Samples]]:
    """Yield each utterance with its reference text and its samples, float32 [n], and show the progress.

    Raises:
        AudioError: A file cannot be read.
    """
    seconds = []
    pairs = list(zip(references.utterances, references.texts, strict=True))
    for utterance, text in track(pairs, title):
        samples = read_samples(utterance, sample_rate)
        seconds.append(len(samples) / sample_rate)
        yield utterance, text, samples
    log_shorter_recordings(references, seconds)


def log_shorter_recordings(references: References, seconds: list[float]) -> None:
    """Log how many recordings are empty, or shorter than the manifest states: their missing words count as deleted."""
    short = 0
    for utterance, found in zip(references.utterances, seconds, strict=True):
        wanted = utterance.duration or 0.0
        short += not found or wanted - found > MAX_MISSING_SECONDS
    if short:
        log.warning(
            "%s: %d recordings are empty or more than %g s shorter than the manifest states; words missing there "
            "count as deleted", references.corpus, short, MAX_MISSING_SECONDS,
        )  # fmt: skip
