"""Bundles: their descriptions, their graphs with the hashes that fit, and the reader of graphs alone."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from edgespeech.errors import BundleError
from edgespeech.runtime.bundle import ACOUSTIC, LANGUAGE_MODEL, MANIFEST, describe_file, load_bundle
from edgespeech.runtime.graph.limits import OPERATORS, check_graph
from edgespeech.runtime.graph.onnx_graph import read_graph
from edgespeech.runtime.graph.wire import WireError
from edgespeech.runtime.recognizer import Recognizer
from tests.fuzz.kind import Kind
from tests.fuzz.mutators import mutate_bytes, mutate_json
from tests.tiny_models import ARCHIVE, CELLS, TINY, unpack_tiny_bundles

_GOLDEN = ARCHIVE.parent
_SOUND = np.random.default_rng(1).standard_normal(4000).astype(np.float32) * 0.1


def _recognise(folder: Path) -> None:
    with Recognizer(load_bundle(folder)) as recognizer:
        recognizer.transcribe((_SOUND, 16000))


class Descriptions(Kind[str]):
    """``bundle.json`` beside files that are what it says, or not."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        unpack_tiny_bundles(folder)
        self._folder = folder / TINY
        (self._folder / LANGUAGE_MODEL).write_bytes((_GOLDEN / "tiny.bin").read_bytes())
        self._description = json.loads((self._folder / MANIFEST).read_bytes())
        entry = describe_file(self._folder / LANGUAGE_MODEL)
        self._description["files"][LANGUAGE_MODEL] = {"bytes": entry.bytes, "sha256": entry.sha256}

    def make(self, chance: Random) -> str:
        """Mutate the description."""
        return mutate_json(self._description, chance)

    def run(self, given: str) -> None:
        """Load the bundle and recognise a sound."""
        (self._folder / MANIFEST).write_bytes(given.encode("utf-8", "surrogatepass"))
        _recognise(self._folder)


class Graphs(Kind[tuple[str, bytes]]):
    """Graphs whose hash fits: changed as ONNX or as bytes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        unpack_tiny_bundles(folder)
        self._graphs = {name: (folder / name / ACOUSTIC).read_bytes() for name in (TINY, CELLS)}
        self._models = {name: onnx.load_model_from_string(data) for name, data in self._graphs.items()}
        self._descriptions = {name: json.loads((folder / name / MANIFEST).read_bytes()) for name in self._graphs}

    def make(self, chance: Random) -> tuple[str, bytes]:
        """Mutate one of two graphs."""
        name = chance.choice(list(self._graphs))
        if chance.random() < 0.25:
            return name, mutate_bytes(self._graphs[name], chance, list(self._graphs.values()))
        model = onnx.ModelProto()
        model.CopyFrom(self._models[name])
        for _ in range(chance.choice((1, 1, 2, 3))):
            _mutate_graph(model, chance)
        return name, model.SerializeToString(deterministic=True)

    def run(self, given: tuple[str, bytes]) -> None:
        """Load the bundle and recognise a sound."""
        name, data = given
        folder = self.folder / name
        (folder / ACOUSTIC).write_bytes(data)
        entry = describe_file(folder / ACOUSTIC)
        description = self._descriptions[name]
        description["files"][ACOUSTIC] = {"bytes": entry.bytes, "sha256": entry.sha256}
        (folder / MANIFEST).write_text(json.dumps(description))
        _recognise(folder)


class Wire(Kind[bytes]):
    """Our own reader of graphs, without onnxruntime behind it: bytes alone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        unpack_tiny_bundles(folder)
        self._graphs = [(folder / name / ACOUSTIC).read_bytes() for name in (TINY, CELLS)]

    def make(self, chance: Random) -> bytes:
        """Mutate bytes, which are only a piece of a graph sometimes."""
        data = chance.choice(self._graphs)
        if chance.random() < 0.5:
            start = chance.randrange(len(data))
            data = data[start : start + chance.randrange(2000)]
        return mutate_bytes(data, chance, self._graphs)

    def run(self, given: bytes) -> None:
        """Read it from memory and from a file."""
        try:
            read_graph(memoryview(given))
        except WireError as error:
            raise BundleError(str(error)) from None
        path = self.folder / ACOUSTIC
        path.write_bytes(given)
        check_graph(path, {}, {})


def _mutate_graph(model: Any, chance: Random) -> None:
    graph = model.graph
    node = chance.choice(graph.node)
    match chance.randrange(14):
        case 0:
            node.op_type = chance.choice(sorted(OPERATORS[""]))
        case 1 if node.input:
            names = [name for other in graph.node for name in (*other.input, *other.output)]
            node.input[chance.randrange(len(node.input))] = chance.choice([*names, "", "samples"])
        case 2 if node.attribute:
            _mutate_attribute(chance.choice(node.attribute), chance)
        case 3:
            graph.node.remove(node)
        case 4:
            graph.node.insert(chance.randrange(len(graph.node)), node)
        case 5 if node.input:
            del node.input[chance.randrange(len(node.input))]
        case 6:
            node.output.append(chance.choice(["", "more", *node.output]))
        case 7:
            node.domain = chance.choice(["com.microsoft", "ai.onnx", "own", ""])
            node.op_type = chance.choice([*sorted(OPERATORS["com.microsoft"]), node.op_type])
        case 8:
            model.opset_import[0].version = chance.choice([1, 7, 11, 13, 18, 20, 10**6, -1])
        case 9:
            name = chance.choice(["axis", "pads", "strides", "perm", "hidden_size", "direction", "group", "to"])
            node.attribute.append(onnx.helper.make_attribute(name, chance.choice([0, -1, 2**40, [1, 2], b"x", 0.5])))
        case 10:
            value = chance.choice([*graph.input, *graph.output])
            dims = value.type.tensor_type.shape.dim
            if dims:
                dims[chance.randrange(len(dims))].dim_value = chance.choice([0, 1, 2, 640, 10**9, -1])
        case _:
            _mutate_weights(chance.choice(graph.initializer), chance)


def _mutate_attribute(attribute: Any, chance: Random) -> None:
    number = chance.choice([0, 1, -1, 2, 3, 7, 100, 2**31, 2**62, -(2**63)])
    if attribute.ints:
        attribute.ints[chance.randrange(len(attribute.ints))] = number
    elif attribute.s:
        attribute.s = chance.choice([b"", b"reverse", b"bidirectional", b"\xff", b"VALID"])
    else:
        attribute.i = number


def _mutate_weights(tensor: Any, chance: Random) -> None:
    """Change numbers or the shape, so that the size still fits or not."""
    array = numpy_helper.to_array(tensor)
    name = tensor.name
    match chance.randrange(6):
        case 0 if array.ndim:
            array = np.ascontiguousarray(array.swapaxes(0, -1))
        case 1:
            array = array.reshape(-1)[: chance.choice([0, 1, 2, max(1, array.size - 1)])]
        case 2:
            array = np.concatenate([array.reshape(-1)] * 3)
        case 3 if array.dtype.kind == "i" and array.size:
            array = array.copy()
            array.reshape(-1)[chance.randrange(array.size)] = chance.choice([0, -1, 3, 100, 2**31 - 1, -(2**31)])
        case 4:
            array = array.astype(chance.choice([np.float32, np.int64, np.int32, np.uint8, np.float16, np.bool_]))
        case _:
            if array.dtype.kind == "f" and array.size:
                array = array.copy()
                array.reshape(-1)[chance.randrange(array.size)] = chance.choice([0.0, 1e30, -1e30, 6e4])
    tensor.CopyFrom(numpy_helper.from_array(array, name))
