"""`data check`: what of some manifests can be learnt from, what not and why; changes no recording."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from edgespeech.errors import ManifestError, UsageError
from edgespeech.reference.data.clip_checks import HeardClip, check_clip, pace_outliers
from edgespeech.reference.data.clips import ClipRules, Unusable, build_labels
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.language_model.text import Exclusion
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.training.config import read_training_config
from edgespeech.runtime.manifest import Utterance, read_manifest, write_manifest

FEWEST_WORDS = 3  # a shorter sentence may be common to training and dev: "yes", "turn left"


@dataclass(frozen=True)
class Corpora:
    """What is looked at: manifests to train on, manifests to keep apart from them, and what a clip must be."""

    train: tuple[Path, ...]
    dev: tuple[Path, ...]
    rules: ClipRules


@dataclass(frozen=True)
class Finding:
    """What became of one line of a manifest.

    Attributes:
        manifest: Where it stands.
        utterance: The line; its duration is the measured one where that is known.
        reason: Why it is dropped; None if it is kept.
    """

    manifest: Path
    utterance: Utterance
    reason: str | None = None

    @property
    def hours(self) -> float:
        """By the manifest where the recording could not be read."""
        return (self.utterance.duration or 0.0) / 3600.0


def corpora_from(paths: Sequence[Path], dev: Sequence[Path]) -> Corpora:
    """Read the arguments of the command: one configuration, or manifests.

    Raises:
        UsageError: A configuration and something else.
        ConfigError: The configuration is unusable.
    """
    if not any(path.suffix == ".toml" for path in paths):
        model, data, train = ModelConfig(), DataConfig(train=(), dev=()), tuple(paths)
    elif len(paths) > 1:
        raise UsageError(f"{len(paths)} files, one of them a configuration; give one .toml file or manifests only")
    else:
        config, base = read_training_config(paths[0]), paths[0].parent
        model, data = config.model, config.data
        train = tuple(base / path for path in data.train)
        dev = (*(base / path for path in data.dev), *dev)
    return Corpora(train, tuple(dev), ClipRules.of(build_labels(model, train), model, data))


def check(corpora: Corpora, listen: bool, jobs: int) -> tuple[list[Finding], list[Finding]]:
    """Look at every line of every manifest.

    Args:
        corpora: The manifests.
        listen: Decode the recordings, for silence, clipping and duplicates; otherwise only their headers are read.
        jobs: Recordings that are decoded at the same time.

    Returns:
        One finding for each line, of the manifests to train on and of those kept apart.

    Raises:
        ManifestError: A manifest is missing or broken, or no clip to train on is left.
    """
    seen = _Seen()
    dev = [finding for manifest in corpora.dev for finding in _check(manifest, corpora.rules, listen, jobs, seen)]
    seen.keep_apart(corpora)
    train = [finding for manifest in corpora.train for finding in _check(manifest, corpora.rules, listen, jobs, seen)]
    if all(finding.reason for finding in train):
        reasons = Counter(finding.reason for finding in train)
        counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        raise ManifestError(f"no usable clip in {', '.join(map(str, corpora.train))}: {counted}; mend the manifests")
    return train, dev


class _Seen:
    """What stood in the manifests before: for duplicates, and for what must not be trained on."""

    def __init__(self) -> None:
        self._recordings: set[tuple[Path, float] | bytes | None] = set()
        self._speakers: frozenset[str] = frozenset()
        self._sentences: Exclusion | None = None

    def keep_apart(self, corpora: Corpora) -> None:
        """From now on, speakers and sentences of the dev manifests are refused."""
        spoken = (utterance.speaker for manifest in corpora.dev for utterance in read_manifest(manifest))
        self._speakers = frozenset(speaker for speaker in spoken if speaker)
        self._sentences = Exclusion.of(corpora.dev, frozenset("".join(corpora.rules.labels.symbols)))

    def reason(self, heard: HeardClip) -> str | None:
        """Why the clip is dropped, in view of those before it."""
        clip = heard.clip
        if clip.speaker in self._speakers:
            return "speaker of the dev speech"
        long_enough = len(clip.text.split()) >= FEWEST_WORDS
        if self._sentences is not None and long_enough and self._sentences.covers(clip.text):
            return "sentence of the dev speech"
        keys = {(clip.path.resolve(), clip.offset), heard.fingerprint} - {None}
        again = not keys.isdisjoint(self._recordings)
        self._recordings |= keys
        return "duplicate" if again else None


def _check(manifest: Path, rules: ClipRules, listen: bool, jobs: int, seen: _Seen) -> Iterator[Finding]:
    utterances = read_manifest(manifest)
    lines = Counter(utterance.path for utterance in utterances)

    def look(utterance: Utterance) -> HeardClip | str:
        try:
            return check_clip(rules, utterance, utterance.offset > 0.0 or lines[utterance.path] > 1, listen)
        except Unusable as reason:
            return str(reason)

    console = Console(stderr=True)
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(look, utterances)
        title = f"checking {short_name(manifest)}"
        bar = track(results, title, len(utterances), console=console, disable=not console.is_terminal)
        found = list(bar)
    outliers = iter(pace_outliers([one.clip for one in found if isinstance(one, HeardClip)]))
    for utterance, one in zip(utterances, found, strict=True):
        if isinstance(one, str):
            yield Finding(manifest, utterance, one)
            continue
        measured = replace(utterance, text=one.clip.text, duration=one.clip.seconds)
        reason = "text far too long or too short for the recording" if next(outliers) else seen.reason(one)
        yield Finding(manifest, measured, reason)


def short_name(manifest: Path) -> str:
    """A manifest as people know it: with its folder."""
    path = Path(os.path.abspath(manifest))
    return f"{path.parent.name}/{path.name}"


def write_clean(path: Path, findings: Sequence[Finding]) -> int:
    """Write what was kept as one manifest, with measured durations; gives the number of lines."""
    return write_manifest(path, (finding.utterance for finding in findings if finding.reason is None))


def summary(findings: Sequence[Finding]) -> dict[str, Any]:
    """Clips and hours, kept and dropped by reason, of each manifest and of all together."""
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
        "reasons": dict(sorted(reasons.items(), key=lambda item: -item[1]["clips"])),
    }


def table(findings: Sequence[Finding], title: str) -> str:
    """One row for each manifest, and below it what was dropped, with the first such recording."""
    counted = summary(findings)
    rows = [(short_name(Path(corpus["manifest"])), corpus) for corpus in counted["corpora"]]
    if len(rows) > 1:
        rows.append(("all", counted["all"]))
    width = max(len(title), *(len(name) for name, _ in rows))
    lines = [f"{title:{width}}   clips    hours     kept    hours  speakers"]
    first = {(one["manifest"], one["reason"]): one["audio_filepath"] for one in reversed(counted["dropped"])}
    for name, sums in rows:
        lines.append(
            f"{name:{width}} {sums['clips']:7} {sums['hours']:8.2f} {sums['kept']:8} {sums['kept_hours']:8.2f} "
            f"{sums['speakers']:9}"
        )
        for reason, entry in sums["reasons"].items():
            example = first.get((sums.get("manifest"), reason))
            lines.append(
                f"{'':{width}} {-entry['clips']:7} {-entry['hours']:8.2f}   {reason}"
                + (f", such as {example}" if example else "")
            )
    return "\n".join(lines)
