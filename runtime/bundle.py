"""A bundle: one folder with everything that transcription needs.

- bundle.json: strict, versioned description: hashes, labels, audio facts, states, decoder defaults
- acoustic.onnx: samples and states in, natural-log probabilities and new states out
- lm.bin: KenLM model, optional
- punctuation.onnx: tagger that writes marks and capitals, optional
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from edgespeech.errors import BundleError
from edgespeech.runtime.decoder.options import DecoderOptions
from edgespeech.runtime.files import FolderKind, replacing_folder, require_folder
from edgespeech.runtime.graph.limits import check_graph
from edgespeech.runtime.storage.links import find_outer_link

log = logging.getLogger(__name__)

FORMAT: Final = "edgespeech-bundle"
VERSION = 1
MANIFEST = "bundle.json"
ACOUSTIC = "acoustic.onnx"
LANGUAGE_MODEL = "lm.bin"
PUNCTUATION = "punctuation.onnx"
DEFAULT_BUNDLE = Path(__file__).parent / "default_bundle"
_KIND = FolderKind("bundle", MANIFEST, FORMAT)

# Longer steps and look-aheads are mistakes, and would need memory that no device has.
MAX_CHUNK_SECONDS = 60.0
# No model needs more; a description that asks for more is refused before memory is taken for it.
MAX_MANIFEST_BYTES = 1 << 24
MAX_LABELS, MAX_FILES, MAX_STATE_DIMS = 100_000, 64, 8
MAX_STATE_VALUES = 1 << 24  # of all states of a stream: 64 MiB
# Silence appended to a recording: a unidirectional model outputs a letter some frames after its sound.
TAIL_SECONDS = 0.3

Positive = Annotated[int, msgspec.Meta(ge=1, le=2**53)]  # a float holds them all
NonNegative = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
LogProb = Annotated[float, msgspec.Meta(ge=-1000.0, le=0.0)]


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


class AudioFacts(Record, frozen=True, omit_defaults=True):
    """Sample rate, frames, chunks and look-ahead of the acoustic model.

    Attributes:
        sample_rate: Hertz.
        frame_samples: Samples per output frame.
        chunk_samples: Samples per step of the graph; a multiple of ``frame_samples``.
        chunk_free: Whether the graph also takes other multiples of ``frame_samples``.
        delay_frames: Look-ahead: output t belongs to frame ``t - delay_frames``.
        end_state: Name of the state that is the number of samples from a step's first one to the end of the recording,
            for models that were trained with zeros behind it; empty if there is none.
    """

    sample_rate: Annotated[int, msgspec.Meta(ge=1000, le=768000)]
    frame_samples: Positive
    chunk_samples: Positive
    chunk_free: bool
    delay_frames: NonNegative
    end_state: str = ""

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
        """Return the number of frames of a recording, including those of the silence appended to it.

        A model that is told the end needs no silence, but may have one frame more, at the end itself.
        """
        own = -(-samples // self.frame_samples)
        tail = 1 if self.end_state else round(TAIL_SECONDS / self.frame_seconds)
        return own + tail if samples else 0


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
        if any(len(state.shape) > MAX_STATE_DIMS or not math.isfinite(state.initial) for state in self.states):
            raise ValueError(f"a state has more than {MAX_STATE_DIMS} dimensions, or does not begin with a number")
        values = sum(math.prod(state.shape) for state in self.states)
        if values > MAX_STATE_VALUES:
            raise ValueError(f"the states have {values} values; at most {MAX_STATE_VALUES} are allowed")


class DecoderDefaults(Record, frozen=True):
    """Decoder settings for this model, as in `DecoderOptions`, and the minimum mean confidence of a segment's words.

    Without a language model only the beam width and the confidence are used.
    """

    beam_width: Annotated[int, msgspec.Meta(ge=1, le=8192)] = 64  # more would need more than 2 GB
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
        label_priors: Natural log of each label's mean probability in speech, for grammars; left out if not measured.
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
    label_priors: tuple[LogProb, ...] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if len(self.labels) > MAX_LABELS or len(self.files) > MAX_FILES:
            raise ValueError(f"more than {MAX_LABELS} labels or {MAX_FILES} files")
        if self.blank >= len(self.labels) or self.labels[self.blank] != "":
            raise ValueError(f"label {self.blank} is not the blank (an empty text)")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label is listed twice")
        if self.label_priors and len(self.label_priors) != len(self.labels):
            raise ValueError(f"label_priors has {len(self.label_priors)} numbers for {len(self.labels)} labels")
        if self.audio.end_state and self.audio.end_state not in {state.name for state in self.graph.states}:
            raise ValueError(f"end_state {self.audio.end_state!r} is not the name of a state")
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

    @property
    def punctuation_path(self) -> Path | None:
        """Path of the tagger that writes marks and capitals, if the bundle has one."""
        return self.folder / PUNCTUATION if PUNCTUATION in self.manifest.files else None


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
            raise _not_a_bundle(folder)
        manifest = _read_manifest(folder)
        for name, entry in manifest.files.items():
            _check_file(folder / name, entry)
        states = manifest.graph.states
        check_graph(
            folder / ACOUSTIC, {one.name: one.shape for one in states}, {one.output: one.shape for one in states}
        )
        if PUNCTUATION in manifest.files:
            check_graph(folder / PUNCTUATION, {}, {})
    except OSError as error:
        raise BundleError(f"cannot read bundle {folder}: {error.strerror}; repair it or give another folder") from None
    log.debug("bundle %s: %s, %s, %s", folder, manifest.name, manifest.graph.form, manifest.graph.precision)
    return Bundle(folder, manifest)


def _not_a_bundle(folder: Path) -> BundleError:
    from edgespeech.runtime.foreign.model_files import not_a_bundle  # many modules, for errors alone

    return BundleError(not_a_bundle(folder))


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    _refuse_link(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_MANIFEST_BYTES + 1)
        if len(raw) > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path} has more than {MAX_MANIFEST_BYTES} bytes, which no model needs; export it again")
        version = msgspec.json.decode(raw, type=_Header).version
        if version != VERSION:
            raise BundleError(f"{path} has version {version}; this edgespeech reads version {VERSION}: export it again")
        return msgspec.json.decode(raw, type=Manifest)
    except FileNotFoundError:
        raise _not_a_bundle(folder) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise BundleError(f"{path} is not a valid bundle description: {reason}; export the bundle again") from None


class _Header(msgspec.Struct):
    version: int
    format: str = ""


def _refuse_link(path: Path) -> None:
    if (target := find_outer_link(path.parent, path.name)) is not None:
        raise BundleError(f"{path} is a link out of its bundle, to {target}; copy the bundle with its files (cp -rL)")


def _check_file(path: Path, entry: FileEntry) -> None:
    _refuse_link(path)
    if not path.is_file():
        raise BundleError(f"{path} is missing; copy the whole bundle again")
    size = path.stat().st_size
    if size != entry.bytes:
        raise BundleError(f"{path} has {size} bytes, wanted {entry.bytes}; copy or export the bundle again")
    if describe_file(path).sha256 != entry.sha256:
        raise BundleError(f"{path} is damaged: its SHA-256 is not the one in {MANIFEST}; copy the bundle again")


def describe_file(path: Path) -> FileEntry:
    """Compute size and hash of a file."""
    digest, block = hashlib.sha256(), memoryview(bytearray(1 << 17))  # new memory for each block takes longer
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(block[:count])
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
    with replacing_folder(folder, _KIND) as temporary:
        for name, content in files.items():
            if isinstance(content, bytes):
                (temporary / name).write_bytes(content)
            else:
                shutil.copyfile(content, temporary / name)
        manifest = describe({name: describe_file(temporary / name) for name in files})
        (temporary / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        bundle = load_bundle(temporary)
        if check is not None:
            check(bundle)
    return Bundle(folder, bundle.manifest)


def require_bundle_folder(folder: Path, overwrite: bool = True) -> None:
    """Check that a bundle can be written to a folder, which need not exist, before the work whose result it will hold.

    Raises:
        UsageError: It exists and is not a bundle or must not be overwritten, or it cannot be written.
    """
    require_folder(folder, _KIND, overwrite)
