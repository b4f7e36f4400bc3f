"""Import a checkpoint of another project: read, compare with its own outputs, replace its statistics, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgespeech.errors import UsageError
from edgespeech.reference.foreign.normalisation import (
    Calibration,
    Cost,
    Normalisation,
    calibrate,
    measure_costs,
    streaming_model,
)
from edgespeech.reference.foreign.original import GUIDE, Original
from edgespeech.reference.foreign.reading import original_model, read_original
from edgespeech.reference.foreign.reference_outputs import Reference, read_reference
from edgespeech.reference.foreign.stage_differences import TOLERANCE, Comparison, compare
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.labels import character_labels
from edgespeech.runtime.files import require_writable
from edgespeech.runtime.measure.tables import Caution, Heading, Page, Part, Table

# Measured with a model of v1.1 and statistics frozen at 0 dB; see docs/guide/import.md.
QUIETER = "in a test, 12 dB less raised the CER from 22 to 68 %"


@dataclass(frozen=True)
class ImportRequest:
    """Options of an import.

    Attributes:
        labels: Characters without the blank, instead of those of the file.
        speech: Manifest for the statistics that replace those of each utterance; None for the sample clips.
        normalisation: ``frozen`` statistics, or ``running`` ones that begin with them.
        references: Archives with outputs of the original code.
        audio: The recording of these, if they do not contain it.
        measure_costs: Whether to compare the kinds of statistics, which takes longer than the rest.
    """

    labels: str | None = None
    speech: Path | None = None
    normalisation: Normalisation = "frozen"
    references: tuple[Path, ...] = ()
    audio: Path | None = None
    measure_costs: bool = True

    def __post_init__(self) -> None:
        if self.audio is not None and not self.references:
            raise UsageError("--audio belongs to --reference; give the outputs of the original, or leave --audio out")


@dataclass(frozen=True)
class ImportedModel:
    """A model that streams, where it comes from, and what was found on the way."""

    model: DeepSpeech2
    original: Original
    comparison: Comparison | None
    calibration: Calibration | None
    costs: tuple[Cost, ...]

    @property
    def provenance(self) -> dict[str, Any]:
        """What a checkpoint and its bundles keep."""
        kept = dict(self.original.provenance)
        if self.comparison is not None:
            kept["compared_with_original"] = self.comparison.largest
        if (found := self.calibration) is not None:
            kept["normalisation"] = {
                "kind": "running" if self.model.config.features.normalisation == "running" else "frozen",
                "mean": found.frozen.mean,
                "deviation": found.frozen.deviation,
                "speech": "sample clips" if found.manifest is None else found.manifest.name,
                "seconds": round(found.seconds, 1),
                "level_db": round(found.level, 1),
            }
        return kept

    def page(self) -> Page:
        """Lay out what came, what was inferred, what was compared, and what the statistics cost."""
        facts = Table(("", "found", "because"), [*self.original.facts], left=3)
        parts: list[str | Part] = [Heading("Import", 1), facts]
        parts += [Caution(doubt) for doubt in self.original.doubts]
        parts += [Heading("Compared with the original"), *_compared(self.comparison)]
        if self.calibration is not None:
            parts += [Heading("Normalisation"), _explained(self.calibration)]
            parts += [_costs(self.costs, len(self.calibration.recordings))] if self.costs else []
        return parts


def import_checkpoint(foreign: Path, output: Path, request: ImportRequest) -> ImportedModel:
    """Import a checkpoint of another project and write it as one of ours.

    Raises:
        EdgespeechError: As `import_model`; or the output cannot be written.
    """
    require_writable(output)
    imported = import_model(foreign, request)
    save_checkpoint(imported.model, output, {"name": output.stem, **imported.provenance})
    return imported


def import_model(foreign: Path, request: ImportRequest) -> ImportedModel:
    """Import a checkpoint of another project; nothing in it is run.

    Raises:
        CheckpointError: It is not a model that can be imported, is unsafe, damaged, or cannot stream.
        VerificationError: It differs from the outputs of its original code.
        ManifestError: The manifest is unusable.
        UsageError: An option does not fit the model, or the outputs of the original are unusable.
    """
    labels = None if request.labels is None else character_labels(request.labels)
    original = read_original(foreign, labels)
    model = original_model(original)
    if not original.per_utterance and request.normalisation == "running":
        raise UsageError(
            "--normalisation running is for models that normalise each utterance; this one has fixed statistics"
        )
    comparison = None
    if request.references:
        reference = read_reference(request.references, request.audio, model.config.features.sample_rate)
        original, comparison = _choose(original, reference)
        model = original_model(original)
    if not original.per_utterance:
        return ImportedModel(model, original, comparison, None, ())
    calibration = calibrate(model, request.speech)
    costs = measure_costs(original, calibration) if request.measure_costs else []
    streaming = streaming_model(original, calibration, request.normalisation)
    return ImportedModel(streaming, original, comparison, calibration, tuple(costs))


def _choose(original: Original, reference: Reference) -> tuple[Original, Comparison]:
    """Compare a model with its original; where the file leaves a choice of releases, take the one that agrees."""
    comparison = compare(original_model(original), reference, original.per_utterance)
    if not comparison.agrees:
        for other in original.alternatives:
            found = compare(original_model(other), reference, other.per_utterance)
            if found.agrees:
                return other, found
    comparison.require_equal()
    return replace(original, doubts=()), comparison


def _compared(comparison: Comparison | None) -> list[str | Part]:
    if comparison is None:
        return ["Nothing was compared. With --reference, outputs of the original code show a wrong guess."]
    rows = [(one.part, f"{one.largest:.1e}", f"{one.above} of {one.frames}") for one in comparison.differences]
    title = "Log-probabilities are natural logarithms; stages before them are divided by their deviation"
    parts: list[str | Part] = [Table(("stage", "largest difference", f"frames above {TOLERANCE:g}"), rows, title=title)]
    if comparison.without:
        parts.append(f"The reference has no data of {', '.join(comparison.without)}; see {GUIDE}.")
    if comparison.unknown:
        parts.append(f"The reference has arrays that are no stage: {', '.join(comparison.unknown)}.")
    return parts


def _explained(calibration: Calibration) -> str:
    own, frozen = calibration.manifest is not None, calibration.frozen
    speech = calibration.manifest if own else "the sample clips"
    return (
        f"The original normalises each utterance by its own mean and deviation, which a stream cannot know. They are "
        f"replaced by those of {speech}: mean {frozen.mean:.3f}, deviation "
        f"{frozen.deviation:.3f}, measured on {calibration.seconds:.0f} s at {calibration.level:.0f} dB of full scale. "
        f"They hold for speech of that level; {QUIETER}.{'' if own else ' Give --speech recordings of your device.'}"
    )


def _costs(costs: Sequence[Cost], utterances: int) -> Table:
    rows = [
        (
            one.name,
            f"{one.changed_labels:.1%}",
            f"{one.difference:.2f}",
            "" if one.cer is None else f"{one.cer:.1%}",
            "" if one.wer is None else f"{one.wer:.1%}",
        )
        for one in costs
    ]
    title = f"Best path on {utterances} utterances, each with the statistics of the others"
    return Table(("statistics", "labels changed", "mean difference", "CER", "WER"), rows, title=title)
