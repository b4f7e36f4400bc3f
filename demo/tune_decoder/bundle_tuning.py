"""`lm tune`: language model weights and a beam width for a bundle, from a manifest to ``bundle.json``."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgespeech.demo.tune_decoder.compared_decoders import Edgespeech, Task
from edgespeech.demo.tune_decoder.decoder_tuning import Tuning, measure_settings, tune, weights_of
from edgespeech.demo.tune_decoder.log_prob_cache import AcousticUtterance, compute_log_probs
from edgespeech.demo.tune_decoder.picture import draw_tuning
from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import (
    LANGUAGE_MODEL,
    MANIFEST,
    Bundle,
    DecoderDefaults,
    FileEntry,
    Manifest,
    load_bundle,
    write_bundle,
)
from edgespeech.runtime.dependencies import require
from edgespeech.runtime.files import replacing, require_writable
from edgespeech.runtime.measure.tables import Page

log = logging.getLogger(__name__)

_LEAST_PRIOR = 1e-6  # of labels that the speech does not have


@dataclass(frozen=True)
class TuneRequest:
    """What to tune, on which speech, and what to write; see the options of ``edgespeech lm tune``."""

    manifest: Path
    bundle: Path | None = None
    lm: Path | None = None
    output: Path | None = None
    dry_run: bool = False
    report_on: Path | None = None
    minutes: float = 4.0
    search_beam: int = 64
    beams: tuple[int, ...] = (16, 32, 64, 128)
    picture: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class OtherSpeech:
    """Word error rates on a manifest that was not tuned on, with the settings before and after."""

    manifest: str
    utterances: int
    wer_before: float
    wer: float


@dataclass(frozen=True, eq=False)
class TunedBundle:
    """A tuning, the name of the manifest it was made on, and the error rates on other speech."""

    manifest: str
    tuning: Tuning
    other: OtherSpeech | None

    def measured(self) -> dict[str, object]:
        """Return the figures that ``bundle.json`` keeps under ``measured.tuning``."""
        found = {"manifest": self.manifest, **self.tuning.summary()}
        if self.other is not None:
            found["other"] = {
                "manifest": self.other.manifest,
                "wer_before": self.other.wer_before,
                "wer": self.other.wer,
            }
        return found

    def as_dict(self) -> dict[str, object]:
        """Return the figures under the keys of ``lm tune --json``."""
        return {**self.tuning.as_dict(), **self.measured()}

    def page(self) -> Page:
        """Lay out the tables of the tuning, with a line about the other speech."""
        if self.other is None:
            return self.tuning.page()
        line = (
            f"on {self.other.manifest}, {self.other.utterances} utterances: WER {self.other.wer_before:.2%} before, "
            f"{self.other.wer:.2%} after"
        )
        return [*self.tuning.page(), line]


def tune_bundle(request: TuneRequest) -> TunedBundle:
    """Tune, measure on other speech, draw and write as requested; invalid input is an error before the long work."""
    bundle = load_bundle(request.bundle)
    if not request.dry_run:
        require_writable_bundle(bundle, request.output)
    if request.picture is not None:
        require("matplotlib", "report")
        require_writable(request.picture)
    task = Task.from_bundle(bundle, request.lm)
    before = bundle.manifest.decoder
    Edgespeech(task).search(weights_of(before), 1)  # checks that the language model matches the labels
    utterances = compute_log_probs(bundle, request.manifest, request.cache)
    others = [] if request.report_on is None else compute_log_probs(bundle, request.report_on, request.cache)
    found = tune(
        task,
        before,
        utterances,
        search_beam=request.search_beam,
        beam_widths=request.beams,
        minutes=request.minutes,
    )
    for warning in found.warnings():
        log.warning("%s", warning)
    other = None
    if request.report_on is not None:
        then, now = (measure_settings(task, settings, others).wer for settings in (found.before, found.after))
        other = OtherSpeech(request.report_on.name, len(others), then, now)
    tuned = TunedBundle(request.manifest.name, found, other)
    if request.picture is not None:
        draw_tuning(found.search, f"{bundle.manifest.name} on {request.manifest.name}", request.picture)
        log.info("%s written", request.picture)
    if not request.dry_run:
        measured = msgspec.structs.replace(bundle.manifest, label_priors=measure_priors(utterances))
        known = Bundle(bundle.folder, measured)
        folder = write_settings(known, found.after, tuned.measured(), request.lm, request.output)
        log.info("%s: new decoder settings", folder)
    return tuned


def measure_priors(utterances: Sequence[AcousticUtterance]) -> tuple[float, ...]:
    """Return the mean probability of each label over all frames, natural logarithm with three decimals."""
    frames = np.concatenate([one.log_probs for one in utterances]).astype(np.float64)
    means = np.maximum(np.exp(frames).mean(axis=0), _LEAST_PRIOR)
    return tuple(min(0.0, round(float(one), 3)) for one in np.log(means))


def require_writable_bundle(bundle: Bundle, output: Path | None) -> None:
    """Raise UsageError, before the tuning, if the bundle is to be changed and is not writable."""
    if output is None and not all(os.access(path, os.W_OK) for path in (bundle.folder, bundle.folder / MANIFEST)):
        raise UsageError(f"bundle {bundle.folder} is not writable; give -o DIR for a tuned copy, or --dry-run")


def write_settings(
    bundle: Bundle, settings: DecoderDefaults, measured: Mapping[str, object], lm: Path | None, output: Path | None
) -> Path:
    """Write the settings, as a whole, into the bundle or a copy in the folder ``output``, and return its folder.

    The figures become ``measured.tuning`` in ``bundle.json``. A language model replaces the bundle's own.

    Raises:
        UsageError: The folder cannot be written.
    """

    def describe_bundle(files: dict[str, FileEntry]) -> Manifest:
        known = {**bundle.manifest.measured, "tuning": measured}
        return msgspec.structs.replace(bundle.manifest, decoder=settings, measured=known, files=files)

    if lm is None and output is None:
        content = msgspec.json.encode(describe_bundle(bundle.manifest.files))
        with replacing(bundle.folder / MANIFEST) as file:
            file.write(msgspec.json.format(content, indent=2) + b"\n")
        return bundle.folder
    files = bundle.paths if lm is None else {**bundle.paths, LANGUAGE_MODEL: lm}
    return write_bundle(output or bundle.folder, files, describe_bundle).folder
