"""Compare an imported model, stage by stage, with outputs of its original code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import VerificationError
from edgespeech.reference.foreign.original import GUIDE
from edgespeech.reference.foreign.reference_outputs import Reference
from edgespeech.reference.foreign.whole_utterance import features_of, stages_of, statistics_of
from edgespeech.reference.model.deep_speech2 import DeepSpeech2

Floats = NDArray[np.float32]
TOLERANCE = 1e-3
EDGE_FRAMES = 20  # outputs at both ends, which depend on paddings


@dataclass(frozen=True)
class Difference:
    """The largest absolute difference in a part of the computation, and how many of its frames exceed the tolerance."""

    part: str
    largest: float
    frames: int
    above: int


@dataclass(frozen=True)
class Comparison:
    """A model against outputs of its original.

    Attributes:
        differences: Of every stage that the outputs contain, from the input upwards, in units of its deviation there;
            and of the log-probabilities, which are natural logarithms, at both ends and in the middle.
        without: Stages that the outputs do not contain.
        unknown: Arrays that are none of the stages.
    """

    differences: tuple[Difference, ...]
    without: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def largest(self) -> float:
        """The largest difference of all."""
        return max(one.largest for one in self.differences)

    @property
    def agrees(self) -> bool:
        """Whether no difference exceeds the tolerance."""
        return all(one.largest <= TOLERANCE for one in self.differences)

    def require_equal(self) -> None:
        """Raise VerificationError, with the figures and the first stage, if a difference exceeds the tolerance."""
        if self.agrees:
            return
        wrong = [one for one in self.differences if not one.largest <= TOLERANCE]
        figures = ", ".join(f"{one.part} {one.largest:.2g} ({one.above} of {one.frames} frames)" for one in wrong)
        before = self.differences[: self.differences.index(wrong[0])]
        agree = f", while {', '.join(one.part for one in before)} agree" if before else ""
        raise VerificationError(
            f"the imported model differs from its original by more than {TOLERANCE:g}, first in {figures}{agree}; see "
            f"{GUIDE}"
        )


def compare(model: DeepSpeech2, reference: Reference, per_utterance: bool) -> Comparison:
    """Compute the recording of a reference as a whole, with its own statistics if ``per_utterance``, and compare.

    Raises:
        VerificationError: The reference has a stage that the model lacks, or other numbers of frames, channels or
            labels, so that nothing can be compared.
    """
    features = features_of(model, reference.samples)
    found = stages_of(model, reference.samples, statistics_of(features) if per_utterance else None)
    log_probs = found.pop("output")
    if log_probs.shape != reference.log_probs.shape:
        raise VerificationError(
            f"the original has {_size(reference.log_probs)}, the imported model {_size(log_probs)}: padding, stride or "
            f"labels are others; see {GUIDE}"
        )
    ours = {"features": features.numpy(), "normalised": found.pop("features"), **found}
    _require_stages(ours, reference.stages)
    given = [name for name in ours if name in reference.stages]
    differences = [_of_stage(name, ours[name], reference.stages[name]) for name in given]
    wrong = np.abs(log_probs - reference.log_probs).max(axis=1)
    edge = min(EDGE_FRAMES, len(wrong) // 3)
    parts = {f"first {edge} frames": slice(edge), "middle": slice(edge, len(wrong) - edge),
             f"last {edge} frames": slice(len(wrong) - edge, None)}  # fmt: skip
    differences += [_difference(f"log_probs, {name}", wrong[part]) for name, part in parts.items()]
    without = tuple(name for name in ours if name not in reference.stages)
    return Comparison(tuple(differences), without, reference.unknown)


def _require_stages(ours: Mapping[str, Floats], theirs: Mapping[str, Floats]) -> None:
    for name, wanted in theirs.items():
        if name not in ours:
            raise VerificationError(f"the original has {name}, the imported model only {', '.join(ours)}; see {GUIDE}")
        if ours[name].shape != wanted.shape:
            raise VerificationError(
                f"the original has {name} of the shape {list(wanted.shape)}, the imported model "
                f"{list(ours[name].shape)} {_axes(ours[name], name)}; see {GUIDE}"
            )


def _frames_first(name: str) -> bool:
    return name.startswith(("recurrent", "lookahead", "connected"))


def _axes(stage: Floats, name: str) -> str:
    if _frames_first(name):
        return "[frames, width]"
    return "[channels, frequencies, frames]" if stage.ndim == 3 else "[bins, frames]"


def _of_stage(name: str, ours: Floats, wanted: Floats) -> Difference:
    wrong = np.abs(ours - wanted)
    frames = wrong if _frames_first(name) else np.moveaxis(wrong, -1, 0)
    return _difference(name, frames.reshape(len(frames), -1).max(axis=1) / (float(wanted.std()) or 1.0))


def _size(log_probs: Floats) -> str:
    return f"{log_probs.shape[0]} frames of {log_probs.shape[1]} labels"


def _difference(part: str, wrong: NDArray[np.floating]) -> Difference:
    largest = float(wrong.max(initial=0.0))
    return Difference(part, largest, len(wrong), int(np.sum(~(wrong <= TOLERANCE))))
