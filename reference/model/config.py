"""Model configuration: frozen records that reject unknown keys and are stored in every checkpoint."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edgespeech.errors import ConfigError

Positive = Annotated[int, msgspec.Meta(ge=1)]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]
UnitInterval = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
# Not gt=0.0: msgspec compares with the smallest denormal, which is 0 once onnxruntime has disabled denormals.
Above = Annotated[float, msgspec.Meta(ge=1e-12)]
Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base class of the records in recipes and checkpoints."""


class FeatureConfig(Record, frozen=True):
    """Log-spectrogram front end (Deep Speech 2, section 3.1: 20 ms windows; a hop of 10 ms).

    Attributes:
        window_samples: Length of the analysis window and of the discrete Fourier transform.
        hop_samples: Samples between two frames; at most the window.
        scale: ``mel`` bins, or all ``linear`` bins of the transform.
        bins: Number of mel bins; ``linear`` ignores it and has ``window_samples // 2 + 1``.
        floor: Power added before the logarithm, which keeps digital silence finite.
    """

    sample_rate: Positive = 16000
    window_samples: Positive = 320
    hop_samples: Positive = 160
    window: Literal["hann", "hamming"] = "hann"
    scale: Literal["mel", "linear"] = "mel"
    bins: Positive = 64
    floor: Above = 1e-6

    def __post_init__(self) -> None:
        if self.hop_samples > self.window_samples:
            raise ValueError(f"hop_samples {self.hop_samples} is longer than window_samples {self.window_samples}")

    @property
    def width(self) -> int:
        """Number of features in a frame."""
        return self.bins if self.scale == "mel" else self.window_samples // 2 + 1


class ConvolutionConfig(Record, frozen=True):
    """One causal convolution; only the 2-D front end uses the frequency fields."""

    channels: Positive
    kernel: Positive
    stride: Positive = 1
    frequency_kernel: Positive = 1
    frequency_stride: Positive = 1

    def __post_init__(self) -> None:
        if self.stride > self.kernel:
            raise ValueError(f"stride {self.stride} is longer than kernel {self.kernel}: input would be skipped")
        if self.frequency_stride > self.frequency_kernel:
            raise ValueError(
                f"frequency_stride {self.frequency_stride} is longer than frequency_kernel {self.frequency_kernel}: "
                "input would be skipped"
            )


class ModelConfig(Record, frozen=True):
    """Deep Speech 2, unidirectional (arXiv 1512.02595, section 3).

    Attributes:
        front_end: ``1d`` convolves over time, ``2d`` over frequency and time.
        convolutions: Layers of the front end, from the input upwards.
        cell: Recurrent cell; ``rnn`` is the paper's clipped-ReLU recurrence.
        hidden: Width of each of the recurrent ``layers``.
        batch_norm: Sequence-wise batch normalisation of convolutions and of each recurrent layer's input.
        lookahead_frames: tau of the row convolution, in output frames; 0 leaves the row convolution out.
        label_set: Characters, or the paper's non-overlapping bigrams (section 3.5).
    """

    features: FeatureConfig = FeatureConfig()
    front_end: Literal["1d", "2d"] = "1d"
    convolutions: tuple[ConvolutionConfig, ...] = (
        ConvolutionConfig(channels=256, kernel=11, stride=2),
        ConvolutionConfig(channels=384, kernel=7, stride=2),
    )
    cell: Literal["gru", "lstm", "rnn"] = "lstm"
    hidden: Positive = 384
    layers: Positive = 4
    batch_norm: bool = True
    lookahead_frames: NonNegative = 8
    label_set: Literal["characters", "bigrams"] = "characters"

    def __post_init__(self) -> None:
        if not self.convolutions:
            raise ValueError("convolutions is empty: at least one is required")

    @property
    def time_stride(self) -> int:
        """Number of feature frames in an output frame."""
        stride = 1
        for convolution in self.convolutions:
            stride *= convolution.stride
        return stride

    @property
    def frame_samples(self) -> int:
        """Number of audio samples in an output frame."""
        return self.features.hop_samples * self.time_stride


def model_config_from(value: object) -> ModelConfig:
    """Convert the dict of a checkpoint; an unknown or missing key or a value out of range is a ConfigError."""
    try:
        return msgspec.convert(value, ModelConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"model configuration: {error}; was the checkpoint written by another version?") from None
