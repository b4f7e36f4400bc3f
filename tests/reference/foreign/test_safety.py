"""Nothing of a foreign file runs: what it would call is named, and files that are damaged are one line."""

from __future__ import annotations

import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edgespeech.errors import CheckpointError
from edgespeech.reference.foreign import torch_reader
from edgespeech.reference.foreign.paddle_reader import read_paddle
from edgespeech.reference.foreign.reading import read_original
from edgespeech.reference.foreign.torch_reader import attribute, read_torch
from edgespeech.reference.model.checkpoint import load_plain
from tests.reference.foreign.originals import call_of, deepspeech_pytorch, package

# Functions that would be called if the files were unpickled carelessly; all of them are harmless.
CALLS = [
    ("builtins", "print"), ("__builtin__", "print"), ("os", "getcwd"), ("posix", "getcwd"), ("builtins", "getattr"),
    ("torch", "get_num_threads"), ("torch.serialization", "load"), ("numpy", "array"), ("edgespeech", "load_bundle"),
    ("collections", "Counter"), ("copyreg", "_reconstructor"), ("someone", "Config"),
]  # fmt: skip


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def hostile(path: Path, pickled: bytes) -> Path:
    """Write a checkpoint of deepspeech.pytorch, and put the call into its pickle in front of everything else."""
    whole = path.with_name("whole.pth")
    torch.save(package("v2.0", deepspeech_pytorch(layers=1)), whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename.endswith("data.pkl"):
                data = pickled[:-1] + b"0" + data[2:]  # the result is dropped, and the real pickle follows
            target.writestr(entry.filename, data)
    return path


@pytest.mark.parametrize(("module", "name"), CALLS)
def test_a_file_that_calls_something_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], module: str, name: str
) -> None:
    path = hostile(tmp_path / "net.pth", call_of(module, name, "was run"))
    with pytest.raises(CheckpointError) as caught:
        read_original(path)
    assert f"a reference to {module}.{name}" in str(caught.value)
    assert "nothing was run" in str(caught.value) and "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("legacy", [False, True])
def test_objects_of_torch_save_that_call_are_refused_in_both_formats(tmp_path: Path, legacy: bool) -> None:
    marks: list[str] = []
    value = {**package("v2.0", deepspeech_pytorch(layers=1)), "loss": Calls(print, "was run")}
    torch.save(value, tmp_path / "net.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="a reference to (builtins|__builtin__).print"):
        read_original(tmp_path / "net.pth")
    assert marks == []


@pytest.mark.parametrize(("module", "name"), CALLS)
def test_parameters_of_paddle_that_call_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], module: str, name: str
) -> None:
    path = tmp_path / "net.pdparams"
    path.write_bytes(call_of(module, name, "was run"))
    with pytest.raises(CheckpointError, match=f"a reference to {module}.{name}"):
        read_paddle(path)
    assert capsys.readouterr().out == ""


def test_classes_of_known_projects_become_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saved with classes that look like those of omegaconf, and read where there are none."""
    made: list[object] = []

    class Node:
        def __init__(self, value: object) -> None:
            self._val = value

        def __setstate__(self, state: object) -> None:
            made.append(state)

    Node.__module__, Node.__qualname__, Node.__name__ = "omegaconf.nodes", "AnyNode", "AnyNode"
    module = types.ModuleType("omegaconf.nodes")
    module.AnyNode = Node  # type: ignore[attr-defined]
    value = {
        **package("v2.0", deepspeech_pytorch(layers=1)),
        "audio_conf": {"sample_rate": Node(16000)},
        "epoch": Node(3),
    }
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
        patch.setitem(sys.modules, "omegaconf.nodes", module)
        torch.save(value, tmp_path / "net.pth")
    opened = read_torch(tmp_path / "net.pth")
    assert attribute(opened.value, "audio_conf", "sample_rate") == 16000
    assert attribute(opened.value, "epoch") == 3
    assert attribute(opened.value, "epoch", "further") is None
    assert "omegaconf.nodes.AnyNode" in opened.how
    assert made == []
    monkeypatch.setenv(torch_reader.FORCED, "1")
    with pytest.raises(CheckpointError, match="unset it for this command"):
        read_torch(tmp_path / "net.pth")


def test_a_pickle_cannot_change_what_it_may_call(tmp_path: Path) -> None:
    build = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x04\x00\x00\x00nameX\x03\x00\x00\x00newsb."
    with pytest.raises(CheckpointError, match="damaged"):
        read_torch(hostile(tmp_path / "net.pth", build))
    assert not hasattr(torch._utils._rebuild_tensor_v2, "name")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "without its end": lambda data: data[:-200],
    "zeros": lambda data: bytes(len(data)),
    "its beginning only": lambda data: data[:30],
    "zeros within": lambda data: data[:2000] + bytes(4000) + data[6000:],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_files_are_one_line(tmp_path: Path, damage: str, legacy: bool) -> None:
    path = tmp_path / "net.pth"
    torch.save(package("v2.0", deepspeech_pytorch(layers=1)), path, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(CheckpointError) as caught:
        read_original(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_renamed_files_are_told_by_their_content(tmp_path: Path) -> None:
    for name in ("net.pdparams", "net.txt", "net"):
        torch.save(package("v2.0", deepspeech_pytorch(layers=1)), tmp_path / name)
        assert read_original(tmp_path / name).config.hidden == 24


def test_archives_with_other_sizes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.pth"
    torch.save(package("v2.0", deepspeech_pytorch(layers=1)), path)
    compressed = tmp_path / "compressed.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(CheckpointError, match="is a compressed archive"):
        read_original(compressed)
    monkeypatch.setattr(torch_reader, "MAX_PICKLE_BYTES", 100)
    with pytest.raises(CheckpointError, match="states sizes that do not fit"):
        read_original(path)
    monkeypatch.setattr(torch_reader, "MAX_FILE_BYTES", 100)
    with pytest.raises(CheckpointError, match="wanted at most 100"):
        read_original(path)


def test_a_missing_file_and_other_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist; give a Deep Speech 2 checkpoint of"):
        read_original(tmp_path / "nothing.pth")
    torch.save({"layer.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="is a bare state_dict .*wanted a Deep Speech 2 checkpoint of"):
        read_original(tmp_path / "other.pth")


@pytest.mark.parametrize("read", [read_original, load_plain])
def test_a_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "net.pth").touch()
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CheckpointError, match="net.pth cannot be read .Permission denied.; correct its permissions$"):
        read(tmp_path / "net.pth")
