"""A personal bundle: adapt a checkpoint to a voice, export it like another bundle, and keep it only if it is better."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgespeech import runtime
from edgespeech.demo.bundles.export import BundleRequest, export_bundle
from edgespeech.demo.bundles.inspect import verify_bundle
from edgespeech.errors import CheckpointError, UsageError, VerificationError
from edgespeech.export.request import ExportRequest
from edgespeech.reference.adaptation.adapt import FILES, REPLAY, Adaptation, AdaptationRequest, AdaptationRun
from edgespeech.reference.adaptation.cost import Cost
from edgespeech.reference.language_model.label_scores import recorded_settings
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.runtime.bundle import (
    PUNCTUATION,
    Bundle,
    FileEntry,
    Manifest,
    load_bundle,
    require_bundle_folder,
    write_bundle,
)
from edgespeech.runtime.manifest import read_manifest, write_manifest
from edgespeech.runtime.measure.evaluation import Evaluation, evaluate_references
from edgespeech.runtime.measure.references import References, read_references
from edgespeech.runtime.measure.tables import Caution, Page, Table
from edgespeech.runtime.measure.word_errors import difference_interval
from edgespeech.runtime.recognizer import Recognizer

log = logging.getLogger(__name__)

MAX_DEV_INCREASE = 0.005  # of the word error rate of other speakers, beyond which there is a warning


@dataclass(frozen=True)
class PersonalRequest:
    """A personal bundle: what the model is adapted to, the bundle to replace, and other speech to measure.

    Attributes:
        bundle: Bundle of the same checkpoint, whose language model, settings and precision are kept; None for the
            default bundle.
        dev: Manifest of other speakers.
    """

    adaptation: AdaptationRequest
    bundle: Path | None = None
    dev: Path | None = None


@dataclass(frozen=True)
class Comparison:
    """Word errors of two bundles on the same speech."""

    speech: str
    before: Evaluation
    after: Evaluation

    @property
    def is_worse(self) -> bool:
        """Whether there are more errors than before, and chance does not explain it (95 % of bootstrap samples)."""
        return difference_interval(self.after.errors, self.before.errors, self.before.speakers).low > 0.0

    @property
    def reduction(self) -> float:
        """Fraction of the errors that are gone."""
        return 1.0 - self.after.wer / self.before.wer if self.before.wer else 0.0

    def cells(self) -> tuple[str, ...]:
        """Return the row of `PersonalBundle.page`."""
        before, after = 100.0 * self.before.wer, 100.0 * self.after.wer
        minutes = f"{self.before.audio_seconds / 60.0:.1f}"
        return self.speech, minutes, str(self.before.words), f"{before:.1f}", f"{after:.1f}", f"{after - before:+.1f}"


@dataclass(frozen=True)
class PersonalBundle:
    """A bundle that was written, and how it compares with the one before."""

    bundle: Bundle
    comparisons: Sequence[Comparison]

    def page(self) -> Page:
        """Lay out the word errors before and after."""
        others = [one for one in self.comparisons[1:] if one.after.wer - one.before.wer > MAX_DEV_INCREASE]
        worse = ", ".join(f"{one.speech} by {100.0 * (one.after.wer - one.before.wer):.1f} points" for one in others)
        caution = [Caution(f"Worse for other speakers: {worse}. Keep the bundle before for them.")] if others else []
        return [comparison_table(self.comparisons), *caution]


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """Return a table of word error rates with the language model, in percent."""
    headings = ("speech", "minutes", "words", "WER % before", "after", "change")
    return Table(headings, [one.cells() for one in comparisons])


def default_checkpoint() -> Path:
    """Return the checkpoint of the default bundle, which is in the repository, but in no wheel.

    Raises:
        CheckpointError: It does not exist.
    """
    name = Path("models") / "edge.pt"
    for folder in (Path(), Path(runtime.__path__[0]).parent):
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(f"no checkpoint at {name}; give --checkpoint the models/edge.pt of the repository")


def default_replay() -> Path:
    """Return the manifest of the speech of many that holds the default model near to what it was.

    Raises:
        CheckpointError: It does not exist.
    """
    path = default_checkpoint().parent / "replay" / "clips.jsonl"
    if not path.is_file():
        raise CheckpointError(f"no speech of others at {path}; give --replay, or the models folder of the repository")
    return path


def adapt_bundle(
    request: PersonalRequest, output: Path, announce: Callable[[Cost], None] = lambda cost: None
) -> PersonalBundle:
    """Adapt a checkpoint to a voice and write a bundle of it; what was there stays until the new one is complete.

    An adaptation that was stopped continues: its state is in a folder beside the output until that is written.

    Raises:
        EdgespeechError: An input is invalid; nothing is written.
        VerificationError: The new bundle recognises the voice no better, or fails its verification.
    """
    base = load_bundle(request.bundle)
    require_bundle_folder(output)
    dev = [] if request.dev is None else [read_references(request.dev)]
    work = state_folder(output)
    run = AdaptationRun(request.adaptation, work)
    announce(run.prepare())
    adaptation = run.run()
    if not adaptation.finished:
        raise UsageError(f"stopped; the same command goes on, from {work}")
    references = {"your voice, held out": read_references(work / FILES.held_out)}
    references |= {one.corpus: one for one in dev}
    with tempfile.TemporaryDirectory() as folder:
        new = _export(adaptation, base, work, Path(folder))
        for line in verify_bundle(new):
            log.info("%s", line)
        comparisons = compare_bundles(base, new, references)
        log.info("%s", comparison_table(comparisons).text())
        # A minute of speech has too few words for their errors to decide; its letters have a loss each.
        if not adaptation.is_better or comparisons[0].is_worse:
            shutil.rmtree(work, ignore_errors=True)
            raise VerificationError(_refusal(adaptation, comparisons[0]))
        written = _copy(new, output)
    shutil.rmtree(work, ignore_errors=True)
    return PersonalBundle(written, comparisons)


def compare_bundles(before: Bundle, after: Bundle, speech: Mapping[str, References]) -> list[Comparison]:
    """Count the word errors of two bundles on speech, by its name in the table."""
    evaluations = []
    for bundle in (before, after):
        with Recognizer(bundle) as recognizer:
            evaluations.append([evaluate_references(recognizer, one) for one in speech.values()])
    return [Comparison(*row) for row in zip(speech, *evaluations, strict=True)]


def _refusal(adaptation: Adaptation, voice: Comparison) -> str:
    before, after = (int(one.errors.utterance_errors.sum()) for one in (voice.before, voice.after))
    loss, new_loss = adaptation.losses
    return (
        f"the adapted model makes {after} word errors in {voice.after.words} held-out words of the voice, the one "
        f"before {before}, and its loss there is {new_loss:.3f} nats per letter instead of {loss:.3f}: nothing is "
        "written; give more speech, five minutes or more, or check its texts"
    )


def state_folder(output: Path) -> Path:
    """Return the folder beside a bundle that has the state of its adaptation."""
    return output.with_name(f"{output.name}.adapting")


def _export(adaptation: Adaptation, base: Bundle, work: Path, folder: Path) -> Bundle:
    """Export the adapted model with the settings of the base, and its language model and tagger."""
    checkpoint, manifest = folder / "adapted.pt", base.manifest
    save_checkpoint(adaptation.model, checkpoint, adaptation.provenance)
    speech = _calibration(work, folder)
    export = ExportRequest(
        form=manifest.graph.form,
        chunk_ms=1000.0 * manifest.audio.chunk_samples / manifest.audio.sample_rate,
        speech=speech,
        **recorded_settings(manifest.provenance),
        lm=base.language_model_path,
        decoder=manifest.decoder,
        name=f"{manifest.name}-adapted",
    )
    # Statistics of one voice would cost other speakers more than they gain for it: docs/log/decisions.md.
    wanted = BundleRequest(export, manifest.graph.precision, calibrate=False)
    return _completed(export_bundle(checkpoint, folder / "bundle", wanted), base)


def _calibration(work: Path, folder: Path) -> Path:
    """Write the manifest of the speech that int8 is calibrated on: the voice, and the replay."""
    path = folder / "calibration.jsonl"
    parts = [work / name for name in (FILES.voice, REPLAY) if (work / name).is_file()]
    write_manifest(path, [utterance for part in parts for utterance in read_manifest(part)])
    return path


def _completed(new: Bundle, base: Bundle) -> Bundle:
    """Give a bundle what an export does not: the label priors of the base, and its tagger if it has one."""
    tagger = base.punctuation_path
    facts = {} if tagger is None else {"punctuation": base.manifest.provenance.get("punctuation")}

    def describe(files: dict[str, FileEntry]) -> Manifest:
        provenance = {**new.manifest.provenance, **facts}
        priors = base.manifest.label_priors
        return msgspec.structs.replace(new.manifest, provenance=provenance, files=files, label_priors=priors)

    more = {} if tagger is None else {PUNCTUATION: tagger}
    return write_bundle(new.folder, {**new.paths, **more}, describe)


def _copy(bundle: Bundle, output: Path) -> Bundle:
    def describe(files: dict[str, FileEntry]) -> Manifest:
        return msgspec.structs.replace(bundle.manifest, files=files)

    return write_bundle(output, bundle.paths, describe)
