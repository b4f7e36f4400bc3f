"""The recordings of one voice: which are trained on, and which are held out to decide when to stop."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgespeech.errors import ManifestError
from edgespeech.reference.data.clips import ClipRules, Unusable, training_text
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.labels import Labels
from edgespeech.runtime.manifest import Utterance, read_manifest
from edgespeech.runtime.measure.normalisation import scoring_text

MIN_SECONDS = 20.0  # of speech to train on
HELD_OUT_FRACTION = 0.15
MIN_HELD_OUT_SECONDS, MIN_HELD_OUT_CLIPS = 10.0, 3
BOUNDS = DataConfig(train=(), dev=())


@dataclass(frozen=True)
class Voice:
    """Utterances of one voice with their lengths: those to train on, and those held out, which share no sentence."""

    train: Sequence[Utterance]
    held_out: Sequence[Utterance]

    @property
    def train_seconds(self) -> float:
        """Length of the speech to train on."""
        return seconds_of(self.train)

    @property
    def held_out_seconds(self) -> float:
        """Length of the speech held out."""
        return seconds_of(self.held_out)


@dataclass(frozen=True)
class VoiceRules:
    """What a model can be trained on: its labels, and the lengths of clips."""

    labels: Labels
    model: ModelConfig

    def usable(self, manifest: Path) -> list[Utterance]:
        """Read the utterances of a manifest that can be trained on, with their lengths.

        Raises:
            ManifestError: The manifest cannot be read, or none of its utterances is usable.
        """
        rules = ClipRules.of(self.labels, self.model, BOUNDS)
        dropped: Counter[str] = Counter()
        found = []
        for utterance in read_manifest(manifest):
            try:
                clip = rules.clip(replace(utterance, text=scoring_text(utterance.text)))
            except Unusable as reason:
                dropped[str(reason)] += 1
            else:
                found.append(replace(utterance, text=clip.text, duration=clip.seconds))
        if not found:
            reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
            raise ManifestError(f"no usable recording in {manifest}: {reasons}; record some with `edgespeech record`")
        return found


def seconds_of(utterances: Sequence[Utterance]) -> float:
    """Add the lengths of utterances that have one."""
    return sum(one.duration or 0.0 for one in utterances)


def read_voice(rules: VoiceRules, speech: Path, held_out: Path | None = None, seed: int = 0) -> Voice:
    """Read the recordings of a voice, and hold some out unless a manifest of others is given.

    Raises:
        ManifestError: A manifest is invalid, there is too little speech, or both sides share a sentence.
    """
    utterances = rules.usable(speech)
    if held_out is not None:
        voice = Voice(utterances, rules.usable(held_out))
        shared = _texts(voice.train) & _texts(voice.held_out)
        if shared:
            raise ManifestError(
                f"{held_out} shares {len(shared)} sentences with {speech}, such as {min(shared)[:60]!r}; "
                "remove them from one of the two"
            )
    else:
        voice = split_voice(utterances, speech, seed)
    if voice.train_seconds < MIN_SECONDS:
        raise ManifestError(
            f"{speech} has {voice.train_seconds:.0f} s of speech to train on; wanted at least {MIN_SECONDS:.0f} s, "
            "better five minutes; record more with `edgespeech record`"
        )
    return voice


def split_voice(utterances: Sequence[Utterance], speech: Path, seed: int = 0) -> Voice:
    """Hold out about a seventh of the speech; all recordings of a sentence are on the same side.

    Raises:
        ManifestError: There are too few sentences, or too little speech.
    """
    by_text: defaultdict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        by_text[training_text(utterance.text)].append(utterance)
    texts = sorted(by_text)
    random.Random(seed).shuffle(texts)
    wanted = max(MIN_HELD_OUT_SECONDS, HELD_OUT_FRACTION * seconds_of(utterances))
    chosen: list[str] = []
    seconds = 0.0
    for text in texts:
        if seconds >= wanted and len(chosen) >= MIN_HELD_OUT_CLIPS:
            break
        chosen.append(text)
        seconds += seconds_of(by_text[text])
    held = set(chosen)
    voice = Voice(
        [one for one in utterances if training_text(one.text) not in held],
        [one for one in utterances if training_text(one.text) in held],
    )
    if not voice.train or seconds < MIN_HELD_OUT_SECONDS or len(chosen) < MIN_HELD_OUT_CLIPS:
        raise ManifestError(
            f"{speech} has {len(texts)} different sentences, {seconds_of(utterances):.0f} s, too few to hold some out; "
            "record more with `edgespeech record`, or give others with --held-out"
        )
    return voice


def _texts(utterances: Sequence[Utterance]) -> set[str]:
    return {training_text(one.text) for one in utterances}
