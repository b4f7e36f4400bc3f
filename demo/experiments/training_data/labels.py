"""How good the labels of `edgespeech data label` are at several limits: unfiltered clips, and the truth.

    python -m edgespeech.demo.experiments.training_data.labels all.jsonl true.jsonl

`all.jsonl` is made with `--min-word-confidence 0 --min-agreement 0`, `true.jsonl` by `recordings`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import click
from rapidfuzz.distance import Levenshtein

from edgespeech.demo.archive.label import LabelLimits
from edgespeech.demo.experiments.alignment import FILE
from edgespeech.runtime.manifest import Utterance, read_manifest, write_manifest
from edgespeech.runtime.measure.tables import Table, output_text

CONFIDENCES = (0.0, 0.6, 0.7, 0.8, 0.9)
AGREEMENTS = (0.0, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Label:
    """A labelled clip, and the errors in its text."""

    clip: Utterance
    errors: int

    @property
    def words(self) -> int:
        """Number of words in the label."""
        return len(self.clip.text.split())

    def within(self, confidence: float, agreement: float) -> bool:
        """Decide whether limits let the clip pass, the other ones being the defaults of `data label`."""
        limits, provenance = LabelLimits(), self.clip.provenance or {}
        return (
            limits.min_seconds <= (self.clip.duration or 0.0) <= limits.max_seconds
            and float(provenance["confidence"]) >= confidence
            and float(provenance["agreement"]) >= agreement
        )


def judged(labelled: Sequence[Utterance], true: Sequence[Utterance]) -> list[Label]:
    """Count the errors of each label.

    The words of all labels of a recording are compared with all words that are said in it; a word that is missing
    counts against the label of the word before it.
    """
    labels, truths = _by_source(labelled), _by_source(true)
    found = []
    for source, clips in labels.items():
        owners = [index for index, clip in enumerate(clips) for _ in clip.text.split()]
        said = [word for clip in truths[source] for word in clip.text.split()]
        errors = [0] * len(clips)
        for edit in Levenshtein.editops(said, [word for clip in clips for word in clip.text.split()]):
            at = edit.dest_pos - (edit.tag == "delete")
            errors[owners[max(0, min(at, len(owners) - 1))]] += 1
        found += [Label(clip, count) for clip, count in zip(clips, errors, strict=True)]
    return found


def _by_source(clips: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    found: dict[str, list[Utterance]] = defaultdict(list)
    for clip in sorted(clips, key=lambda one: float((one.provenance or {})["start"])):
        found[str((clip.provenance or {})["source"])].append(clip)
    return found


def table(labels: Sequence[Label]) -> Table:
    """Lay out what several limits keep, and how good it is."""
    hours = sum(one.clip.duration or 0.0 for one in labels) / 3600.0
    rows = []
    for confidence, agreement in product(CONFIDENCES, AGREEMENTS):
        kept = [one for one in labels if one.within(confidence, agreement)]
        if not kept:
            continue
        seconds = sum(one.clip.duration or 0.0 for one in kept)
        wrong, words = sum(one.errors for one in kept), sum(one.words for one in kept)
        exact = sum(not one.errors for one in kept) / len(kept)
        rows.append([f"{confidence:g}", f"{agreement:g}", f"{len(kept)}", f"{seconds / 3600.0:.2f}",
                     f"{100.0 * seconds / 3600.0 / hours:.0f}", f"{100.0 * wrong / max(1, words):.1f}",
                     f"{100.0 * exact:.0f}"])  # fmt: skip
    return Table(["confidence", "agreement", "clips", "hours", "% of hours", "word errors %", "text exact %"], rows)


@click.command()
@click.argument("labelled", type=FILE)
@click.argument("true", type=FILE)
@click.option("--write", type=FILE, help="Write the clips that the defaults of `data label` keep to this manifest.")
def main(labelled: Path, true: Path, write: Path | None) -> None:
    """Print what limits keep, and how many words of it are wrong."""
    labels = judged(read_manifest(labelled), read_manifest(true))
    click.echo(output_text([table(labels)], markdown=True))
    if write is not None:
        limits = LabelLimits()
        kept = [one.clip for one in labels if one.within(limits.min_confidence, limits.min_agreement)]
        write_manifest(write, kept)


if __name__ == "__main__":
    main()
