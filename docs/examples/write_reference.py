"""Write what a model of deepspeech.pytorch or PaddleSpeech computes of one recording, stage by stage.

Copy this file into the project that trained the model: it needs only NumPy, and the model as that project loads it.
The two functions at the end are its interface; docs/guide/import.md shows how to call them. What they write is for
`edgespeech import --reference`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

Array = np.ndarray
Arrange = Callable[[Array], Array]


@contextmanager
def kept_outputs(stages: Mapping[str, tuple[Any, Arrange]], hook: str) -> Iterator[dict[str, Array]]:
    """Collect what layers return in one forward pass, arranged as the archive wants them, without the batch.

    Args:
        stages: For each name in the archive the layer, and what puts its axes into their order.
        hook: Method of a layer that registers a function to be called with its output.
    """
    kept: dict[str, Array] = {}

    def keep(name: str, arrange: Arrange) -> Callable[[Any, Any, Any], None]:
        def call(layer: Any, inputs: Any, output: Any) -> None:
            output = output[0] if isinstance(output, tuple) else output  # some layers return their state too
            kept[name] = arrange(output.detach().cpu().numpy().copy())

        return call

    handles = [getattr(layer, hook)(keep(name, arrange)) for name, (layer, arrange) in stages.items()]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def whole(output: Array) -> Array:
    """Take [1, ...] out of its batch."""
    found: Array = output[0]
    return found


def time_first(output: Array) -> Array:
    """Take [frames, 1, width] out of its batch."""
    found: Array = output[:, 0]
    return found


def time_last(output: Array) -> Array:
    """Turn [1, channels, frames, frequencies] into [channels, frequencies, frames]."""
    found: Array = output[0].swapaxes(1, 2)
    return found


def positive(output: Array) -> Array:
    """Apply the ReLU that PaddleSpeech applies behind a fully connected layer."""
    found: Array = np.maximum(output[0], 0.0)
    return found


def write_deepspeech_pytorch(model: Any, path: str, spectrogram: Any, *lengths: Any) -> None:
    """Write the stages of a model of deepspeech.pytorch, any release.

    Args:
        model: `DeepSpeech` in evaluation mode, on the CPU.
        path: The archive, `.npz`.
        spectrogram: [1, 1, bins, frames] of the whole recording, normalised, as `SpectrogramParser` makes it.
        *lengths: Its number of frames, [1], from v2.0 on; nothing before.
    """
    convolutions = getattr(model.conv, "seq_module", model.conv)  # convolution, batch norm, clipped ReLU, twice
    stages: dict[str, tuple[Any, Arrange]] = {
        "convolution0": (convolutions[2], whole),
        "convolution1": (convolutions[5], whole),
        **{f"recurrent{number}": (layer, time_first) for number, layer in enumerate(model.rnns)},
        "logits": (model.fc, time_first),
    }
    if getattr(model, "lookahead", None) is not None:
        stages["lookahead"] = (model.lookahead, time_first)
    with kept_outputs(stages, "register_forward_hook") as kept:
        model(spectrogram, *lengths)
    arrays: dict[str, Any] = {"normalised": spectrogram[0, 0].cpu().numpy(), **kept}
    np.savez(path, **arrays)


def write_paddlespeech(model: Any, path: str, features: Any, lengths: Any) -> None:
    """Write the stages of a model of PaddleSpeech ds2_online.

    Args:
        model: `DeepSpeech2InferModel` or `DeepSpeech2Model` in evaluation mode.
        path: The archive, `.npz`.
        features: [1, frames, bins] of the whole recording, with the mean and deviation of `mean_std.json` applied.
        lengths: Its number of frames, [1].
    """
    encoder = model.encoder
    stages: dict[str, tuple[Any, Arrange]] = {
        "convolution0": (encoder.conv.conv[1], time_last),  # convolution, ReLU, twice
        "convolution1": (encoder.conv.conv[3], time_last),
        **{f"recurrent{number}": (layer, whole) for number, layer in enumerate(encoder.layernorm_list)},
        **{f"connected{number}": (layer, positive) for number, layer in enumerate(encoder.fc_layers_list)},
        "logits": (model.decoder.ctc_lo, whole),
    }
    with kept_outputs(stages, "register_forward_post_hook") as kept:
        model.decoder.ctc_lo(encoder(features, lengths)[0])
    arrays: dict[str, Any] = {"normalised": features[0].numpy().T, **kept}
    np.savez(path, **arrays)
