"""Training clips from manifests; reads no samples and needs no torch."""

from __future__ import annotations

import os
import random
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import AudioError, ConfigError
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.labels import CHARACTERS, Labels, bigram_labels, character_labels, frames_needed
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import Utterance, read_manifest
from edgespeech.runtime.measure.word_errors import normalise

NO_LABEL = "text with a character that no label has"


@dataclass(frozen=True)
class Clip:
    """One training clip; ``offset`` is the start within the file in seconds, ``targets`` are label indices."""

    path: Path
    seconds: float
    text: str
    targets: tuple[int, ...]
    offset: float = 0.0
    speaker: str | None = None


class Unusable(Exception):
    """The clip cannot be trained on; the message is the reason, the same for all clips that it applies to."""


@dataclass(frozen=True)
class ClipRules:
    """Requirements for a clip: characters that have labels, not more labels than output frames, length in bounds."""

    labels: Labels
    sample_rate: int
    frame_samples: int
    min_seconds: float
    max_seconds: float

    @classmethod
    def of(cls, labels: Labels, model: ModelConfig, data: DataConfig) -> ClipRules:
        """Make the rules of a model and a data configuration."""
        return cls(labels, model.features.sample_rate, model.frame_samples, data.min_seconds, data.max_seconds)

    def clip(self, utterance: Utterance, seconds: float | None = None) -> Clip:
        """Make the clip of a line of a manifest; ``seconds`` is its measured length.

        Raises:
            Unusable: The clip does not meet the requirements.
        """
        if not os.path.isfile(utterance.path):
            raise Unusable("missing file")
        text = training_text(utterance.text)
        try:
            targets = tuple(self.labels.encode(text))
        except ConfigError:
            raise Unusable(NO_LABEL) from None
        if seconds is None:
            seconds = stated_seconds(utterance)
        if not targets:
            raise Unusable("no text")
        if not self.min_seconds <= seconds <= self.max_seconds:
            raise Unusable(f"not between {self.min_seconds:g} and {self.max_seconds:g} s")
        if frames_needed(targets) > int(seconds * self.sample_rate) // self.frame_samples:
            raise Unusable("more labels than output frames")
        return Clip(utterance.path, seconds, text, targets, utterance.offset, utterance.speaker)


def stated_seconds(utterance: Utterance) -> float:
    """Return the length by the manifest or else the file's header; an unreadable file is `Unusable`."""
    if utterance.duration is not None:
        return utterance.duration
    try:
        return audio.info(utterance.path).duration - utterance.offset
    except AudioError:
        raise Unusable("unreadable file") from None


def training_text(text: str) -> str:
    """Return a text as it is trained on: lower case, single spaces, composed characters (NFC)."""
    return normalise(unicodedata.normalize("NFC", text))


def manifest_texts(manifests: Sequence[Path]) -> list[str]:
    """Return the texts of all lines of all manifests as they are trained on."""
    return [training_text(entry.text) for manifest in manifests for entry in read_manifest(manifest)]


def build_labels(model: ModelConfig, manifests: Sequence[Path], characters: str | None = None) -> Labels:
    """Make the label set of a configuration from its characters, by default the English ones.

    Bigrams are counted in the texts of the manifests.
    """
    single = Labels(CHARACTERS) if characters is None else character_labels(characters)
    return single if model.label_set == "characters" else bigram_labels(manifest_texts(manifests), characters=single)


def usable_clips(
    manifests: Sequence[Path], labels: Labels, model: ModelConfig, data: DataConfig
) -> tuple[list[Clip], Counter[str]]:
    """Read manifests, and return the clips that can be trained on and how many were dropped for each reason.

    Raises:
        ManifestError: A manifest is missing or damaged.
        ConfigError: No clip is left.
    """
    rules = ClipRules.of(labels, model, data)
    clips: list[Clip] = []
    dropped: Counter[str] = Counter()
    for manifest in manifests:
        for entry in read_manifest(manifest):
            try:
                clips.append(rules.clip(entry))
            except Unusable as reason:
                dropped[str(reason)] += 1
    if not clips:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "the manifests are empty"
        advice = "`edgespeech data check` names the characters" if NO_LABEL in dropped else "correct the manifests"
        raise ConfigError(f"no usable clip in {', '.join(map(str, manifests))}: {reasons}; {advice}")
    return clips, dropped


def take_fraction(clips: Sequence[Clip], fraction: float, seed: int = 0) -> list[Clip]:
    """Return the same fraction of every speaker's clips, in the order given; none at all is a ConfigError.

    Smaller fractions are subsets of larger ones. A speaker with n clips contributes ``fraction * n`` of them, rounded
    up or down at random, so that speakers with a single clip are neither all in nor all out.
    """
    by_speaker: dict[str | None, list[int]] = defaultdict(list)
    for index, clip in enumerate(clips):
        by_speaker[clip.speaker].append(index)
    position: dict[int, float] = {}
    for speaker, indices in by_speaker.items():
        chance = random.Random(f"{seed} {speaker}")
        chance.shuffle(indices)
        start = chance.random()
        position |= {index: (turn + start) / len(indices) for turn, index in enumerate(indices)}
    chosen = [clip for index, clip in enumerate(clips) if fraction >= 1.0 or position[index] < fraction]
    if not chosen:
        raise ConfigError(f"a fraction of {fraction:g} of {len(clips)} clips is empty; choose a larger one")
    return chosen
