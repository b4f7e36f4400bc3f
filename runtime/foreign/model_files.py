"""What a file is that was given as a checkpoint or a bundle, told by its first bytes; for errors that name it."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edgespeech.errors import CheckpointError
from edgespeech.runtime.audio.containers.kinds import not_audio, recognise
from edgespeech.runtime.foreign.kinds import PAGE, ModelFile, count_tensors, model, other
from edgespeech.runtime.foreign.model_folders import describe_folder
from edgespeech.runtime.foreign.torch_files import LEGACY_MAGIC, describe_archive, describe_legacy, describe_pickle

HEAD_BYTES = 1 << 16
MAX_SAFETENSORS_HEADER = 16 << 20

# Where in the file, which bytes, what it is.
_KINDS: tuple[tuple[int, bytes, ModelFile], ...] = (
    (0, b"GGUF", model("a GGUF file, as llama.cpp and whisper.cpp read")),
    (0, b"lmgg", model("a ggml file, as whisper.cpp reads")),
    (0, b"\x89HDF\r\n\x1a\n", model("an HDF5 file, as Keras and TensorFlow write (.h5)")),
    (4, b"TFL3", model("a TensorFlow Lite graph")),
    (4, b"ORTM", model("a graph in onnxruntime's own format (.ort)")),
    (4, b"ET1", model("an ExecuTorch program (.pte)")),
    (0, b"ftrt", model("a TensorRT engine")),
    (0, b"\x93NUMPY", other("a NumPy array")),
    (0, b"mmap lm http://kheafield.com/code", other("a language model of KenLM")),
    (0, b"\\data\\", other("a language model (ARPA)")),
    (0, b"version https://git-lfs.github.com/spec", other("a pointer of Git LFS, not the file itself (git lfs pull)")),
    (0, b"\x1f\x8b", other("a compressed file (gzip)")),
    (0, b"BZh", other("a compressed file (bzip2)")),
    (0, b"\xfd7zXZ\0", other("a compressed file (xz)")),
    (0, b"\x28\xb5\x2f\xfd", other("a compressed file (zstd)")),
    (257, b"ustar", other("a tar archive")),
)


def identify(path: Path) -> ModelFile:
    """Tell what a file or folder that exists is; nothing in it is executed.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        found = _identify(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); correct its permissions") from None
    if found.reader:
        return replace(found, weights=f"it: edgespeech import {shlex.quote(str(path))} -o model.pt")
    return found


def _identify(path: Path) -> ModelFile:
    if path.is_dir():
        return describe_folder(path)
    if not path.is_file():
        return other("a device or a pipe, not a file")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return other("empty (0 bytes)")
    if head.startswith(b"PK\x03\x04"):
        return describe_archive(path)
    if head.startswith(LEGACY_MAGIC):
        return describe_legacy(path)
    if names := _safetensors(path, head, size):
        return model(f"a safetensors file ({count_tensors(names)})", "safetensors.torch.load_file(...)")
    return _by_first_bytes(path, head)


def not_a_bundle(path: Path) -> str:
    """Return why a path, which may be missing, cannot be loaded as a bundle, and what to do."""
    wanted = "give the folder that `edgespeech export` wrote"
    if not path.exists():
        return f"bundle {path} does not exist; {wanted}"
    found = identify(path)
    what = f"bundle {path} {'has no bundle.json' if path.is_dir() else 'is a file'}: it is {found.what}"
    if found.kind == "checkpoint":
        return f"{what}; export it first: edgespeech export {path} -o FOLDER"
    if found.kind == "training":
        return f"{what}; export the best.pt beside it: edgespeech export best.pt -o FOLDER"
    if found.kind == "bundle":
        return f"{what}; give the folder that it is in"
    more = f", or make a checkpoint of {found.source}" if found.kind == "model" else ""
    return f"{what}; {wanted}{more}, see {PAGE}"


def _by_first_bytes(path: Path, head: bytes) -> ModelFile:
    """Name a file by its first bytes; by its suffix only where several kinds begin alike."""
    for offset, magic, found in _KINDS:
        if head.startswith(magic, offset):
            return model("a NeMo model (.nemo)") if path.suffix == ".nemo" else found
    if head[0] == 0x80 and head[1:2] <= b"\x05":
        return describe_pickle(head)
    if (maker := _onnx_maker(head)) is not None:
        if maker == "edgespeech":
            return ModelFile("bundle", "the graph of a bundle of edgespeech")
        return model(f"an ONNX graph made by {maker}" if maker else "an ONNX graph")
    if path.suffix in {".pb", ".pbmm"}:
        return model("a graph of TensorFlow")
    if audio := recognise(head):
        return other(f"a recording ({audio.name})")
    return other(_text(path, head) or not_audio(head) or f"not of a known format (it begins with {head[:8]!r})")


def _text(path: Path, head: bytes) -> str | None:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.end < len(head) - 3:
            return None
        text = head[: error.start].decode("utf-8-sig")
    if not all(letter.isprintable() or letter in "\t\n\r\f" for letter in text):
        return None
    if path.suffix == ".toml":
        return "a recipe or another TOML text; `edgespeech train` makes the checkpoint of a recipe"
    if text.lstrip()[:14].lower().startswith(("<!doctype html", "<html")):
        return "a web page, as a failed download leaves"
    return f"text (it begins with {' '.join(text.split())[:24]!r})"


def _safetensors(path: Path, head: bytes, size: int) -> dict[str, object]:
    """Return the tensors that a safetensors file lists; none for any other file."""
    length = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{" or not 2 <= length <= min(size - 8, MAX_SAFETENSORS_HEADER):
        return {}
    with path.open("rb") as file:
        file.seek(8, os.SEEK_SET)
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            return {}
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def _onnx_maker(head: bytes) -> str | None:
    """Return which program made an ONNX file, "" if it is not stated; None for another file."""
    maker, has_graph = "", False
    for number, value in _protobuf_fields(head):
        if number == 1 and not (isinstance(value, int) and 1 <= value <= 64):  # the version of the format
            return None
        if number == 2 and isinstance(value, bytes):
            maker = value.decode("utf-8", "replace")[:30]
        has_graph |= number in {7, 8} and isinstance(value, bytes)  # the graph, and the versions of its operators
    return maker if has_graph and head[0] == 0x08 else None


def _protobuf_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of the outermost fields; the last value may be cut off."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        if tag & 7 == 0:
            value, position = _varint(data, position)
            yield tag >> 3, value
        elif tag & 7 == 2:
            length, position = _varint(data, position)
            yield tag >> 3, data[position : position + length]
            position += length
        else:
            return


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position, value, shift = position + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128 or shift > 63:
            break
    return value, position
