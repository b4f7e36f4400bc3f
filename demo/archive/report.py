"""What became of an archive: clips for a manifest, hours kept and dropped with reasons, and a histogram."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgespeech.errors import ManifestError
from edgespeech.runtime.dependencies import require
from edgespeech.runtime.files import printable_name, replacing
from edgespeech.runtime.manifest import Utterance, write_manifest
from edgespeech.runtime.measure.tables import Page, Table

BINS = 40


@dataclass(frozen=True)
class KeptClip:
    """A clip of a manifest; ``measure`` is what the histogram shows: character errors or confidence."""

    path: str
    text: str
    duration: float
    provenance: dict[str, str | float]
    measure: float

    @classmethod
    def of(cls, one: Utterance, measure: float) -> KeptClip:
        """Take what a line of a manifest needs."""
        return cls(str(one.path), one.text, one.duration or 0.0, dict(one.provenance or {}), measure)

    def utterance(self) -> Utterance:
        """Return the line of a manifest."""
        path = Path(self.path)
        return Utterance(path.name, path, self.text, self.duration, provenance=self.provenance)


@dataclass(frozen=True)
class Dropped:
    """A clip that was dropped."""

    reason: str
    seconds: float
    measure: float
    text: str


@dataclass(frozen=True)
class Summary:
    """The result for one recording.

    Attributes:
        audio: Its name.
        seconds: Its length.
        kept: The clips to train on.
        dropped: The others.
        left_out: Number of sentences without a clip, by reason.
    """

    audio: str
    seconds: float
    kept: Sequence[KeptClip]
    dropped: Sequence[Dropped]
    left_out: dict[str, int]

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Summary:
        """Read a summary from the line that `to_json` returned."""
        found: dict[str, Any] = json.loads(line)
        kept, dropped = found.pop("kept"), found.pop("dropped")
        return cls(kept=[KeptClip(**one) for one in kept], dropped=[Dropped(**one) for one in dropped], **found)

    @property
    def hours(self) -> float:
        """Length of the recording in hours."""
        return self.seconds / 3600.0

    @property
    def kept_hours(self) -> float:
        """Length of all clips that are kept, in hours."""
        return sum(one.duration for one in self.kept) / 3600.0


def save_manifest(path: Path, summaries: Iterable[Summary]) -> int:
    """Write the clips of all recordings as a manifest, and return their number.

    Raises:
        ManifestError: There is none.
        UsageError: The file cannot be written.
    """
    utterances = [clip.utterance() for one in summaries for clip in one.kept]
    if not utterances:
        raise ManifestError(f"no clip is good enough, so {path} is not written; try other limits")
    return write_manifest(path, utterances)


def page(summaries: Sequence[Summary]) -> Page:
    """Lay out hours in and kept for each recording, and why the rest was dropped."""
    rows = [_row(printable_name(Path(one.audio).name), [one]) for one in summaries]
    total = [_row("all", summaries)] if len(summaries) > 1 else []
    kept = Table(["recording", "hours", "clips", "hours kept", "% kept"], rows + total)
    dropped = _reasons(summaries)
    return [kept, Table(["dropped", "for example", "number", "hours"], dropped, left=2)] if dropped else [kept]


def _row(name: str, some: Sequence[Summary]) -> list[str]:
    hours, kept = sum(one.hours for one in some), sum(one.kept_hours for one in some)
    clips = sum(len(one.kept) for one in some)
    return [name, f"{hours:.2f}", f"{clips}", f"{kept:.2f}", f"{100.0 * kept / max(hours, 1e-9):.0f}"]


def _reasons(summaries: Sequence[Summary]) -> list[list[str]]:
    seconds: dict[str, float] = defaultdict(float)
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for one in summaries:
        for clip in one.dropped:
            seconds[clip.reason] += clip.seconds
            counts[clip.reason] += 1
            examples.setdefault(clip.reason, clip.text[:40])
        counts.update(one.left_out)
    return [
        [reason, examples.get(reason, ""), f"{count}", f"{seconds[reason] / 3600.0:.2f}" if reason in seconds else ""]
        for reason, count in counts.most_common()
    ]


def as_dict(summaries: Sequence[Summary]) -> dict[str, Any]:
    """Return the figures of all recordings."""
    return {
        "recordings": len(summaries),
        "hours": sum(one.hours for one in summaries),
        "clips": sum(len(one.kept) for one in summaries),
        "hours_kept": sum(one.kept_hours for one in summaries),
        "dropped": {reason: int(count) for reason, _, count, _ in _reasons(summaries)},
    }


def draw(path: Path, summaries: Sequence[Summary], measure: str) -> None:
    """Draw a histogram of clips that are kept and dropped.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        UsageError: The file cannot be written.
    """
    require("matplotlib", "report")
    from matplotlib.figure import Figure

    kept = [clip.measure for one in summaries for clip in one.kept]
    dropped = [clip.measure for one in summaries for clip in one.dropped]
    figure = Figure(figsize=(7.0, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.hist([kept, dropped], bins=BINS, range=(0.0, 1.0), stacked=True, label=["kept", "dropped"])
    axes.set_xlabel(measure)
    axes.set_ylabel("clips")
    axes.legend(frameon=False)
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix.lstrip(".") or "png", dpi=120)
