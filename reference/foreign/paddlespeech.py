"""Models of PaddleSpeech ds2_online: the folder of a released archive, or its parameters with the files around them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from edgespeech.errors import CheckpointError
from edgespeech.reference.foreign.original import (
    GUIDE,
    Fact,
    Original,
    Tensors,
    labels_text,
    refuse_bidirectional,
    refuse_left,
)
from edgespeech.reference.foreign.paddle_reader import read_paddle
from edgespeech.reference.model.config import ConvolutionConfig, FeatureConfig, ModelConfig, kaldi_features
from edgespeech.reference.model.labels import Labels

PROJECT = "PaddlePaddle/PaddleSpeech ds2_online"
FIRST = "encoder.rnn.0.weight_ih_l0"
LEVELS = 5  # from the parameters up to the folder of a model
MAX_TEXT_BYTES = 4 << 20
# Labels that are not text, and the characters that stand for them: an unknown character, and the end of a sentence.
_SYMBOLS = {"<blank>": "", "<space>": " ", "<unk>": "\ufffd", "<eos>": "\u2404", "<sos/eos>": "\u2404"}
_CONVOLUTION = ConvolutionConfig(
    channels=32, kernel=3, stride=2, frequency_kernel=3, frequency_stride=2, padding=(0, 0), frequency_padding=0,
    activation="relu",
)  # fmt: skip
_CELLS: dict[float, Literal["gru", "lstm"]] = {3: "gru", 4: "lstm"}


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model that are needed."""

    parameters: Path
    preprocess: Path
    statistics: Path
    vocabulary: Path


def find_files(path: Path) -> ModelFiles:
    """Find the files of a model, given its folder or its parameters.

    Raises:
        CheckpointError: One is missing, or there are several files of parameters.
    """
    if path.is_dir():
        folder, parameters = path, _find_parameters(path)
    else:
        parameters = path
        above = list(path.absolute().parents)[:LEVELS]
        folder = next((one for one in above if (one / "conf").is_dir() or (one / "model.yaml").is_file()), path.parent)

    def find(*places: str) -> Path:
        for place in places:
            if (folder / place).is_file():
                return folder / place
        raise CheckpointError(
            f"{folder} has no {places[0]}, which belongs to {parameters.name}; give the unpacked folder of the release"
        )

    return ModelFiles(
        parameters,
        find("conf/preprocess.yaml", "preprocess.yaml"),
        find("data/mean_std.json", "mean_std.json"),
        find("data/vocab.txt", "data/lang_char/vocab.txt", "vocab.txt"),
    )


def _find_parameters(folder: Path) -> Path:
    found = sorted(folder.glob("**/*.pdparams"))
    averaged = [path for path in found if path.name.startswith("avg_")]
    chosen = averaged if len(averaged) == 1 else found
    if len(chosen) != 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found[:3]) or "none"
        raise CheckpointError(f"{folder} has {len(found)} files of parameters (.pdparams): {names}; give one of them")
    return chosen[0]


def map_model(path: Path, given_labels: Labels | None = None) -> Original:
    """Map a model; ``given_labels`` replace those of its vocabulary.

    Raises:
        CheckpointError: It is bidirectional, incomplete, of other features, or has parts that are not known.
    """
    files = find_files(path)
    named = read_paddle(files.parameters)
    tensors = Tensors(named)
    if FIRST not in tensors:
        what = f"it holds {len(named)} arrays, such as {next(iter(named), 'none')}"
        raise CheckpointError(f"{files.parameters} is not a model of ds2_online: {what}, and not {FIRST}; see {GUIDE}")
    refuse_bidirectional(named, ("_reverse", ".cell_bw."), "take ds2_online instead of ds2_offline")
    hidden, width = tensors.shape("encoder.rnn.0.weight_hh_l0")[-1], tensors.shape(FIRST)[-1]
    gates, layers = tensors.shape(FIRST)[0] / hidden, tensors.count("encoder.rnn.{}.weight_ih_l0")
    if gates not in _CELLS:
        raise CheckpointError(f"{FIRST} has {gates:g} times {hidden} rows, wanted 3 or 4 times; see {GUIDE}")
    features = _features(files.preprocess)
    mean, deviation = _statistics(files.statistics, features.width)
    labels = given_labels or _labels(_read(files.vocabulary).splitlines(), files.vocabulary)
    weights = {"features.mean": mean, "features.inverse_deviation": 1.0 / deviation}
    weights |= dict(_encoder(tensors, hidden, width, layers, int(gates)))
    connected, widths = _connected(tensors, hidden)
    weights |= connected
    last = widths[-1] if widths else hidden
    weights["output.linear.weight"] = tensors.take("decoder.ctc_lo.weight", last, len(labels)).T.contiguous()
    weights["output.linear.bias"] = tensors.take("decoder.ctc_lo.bias", len(labels))
    unused = tensors.left_text()
    _ignore_unused(tensors, named)
    refuse_left(tensors.left(), {hidden, width, last}, ("encoder.", "decoder."))
    config = ModelConfig(
        features=features,
        front_end="2d",
        convolutions=(_CONVOLUTION, _CONVOLUTION),
        cell=_CELLS[gates],
        hidden=hidden,
        layers=layers,
        batch_norm=False,
        layer_norm=True,
        lookahead_frames=0,
        fully_connected=widths,
        edges="zeros",
    )
    facts = (
        *_facts(config, files, width, labels),
        Fact("not used", unused, "copies, and a layer that is never called"),
    )
    return Original(PROJECT, config, labels, weights, False, facts, provenance={"original": PROJECT})


def _facts(config: ModelConfig, files: ModelFiles, width: int, labels: Labels) -> Iterator[Fact]:
    yield Fact("project", PROJECT, f"an array is named {FIRST}")
    yield Fact("opened", files.parameters.name, "it has only arrays of NumPy; nothing in it was run")
    yield Fact("cell", config.cell.upper(), "rows of the recurrent matrices")
    yield Fact("layers", f"{config.layers} x {config.hidden}, forwards only, layer norm behind each",
               f"encoder.rnn.0 to {config.layers - 1}, layernorm_list; no name ends in _reverse")  # fmt: skip
    yield Fact("padding", "none", f"kernels of 3 x 3; {width} inputs of the first recurrent layer")
    yield Fact("look-ahead", "none", "the decoder follows the encoder")
    yield Fact("further layers", ", ".join(map(str, config.fully_connected)) or "none", "encoder.fc_layers_list")
    yield Fact("labels", labels_text(labels), files.vocabulary.name)
    yield Fact("features", f"filter bank of Kaldi, {config.features.width} bins", files.preprocess.name)
    yield Fact("normalisation", "fixed mean and deviation of each bin", f"{files.statistics.name}; streams exactly")


def _ignore_unused(tensors: Tensors, named: dict[str, Tensor]) -> None:
    """Leave out a layer that is never called, and the second names of recurrent weights, which must be equal."""
    tensors.ignore("encoder.conv.out.0.weight", "encoder.conv.out.0.bias")
    for name in tensors.left():
        original = name.replace(".0.cell.", ".") + "_l0"
        if ".0.cell." in name and original in named:
            if not torch.equal(named[name], named[original]):
                raise CheckpointError(f"{name} and {original} differ, and should be the same; copy it again")
            tensors.ignore(name)


def _encoder(tensors: Tensors, hidden: int, width: int, layers: int, gates: int) -> Iterator[tuple[str, Tensor]]:
    channels = 1
    for layer, at in enumerate((0, 2)):
        weight = tensors.take(f"encoder.conv.conv.{at}.weight", 32, channels, 3, 3)
        yield f"convolutions.{layer}.convolution.weight", weight.transpose(2, 3).contiguous()  # theirs: time, frequency
        yield f"convolutions.{layer}.convolution.bias", tensors.take(f"encoder.conv.conv.{at}.bias", 32)
        channels = 32

    rows = gates * hidden
    for layer in range(layers):
        source, name = f"encoder.rnn.{layer}", f"recurrents.{layer}"
        yield f"{name}.rnn.weight_ih_l0", tensors.take(f"{source}.weight_ih_l0", rows, hidden if layer else width)
        yield f"{name}.rnn.weight_hh_l0", tensors.take(f"{source}.weight_hh_l0", rows, hidden)
        for bias in ("bias_ih_l0", "bias_hh_l0"):
            yield f"{name}.rnn.{bias}", tensors.take(f"{source}.{bias}", rows)
        for part in ("weight", "bias"):
            yield f"{name}.layer_norm.{part}", tensors.take(f"encoder.layernorm_list.{layer}.{part}", hidden)


def _connected(tensors: Tensors, hidden: int) -> tuple[dict[str, Tensor], tuple[int, ...]]:
    weights, widths = {}, [hidden]
    for layer in range(tensors.count("encoder.fc_layers_list.{}.weight")):
        source = f"encoder.fc_layers_list.{layer}"
        widths.append(tensors.shape(f"{source}.weight")[-1])
        weights[f"connected.{layer}.weight"] = tensors.take(f"{source}.weight", widths[-2], widths[-1]).T.contiguous()
        weights[f"connected.{layer}.bias"] = tensors.take(f"{source}.bias", widths[-1])
    return weights, tuple(widths[1:])


def _features(path: Path) -> FeatureConfig:
    import yaml

    try:
        content = yaml.safe_load(_read(path))
        steps = {step["type"]: step for step in content["process"]}
    except (yaml.YAMLError, KeyError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:80]
        raise CheckpointError(f"{path} is not a list of steps ({reason}); give the file of the release") from None
    step = steps.get("fbank_kaldi")
    if step is None:
        raise CheckpointError(
            f"{path} has the steps {', '.join(map(str, steps))[:80]}, wanted fbank_kaldi: releases before 2022 use "
            f"other features; take a release named fbank161, see {GUIDE}"
        )
    rate, hop, window, bins = (_number(step, name, path) for name in ("fs", "n_shift", "win_length", "n_mels"))
    return kaldi_features(bins, rate, window, hop)


def _number(step: dict[str, Any], name: str, path: Path) -> int:
    value = step.get(name)
    if not isinstance(value, int) or not 0 < value < 1_000_000:
        raise CheckpointError(f"{path}: {name} of fbank_kaldi is {value!r}, wanted a number above 0; correct it")
    return value


def _statistics(path: Path, width: int) -> tuple[Tensor, Tensor]:
    """Read mean and deviation of each bin; of empty filters they are rounding noise, and are used as they are."""
    try:
        content = json.loads(_read(path))
        count = float(content["frame_num"])
        mean = torch.tensor(content["mean_stat"], dtype=torch.float64) / count
        variance = torch.tensor(content["var_stat"], dtype=torch.float64) / count - mean.square()
    except (ValueError, KeyError, TypeError, ZeroDivisionError, RecursionError) as error:
        raise CheckpointError(
            f"{path} has no mean_stat, var_stat and frame_num ({str(error)[:50]}); copy it again"
        ) from None
    if mean.shape != (width,) or variance.shape != (width,) or not math.isfinite(float((mean + variance).sum())):
        raise CheckpointError(f"{path} has statistics that are not {width} finite numbers; give those of the release")
    return mean.float(), variance.clamp(min=1e-20).sqrt().float()


def _labels(vocabulary: list[str], path: Path) -> Labels:
    if not vocabulary or vocabulary[0] != "<blank>":
        begin = vocabulary[0] if vocabulary else "nothing"
        raise CheckpointError(f"{path} begins with {begin[:20]!r}, wanted <blank>; give the vocabulary of the release")
    return Labels([_SYMBOLS.get(line, line) for line in vocabulary])


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise CheckpointError(f"{path} has more than {MAX_TEXT_BYTES} bytes; give the file of the release")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); copy it again") from None
