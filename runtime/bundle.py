"""A bundle: one folder with everything that transcription needs.

- bundle.json: strict, versioned description: hashes, labels, audio facts, states, decoder defaults
- acoustic.onnx: samples and states in, natural-log probabilities and new states out
- lm.bin: KenLM model, optional
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from edgespeech.errors import BundleError, UsageError
from edgespeech.runtime.decoder.options import DecoderOptions

log = logging.getLogger(__name__)

FORMAT: Final = "edgespeech-bundle"
VERSION = 1
MANIFEST = "bundle.json"
ACOUSTIC = "acoustic.onnx"
LANGUAGE_MODEL = "lm.bin"
DEFAULT_BUNDLE = Path(__file__).parent / "default_bundle"

# Longer steps and look-aheads are mistakes, and would need memory that no device has.
MAX_CHUNK_SECONDS = 60.0

# Silence appended to a recording: a unidirectional model outputs a letter some frames after its sound.
TAIL_SECONDS = 0.3

Positive = Annotated[int, msgspec.Meta(ge=1)]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base class of the records in ``bundle.json``."""


class FileEntry(Record, frozen=True):
    """Size and hexadecimal SHA-256 of a file of the bundle."""

    bytes: NonNegative
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class StateEntry(Record, frozen=True):
    """A streaming state: graph input ``name`` and graph output ``output``, [batch, *shape], initially ``initial``."""

    name: str
    output: str
    shape: tuple[NonNegative, ...]
    dtype: Literal["float32"] = "float32"
    initial: float = 0.0


class AudioFacts(Record, frozen=True):
    """Sample rate, frames, chunks and look-ahead of the acoustic model.

    Attributes:
        sample_rate: Hertz.
        frame_samples: Samples per output frame.
        chunk_samples: Samples per step of the graph; a multiple of ``frame_samples``.
        chunk_free: Whether the graph also takes other multiples of ``frame_samples``.
        delay_frames: Look-ahead: output t belongs to frame ``t - delay_frames``.
    """

    sample_rate: Annotated[int, msgspec.Meta(ge=1000, le=768000)]
    frame_samples: Positive
    chunk_samples: Positive
    chunk_free: bool
    delay_frames: NonNegative

    def __post_init__(self) -> None:
        if self.chunk_samples % self.frame_samples:
            raise ValueError(f"chunk_samples {self.chunk_samples} is not a multiple of {self.frame_samples}")
        if max(self.chunk_seconds, self.lookahead_seconds) > MAX_CHUNK_SECONDS:
            raise ValueError(f"the chunk or the look-ahead is longer than {MAX_CHUNK_SECONDS:g} s")

    @property
    def frame_seconds(self) -> float:
        """Duration of an output frame in seconds."""
        return self.frame_samples / self.sample_rate

    @property
    def chunk_seconds(self) -> float:
        """Duration of a step in seconds."""
        return self.chunk_samples / self.sample_rate

    @property
    def lookahead_seconds(self) -> float:
        """Duration of the look-ahead in seconds."""
        return self.delay_frames * self.frame_seconds

    def frames_decoded(self, samples: int) -> int:
        """Return the number of frames of a recording, including those of the silence appended to it."""
        own = -(-samples // self.frame_samples)
        return own + round(TAIL_SECONDS / self.frame_seconds) if samples else 0


class GraphFacts(Record, frozen=True):
    """Form of the recurrence, weight precision, inputs and outputs of the acoustic graph."""

    form: Literal["fused", "cells"]
    precision: Literal["fp32", "fp16", "int8", "int4"]
    states: tuple[StateEntry, ...]
    input: str = "samples"
    output: str = "log_probs"

    def __post_init__(self) -> None:
        inputs = [self.input, *(state.name for state in self.states)]
        outputs = [self.output, *(state.output for state in self.states)]
        if len(set(inputs)) != len(inputs) or len(set(outputs)) != len(outputs):
            raise ValueError("an input or output of the graph is listed twice")


class DecoderDefaults(Record, frozen=True):
    """Decoder settings for this model, as in `DecoderOptions`, and the minimum mean confidence of a segment's words.

    Without a language model only the beam width and the confidence are used.
    """

    beam_width: Positive = 64
    alpha: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 0.5
    beta: Annotated[float, msgspec.Meta(ge=-100.0, le=100.0)] = 1.5
    unknown_score: Annotated[float, msgspec.Meta(ge=-1000.0, le=0.0)] = -10.0
    min_confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = msgspec.field(default=0.0, name="least_confidence")

    def options(self) -> DecoderOptions:
        """Return these defaults as options of the search."""
        return DecoderOptions(self.beam_width, self.alpha, self.beta, self.unknown_score)


class Manifest(Record, frozen=True):
    """The content of ``bundle.json``.

    Attributes:
        labels: Text of each output; empty for the blank.
        provenance: Data, licence, training figures; free keys.
        measured: Figures measured on this bundle; free keys.
    """

    format: Literal["edgespeech-bundle"]
    version: int
    name: str
    labels: tuple[str, ...]
    audio: AudioFacts
    graph: GraphFacts
    files: dict[str, FileEntry]
    blank: NonNegative = 0
    decoder: DecoderDefaults = DecoderDefaults()
    provenance: dict[str, Any] = {}
    measured: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.blank >= len(self.labels) or self.labels[self.blank] != "":
            raise ValueError(f"label {self.blank} is not the blank (an empty text)")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label is listed twice")
        for name in self.files:
            if name != Path(name).name or name in {"", ".", "..", MANIFEST} or "\\" in name:
                raise ValueError(f"file name {name!r} is not a plain name")
        if ACOUSTIC not in self.files:
            raise ValueError(f"files lacks {ACOUSTIC}")


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files match their hashes."""

    folder: Path
    manifest: Manifest

    @property
    def acoustic_path(self) -> Path:
        """Path of the ONNX graph."""
        return self.folder / ACOUSTIC

    @property
    def language_model_path(self) -> Path | None:
        """Path of the KenLM model, if the bundle has one."""
        return self.folder / LANGUAGE_MODEL if LANGUAGE_MODEL in self.manifest.files else None


def load_bundle(path: str | Path | None = None) -> Bundle:
    """Read a bundle and compare every file with its hash.

    Args:
        path: Bundle folder; None for the default bundle, which is part of the package.

    Raises:
        BundleError: The folder or a file is missing, damaged, or of another version.
    """
    folder = DEFAULT_BUNDLE if path is None else Path(path)
    try:
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise BundleError(f"bundle {folder} {what}; give the folder that `edgespeech export` wrote")
        manifest = _read_manifest(folder)
        for name, entry in manifest.files.items():
            _check_file(folder / name, entry)
    except OSError as error:
        raise BundleError(f"cannot read bundle {folder}: {error.strerror}; repair it or give another folder") from None
    log.debug("bundle %s: %s, %s, %s", folder, manifest.name, manifest.graph.form, manifest.graph.precision)
    return Bundle(folder, manifest)


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
        version = msgspec.json.decode(raw, type=_Header).version
        if version != VERSION:
            raise BundleError(f"{path} has version {version}; this edgespeech reads version {VERSION}: export it again")
        return msgspec.json.decode(raw, type=Manifest)
    except FileNotFoundError:
        raise BundleError(f"{folder} has no {MANIFEST}; give a folder that `edgespeech export` wrote") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise BundleError(f"{path} is not a valid bundle description: {reason}; export the bundle again") from None


class _Header(msgspec.Struct):
    version: int
    format: str = ""


def _check_file(path: Path, entry: FileEntry) -> None:
    if not path.is_file():
        raise BundleError(f"{path} is missing; copy the whole bundle again")
    size = path.stat().st_size
    if size != entry.bytes:
        raise BundleError(f"{path} has {size} bytes, wanted {entry.bytes}; copy or export the bundle again")
    if describe_file(path).sha256 != entry.sha256:
        raise BundleError(f"{path} is damaged: its SHA-256 is not the one in {MANIFEST}; copy the bundle again")


def describe_file(path: Path) -> FileEntry:
    """Compute size and hash of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return FileEntry(bytes=path.stat().st_size, sha256=digest.hexdigest())


def write_bundle(
    folder: Path,
    files: Mapping[str, Path | bytes],
    describe: Callable[[dict[str, FileEntry]], Manifest],
    check: Callable[[Bundle], None] | None = None,
) -> Bundle:
    """Write a bundle atomically: a temporary folder beside the target is renamed when it is complete.

    Args:
        folder: Target folder; an older bundle there is replaced, anything else is left alone.
        files: Content of each file, or the path of a file to copy.
        describe: Returns the manifest for these sizes and hashes.
        check: Called with the complete bundle before it is renamed; if it raises, nothing is written.

    Raises:
        UsageError: The target exists and is not a bundle, or it cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    try:
        if folder.exists() and not _may_be_replaced(folder):
            raise UsageError(f"{folder} exists and is not a bundle; give another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}; give another folder") from None
    try:
        temporary.chmod(0o755)
        for name, content in files.items():
            if isinstance(content, bytes):
                (temporary / name).write_bytes(content)
            else:
                shutil.copyfile(content, temporary / name)
        manifest = describe({name: describe_file(temporary / name) for name in files})
        pretty = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
        (temporary / MANIFEST).write_bytes(pretty + b"\n")
        bundle = load_bundle(temporary)
        if check is not None:
            check(bundle)
        _take_place(temporary, folder)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}; free some space or give another folder") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Bundle(folder, bundle.manifest)


def _may_be_replaced(folder: Path) -> bool:
    if not folder.is_dir() or not (folder / MANIFEST).is_file():
        return folder.is_dir() and not any(folder.iterdir())
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Header).format == FORMAT
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _take_place(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        temporary.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    try:
        folder.rename(old / "bundle")
        try:
            temporary.rename(folder)
        except BaseException:
            (old / "bundle").rename(folder)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
