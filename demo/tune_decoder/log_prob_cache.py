"""Manifest -> log-probabilities of its utterances, kept on disk between commands; nothing is decoded here."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import ManifestError, UsageError
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import ACOUSTIC, Bundle
from edgespeech.runtime.files import replacing
from edgespeech.runtime.manifest import Utterance, read_manifest, read_samples

Floats = NDArray[np.float32]

_LAYOUT = 2  # of the file; another number makes old files be measured again


@dataclass(frozen=True, eq=False)
class HeardUtterance:
    """What the acoustic model makes of one utterance.

    Attributes:
        reference: What was said, in small letters and single spaces.
        log_probs: float32 [frames, labels], natural logarithm.
        seconds: Of audio.
    """

    reference: str
    log_probs: Floats
    seconds: float


def hear_manifest(
    bundle: Bundle,
    manifest: Path,
    folder: Path | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> list[HeardUtterance]:
    """Run the acoustic model over every utterance that has a text, or read what it said the last time.

    An utterance is one piece: no endpoint cuts it. The file is found again by a hash of the acoustic model and of path,
    size, time and part of each recording, so neither other decoder settings nor another language model make it stale.

    Args:
        bundle: The model.
        manifest: NeMo-style JSON lines with texts.
        folder: Where the log-probabilities are kept; by default in the user's cache folder.
        advance: Told how many utterances are done, of how many.
        say: Takes remarks.

    Raises:
        ManifestError: The manifest, or an audio file it names, is unusable, or no utterance has a text.
    """
    utterances = [one for one in read_manifest(manifest, check_files=True) if one.text.split()]
    if not utterances:
        raise ManifestError(f"{manifest} has no utterance with a text; word errors need references")
    folder = cache_folder() if folder is None else folder
    path = folder / f"{_key(bundle, utterances)}.npz"
    labels = len(bundle.manifest.labels)
    pieces = _read(path, len(utterances), labels)
    if pieces is None:
        pieces = list(_listen(bundle, utterances, advance))
        try:
            _write(path, pieces)
            say(f"log-probabilities kept in {path}")
        except (OSError, UsageError) as error:
            say(f"log-probabilities are not kept for the next time: {error}")
    else:
        say(f"log-probabilities of the last time taken from {path}")
    rate = bundle.manifest.audio.sample_rate
    return [
        HeardUtterance(" ".join(utterance.text.lower().split()), log_probs, samples / rate)
        for utterance, (log_probs, samples) in zip(utterances, pieces, strict=True)
    ]


def cache_folder() -> Path:
    """The folder for files that can be made again, where the system wants them: edgespeech/log_probs in it."""
    home = Path.home()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "edgespeech" / "log_probs"


def _listen(
    bundle: Bundle, utterances: Sequence[Utterance], advance: Callable[[int, int], None]
) -> Iterator[tuple[Floats, int]]:
    model, facts = AcousticModel(bundle), bundle.manifest.audio
    for number, utterance in enumerate(utterances):
        advance(number, len(utterances))
        samples = read_samples(utterance, facts.sample_rate)
        frames = facts.frames_decoded(len(samples))
        # Output t speaks of frame t - delay: the silence lets the last frames out.
        silence = (facts.delay_frames + frames) * facts.frame_samples - len(samples)
        delayed = model.stream(np.pad(samples, (0, silence))[None])[0]
        yield delayed[facts.delay_frames :][:frames], len(samples)
    advance(len(utterances), len(utterances))


def _key(bundle: Bundle, utterances: Sequence[Utterance]) -> str:
    digest = hashlib.sha256()
    facts = (_LAYOUT, bundle.manifest.files[ACOUSTIC].sha256, bundle.manifest.audio)
    digest.update(msgspec.json.encode(facts))
    for one in utterances:
        found = one.path.stat()
        digest.update(msgspec.json.encode((str(one.path), found.st_size, found.st_mtime_ns, one.offset, one.duration)))
    return digest.hexdigest()[:32]


def _read(path: Path, utterances: int, labels: int) -> list[tuple[Floats, int]] | None:
    """Read a file of `_write`; None where there is none, or none that fits."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            log_probs, frames, samples = stored["log_probs"], stored["frames"], stored["samples"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if log_probs.shape != (frames.sum(), labels) or len(frames) != utterances or len(samples) != utterances:
        return None
    return list(zip(np.split(log_probs, frames.cumsum()[:-1]), samples.tolist(), strict=True))


def _write(path: Path, pieces: Sequence[tuple[Floats, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    log_probs = [piece for piece, _ in pieces]
    with replacing(path) as file:
        np.savez(
            file,
            log_probs=np.concatenate(log_probs),
            frames=[len(piece) for piece in log_probs],
            samples=[samples for _, samples in pieces],
        )
