"""Adapts the default model to unseen voices and counts word errors on other sentences of each, and of other speakers.

Run: python -m edgespeech.demo.experiments.adaptation SPEECH VOICE[:MINUTES] ... [--replay-minutes M] [--mix X]

SPEECH is a folder with librispeech and speechocean762. The first half of a voice adapts, or MINUTES of it, and the
second half tests; the other speakers are a part of both dev sets.
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.demo.bundles.adapt import (
    Comparison,
    PersonalRequest,
    adapt_bundle,
    compare_bundles,
    comparison_table,
    default_checkpoint,
)
from edgespeech.errors import VerificationError
from edgespeech.reference.adaptation.adapt import AdaptationRequest
from edgespeech.reference.adaptation.recipe import AdaptationSettings
from edgespeech.reference.adaptation.voice import seconds_of
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import Utterance, read_manifest, write_manifest
from edgespeech.runtime.measure.memory import resident_memory
from edgespeech.runtime.measure.references import read_references

CORPORA = ("librispeech", "speechocean762")
EVERY_OTHER = {"librispeech": 3, "speechocean762": 8}  # of how many clips of other speakers one is used
REPLAY = ("librispeech", "librispeech_three_speakers", "librispeech_dev_clean", "speechocean762", "common_voice")


@dataclass(frozen=True)
class Trial:
    """One voice, the minutes of it to adapt to (None for half of it), and the other speech."""

    voice: str
    minutes: float | None
    speech: Path
    replay_minutes: float
    settings: AdaptationSettings

    def utterances(self) -> tuple[list[Utterance], list[Utterance], list[Utterance]]:
        """Return the speech that adapts, that tests, and that of others; no sentence adapts and tests."""
        dev = {name: read_manifest(self.speech / name / "dev.jsonl") for name in CORPORA}
        own = sorted((one for part in dev.values() for one in part if one.speaker == self.voice), key=lambda u: u.path)
        random.Random(1).shuffle(own)
        half = _first(own, seconds_of(own) / 2.0)
        adapts = half if self.minutes is None else _first(half, 60.0 * self.minutes)
        known = {one.text for one in half}
        tests = [one for one in own if one.text not in known]
        others = [
            one for name, part in dev.items() for one in
            [other for other in part if other.speaker != self.voice][:: EVERY_OTHER[name]]
        ]  # fmt: skip
        return adapts, tests, others

    def replay(self) -> list[Utterance]:
        """Choose training speech of many speakers."""
        clips = [one for name in REPLAY for one in read_manifest(self.speech / name / "train.jsonl")]
        random.Random(0).shuffle(clips)
        return _first(clips, 60.0 * self.replay_minutes)

    def run(self, folder: Path) -> list[Comparison]:
        """Adapt, and compare on the tests and on others."""
        parts = dict(zip(("adapts", "tests", "others"), self.utterances(), strict=True))
        paths = {name: folder / f"{name}.jsonl" for name in (*parts, "replay")}
        for name, utterances in parts.items():
            write_manifest(paths[name], utterances)
        if self.replay_minutes:
            write_manifest(paths["replay"], self.replay())
        request = AdaptationRequest(
            default_checkpoint(), paths["adapts"], replay=paths["replay"] if self.replay_minutes else None,
            settings=self.settings,
        )  # fmt: skip
        began = time.monotonic()
        written = adapt_bundle(PersonalRequest(request), folder / "personal", lambda cost: print(f"estimated: {cost}"))
        minutes = (time.monotonic() - began) / 60.0
        print(f"{self.voice}: {minutes:.1f} minutes, {resident_memory().peak_mb / 1e3:.2f} GB", flush=True)
        spoken = f"{seconds_of(parts['adapts']) / 60.0:.1f} minutes"
        names = {f"{self.voice}, {spoken}": "tests", f"others, {self.voice} {spoken}": "others"}
        references = {shown: read_references(paths[name]) for shown, name in names.items()}
        return compare_bundles(load_bundle(), written.bundle, references)


def _first(utterances: Sequence[Utterance], seconds: float) -> list[Utterance]:
    chosen: list[Utterance] = []
    for one in utterances:
        if seconds_of(chosen) >= seconds:
            break
        chosen.append(one)
    return chosen


def main() -> None:
    """Print one table with two rows for each voice."""
    parser = argparse.ArgumentParser(description="Adapt the default model to unseen voices.")
    parser.add_argument("speech", type=Path)
    parser.add_argument("voices", nargs="+")
    parser.add_argument("--replay-minutes", type=float, default=0.0)
    parser.add_argument("--mix", type=float, default=AdaptationSettings().mix)
    given = parser.parse_args()
    comparisons: list[Comparison] = []
    refused = 0
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for one in given.voices:
        voice, _, minutes = one.partition(":")
        settings = AdaptationSettings(mix=given.mix)
        trial = Trial(voice, float(minutes) if minutes else None, given.speech, given.replay_minutes, settings)
        with tempfile.TemporaryDirectory() as folder:
            try:
                comparisons += trial.run(Path(folder))
            except VerificationError as error:
                refused += 1
                print(f"{one}: refused, {error}", flush=True)
        print(comparison_table(comparisons).text(), flush=True)
    # A voice that was refused keeps the model before.
    reductions = [*(one.reduction for one in comparisons[::2]), *([0.0] * refused)]
    print(f"mean relative reduction {100.0 * sum(reductions) / len(reductions):.1f} %, {refused} voices refused")


if __name__ == "__main__":
    main()
