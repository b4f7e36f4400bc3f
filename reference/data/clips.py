"""From manifests to clips that can be learnt from; reads no samples and needs no torch."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import AudioError, ConfigError
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.labels import CHARACTERS, Labels, bigram_labels, frames_needed
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import Utterance, read_manifest


@dataclass(frozen=True)
class Clip:
    """A recording to learn from: file, seconds, text and its labels, where in the file it begins, who speaks."""

    path: Path
    seconds: float
    text: str
    targets: tuple[int, ...]
    offset: float = 0.0
    speaker: str | None = None


class Unusable(Exception):
    """A clip that cannot be learnt from; the message is the reason, the same for all clips that it holds for."""


@dataclass(frozen=True)
class ClipRules:
    """What text and length of a clip must be: letters that the labels have, and no more of them than fit.

    Attributes:
        labels: Of the model.
        sample_rate: Hertz.
        frame_samples: Audio samples per output frame.
        min_seconds: Shorter clips are dropped.
        max_seconds: Longer clips are dropped.
    """

    labels: Labels
    sample_rate: int
    frame_samples: int
    min_seconds: float
    max_seconds: float

    @classmethod
    def of(cls, labels: Labels, model: ModelConfig, data: DataConfig) -> ClipRules:
        """Those of a configuration."""
        return cls(labels, model.features.sample_rate, model.frame_samples, data.min_seconds, data.max_seconds)

    def clip(self, utterance: Utterance, seconds: float | None = None) -> Clip:
        """The clip that a line of a manifest describes.

        Args:
            utterance: The line.
            seconds: Its length where it was measured; otherwise the manifest or the file's header says it.

        Raises:
            Unusable: It cannot be learnt from.
        """
        if not utterance.path.is_file():
            raise Unusable("missing file")
        text = " ".join(utterance.text.lower().split())
        try:
            targets = tuple(self.labels.encode(text))
        except ConfigError:
            raise Unusable("text with a character that no label has") from None
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
    """Length by the manifest, or else by the file's header.

    Raises:
        Unusable: The file is asked and cannot be read.
    """
    if utterance.duration is not None:
        return utterance.duration
    try:
        return audio.info(utterance.path).duration - utterance.offset
    except AudioError:
        raise Unusable("unreadable file") from None


def manifest_texts(manifests: Sequence[Path]) -> list[str]:
    """The texts of all lines of all manifests, in lower case."""
    return [entry.text.lower() for manifest in manifests for entry in read_manifest(manifest)]


def build_labels(model: ModelConfig, manifests: Sequence[Path]) -> Labels:
    """The label set that a configuration asks for; bigrams are those of the manifests' texts."""
    return Labels(CHARACTERS) if model.label_set == "characters" else bigram_labels(manifest_texts(manifests))


def usable_clips(
    manifests: Sequence[Path], labels: Labels, model: ModelConfig, data: DataConfig
) -> tuple[list[Clip], Counter[str]]:
    """Read manifests and drop what cannot be learnt from.

    Returns:
        The clips, and how many were dropped for which reason.

    Raises:
        ManifestError: A manifest is missing or broken.
        ConfigError: Nothing is left.
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
        raise ConfigError(f"no usable clip in {', '.join(map(str, manifests))}: {reasons}")
    return clips, dropped


def share_of(clips: Sequence[Clip], share: float, seed: int = 0) -> list[Clip]:
    """The same share of every speaker's clips, in the order given.

    Smaller shares are parts of larger ones. A speaker with n clips gives ``share * n`` of them, up or down by chance,
    so that those with a single clip are not all in or all out.

    Raises:
        ConfigError: The share is too small to hold a clip.
    """
    spoken: dict[str | None, list[int]] = defaultdict(list)
    for index, clip in enumerate(clips):
        spoken[clip.speaker].append(index)
    place: dict[int, float] = {}
    for speaker, indices in spoken.items():
        chance = random.Random(f"{seed} {speaker}")
        chance.shuffle(indices)
        start = chance.random()
        place |= {index: (turn + start) / len(indices) for turn, index in enumerate(indices)}
    chosen = [clip for index, clip in enumerate(clips) if share >= 1.0 or place[index] < share]
    if not chosen:
        raise ConfigError(f"a share of {share:g} of {len(clips)} clips holds none; choose a larger share")
    return chosen
