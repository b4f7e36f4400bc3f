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
Padding = tuple[NonNegative, NonNegative]
Cell = Literal["gru", "lstm", "rnn", "tanh"]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base class of the records in recipes and checkpoints."""


class FeatureConfig(Record, frozen=True):
    """Log-spectrogram front end (Deep Speech 2, section 3.1: 20 ms windows; a hop of 10 ms).

    The defaults are those of this project; the other values are what further Deep Speech 2 implementations compute.

    Attributes:
        window_samples: Length of the analysis window.
        hop_samples: Samples between two frames; at most the window.
        transform_samples: Length of the discrete Fourier transform, with zeros behind the window; None for its length.
        window: Shape of the window; ``povey`` is Kaldi's, the Hann window to the power of 0.85.
        symmetric_window: Whether the window ends as it begins, instead of being one period.
        gain: Factor on the samples, which are in [-1, 1]: 32768 restores the scale of 16-bit integers.
        remove_mean: Subtract the mean of each frame before anything else.
        pre_emphasis: Then subtract this multiple of the sample before, within the frame; the first one is repeated.
        spectrum: Squared or plain magnitude of the transform.
        scale: ``mel`` bins, Kaldi's ``kaldi_mel`` bins, or all ``linear`` bins of the transform.
        bins: Number of mel bins; ``linear`` ignores it and has ``transform_samples // 2 + 1``.
        lowest_hz: Where the first filter of ``kaldi_mel`` begins; the last one ends at half the rate.
        logarithm: ln(x + ``floor``), ln(max(x, ``floor``)), or ln(1 + x).
        floor: Keeps the logarithm of digital silence finite; ``log1p`` ignores it.
        padding: Samples in front of the first one and behind the last one; None makes frame t end with sample
            ``(t + 1) * hop_samples``.
        reflect: Fill this padding with the mirrored recording instead of zeros; needs ``edges = "zeros"``.
        normalisation: Subtract a ``fixed`` mean and divide by a fixed deviation, or begin with them and follow the
            ``running`` statistics of the stream, over all bins together.
        prior_frames: Frames that the fixed statistics count as when the running ones begin.
        memory_frames: Frames after which the running statistics forget (a factor of e).
    """

    sample_rate: Positive = 16000
    window_samples: Positive = 320
    hop_samples: Positive = 160
    transform_samples: Positive | None = None
    window: Literal["hann", "hamming", "povey"] = "hann"
    symmetric_window: bool = False
    gain: Above = 1.0
    remove_mean: bool = False
    pre_emphasis: UnitInterval = 0.0
    spectrum: Literal["power", "magnitude"] = "power"
    scale: Literal["mel", "kaldi_mel", "linear"] = "mel"
    bins: Positive = 64
    lowest_hz: NonNegative = 0
    logarithm: Literal["add_floor", "at_least_floor", "log1p"] = "add_floor"
    floor: Above = 1e-6
    padding: Padding | None = None
    reflect: bool = False
    normalisation: Literal["fixed", "running"] = "fixed"
    prior_frames: Positive = 300
    memory_frames: Annotated[int, msgspec.Meta(ge=100)] = 3000

    def __post_init__(self) -> None:
        if self.hop_samples > self.window_samples:
            raise ValueError(f"hop_samples {self.hop_samples} is longer than window_samples {self.window_samples}")
        if self.transform_length < self.window_samples:
            raise ValueError(
                f"transform_samples {self.transform_length} is shorter than window_samples {self.window_samples}"
            )
        if 2 * self.lowest_hz >= self.sample_rate:
            raise ValueError(f"lowest_hz {self.lowest_hz} is not below half the sample_rate {self.sample_rate}")
        if self.prior_frames > self.memory_frames:
            raise ValueError(f"prior_frames {self.prior_frames} are more than memory_frames {self.memory_frames}")
        _require_padding(self.padding, self.window_samples, "window_samples")

    @property
    def transform_length(self) -> int:
        """Number of samples in the Fourier transform."""
        return self.transform_samples or self.window_samples

    @property
    def width(self) -> int:
        """Number of features in a frame."""
        return self.transform_length // 2 + 1 if self.scale == "linear" else self.bins


def kaldi_features(
    bins: int, sample_rate: int = 16000, window_samples: int = 400, hop_samples: int = 160
) -> FeatureConfig:
    """Return the filter bank of Kaldi as PaddleSpeech configures it: frames within the recording, no dither."""
    return FeatureConfig(
        sample_rate=sample_rate,
        window_samples=window_samples,
        hop_samples=hop_samples,
        transform_samples=1 << (window_samples - 1).bit_length(),
        window="povey",
        symmetric_window=True,
        gain=32768.0,
        remove_mean=True,
        pre_emphasis=0.97,
        scale="kaldi_mel",
        bins=bins,
        lowest_hz=20,
        logarithm="at_least_floor",
        floor=1e-7,
        padding=(0, 0),
    )


class ConvolutionConfig(Record, frozen=True):
    """One convolution; only the 2-D front end uses the frequency fields.

    Attributes:
        padding: Frames in front of the first one and behind the last one; None for ``kernel - stride`` in front, so
            that the layer is causal. Padding behind, or less in front, delays the stream.
        frequency_padding: Zeros below the bins and as many above them; None for half the kernel.
        activation: min(max(x, 0), 20), or max(x, 0).
    """

    channels: Positive
    kernel: Positive
    stride: Positive = 1
    frequency_kernel: Positive = 1
    frequency_stride: Positive = 1
    padding: Padding | None = None
    frequency_padding: NonNegative | None = None
    activation: Literal["clipped_relu", "relu"] = "clipped_relu"

    def __post_init__(self) -> None:
        if self.stride > self.kernel:
            raise ValueError(f"stride {self.stride} is longer than kernel {self.kernel}: input would be skipped")
        if self.frequency_stride > self.frequency_kernel:
            raise ValueError(
                f"frequency_stride {self.frequency_stride} is longer than frequency_kernel {self.frequency_kernel}: "
                "input would be skipped"
            )
        _require_padding(self.padding, self.kernel, "kernel")

    @property
    def frequency_pad(self) -> int:
        """Zeros below the bins, and above them."""
        return self.frequency_kernel // 2 if self.frequency_padding is None else self.frequency_padding

    def out_frequencies(self, frequencies: int) -> int:
        """Return the number of bins of the output; 0 or less if the kernel is longer than the padded input."""
        return (frequencies + 2 * self.frequency_pad - self.frequency_kernel) // self.frequency_stride + 1


def _require_padding(padding: tuple[int, int] | None, kernel: int, name: str) -> None:
    if padding is not None and max(padding) >= kernel:
        raise ValueError(f"padding {list(padding)} is not shorter than {name} {kernel}: outputs would see nothing")


class ModelConfig(Record, frozen=True):
    """Deep Speech 2, unidirectional (arXiv 1512.02595, section 3).

    Attributes:
        front_end: ``1d`` convolves over time, ``2d`` over frequency and time.
        convolutions: Layers of the front end, from the input upwards.
        cell: Recurrent cell; ``rnn`` is the paper's clipped-ReLU recurrence, ``tanh`` the plain one.
        hidden: Width of each of the recurrent ``layers``.
        batch_norm: Sequence-wise batch normalisation of convolutions and of each recurrent layer's input.
        layer_norm: Layer normalisation of each recurrent layer's output.
        lookahead_frames: tau of the row convolution, in output frames; 0 leaves the row convolution out.
        fully_connected: Widths of further layers with max(x, 0), before the output.
        edges: What enters the layers before the beginning and behind the end of a recording: what the layers below make
            of ``silence``, or ``zeros`` into each convolution and the look-ahead, of which the stream is told the end.
        label_set: Characters, or the paper's non-overlapping bigrams (section 3.5) and characters. Which characters is
            not part of this: a recipe and a checkpoint list them as ``labels``.
    """

    features: FeatureConfig = FeatureConfig()
    front_end: Literal["1d", "2d"] = "1d"
    convolutions: tuple[ConvolutionConfig, ...] = (
        ConvolutionConfig(channels=256, kernel=11, stride=2),
        ConvolutionConfig(channels=384, kernel=7, stride=2),
    )
    cell: Cell = "lstm"
    hidden: Positive = 384
    layers: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    batch_norm: bool = True
    layer_norm: bool = False
    lookahead_frames: NonNegative = 8
    fully_connected: tuple[Positive, ...] = ()
    edges: Literal["silence", "zeros"] = "silence"
    label_set: Literal["characters", "bigrams"] = "characters"

    def __post_init__(self) -> None:
        if not self.convolutions:
            raise ValueError("convolutions is empty: at least one is required")
        if self.features.reflect and self.edges != "zeros":
            raise ValueError('reflect needs edges = "zeros": otherwise the stream is not told where a recording ends')
        if self.features.reflect and max(self.features.padding or (0, 0)) >= self.frame_samples:
            raise ValueError(f"padding {self.features.padding} to reflect is not shorter than {self.frame_samples}")
        height = self.features.width
        for layer in self.convolutions if self.front_end == "2d" else ():
            height = layer.out_frequencies(height)
            if height < 1:
                raise ValueError(f"frequency_kernel {layer.frequency_kernel} is longer than its padded input")

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
