"""Emit a recurrent layer in either form: as one operator, or as cells unrolled over the chunk.

torch stacks the gates as r z n (GRU) and i f g o (LSTM), ONNX as z r h and i o f c; the cells use the order that needs
the fewest operators per step. Inputs and outputs are [time, batch, width] in the fused form and [time * batch, width]
in the unrolled one; states are [batch, hidden] in both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgespeech.export.builder import GraphBuilder
from edgespeech.reference.model.layers import CLIP, Recurrent

Array = NDArray[np.float32]
# Gates in the order of torch, of ONNX's operator, and of the cells.
GATES = {
    "gru": ("rzn", "zrn", "rzn"),
    "lstm": ("ifgo", "iofg", "ifog"),
    "rnn": ("h", "h", "h"),
    "tanh": ("h", "h", "h"),
}


def gate_blocks(stage: Recurrent, order: str) -> tuple[Array, Array, Array, Array]:
    """Return W, U, input bias and recurrent bias of a folded layer with its gates in another order.

    The order consists of torch's letters, ``rzn`` or ``ifgo``, or of one letter.
    """
    own, _, _ = GATES[stage.cell]
    parameters = dict(stage.rnn.named_parameters())
    blocks = []
    for key in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        value = np.asarray(parameters[key].detach().numpy(), np.float32)
        gates = dict(zip(own, np.split(value, len(own)), strict=True))
        blocks.append(np.concatenate([gates[letter] for letter in order]))
    return blocks[0], blocks[1], blocks[2], blocks[3]


def fused_recurrent(builder: GraphBuilder, name: str, stage: Recurrent, x: str, lengths: str | None = None) -> str:
    """Emit one GRU, LSTM or RNN operator and return its output.

    With ``lengths``, int32 [batch], the frames are in reverse order, and only the last ones that came are processed.
    """
    input_weight, recurrent_weight, input_bias, recurrent_bias = gate_blocks(stage, GATES[stage.cell][1])
    keys = ("hidden", "cell") if stage.cell == "lstm" else ("hidden",)
    first = builder.integers(0)
    states = [builder.state(f"{name}_{key}", (stage.hidden,)) for key in keys]
    inputs = [
        x,
        builder.weight(f"{name}.W", input_weight[None]),
        builder.weight(f"{name}.R", recurrent_weight[None]),
        builder.weight(f"{name}.B", np.concatenate([input_bias, recurrent_bias])[None]),
        lengths or "",
        *(builder.add("Unsqueeze", [state, first], name=f"{state}_in") for state in states),
    ]
    attributes: dict[str, object] = {"hidden_size": stage.hidden}
    if stage.cell == "gru":
        attributes["linear_before_reset"] = 1
    if stage.cell == "rnn":
        attributes |= {"activations": ["Relu"], "clip": CLIP}
    if lengths is not None:
        attributes["direction"] = "reverse"
    outputs = builder.add(
        {"gru": "GRU", "lstm": "LSTM"}.get(stage.cell, "RNN"), inputs, 1 + len(keys), name, **attributes
    )
    for state, value in zip(states, outputs[1:], strict=True):
        builder.set_new_state(state, builder.add("Squeeze", [value, first], name=f"{state}_new"))
    return str(builder.add("Squeeze", [outputs[0], builder.integers(1)], name=f"{name}.frames"))


def cells_recurrent(
    builder: GraphBuilder, name: str, stage: Recurrent, x: str, frames: int, begun: list[str] | None = None
) -> str:
    """Emit the input product of all frames as one MatMul, then one cell per frame, and return their outputs.

    With ``begun``, [batch, 1] for each frame, states stay zero where it is zero.
    """
    input_weight, recurrent_weight, input_bias, recurrent_bias = gate_blocks(stage, GATES[stage.cell][2])
    hidden = stage.hidden
    if stage.cell != "gru":
        input_bias, recurrent_bias = input_bias + recurrent_bias, np.zeros_like(recurrent_bias)
    else:
        # Only the candidate's recurrent bias must stay inside the reset gate.
        split = 2 * hidden
        input_bias = np.concatenate([input_bias[:split] + recurrent_bias[:split], input_bias[split:]])
    product = builder.add("MatMul", [x, builder.weight(f"{name}.W", input_weight.T)], name=f"{name}.input_product")
    terms = builder.add("Add", [product, builder.weight(f"{name}.b", input_bias)], name=f"{name}.input_term")
    steps = [terms] if frames == 1 else builder.add("Split", [terms], frames, f"{name}.steps", axis=0)
    h_name = builder.state(f"{name}_hidden", (hidden,))
    h = h_name
    c_name, c = "", ""
    if stage.cell == "lstm":
        c = c_name = builder.state(f"{name}_cell", (hidden,))
    weight = builder.weight(f"{name}.U", recurrent_weight.T)
    outputs = []
    for frame, term in enumerate(steps):
        recurrent = builder.add("MatMul", [h, weight], name=f"{name}.recurrent_product")
        if stage.cell == "gru":
            bias = builder.weight(f"{name}.candidate_bias", recurrent_bias[2 * hidden :])
            h = _gru_cell(builder, name, hidden, term, recurrent, bias, h)
        elif stage.cell == "lstm":
            h, c = _lstm_cell(builder, name, hidden, term, recurrent, c)
        elif stage.cell == "tanh":
            h = str(builder.add("Tanh", [builder.add("Add", [term, recurrent], name=f"{name}.sum")], name=f"{name}.h"))
        else:
            total = builder.add("Add", [term, recurrent], name=f"{name}.sum")
            bounds = [builder.weight(n, np.array(v, np.float32)) for n, v in (("zero", 0.0), ("clip", CLIP))]
            h = str(builder.add("Clip", [total, *bounds], name=f"{name}.clipped"))
        if begun is not None:
            h = str(builder.add("Mul", [h, begun[frame]], name=f"{name}.h_begun"))
            c = str(builder.add("Mul", [c, begun[frame]], name=f"{name}.c_begun")) if c else c
        outputs.append(h)
    builder.set_new_state(h_name, h)
    if c_name:
        builder.set_new_state(c_name, c)
    return str(builder.add("Concat", outputs, name=f"{name}.frames", axis=0))


def _gru_cell(
    builder: GraphBuilder, name: str, hidden: int, term: str, recurrent: str, candidate_bias: str, h: str
) -> str:
    """Emit one GRU step: h' = n + z (h - n), with n = tanh(x_n + r (U_n h + b_n))."""
    sizes = builder.integers(2 * hidden, hidden)
    halves = builder.integers(hidden, hidden)
    term_gates, term_candidate = builder.add("Split", [term, sizes], 2, f"{name}.term", axis=-1)
    own_gates, own_candidate = builder.add("Split", [recurrent, sizes], 2, f"{name}.own", axis=-1)
    gates = builder.add("Sigmoid", [builder.add("Add", [term_gates, own_gates], name=f"{name}.gates")])
    reset, update = builder.add("Split", [gates, halves], 2, f"{name}.reset_update", axis=-1)
    own = builder.add("Add", [own_candidate, candidate_bias], name=f"{name}.own_candidate")
    gated = builder.add("Mul", [reset, own], name=f"{name}.gated")
    candidate = builder.add("Tanh", [builder.add("Add", [term_candidate, gated])], name=f"{name}.candidate")
    change = builder.add("Mul", [update, builder.add("Sub", [h, candidate])], name=f"{name}.change")
    return str(builder.add("Add", [candidate, change], name=f"{name}.h"))


def _lstm_cell(builder: GraphBuilder, name: str, hidden: int, term: str, recurrent: str, c: str) -> tuple[str, str]:
    """Emit one LSTM step: c' = f c + i g, h' = o tanh(c')."""
    total = builder.add("Add", [term, recurrent], name=f"{name}.sum")
    gates, candidate = builder.add("Split", [total, builder.integers(3 * hidden, hidden)], 2, f"{name}.split", axis=-1)
    gates = builder.add("Sigmoid", [gates], name=f"{name}.gates")
    thirds = builder.integers(hidden, hidden, hidden)
    enter, forget, leave = builder.add("Split", [gates, thirds], 3, f"{name}.gate", axis=-1)
    candidate = builder.add("Tanh", [candidate], name=f"{name}.candidate")
    kept = builder.add("Mul", [forget, c], name=f"{name}.kept")
    c = str(builder.add("Add", [kept, builder.add("Mul", [enter, candidate], name=f"{name}.new")], name=f"{name}.c"))
    return str(builder.add("Mul", [leave, builder.add("Tanh", [c])], name=f"{name}.h")), c
