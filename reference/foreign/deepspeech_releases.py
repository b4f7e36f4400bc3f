"""What the releases of SeanNaren/deepspeech.pytorch compute, as far as a checkpoint shows which of them wrote it.

Their code was compared release by release; docs/guide/import.md has the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from edgespeech.errors import CheckpointError
from edgespeech.reference.foreign.original import GUIDE
from edgespeech.reference.foreign.torch_reader import attribute
from edgespeech.reference.model.config import ConvolutionConfig, FeatureConfig
from edgespeech.runtime.foreign.torch_files import DEEPSPEECH_PYTORCH

KERNELS = ((41, 11), (21, 11))  # frequency, time
CHANNELS = 32
FULL_SCALE = 32768.0 / 32767.0
_FREQUENCY_PADDINGS = ((0, 0), (20, 10))  # of both convolutions
_SAMPLES = {2.0**31: "int16 * 65536", 1.0: "int16 / 32768", FULL_SCALE: "int16 / 32767"}
_SETTINGS = (("audio_conf",), ("hyper_parameters", "spect_cfg"))
_DOUBT = (
    "The file has tensors only, so its release is not certain. The window of V3.0 (periodic) is assumed; that of v2.0 "
    "(symmetric) moves logits by 0.02. Compare with --reference."
)


@dataclass(frozen=True)
class Release:
    """A range of releases, and what the model does with samples and features.

    Attributes:
        name: The releases.
        because: What in the file shows it.
        features: From samples to features, which are then normalised over the utterance.
        convolutions: Both convolutions, with the paddings that the width of their output shows.
        doubts: What is assumed.
    """

    name: str
    because: str
    features: FeatureConfig
    convolutions: tuple[ConvolutionConfig, ...]
    doubts: tuple[str, ...] = ()

    @property
    def samples(self) -> str:
        """Scale of the samples, in words."""
        return _SAMPLES[self.features.gain]

    @property
    def is_early(self) -> bool:
        """Whether it is v1.0 to v1.2, which ignore a batch norm of the first recurrent layer that some files have."""
        return self.convolutions[0].frequency_padding == 0


def find_release(package: Any, names: Mapping[str, Any], width: int) -> Release:
    """Tell which releases wrote a checkpoint.

    Args:
        package: Content of the file.
        names: Tensors of the model.
        width: Inputs of the first recurrent layer.

    Raises:
        CheckpointError: The width is that of other convolutions, or the window is not supported.
    """
    rate = _setting(package, "sample_rate", 16000)
    if not isinstance(rate, int) or rate % 100 or not 1000 <= rate <= 96000:
        raise CheckpointError(f"the sample rate is {str(rate)[:20]}, wanted hundreds of hertz; see {GUIDE}")
    heights = _frequency_paddings(width, rate)
    name, gain, symmetric, because = _era(package, names, heights == (0, 0))
    times = ((5, 5), (5, 5))
    if heights == (0, 0):
        times = ((10, 10) if name != "v1.0" else (0, 0), (0, 0))
    convolutions = tuple(
        ConvolutionConfig(channels=CHANNELS, kernel=time, stride=2 - at, frequency_kernel=frequency, frequency_stride=2,
                          padding=times[at], frequency_padding=heights[at])
        for at, (frequency, time) in enumerate(KERNELS)
    )  # fmt: skip
    doubts = (_DOUBT,) if name.endswith("assumed") else ()
    return Release(name, because, _features(package, rate, gain, symmetric), convolutions, doubts)


def other_releases(release: Release) -> tuple[Release, ...]:
    """Return the releases that could have written the same tensors, if the file does not tell them apart."""
    if not release.doubts:
        return ()
    because = "the outputs of the original agree with it, and not with V3.0"
    return tuple(
        Release(
            name, because, msgspec.structs.replace(release.features, gain=FULL_SCALE, symmetric_window=symmetric),
            release.convolutions,
        )
        for name, symmetric in (("v2.0", True), ("V2.1", False))
    )  # fmt: skip


def _setting(package: Any, name: str, default: Any) -> Any:
    found = (attribute(package, *place, name) for place in _SETTINGS)
    return next((one for one in found if one is not None), default)


def _frequency_paddings(width: int, rate: int) -> tuple[int, int]:
    """Tell the padding of the frequency axis from the height that is left of the bins."""
    found = {}
    for paddings in _FREQUENCY_PADDINGS:
        height = rate // 100 + 1  # bins of a window of 20 ms
        for (kernel, _), padding in zip(KERNELS, paddings, strict=True):
            height = (height + 2 * padding - kernel) // 2 + 1
        found[CHANNELS * height] = paddings
    if width not in found:
        known = " or ".join(map(str, found))
        raise CheckpointError(
            f"{DEEPSPEECH_PYTORCH} has {width} inputs; at {rate} Hz the two convolutions give {known}; see {GUIDE}"
        )
    return found[width]


def _era(package: Any, names: Mapping[str, Any], early: bool) -> tuple[str, float, bool, str]:
    """Return the releases, gain of samples in [-1, 1], whether the window is symmetric, and what shows it."""
    old_lookahead = "lookahead.0.weight" in names
    if early:
        return "v1.1, v1.2" if old_lookahead else "v1.0", 2.0**31, True, "the frequency axis is not padded"
    if old_lookahead:
        return "development, July 2018 to July 2019", 1.0, True, "padded convolutions, and the look-ahead of v1.1"
    keys = package if isinstance(package, dict) else {}
    if "hyper_parameters" in keys or "pytorch-lightning_version" in keys:
        return "V3.0 and later", 1.0, False, "it is a checkpoint of PyTorch Lightning"
    if "audio_conf" not in keys:
        return "V3.0 assumed", 1.0, False, "padded convolutions; the file states nothing else"
    if isinstance(keys["audio_conf"], dict) and "version" in keys:
        return "v2.0", FULL_SCALE, True, "audio_conf is a dictionary; the look-ahead is a convolution"
    return "V2.1", FULL_SCALE, False, "audio_conf is an object, or version is missing"


def _features(package: Any, rate: int, gain: float, symmetric: bool) -> FeatureConfig:
    window = _setting(package, "window", "hamming")
    if window not in ("hamming", "hann"):
        raise CheckpointError(f"the window {str(window)[:40]!r} is not supported, only hamming and hann; see {GUIDE}")
    hop = rate // 100
    return FeatureConfig(
        sample_rate=rate,
        window_samples=2 * hop,
        hop_samples=hop,
        window=window,
        symmetric_window=symmetric,
        gain=gain,
        spectrum="magnitude",
        scale="linear",
        logarithm="log1p",
        padding=(hop, hop),
        reflect=True,
    )
