"""`data check`: which clips of some manifests can be trained on, and why the others cannot; changes no recording."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgespeech.errors import ManifestError
from edgespeech.reference.data.characters import UnlabelledCharacters
from edgespeech.reference.data.clip_checks import CheckedClip, check_clip, pace_outliers
from edgespeech.reference.data.clips import NO_LABEL, ClipRules, Unusable, build_labels, training_text
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.language_model.text import Exclusion, spoken_line
from edgespeech.reference.model.config import ModelConfig
from edgespeech.runtime.manifest import Utterance, read_manifest, write_manifest
from edgespeech.runtime.measure.normalisation import RULE, scoring_text
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.tables import Page, Table

log = logging.getLogger(__name__)

TRANSCRIBED = "transcribed"
MIN_WORDS = 3  # a shorter sentence may occur in both training and dev speech: "yes", "turn left"


@dataclass(frozen=True)
class Corpora:
    """Manifests to train on, manifests to keep apart from them, and the requirements for a clip.

    With ``normalise``, all texts are normalised by the rule of `evaluate` first.
    """

    train: tuple[Path, ...]
    dev: tuple[Path, ...]
    rules: ClipRules
    normalise: bool = False

    @classmethod
    def of(
        cls, model: ModelConfig, data: DataConfig, train: Sequence[Path], dev: Sequence[Path], labels: str | None = None
    ) -> Corpora:
        """Make the labels of a model from these characters, and take the requirements of a configuration."""
        return cls(tuple(train), tuple(dev), ClipRules.of(build_labels(model, train, labels), model, data))

    def read(self, manifest: Path) -> list[Utterance]:
        """Read the utterances of a manifest, and log how many texts were normalised."""
        utterances = read_manifest(manifest)
        if not self.normalise:
            return utterances
        texts = [scoring_text(one.text) for one in utterances]
        changed = sum(text != training_text(one.text) for text, one in zip(texts, utterances, strict=True))
        log.info("%s: %d of %d texts were normalised (%s)", manifest, changed, len(texts), RULE)
        return [replace(one, text=text) for text, one in zip(texts, utterances, strict=True)]


@dataclass(frozen=True)
class Finding:
    """The result for one line of a manifest, with its measured duration; ``reason`` is None if the clip is kept."""

    manifest: Path
    utterance: Utterance
    reason: str | None = None

    @property
    def hours(self) -> float:
        """Length in hours, by the manifest if the recording could not be read."""
        return (self.utterance.duration or 0.0) / 3600.0


def check(corpora: Corpora, decode: bool, jobs: int) -> tuple[list[Finding], list[Finding]]:
    """Check every line of the training and of the dev manifests, and return a finding for each.

    Args:
        corpora: The manifests.
        decode: Decode the recordings to find silence, clipping and duplicates; otherwise only read their headers.
        jobs: Number of recordings to decode at the same time.

    Raises:
        ManifestError: A manifest is missing or damaged, or no training clip is left.
    """
    seen = _Seen()
    dev = [finding for manifest in corpora.dev for finding in _check(manifest, corpora, decode, jobs, seen)]
    seen.keep_apart(corpora)
    train = [finding for manifest in corpora.train for finding in _check(manifest, corpora, decode, jobs, seen)]
    if all(finding.reason for finding in train):
        raise ManifestError(_why_none(train, corpora))
    return train, dev


def _why_none(findings: Sequence[Finding], corpora: Corpora) -> str:
    reasons = Counter(finding.reason for finding in findings)
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    which, advice = "", "correct the manifests"
    if NO_LABEL in reasons:
        characters = unlabelled(findings, corpora)
        which, advice = f"; no label for {characters}", next(characters.advice(), advice)
    return f"no usable clip in {', '.join(map(str, corpora.train))}: {counts}{which}; {advice}"


def unlabelled(findings: Sequence[Finding], corpora: Corpora) -> UnlabelledCharacters:
    """Find the characters without a label in all texts that were checked."""
    return UnlabelledCharacters.find(((one.manifest, one.utterance) for one in findings), corpora.rules.labels)


class _Seen:
    """The recordings checked so far, and the speakers and sentences of the dev speech."""

    def __init__(self) -> None:
        self._recordings: set[tuple[Path, float] | bytes | None] = set()
        self._speakers: frozenset[str] = frozenset()
        self._sentences: Exclusion | None = None
        self._alphabet: frozenset[str] = frozenset()

    def keep_apart(self, corpora: Corpora) -> None:
        """Reject the speakers and sentences of the dev manifests from now on."""
        speakers = (utterance.speaker for manifest in corpora.dev for utterance in read_manifest(manifest))
        self._speakers = frozenset(speaker for speaker in speakers if speaker)
        self._alphabet = frozenset("".join(corpora.rules.labels.symbols))
        self._sentences = Exclusion.of(corpora.dev, self._alphabet)

    def reason(self, checked: CheckedClip) -> str | None:
        """Return why the clip is dropped in view of the clips before it; None if it is kept."""
        clip = checked.clip
        if clip.speaker in self._speakers:
            return "speaker of the dev speech"
        long_enough = len(clip.text.split()) >= MIN_WORDS
        if self._sentences is not None and long_enough:
            # The dev sentences are normalised in the same way: "mr" is "mister" in both.
            if self._sentences.covers(spoken_line(clip.text, self._alphabet) or clip.text):
                return "sentence of the dev speech"
        keys = {(clip.path.resolve(), clip.offset), checked.fingerprint} - {None}
        again = not keys.isdisjoint(self._recordings)
        self._recordings |= keys
        return "duplicate" if again else None


def _check(manifest: Path, corpora: Corpora, decode: bool, jobs: int, seen: _Seen) -> Iterator[Finding]:
    utterances, rules = corpora.read(manifest), corpora.rules
    lines = Counter(utterance.path for utterance in utterances)

    def check_one(utterance: Utterance) -> CheckedClip | str:
        try:
            return check_clip(rules, utterance, utterance.offset > 0.0 or lines[utterance.path] > 1, decode)
        except Unusable as reason:
            return str(reason)

    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(check_one, utterances)
        found = list(track(results, f"checking {short_name(manifest)}", len(utterances)))
    outliers = iter(pace_outliers([one.clip for one in found if isinstance(one, CheckedClip)]))
    for utterance, one in zip(utterances, found, strict=True):
        if isinstance(one, str):
            yield Finding(manifest, utterance, one)
            continue
        measured = replace(utterance, text=one.clip.text, duration=one.clip.seconds)
        reason = "text far too long or too short for the recording" if next(outliers) else seen.reason(one)
        yield Finding(manifest, measured, reason)


def short_name(manifest: Path) -> str:
    """Return the name of a manifest with that of its folder."""
    path = Path(os.path.abspath(manifest))
    return f"{path.parent.name}/{path.name}"


def write_clean(path: Path, findings: Sequence[Finding]) -> int:
    """Write the clips that are kept as one manifest with measured durations; returns the number of lines."""
    return write_manifest(path, (finding.utterance for finding in findings if finding.reason is None))


def summary(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return clips and hours, kept and dropped by reason, for each manifest and for all together."""
    by_manifest: dict[Path, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_manifest[finding.manifest].append(finding)
    return {
        "corpora": [{"manifest": str(manifest), **_sums(some)} for manifest, some in by_manifest.items()],
        "all": _sums(findings),
        "dropped": [
            {"manifest": str(one.manifest), "audio_filepath": one.utterance.audio_filepath, "reason": one.reason}
            for one in findings
            if one.reason
        ],
    }


def _sums(findings: Sequence[Finding]) -> dict[str, Any]:
    reasons: dict[str, dict[str, float]] = {}
    for finding in findings:
        if finding.reason:
            entry = reasons.setdefault(finding.reason, {"clips": 0, "hours": 0.0})
            entry["clips"] += 1
            entry["hours"] += finding.hours
    kept = [finding for finding in findings if finding.reason is None]
    return {
        "clips": len(findings),
        "hours": sum(finding.hours for finding in findings),
        "kept": len(kept),
        "kept_hours": sum(finding.hours for finding in kept),
        "speakers": len({finding.utterance.speaker for finding in kept if finding.utterance.speaker}),
        "texts": _texts(kept),
        "reasons": dict(sorted(reasons.items(), key=lambda item: -item[1]["clips"])),
    }


def _texts(findings: Sequence[Finding]) -> dict[str, dict[str, float]]:
    """Return clips and hours by how the texts were made: aligned, labelled by a model, or transcribed."""
    texts: dict[str, dict[str, float]] = {}
    for finding in findings:
        entry = texts.setdefault(text_kind(finding.utterance), {"clips": 0, "hours": 0.0})
        entry["clips"] += 1
        entry["hours"] += finding.hours
    return texts


def text_kind(utterance: Utterance) -> str:
    """Return how the text of a clip was made; one of which the manifest says nothing counts as transcribed."""
    return TRANSCRIBED if utterance.provenance is None else str(utterance.provenance["kind"])


def page(findings: Sequence[Finding], title: str) -> Page:
    """Lay out one row for each manifest, then one for each reason why clips of it were dropped, with an example."""
    counted = summary(findings)
    corpora = [(short_name(Path(corpus["manifest"])), corpus) for corpus in counted["corpora"]]
    total = [("all", counted["all"])] if len(corpora) > 1 else []
    rows = [
        [name, f"{sums['clips']}", f"{sums['hours']:.2f}", f"{sums['kept']}", f"{sums['kept_hours']:.2f}",
         f"{sums['speakers']}"]
        for name, sums in corpora + total
    ]  # fmt: skip
    kept = Table([title, "clips", "hours", "kept", "hours", "speakers"], rows)
    examples = {(one["manifest"], one["reason"]): one["audio_filepath"] for one in reversed(counted["dropped"])}
    dropped = [
        [name, reason, examples[sums["manifest"], reason], f"{entry['clips']}", f"{entry['hours']:.2f}"]
        for name, sums in corpora
        for reason, entry in sums["reasons"].items()
    ]
    texts = counted["all"]["texts"]
    tables: list[Table] = [kept]
    if set(texts) - {TRANSCRIBED}:
        by_kind = [[kind, f"{entry['clips']}", f"{entry['hours']:.2f}"] for kind, entry in sorted(texts.items())]
        tables.append(Table(["texts of the kept clips", "clips", "hours"], by_kind))
    if dropped:
        tables.append(Table(["dropped from", "reason", "for example", "clips", "hours"], dropped, left=3))
    return list(tables)
