"""Adapts the default model to unseen voices and counts word errors on other sentences of each, and of other speakers.

Run: python -m edgespeech.demo.experiments.adaptation SPEECH VOICE[:MINUTES] ... [--jobs N]

SPEECH is a folder with librispeech and speechocean762. The first half of a voice adapts, or MINUTES of it, and the
second half tests; the other speakers are a part of both dev sets. Each voice has a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
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
    default_checkpoint,
    default_replay,
)
from edgespeech.errors import VerificationError
from edgespeech.reference.adaptation.adapt import AdaptationRequest
from edgespeech.reference.adaptation.voice import seconds_of
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import Utterance, read_manifest, write_manifest
from edgespeech.runtime.measure.memory import resident_memory
from edgespeech.runtime.measure.references import read_references
from edgespeech.runtime.measure.tables import Table

CORPORA = ("librispeech", "speechocean762")
EVERY_OTHER = {"librispeech": 2, "speechocean762": 4}  # of how many clips of other speakers one is used
HEADINGS = (
    "voice", "minutes", "words", "WER % before", "after", "reduction %",
    "others: words", "WER % before", "after", "change", "time, minutes", "memory, GB", "estimated",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What a voice gained, what others lost, and what it took; a bundle that was refused changes nothing."""

    voice: str
    spoken_minutes: float
    own: Comparison
    others: Comparison
    minutes: float
    peak_gb: float
    estimated: str
    refused: bool = False

    @property
    def reduction(self) -> float:
        """Fraction of the word errors that are gone."""
        return 0.0 if self.refused else self.own.reduction

    def cells(self) -> tuple[str, ...]:
        """Return the row under `HEADINGS`."""
        took = f"{self.minutes:.1f}", f"{self.peak_gb:.2f}", self.estimated
        shown: list[str] = []
        for one in (self.own, self.others):
            before, after = 100.0 * one.before.wer, 100.0 * one.after.wer
            last = f"{after - before:+.1f}" if one is self.others else f"{100.0 * self.reduction:.1f}"
            shown += [str(one.before.words), f"{before:.1f}", "refused" if self.refused else f"{after:.1f}", last]
        return self.voice, f"{self.spoken_minutes:.1f}", *shown, *took


@dataclass(frozen=True)
class Trial:
    """One voice, the minutes of it to adapt to (None for half of it), and the other speech."""

    voice: str
    minutes: float | None
    speech: Path

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

    def run(self) -> Result:
        """Adapt, and compare on the tests and on others."""
        parts = dict(zip(("adapts", "tests", "others"), self.utterances(), strict=True))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for part, utterances in parts.items():
                write_manifest(folder / f"{part}.jsonl", utterances)
            request = AdaptationRequest(default_checkpoint(), folder / "adapts.jsonl", replay=default_replay())
            estimated: list[str] = []
            before, refused = load_bundle(), False
            began = time.monotonic()
            try:
                after = adapt_bundle(
                    PersonalRequest(request), folder / "personal", lambda cost: estimated.append(str(cost))
                ).bundle
            except VerificationError as error:
                print(f"{self.voice}: {error}", flush=True)
                after, refused = before, True
            minutes, peak = (time.monotonic() - began) / 60.0, resident_memory().peak_mb / 1e3
            references = {part: read_references(folder / f"{part}.jsonl") for part in ("tests", "others")}
            own, others = compare_bundles(before, after, references)
        spoken = seconds_of(parts["adapts"]) / 60.0
        return Result(self.voice, spoken, own, others, minutes, peak, estimated[0], refused)


def _first(utterances: Sequence[Utterance], seconds: float) -> list[Utterance]:
    chosen: list[Utterance] = []
    for one in utterances:
        if seconds_of(chosen) >= seconds:
            break
        chosen.append(one)
    return chosen


def _run(trial: Trial) -> Result:
    return trial.run()


def main() -> None:
    """Print a row for each voice, and the mean reduction."""
    parser = argparse.ArgumentParser(description="Adapt the default model to unseen voices.")
    parser.add_argument("speech", type=Path)
    parser.add_argument("voices", nargs="+", metavar="VOICE[:MINUTES]")
    parser.add_argument("--jobs", type=int, default=1, help="voices at the same time")
    given = parser.parse_args()
    trials = []
    for one in given.voices:
        voice, _, minutes = one.partition(":")
        trials.append(Trial(voice, float(minutes) if minutes else None, given.speech))
    results: list[Result] = []
    with multiprocessing.get_context("spawn").Pool(given.jobs, maxtasksperchild=1) as pool:
        for result in pool.imap(_run, trials):
            results.append(result)
            print(" | ".join(result.cells()), flush=True)
    print(Table(HEADINGS, [one.cells() for one in results]).text())
    mean = sum(one.reduction for one in results) / len(results)
    worse = sum(0.0 if one.refused else one.others.after.wer - one.others.before.wer for one in results) / len(results)
    print(f"mean: {100.0 * mean:.1f} % fewer errors of the voice, {100.0 * worse:+.1f} points for others")


if __name__ == "__main__":
    main()
