"""State dicts as other projects write them, of all their releases and cells, with random weights.

`forward_deepspeech_pytorch` computes what that project's code does, with torch's own layers and no code of ours.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

ENGLISH = "_'ABCDEFGHIJKLMNOPQRSTUVWXYZ "
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
# Kind of look-ahead tensor, padded convolutions, recurrent bias, gain of samples in [-1, 1], symmetric window.
ERAS: dict[str, tuple[str, bool, bool, float, bool]] = {
    "v1.0": ("", False, False, 2.0**31, True),
    "v1.1": ("weight", False, False, 2.0**31, True),
    "dev": ("weight", True, True, 1.0, True),
    "v2.0": ("conv", True, True, 32768 / 32767, True),
    "V2.1": ("conv", True, True, 32768 / 32767, False),
    "V3.0": ("conv", True, True, 1.0, False),
}


def deepspeech_pytorch(
    era: str = "v2.0", cell: str = "gru", taps: int = 20, hidden: int = 24, layers: int = 2, labels: int = 29
) -> OrderedDict[str, Tensor]:
    """Make the state dict of a unidirectional model."""
    generator = torch.Generator().manual_seed(layers * 1000 + taps)
    lookahead, padded, bias, _, _ = ERAS[era]
    conv = "conv.seq_module" if padded else "conv"
    state: OrderedDict[str, Tensor] = OrderedDict()

    def put(name: str, *shape: int, scale: float = 1.0) -> None:
        state[name] = torch.randn(shape, generator=generator) * scale

    def batch_norm(name: str, width: int) -> None:
        put(f"{name}.weight", width, scale=0.2)
        state[f"{name}.weight"] += 1.0
        put(f"{name}.bias", width, scale=0.3)
        put(f"{name}.running_mean", width, scale=0.3)
        state[f"{name}.running_var"] = torch.rand(width, generator=generator) + 0.5
        if padded:
            state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    for at, channels, frequency in ((0, 1, 41), (3, 32, 21)):
        put(f"{conv}.{at}.weight", 32, channels, frequency, 11, scale=(channels * frequency * 11) ** -0.5)
        put(f"{conv}.{at}.bias", 32, scale=0.1)
        batch_norm(f"{conv}.{at + 1}", 32)
    width = 1312 if padded else 672
    for layer in range(layers):
        if layer:
            batch_norm(f"rnns.{layer}.batch_norm.module", hidden)
        rows, inputs = GATES[cell] * hidden, hidden if layer else width
        put(f"rnns.{layer}.rnn.weight_ih_l0", rows, inputs, scale=inputs**-0.5)
        put(f"rnns.{layer}.rnn.weight_hh_l0", rows, hidden, scale=hidden**-0.5)
        if bias:
            put(f"rnns.{layer}.rnn.bias_ih_l0", rows, scale=0.2)
            put(f"rnns.{layer}.rnn.bias_hh_l0", rows, scale=0.2)
    if lookahead == "weight":
        put("lookahead.0.weight", hidden, taps, scale=0.4)
    elif lookahead:
        put("lookahead.0.conv.weight", hidden, 1, taps, scale=0.4)
    batch_norm("fc.0.module.0", hidden)
    put("fc.0.module.1.weight", labels, hidden, scale=2 * hidden**-0.5)
    return state


def package(era: str, state: dict[str, Tensor], labels: str = ENGLISH) -> dict[str, Any]:
    """Wrap a state dict as the release saves it, without the objects of its classes."""
    audio = {"sample_rate": 16000, "window_size": 0.02, "window_stride": 0.01, "window": "hamming"}
    if era == "V3.0":
        settings = {"labels": list(labels), "spect_cfg": audio}
        return {"pytorch-lightning_version": "1.0.8", "state_dict": state, "hyper_parameters": settings}
    value = {"audio_conf": audio, "labels": labels, "state_dict": state, "bidirectional": False}
    return value if era == "V2.1" else {"version": "0.0.1", **value}


class DeepSpeechPytorch(nn.Module):
    """That project's network, with the names of its layers, for any state dict of `deepspeech_pytorch`."""

    def __init__(self, state: dict[str, Tensor], era: str) -> None:
        super().__init__()
        padded = ERAS[era][1]
        early = (0, 10 if "lookahead.0.weight" in state else 0)
        first, second = ((20, 5), (10, 5)) if padded else (early, (0, 0))
        convolutions = nn.Sequential(
            nn.Conv2d(1, 32, (41, 11), (2, 2), first), nn.BatchNorm2d(32), nn.Hardtanh(0, 20, inplace=True),
            nn.Conv2d(32, 32, (21, 11), (2, 1), second), nn.BatchNorm2d(32), nn.Hardtanh(0, 20, inplace=True),
        )  # fmt: skip
        self.conv: nn.Module = convolutions
        if padded:
            self.conv = nn.Module()
            self.conv.seq_module, self.conv.forward = convolutions, convolutions.forward
        layers = sum(name.endswith("rnn.weight_ih_l0") for name in state)
        self.rnns = nn.ModuleList(_Recurrent(state, layer) for layer in range(layers))
        taps = next((one for name, one in state.items() if name.startswith("lookahead.")), None)
        self.lookahead = None if taps is None else nn.Sequential(_LookAhead(taps), nn.Hardtanh(0, 20, inplace=True))
        labels, hidden = state["fc.0.module.1.weight"].shape
        self.fc = nn.Sequential(_EachFrame(nn.BatchNorm1d(hidden), nn.Linear(hidden, labels, bias=False)))
        lacking, unknown = self.load_state_dict({name: one.float() for name, one in state.items()}, strict=False)
        assert not unknown and all(name.endswith("num_batches_tracked") for name in lacking)
        self.eval()

    def forward(self, spectrogram: Tensor, *lengths: Tensor) -> tuple[Tensor, ...]:
        """Map a normalised spectrogram [1, 1, bins, frames] to probabilities [1, frames, labels]."""
        x = self.conv(spectrogram).flatten(1, 2).permute(2, 0, 1)  # [frames, 1, width]
        for rnn in self.rnns:
            x, _ = rnn(x)
        x = x if self.lookahead is None else self.lookahead(x)
        return self.fc(x).transpose(0, 1).softmax(-1), *lengths


class _EachFrame(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.module = nn.Sequential(*layers) if len(layers) > 1 else layers[0]

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return found


class _Recurrent(nn.Module):
    def __init__(self, state: dict[str, Tensor], layer: int) -> None:
        super().__init__()
        rows, width = state[f"rnns.{layer}.rnn.weight_ih_l0"].shape
        hidden = state[f"rnns.{layer}.rnn.weight_hh_l0"].shape[1]
        kind = {1: nn.RNN, 3: nn.GRU, 4: nn.LSTM}[rows // hidden]
        self.batch_norm = _EachFrame(nn.BatchNorm1d(width)) if layer else None
        self.rnn = kind(width, hidden, bias=f"rnns.{layer}.rnn.bias_ih_l0" in state)

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        found: tuple[Tensor, Any] = self.rnn(x if self.batch_norm is None else self.batch_norm(x))
        return found


class _LookAhead(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        hidden, self.taps = weight.shape[0], weight.shape[-1]
        if weight.dim() == 3:
            self.conv = nn.Conv1d(hidden, hidden, self.taps, groups=hidden, bias=False)
        else:
            self.weight = nn.Parameter(torch.zeros(weight.shape))

    def forward(self, x: Tensor) -> Tensor:
        future = functional.pad(x.permute(1, 2, 0), (0, self.taps - 1))  # [1, width, frames]
        if hasattr(self, "conv"):
            found: Tensor = self.conv(future)
        else:
            found = (future.unfold(2, self.taps, 1) * self.weight[:, None]).sum(-1)
        return found.permute(2, 0, 1)


def spectrogram_of(samples: NDArray[np.float32], era: str) -> tuple[Tensor, Tensor]:
    """Compute log1p magnitudes [bins, frames] of samples in [-1, 1], and what enters the network."""
    _, _, _, gain, symmetric = ERAS[era]
    window = torch.hamming_window(320, periodic=not symmetric)
    spectrum = torch.stft(torch.from_numpy(samples) * gain, 320, 160, 320, window, True, "reflect", return_complex=True)
    x = torch.log1p(spectrum.abs())
    return x, (x - x.mean()) / x.std()


@torch.no_grad()
def forward_deepspeech_pytorch(state: dict[str, Tensor], era: str, samples: NDArray[np.float32]) -> Tensor:
    """Compute the log-probabilities [frames, labels] of a whole utterance from float32 samples in [-1, 1]."""
    found: Tensor = DeepSpeechPytorch(state, era)(spectrogram_of(samples, era)[1][None, None])[0][0].log()
    return found


class PaddleSpeech(nn.Module):
    """The network of ds2_online, with the names of its layers, for the arrays that `paddlespeech` writes."""

    encoder: Any
    decoder: Any

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        super().__init__()
        state = {name: torch.from_numpy(one) for name, one in arrays.items() if isinstance(one, np.ndarray)}

        def layers(pattern: str) -> Iterator[Tensor]:
            number = 0
            while pattern.format(number) in state:
                yield state[pattern.format(number)]
                number += 1

        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.conv = nn.Module()
        self.encoder.conv.conv = nn.Sequential(nn.Conv2d(1, 32, 3, 2), nn.ReLU(), nn.Conv2d(32, 32, 3, 2), nn.ReLU())
        hidden = state["encoder.rnn.0.weight_hh_l0"].shape[1]
        self.encoder.rnn = nn.ModuleList(
            (nn.LSTM if len(one) == 4 * hidden else nn.GRU)(one.shape[1], hidden, batch_first=True)
            for one in layers("encoder.rnn.{}.weight_ih_l0")
        )
        self.encoder.layernorm_list = nn.ModuleList(nn.LayerNorm(hidden) for _ in self.encoder.rnn)
        self.encoder.fc_layers_list = nn.ModuleList(
            nn.Linear(*one.shape) for one in layers("encoder.fc_layers_list.{}.weight")
        )
        self.encoder.forward = self._encode
        self.decoder.ctc_lo = nn.Linear(*state["decoder.ctc_lo.weight"].shape)
        transposed = ("encoder.fc_layers_list", "decoder.ctc_lo")
        self.load_state_dict(
            {
                name: one.T if name.startswith(transposed) and one.dim() == 2 else one
                for name, one in state.items()
                if ".0.cell." not in name and ".conv.out." not in name
            }
        )
        self.eval()

    def _encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        x = self.encoder.conv.conv(features[:, None]).transpose(1, 2).flatten(2)  # [1, frames, channels * bins]
        for rnn, norm in zip(self.encoder.rnn, self.encoder.layernorm_list, strict=True):
            x = norm(rnn(x)[0])
        for layer in self.encoder.fc_layers_list:
            x = layer(x).relu()
        return x, lengths

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map normalised features [1, frames, bins] to log-probabilities [frames, labels]."""
        found: Tensor = self.decoder.ctc_lo(self.encoder(features, lengths)[0]).log_softmax(-1)[0]
        return found


def paddlespeech(
    folder: Path, cell: str = "lstm", hidden: int = 16, layers: int = 2, connected: tuple[int, ...] = (),
    characters: str = "abc",
) -> Path:  # fmt: skip
    """Write the folder of a release of ds2_online with random weights, and return that of its parameters."""
    generator = np.random.default_rng(5)
    arrays: dict[str, NDArray[np.float32]] = {}

    def put(name: str, *shape: int, scale: float = 1.0) -> None:
        arrays[name] = (generator.standard_normal(shape) * scale).astype(np.float32)

    put("encoder.conv.conv.0.weight", 32, 1, 3, 3, scale=0.3)
    put("encoder.conv.conv.0.bias", 32, scale=0.1)
    put("encoder.conv.conv.2.weight", 32, 32, 3, 3, scale=0.08)
    put("encoder.conv.conv.2.bias", 32, scale=0.1)
    put("encoder.conv.out.0.weight", 1248, 32)
    put("encoder.conv.out.0.bias", 32)
    rows = GATES[cell] * hidden
    for layer in range(layers):
        inputs = hidden if layer else 1248
        put(f"encoder.rnn.{layer}.weight_ih_l0", rows, inputs, scale=inputs**-0.5)
        put(f"encoder.rnn.{layer}.weight_hh_l0", rows, hidden, scale=hidden**-0.5)
        for bias in ("bias_ih_l0", "bias_hh_l0"):
            put(f"encoder.rnn.{layer}.{bias}", rows, scale=0.2)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            arrays[f"encoder.rnn.{layer}.0.cell.{name}"] = arrays[f"encoder.rnn.{layer}.{name}_l0"]
        arrays[f"encoder.layernorm_list.{layer}.weight"] = np.full(hidden, 1.2, np.float32)
        put(f"encoder.layernorm_list.{layer}.bias", hidden, scale=0.3)
    last = hidden
    for layer, width in enumerate(connected):
        put(f"encoder.fc_layers_list.{layer}.weight", last, width, scale=last**-0.5)
        put(f"encoder.fc_layers_list.{layer}.bias", width, scale=0.2)
        last = width
    vocabulary = ["<blank>", "<unk>", *characters, "<eos>"]
    put("decoder.ctc_lo.weight", last, len(vocabulary), scale=3 * last**-0.5)
    put("decoder.ctc_lo.bias", len(vocabulary), scale=0.2)
    parameters = folder / "exp/deepspeech2_online/checkpoints/avg_1.pdparams"
    parameters.parent.mkdir(parents=True)
    names = {"StructuredToParameterName@@": {name: name.replace(".", "_") for name in arrays}}
    parameters.write_bytes(pickle.dumps({**arrays, **names}, protocol=4))
    (folder / "conf").mkdir()
    (folder / "conf/preprocess.yaml").write_text(
        "process:\n- {type: fbank_kaldi, fs: 16000, n_mels: 161, n_shift: 160, win_length: 400, dither: 0.1}\n"
        "- {type: cmvn_json, cmvn_path: data/mean_std.json}\n"
    )
    (folder / "data").mkdir()
    mean, deviation = [12.0] * 161, [3.0] * 161
    sums = [100 * (one**2 + other**2) for one, other in zip(deviation, mean, strict=True)]
    statistics = {"mean_stat": [100 * one for one in mean], "var_stat": sums, "frame_num": 100}
    (folder / "data/mean_std.json").write_text(str(statistics).replace("'", '"'))
    (folder / "data/vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return parameters


def call_of(module: str, name: str, argument: str = "") -> bytes:
    """Return a pickle that would call a function with a text, written by hand, so that nothing is imported."""
    text = argument.encode()
    arguments = b"X" + struct.pack("<I", len(text)) + text + b"\x85" if argument else b")"
    return b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n" + arguments + b"R."
