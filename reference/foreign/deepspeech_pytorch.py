"""Checkpoints of SeanNaren/deepspeech.pytorch, v1.0 to V3.0, mapped by the names and shapes of their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor

from edgespeech.errors import CheckpointError
from edgespeech.reference.foreign.deepspeech_releases import CHANNELS, KERNELS, Release, find_release, other_releases
from edgespeech.reference.foreign.original import (
    GUIDE,
    Fact,
    Original,
    Tensors,
    labels_text,
    refuse_bidirectional,
    refuse_left,
)
from edgespeech.reference.foreign.torch_reader import Opened, attribute
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.labels import Labels
from edgespeech.runtime.foreign.torch_files import DEEPSPEECH_PYTORCH as FIRST

PROJECT = "SeanNaren/deepspeech.pytorch"
ENGLISH = "_'ABCDEFGHIJKLMNOPQRSTUVWXYZ "
_LAYERS = ("conv.", "rnns.", "lookahead.", "fc.")
_CELLS: dict[float, Literal["gru", "lstm", "tanh"]] = {1: "tanh", 3: "gru", 4: "lstm"}
_BATCH_NORM = {"weight": "weight", "bias": "bias", "running_mean": "running_mean", "running_var": "running_variance"}
_LOOKAHEADS = ("lookahead.0.weight", "lookahead.0.conv.weight")


@dataclass(frozen=True)
class _Sizes:
    """Numbers that the shapes of the tensors show."""

    hidden: int
    layers: int
    gates: int
    width: int  # of the input of the first recurrent layer
    taps: int  # of the look-ahead
    outputs: int


def find_state_dict(value: Any) -> Mapping[str, Any] | None:
    """Return the dictionary of tensors of such a model in the content of a file; None if there is none."""
    for one in (value, *(value.values() if isinstance(value, dict) else ())):
        if isinstance(one, dict) and any(isinstance(key, str) and key.endswith(FIRST) for key in one):
            return one
    return None


def map_model(opened: Opened, given_labels: Labels | None = None) -> Original:
    """Map a checkpoint; ``given_labels`` replace those of the file.

    Raises:
        CheckpointError: It is bidirectional, incomplete, or has parts that are not known.
    """
    state = find_state_dict(opened.value)
    assert state is not None
    prefix = min((key[: -len(FIRST)] for key in state if key.endswith(FIRST)), key=len)
    own = {key.removeprefix(prefix): one for key, one in state.items() if isinstance(one, Tensor)}
    refuse_bidirectional(own, ("_reverse",), "train one with bidirectional off")
    tensors = Tensors(own)
    sizes = _sizes(tensors)
    release = find_release(opened.value, own, sizes.width)
    labels, labels_because = _labels(opened.value, sizes.outputs, given_labels)
    weights = dict(_weights(tensors, sizes))
    weights["features.mean"] = torch.zeros(release.features.width)
    weights["features.inverse_deviation"] = torch.ones(release.features.width)
    unused = tensors.left_text()
    if release.is_early:
        tensors.ignore(*(f"rnns.0.batch_norm.module.{name}" for name in _BATCH_NORM))
    refuse_left(tensors.left(), {sizes.hidden, sizes.width}, _LAYERS)
    config = ModelConfig(
        features=release.features,
        front_end="2d",
        convolutions=release.convolutions,
        cell=_CELLS[sizes.gates],
        hidden=sizes.hidden,
        layers=sizes.layers,
        lookahead_frames=max(0, sizes.taps - 1),
        edges="zeros",
    )
    bias = "rnns.0.rnn.bias_ih_l0" in own

    def of(one: Release) -> Original:
        facts = (
            Fact("project", PROJECT, f"a tensor is named {FIRST}"),
            Fact("opened", opened.how, "nothing in the file was run"),
            *_facts(config, one, sizes, bias),
            Fact("labels", labels_text(labels), labels_because),
            Fact("not used", unused, "no layer of the network has such tensors"),
        )
        own_config = msgspec.structs.replace(config, features=one.features)
        provenance = {"original": PROJECT, "releases": one.name}
        return Original(PROJECT, own_config, labels, weights, True, facts, one.doubts, provenance)

    return replace(of(release), alternatives=tuple(map(of, other_releases(release))))


def _sizes(tensors: Tensors) -> _Sizes:
    hidden = tensors.shape("rnns.0.rnn.weight_hh_l0")[-1]
    rows, width = tensors.shape(FIRST)
    if rows / hidden not in _CELLS:
        raise CheckpointError(f"{FIRST} has {rows / hidden:g} times {hidden} rows, wanted 1, 3 or 4 times; see {GUIDE}")
    lookahead = next((name for name in _LOOKAHEADS if name in tensors), None)
    taps = 0 if lookahead is None else tensors.shape(lookahead)[-1]
    if taps == 1:
        raise CheckpointError(f"{lookahead} has 1 tap, so it looks at no future frame; wanted 2 or more, see {GUIDE}")
    layers = tensors.count("rnns.{}.rnn.weight_ih_l0")
    return _Sizes(hidden, layers, rows // hidden, width, taps, tensors.shape("fc.0.module.1.weight")[0])


def _weights(tensors: Tensors, sizes: _Sizes) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors under our names; where the original has no bias, zeros."""
    base = "conv.seq_module." if "conv.seq_module.0.weight" in tensors else "conv."
    channels = 1
    for layer, (at, (frequency, time)) in enumerate(zip((0, 3), KERNELS, strict=True)):
        name = f"convolutions.{layer}"
        yield f"{name}.convolution.weight", tensors.take(f"{base}{at}.weight", CHANNELS, channels, frequency, time)
        yield f"{name}.convolution.bias", tensors.take(f"{base}{at}.bias", CHANNELS)
        yield from _batch_norm(tensors, f"{base}{at + 1}", name, CHANNELS)
        channels = CHANNELS
    rows, hidden = sizes.gates * sizes.hidden, sizes.hidden
    for layer in range(sizes.layers):
        source, name = f"rnns.{layer}.rnn", f"recurrents.{layer}.rnn"
        yield f"{name}.weight_ih_l0", tensors.take(f"{source}.weight_ih_l0", rows, hidden if layer else sizes.width)
        yield f"{name}.weight_hh_l0", tensors.take(f"{source}.weight_hh_l0", rows, hidden)
        for bias in ("bias_ih_l0", "bias_hh_l0"):
            yield f"{name}.{bias}", tensors.take_or_zeros(f"{source}.{bias}", rows)
        if layer:
            yield from _batch_norm(tensors, f"rnns.{layer}.batch_norm.module", f"recurrents.{layer}", hidden)
    for lookahead, shape in zip(_LOOKAHEADS, ((hidden, sizes.taps), (hidden, 1, sizes.taps)), strict=True):
        if lookahead in tensors:
            yield "lookahead.weight", tensors.take(lookahead, *shape).reshape(hidden, -1).T.contiguous()
    yield from _batch_norm(tensors, "fc.0.module.0", "output", hidden)
    yield "output.linear.weight", tensors.take("fc.0.module.1.weight", sizes.outputs, hidden)
    yield "output.linear.bias", tensors.take_or_zeros("fc.0.module.1.bias", sizes.outputs)


def _batch_norm(tensors: Tensors, source: str, name: str, width: int) -> Iterator[tuple[str, Tensor]]:
    for theirs, ours in _BATCH_NORM.items():
        yield f"{name}.batch_norm.{ours}", tensors.take(f"{source}.{theirs}", width)
    tensors.ignore(f"{source}.num_batches_tracked")


def _labels(value: Any, outputs: int, given: Labels | None) -> tuple[Labels, str]:
    if given is not None:
        labels, because = given, "given"
    else:
        found = attribute(value, "labels") or attribute(value, "hyper_parameters", "labels")
        listed = list(found) if isinstance(found, (str, list, tuple)) else []
        because = f"{len(listed)} in the file"
        if not listed and outputs == len(ENGLISH):
            listed, because = list(ENGLISH), "not in the file: the project's English ones, which are as many"
        if not listed or not all(isinstance(one, str) and len(one) == 1 for one in listed):
            raise CheckpointError(f"the file lists no labels for its {outputs} outputs; give them with --labels")
        if "_" in listed[1:]:
            raise CheckpointError(
                f"the blank (_) is label {listed.index('_')} of the file, wanted 0; move its row of "
                f"fc.0.module.1.weight to the front, and the label too; see {GUIDE}"
            )
        lower = [one.lower() for one in listed]
        if len(set(lower)) == len(lower) and lower != listed:
            listed, because = lower, f"{because}, in lower case here"
        labels = Labels(("", *listed[1:]))
    if len(labels) != outputs:
        raise CheckpointError(f"there are {len(labels)} labels, with the blank, for {outputs} outputs: give --labels")
    return labels, because


def _facts(config: ModelConfig, release: Release, sizes: _Sizes, bias: bool) -> Iterator[Fact]:
    cell = "RNN (tanh)" if config.cell == "tanh" else config.cell.upper()
    yield Fact("releases", release.name, release.because)
    yield Fact("cell", f"{cell}, {'with' if bias else 'without'} recurrent bias",
               f"{sizes.gates} x {sizes.hidden} rows in each recurrent matrix")  # fmt: skip
    yield Fact("layers", f"{sizes.layers} x {sizes.hidden}, forwards only",
               f"rnns.0 to rnns.{sizes.layers - 1}; no name ends in _reverse")  # fmt: skip
    paddings = (f"time {max(one.padding or ())} and frequency {one.frequency_padding}" for one in config.convolutions)
    yield Fact("padding", ", ".join(paddings), f"{sizes.width} inputs of the first recurrent layer")
    if sizes.taps:
        yield Fact("look-ahead", f"{sizes.taps} taps, {sizes.taps - 1} frames of the future", "its shape")
    else:
        yield Fact("look-ahead", "none", "no tensor is named lookahead")
    window = f"{'symmetric' if release.features.symmetric_window else 'periodic'} {release.features.window}"
    yield Fact("features", f"log(1 + magnitude), {release.features.width} bins, {window} window, {release.samples}",
               "the releases")  # fmt: skip
    yield Fact("normalisation", "mean and deviation of each utterance", "all releases do this")
