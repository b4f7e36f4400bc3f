"""What is given in place of a checkpoint or a bundle is named in the error, with the page; nothing in it is run."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.foreign.torch_files import STATE_FORMAT

Command = Callable[..., Any]
PAGE = "docs/guide/checkpoints.md"


class Net(nn.Module):
    """A module of the user, as in `torch.save(net)`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve the input with the kernels."""
        y: torch.Tensor = self.first(x)
        return y


class Hostile:
    """A pickle that makes a folder where it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("was_run",)


def varint(number: int) -> bytes:
    low = bytes([number & 127 | (128 if number > 127 else 0)])
    return low + varint(number >> 7) if number > 127 else low


def onnx_head(maker: bytes) -> bytes:
    """The first fields of an ONNX file: version of the format, maker, and a graph that is not complete."""
    return b"\x08\x08" + b"\x12" + varint(len(maker)) + maker + b"\x3a" + varint(70_000) + b"\x0a" * 300


def safetensors(names: list[str]) -> bytes:
    entries = {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in names}
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    return len(header).to_bytes(8, "little") + header + b"\0" * 4


def saved(value: Any, **options: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(value, path, **options)


def holding(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def archive(*names: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as file:
            for name in names:
                file.writestr(name, b"\x80\x02}.")

    return write


def folder(files: dict[str, str]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        for name, text in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text)

    return write


def cut(path: Path) -> None:
    torch.save(Net().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-300])


WEIGHTS = Net().state_dict()
LIGHTNING = {"epoch": 3, "pytorch-lightning_version": "2.4.0", "state_dict": WEIGHTS, "hyper_parameters": {"lr": 0.1}}
OTHERS_STATE = {"epoch": 3, "model": WEIGHTS, "optimizer": torch.optim.Adam(Net().parameters()).state_dict()}
LEGACY = {"_use_new_zipfile_serialization": False}
CONFIG = json.dumps({"architectures": ["Wav2Vec2ForCTC"], "model_type": "wav2vec2"})

# What was given, how it is made, how it is named.
THINGS: list[tuple[str, Callable[[Path], Any], str]] = [
    ("state_dict.pt", saved(WEIGHTS), "a bare state_dict (2 tensors, such as 'first.weight')"),
    ("dict.bin", saved(dict(WEIGHTS), pickle_protocol=4), "a bare state_dict (2 tensors"),
    ("one.pt", saved({"w": nn.Parameter(torch.zeros(2))}), "a bare state_dict (1 tensor, such as 'w')"),
    ("legacy.pt", saved(WEIGHTS, **LEGACY), "a bare state_dict (2 tensors, such as 'first.weight'), in the format of"),
    ("lightning.ckpt", saved(LIGHTNING), 'PyTorch Lightning 2.4.0'),
    ("custom.ckpt", saved({**LIGHTNING, "hyper_parameters": Hostile()}), "PyTorch Lightning 2.4.0"),
    ("training.pt", saved(OTHERS_STATE), "a dictionary without a format of edgespeech (keys: epoch, model, optimizer)"),
    ("objects.pt", saved({"net": Net(), "step": 1}), "(keys: net, step; objects of "),
    ("module.pt", saved(Net()), "a whole module ("),
    ("old_module.pt", saved(Net(), **LEGACY), "a whole module ("),
    ("hostile.pt", saved({"weights": Hostile()}), "(keys: weights; objects of posix.mkdir)"),
    ("hostile2.pt", saved(Hostile()), "an object of posix.mkdir"),
    ("hostile.pkl", holding(pickle.dumps(Hostile())), "a Python pickle of posix.mkdir"),
    ("list.pt", saved([1, 2]), "a file of torch that contains a list"),
    ("tensor.pt", saved(torch.zeros(2)), "a single tensor"),
    ("empty_dict.pt", saved({}), "a dictionary without a format"),
    ("another.pt", saved({"format": "another"}), "a file of torch with the format 'another'"),
    ("script.pt", archive("net/data.pkl", "net/code/net.py", "net/constants.pkl"), "a TorchScript archive"),
    ("program.pt2", archive("linear/archive_format", "linear/models/model.json"), "a program of torch.export (.pt2)"),
    ("old_program.pt2", archive("serialized_exported_program.json", "version"), "a program of torch.export (.pt2)"),
    ("cut.pt", cut, "cut off or damaged"),
    ("zip.pt", archive("hello.txt"), "a zip archive without weights of torch (it holds 'hello.txt')"),
    ("model.keras", archive("config.json", "model.weights.h5"), "a model of Keras"),
    ("arrays.npz", archive("first.npy", "second.npy"), "a NumPy archive"),
    ("model.safetensors", holding(safetensors(["a", "b"])), "a safetensors file (2 tensors, such as 'a')"),
    ("model.onnx", holding(onnx_head(b"pytorch")), "an ONNX graph made by pytorch"),
    ("own.onnx", holding(onnx_head(b"edgespeech")), "the graph of a bundle of edgespeech"),
    ("model.h5", holding(b"\x89HDF\r\n\x1a\n" + bytes(90)), "an HDF5 file, as Keras and TensorFlow write"),
    ("model.gguf", holding(b"GGUF\x03" + bytes(90)), "a GGUF file"),
    ("ggml.bin", holding(b"lmgg" + bytes(90)), "a ggml file, as whisper.cpp reads"),
    ("model.tflite", holding(b"\x1c\0\0\0TFL3" + bytes(90)), "a TensorFlow Lite graph"),
    ("model.ort", holding(b"\x1c\0\0\0ORTM" + bytes(90)), "onnxruntime's own format"),
    ("model.pte", holding(b"\x1c\0\0\0ET12" + bytes(90)), "an ExecuTorch program"),
    ("graph.pb", holding(b"\x0a\x20\x0a\x05input" + bytes(90)), "a graph of TensorFlow"),
    ("model.nemo", holding(bytes(257) + b"ustar" + bytes(90)), "a NeMo model"),
    ("model.tgz", holding(b"\x1f\x8b\x08" + bytes(90)), "a compressed file (gzip)"),
    ("lm.bin", holding(b"mmap lm http://kheafield.com/code" + bytes(90)), "a language model of KenLM"),
    ("lm.arpa", holding(b"\\data\\\nngram 1=3\n"), "a language model (ARPA)"),
    ("talk.wav", holding(b"RIFF\x24\0\0\0WAVEfmt " + bytes(90)), "a recording (WAV)"),
    ("empty.pt", holding(b""), "empty (0 bytes)"),
    ("text.txt", holding("Grüße, no checkpoint\n".encode()), "text (it begins with 'Grüße, no checkpoint')"),
    ("mine.toml", holding(b'name = "mine"\n'), "a recipe or another TOML text"),
    ("page.pt", holding(b"<!DOCTYPE html>\n<html>not found</html>"), "a web page"),
    ("pointer.pt", holding(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "a pointer of Git LFS"),
    ("noise.pt", holding(bytes(range(255, 0, -1))), "not of a known format"),
    ("hugging_face", folder({"config.json": CONFIG, "model.safetensors": ""}), "Hugging Face folder (Wav2Vec2ForCTC)"),
    ("diffusers", folder({"config.json": "[]", "model.safetensors": ""}), "a Hugging Face folder"),
    ("saved_model", folder({"saved_model.pb": "", "variables/x": ""}), "a SavedModel of TensorFlow"),
    ("tensorflow", folder({"checkpoint": "", "best.index": ""}), "a checkpoint of TensorFlow"),
    ("sharded", folder({".metadata": "", "__0_0.distcp": ""}), "a sharded checkpoint of torch.distributed"),
    ("vosk", folder({"am/final.mdl": ""}), "a model of Vosk or Kaldi"),
    ("runs", folder({"best.pt": "", "last.pt": ""}), "a folder that holds best.pt, last.pt; give one of them"),
    ("nothing", folder({"readme.txt": "hello"}), "a folder (readme.txt)"),
]  # fmt: skip
# One for checkpoints and one for bundles, which every thing is given to, and the others.
BOTH = ("export {} -o out", "info {}")
COMMANDS = (
    "calibrate {} -o out.pt --speech speech.jsonl",
    "average {} -o out.pt",
    "bench --checkpoint {}",
    "quantize {} -o out --precision int8",
    "verify {}",
    "bench --bundle {}",
    "transcribe talk.wav --bundle {}",
)
EXAMPLES = ("state_dict.pt", "hostile.pt", "model.onnx", "empty.pt", "hugging_face")
CASES = [(name, words, command) for name, _, words in THINGS for command in BOTH + COMMANDS * (name in EXAMPLES)]


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("things")
    for name, make, _ in THINGS:
        make(home / name)
    return Path(home)


@pytest.mark.parametrize(("name", "words", "command"), CASES)
def test_every_foreign_thing_is_named(
    edgespeech: Command, things: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str, command: str
) -> None:
    monkeypatch.chdir(things)
    before = sorted(os.listdir(things))
    outcome = edgespeech(*command.format(name).split())
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1 and outcome.err.startswith("edgespeech: ") and name in outcome.err
    assert words in outcome.err
    assert PAGE in outcome.err or (name == "own.onnx" and "give the folder that it is in" in outcome.err)
    assert sorted(os.listdir(things)) == before


@pytest.mark.parametrize(
    ("command", "name", "advice"),
    [
        ("info", "good.pt", "export it first: edgespeech export good.pt -o FOLDER"),
        ("quantize -o out --precision int8", "good.pt", "export it first: edgespeech export good.pt -o FOLDER"),
        ("info", "last.pt", "export the best.pt beside it"),
        ("export -o out", "last.pt", "edgespeech average last.pt -o checkpoint.pt"),
        ("export -o out", "bundle", "which is exported already; give the checkpoint (.pt) that it was made of"),
        ("calibrate -o out.pt --speech speech.jsonl", "bundle/acoustic.onnx", "which is exported already"),
        ("info", "bundle/acoustic.onnx", "give the folder that it is in"),
    ],
)
def test_our_own_files_in_the_wrong_place_are_named(
    edgespeech: Command, tiny_bundle: Bundle, tiny_model_factory: Callable[..., Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, command: str, name: str, advice: str,
) -> None:  # fmt: skip
    from edgespeech.reference import save_checkpoint

    monkeypatch.chdir(tmp_path)
    save_checkpoint(tiny_model_factory(), tmp_path / "good.pt")
    torch.save({"format": STATE_FORMAT, "model": WEIGHTS}, tmp_path / "last.pt")
    (tmp_path / "bundle").symlink_to(tiny_bundle.folder)
    outcome = edgespeech(*command.split(), name)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert advice in outcome.err
