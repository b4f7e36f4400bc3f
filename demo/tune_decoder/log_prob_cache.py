"""Log-probabilities of the utterances of a manifest, stored on disk between commands; nothing is decoded here."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import ACOUSTIC, Bundle
from edgespeech.runtime.conditioning.conditioner import Conditioner
from edgespeech.runtime.files import cache_folder, make_folder, replacing
from edgespeech.runtime.manifest import Utterance
from edgespeech.runtime.measure.normalisation import scoring_text, separate_characters
from edgespeech.runtime.measure.references import References, log_shorter_recordings, read_references, read_speech
from edgespeech.runtime.measure.word_errors import word_edit_distance

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]

_LAYOUT = 3  # version of the file format, a part of the key


@dataclass(frozen=True, eq=False)
class AcousticUtterance:
    """An utterance as a decoder gets it.

    Attributes:
        reference: Normalised text; with spaces between its characters where no label has a space.
        log_probs: Natural logarithm, float32 [frames, labels].
        seconds: Length of the audio.
        by_characters: Whether each character of a hypothesis is counted as a word.
    """

    reference: str
    log_probs: Floats
    seconds: float
    by_characters: bool = False

    def errors(self, hypothesis: str) -> int:
        """Count the word errors of a hypothesis, or its character errors."""
        return count_errors(self.reference, hypothesis, self.by_characters)


def count_errors(reference: str, hypothesis: str, by_characters: bool = False) -> int:
    """Count the word errors of a hypothesis against a normalised reference, or of its characters."""
    text = scoring_text(hypothesis)
    return word_edit_distance(reference, separate_characters(text) if by_characters else text)


def compute_log_probs(bundle: Bundle, manifest: Path, folder: Path | None = None) -> list[AcousticUtterance]:
    """Run the acoustic model over every utterance that has a reference text, or read its output from a folder.

    No endpoint splits an utterance. The key of a stored file is a hash of the acoustic model and of path, size, time
    and part of each recording, so it stays valid when decoder settings or the language model change.

    Raises:
        ManifestError: The manifest is invalid, an audio file is missing, or no utterance has a text.
    """
    references = read_references(manifest).for_labels(bundle.manifest.labels)
    references.log()
    utterances = references.utterances
    folder = cache_folder() / "log_probs" if folder is None else folder
    path = folder / f"{_key(bundle, utterances)}.npz"
    outputs = _read(path, len(utterances), len(bundle.manifest.labels))
    if outputs is None:
        outputs = list(_run_model(bundle, references, f"acoustic model on {manifest.name}"))
        try:
            _write(path, outputs)
            log.info("log-probabilities stored in %s", path)
        except (OSError, UsageError) as error:
            log.warning("log-probabilities are not stored: %s", error)
    else:
        log.info("log-probabilities read from %s", path)
        log_shorter_recordings(references, [samples / bundle.manifest.audio.sample_rate for _, samples in outputs])
    rate = bundle.manifest.audio.sample_rate
    return [
        AcousticUtterance(text, log_probs, samples / rate, references.by_characters)
        for text, (log_probs, samples) in zip(references.texts, outputs, strict=True)
    ]


def _run_model(bundle: Bundle, references: References, title: str) -> Iterator[tuple[Floats, int]]:
    model, facts = AcousticModel(bundle), bundle.manifest.audio
    conditioner = Conditioner(facts.sample_rate, facts.frame_samples)
    for _, _, samples in read_speech(references, facts.sample_rate, title):
        frames = facts.frames_decoded(len(samples))
        # Output t belongs to frame t - delay, so the look-ahead is padded with silence.
        length = (facts.delay_frames + frames) * facts.frame_samples
        delayed = model.stream(conditioner.whole(samples, length)[None], length=len(samples))[0]
        yield delayed[facts.delay_frames :][:frames], len(samples)


def _key(bundle: Bundle, utterances: Sequence[Utterance]) -> str:
    digest = hashlib.sha256()
    facts = (_LAYOUT, bundle.manifest.files[ACOUSTIC].sha256, bundle.manifest.audio)
    digest.update(msgspec.json.encode(facts))
    for one in utterances:
        found = one.path.stat()
        name = str(one.path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        digest.update(msgspec.json.encode((name, found.st_size, found.st_mtime_ns, one.offset, one.duration)))
    return digest.hexdigest()[:32]


def _read(path: Path, utterances: int, labels: int) -> list[tuple[Floats, int]] | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            log_probs, frames, samples = stored["log_probs"], stored["frames"], stored["samples"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if log_probs.shape != (frames.sum(), labels) or len(frames) != utterances or len(samples) != utterances:
        return None
    return list(zip(np.split(log_probs, frames.cumsum()[:-1]), samples.tolist(), strict=True))


def _write(path: Path, outputs: Sequence[tuple[Floats, int]]) -> None:
    make_folder(path.parent)
    log_probs = [output for output, _ in outputs]
    with replacing(path) as file:
        np.savez(
            file,
            log_probs=np.concatenate(log_probs),
            frames=[len(output) for output in log_probs],
            samples=[samples for _, samples in outputs],
        )
