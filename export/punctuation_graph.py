"""The tagger's ONNX graph: int8 weights that become float32 when onnxruntime loads it, compared before it is used."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor

from edgespeech.errors import VerificationError
from edgespeech.export.builder import IR_VERSION, OPSET, GraphBuilder, array
from edgespeech.reference.punctuation.model import Layer, Tagger
from edgespeech.runtime.acoustic_model import import_onnxruntime
from edgespeech.runtime.punctuation.features import COLUMNS, FIRST_PAUSE_ROW, PAUSE_CLASSES, TABLE_ROWS, features
from edgespeech.runtime.punctuation.tagger import INPUT, OUTPUT, PunctuationTagger
from edgespeech.runtime.punctuation.tags import OUTPUTS

MAX_DIFFERENCE: Final = 1e-3  # of scores, between torch with rounded weights and onnxruntime
LENGTHS: Final = (1, 2, 7, 40)  # words of the sequences that are compared


def export_tagger(model: Tagger) -> bytes:
    """Return the graph of a tagger with its weights rounded to int8, after a comparison with torch.

    Raises:
        VerificationError: The two differ.
    """
    rounded = _Rounded(model)
    content = rounded.graph().SerializeToString()
    _compare(rounded.model, content)
    return bytes(content)


class _Rounded:
    """A copy of a tagger with rounded weights, and the graph of the same numbers."""

    def __init__(self, model: Tagger) -> None:
        self.model = Tagger(model.shape).eval()
        self.model.load_state_dict(model.state_dict())
        self._builder = GraphBuilder()

    def graph(self) -> onnx.ModelProto:
        """Build the graph; the weights of ``model`` become those that it has."""
        model, add = self.model, self._builder.add
        rows = add("Gather", [self._table(model.table.weight), INPUT], name="rows", axis=0)
        wide = add("Cast", [rows], name="rows_float", to=TensorProto.FLOAT)
        summed = add("ReduceMean", [wide], name="mean", axes=[1], keepdims=0)  # of COLUMNS rows: their sum / COLUMNS
        x = add("Mul", [summed, "table_scale"], name="embedding")
        x = self._linear("widen", x, model.widen)
        for index, layer in enumerate(model.layers):
            assert isinstance(layer, Layer)
            x = self._layer(f"layer{index}", x, layer)
        x = self._linear("decision", self._norm("norm", x, model.norm), model.scores)
        nodes = [*self._builder.nodes, helper.make_node("Identity", [x], [OUTPUT], name=OUTPUT)]
        graph = helper.make_graph(
            nodes,
            "punctuation",
            [helper.make_tensor_value_info(INPUT, TensorProto.INT64, ["words", COLUMNS])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["words", OUTPUTS])],
            list(self._builder.weights.values()),
        )
        found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(found, full_check=True)
        return found

    def _table(self, weight: Tensor) -> str:
        """Store the table with a scale for each of its columns."""
        integers, scale = _round(array(weight), axis=0)
        _set(weight, integers * scale)
        self._builder.weight("table_scale", (scale[0] * COLUMNS).astype(np.float32))
        return self._builder.weight("table", integers)

    def _matrix(self, name: str, weight: Tensor, shape: tuple[int, ...]) -> str:
        """Store a weight [out, ...] with a scale for each output."""
        integers, scale = _round(array(weight).reshape(len(weight), -1), axis=1)
        _set(weight, (integers * scale).reshape(weight.shape))
        inputs = [
            self._builder.weight(f"{name}_int8", integers.reshape(shape)),
            self._builder.weight(f"{name}_scale", scale[:, 0]),
        ]
        return str(self._builder.add("DequantizeLinear", inputs, name=f"{name}_weight", axis=0))

    def _linear(self, name: str, x: str, layer: torch.nn.Linear) -> str:
        # onnxruntime 1.18 refuses what it makes of a Transpose behind DequantizeLinear; newer ones round x for MatMul.
        weight = self._matrix(name, layer.weight, tuple(layer.weight.shape))
        bias = self._builder.weight(f"{name}_bias", array(layer.bias))
        return str(self._builder.add("Gemm", [x, weight, bias], name=name, transB=1))

    def _norm(self, name: str, x: str, layer: torch.nn.LayerNorm) -> str:
        weight = self._builder.weight(f"{name}_weight", array(layer.weight))
        bias = self._builder.weight(f"{name}_bias", array(layer.bias))
        return str(self._builder.add("LayerNormalization", [x, weight, bias], name=name, axis=-1, epsilon=layer.eps))

    def _layer(self, name: str, x: str, layer: Layer) -> str:
        add, convolution = self._builder.add, layer.convolution
        weight = self._matrix(name, convolution.weight, tuple(convolution.weight.shape))
        assert convolution.bias is not None
        bias = self._builder.weight(f"{name}_bias", array(convolution.bias))
        y = add("Transpose", [self._norm(f"{name}_norm", x, layer.norm)], name=f"{name}_channels", perm=[1, 0])
        y = add("Unsqueeze", [y, self._builder.integers(0)], name=f"{name}_batch")
        dilation = int(convolution.dilation[0])
        y = add("Conv", [y, weight, bias], name=f"{name}_conv", kernel_shape=[3], dilations=[dilation],
                pads=[dilation, dilation])  # fmt: skip
        y = add("Squeeze", [add("Relu", [y], name=f"{name}_relu"), self._builder.integers(0)], name=f"{name}_words")
        return str(add("Add", [x, add("Transpose", [y], name=f"{name}_rows", perm=[1, 0])], name=f"{name}_sum"))


def _round(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    scale = np.maximum(np.abs(values).max(axis=axis, keepdims=True), 1e-8).astype(np.float32) / np.float32(127.0)
    return np.round(values / scale).astype(np.int8), scale


def _set(weight: Tensor, values: NDArray[Any]) -> None:
    with torch.no_grad():
        weight.copy_(torch.from_numpy(values.astype(np.float32)))


def _compare(model: Tagger, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "punctuation.onnx"
        path.write_bytes(content)
        tagger = PunctuationTagger(path, import_onnxruntime())
    random = np.random.default_rng(1)
    for length in LENGTHS:
        words = ["".join(map(chr, random.integers(97, 123, size=random.integers(1, 9)))) for _ in range(length)]
        pauses = random.integers(PAUSE_CLASSES, size=length).tolist()
        table = features(words, pauses)
        assert table.max() < TABLE_ROWS and table[:, -1].min() >= FIRST_PAUSE_ROW
        with torch.no_grad():
            wanted = model(torch.from_numpy(table)[None])[0].numpy()
        difference = float(np.abs(tagger.scores(words, pauses) - wanted).max())
        if not difference <= MAX_DIFFERENCE:
            raise VerificationError(
                f"the tagger's graph differs from torch by {difference:g} on {length} words, wanted at most "
                f"{MAX_DIFFERENCE:g}; train it again, or report it"
            )
