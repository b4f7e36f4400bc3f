"""What a model is and how it is trained: frozen records that reject unknown keys.

A training run is one TOML file (``edge.toml`` beside this file is the recipe of the default bundle). The ``[model]``
part travels inside every checkpoint.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edgespeech.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Positive = Annotated[int, msgspec.Meta(ge=1)]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
# Not gt=0.0: msgspec compares with the smallest denormal, which is 0 once onnxruntime has switched denormals off.
Above = Annotated[float, msgspec.Meta(ge=1e-12)]
Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all configuration records."""


class FeatureConfig(Record, frozen=True):
    """Log-spectrogram front end (Deep Speech 2, section 3.1: 20 ms windows; a hop of 10 ms).

    Attributes:
        sample_rate: Hertz.
        window_samples: Length of the analysis window and of the discrete Fourier transform.
        hop_samples: Samples between two frames; at most the window.
        window: Shape of the window.
        scale: ``mel`` bins or all ``linear`` bins of the transform.
        bins: Number of mel bins; ``linear`` has ``window_samples // 2 + 1`` of them and ignores this.
        floor: Power added before the logarithm; keeps digital silence finite.
    """

    sample_rate: Positive = 16000
    window_samples: Positive = 320
    hop_samples: Positive = 160
    window: Literal["hann", "hamming"] = "hann"
    scale: Literal["mel", "linear"] = "mel"
    bins: Positive = 64
    floor: Above = 1e-6

    def __post_init__(self) -> None:
        """Reject windows shorter than the hop."""
        if self.hop_samples > self.window_samples:
            raise ValueError(f"hop_samples {self.hop_samples} is longer than window_samples {self.window_samples}")

    @property
    def width(self) -> int:
        """Features per frame."""
        return self.bins if self.scale == "mel" else self.window_samples // 2 + 1


class ConvolutionConfig(Record, frozen=True):
    """One causal convolution; the frequency fields are read by the 2-D front end only."""

    channels: Positive
    kernel: Positive
    stride: Positive = 1
    frequency_kernel: Positive = 1
    frequency_stride: Positive = 1

    def __post_init__(self) -> None:
        """Reject kernels that would skip input."""
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
        features: The spectrogram.
        front_end: ``1d`` convolves over time, ``2d`` over frequency and time.
        convolutions: From the input upwards.
        cell: Recurrent cell; ``rnn`` is the paper's clipped-ReLU recurrence.
        hidden: Width of each recurrent layer.
        layers: Number of recurrent layers.
        batch_norm: Sequence-wise batch normalisation of convolutions and of each recurrent layer's input.
        lookahead_frames: tau of the row convolution, in output frames; 0 leaves the row convolution out.
        label_set: Letters, or the paper's non-overlapping bigrams (section 3.5).
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
        """Reject a model without a front end."""
        if not self.convolutions:
            raise ValueError("convolutions is empty: at least one is wanted")

    @property
    def time_stride(self) -> int:
        """Feature frames per output frame."""
        stride = 1
        for convolution in self.convolutions:
            stride *= convolution.stride
        return stride

    @property
    def frame_samples(self) -> int:
        """Audio samples per output frame."""
        return self.features.hop_samples * self.time_stride


class DataConfig(Record, frozen=True):
    """Where speech, noise and rooms are; paths are relative to the configuration file.

    Attributes:
        train: Manifests (NeMo-style JSON lines).
        dev: Manifests of speakers that are not in ``train``.
        pronunciations: Table that `edgespeech data pronounce` wrote, for ``phoneme_weight``.
        noise: Folders whose audio files are mixed in.
        rooms: Folders of room impulse responses.
        min_seconds: Shorter clips are dropped.
        max_seconds: Longer clips are dropped.
        batch_seconds: Audio per update, padding included; workers share it out.
        workers: Loader processes; 0 loads in the training process.
        cache_hours: Decoded audio kept in memory by each loader process.
        resident: Decode all training speech into the memory of the training device first, and change it there: for a
            GPU, which no loader process keeps up with. An hour takes 115 MB.
        share: Part of every speaker's training clips to use, repeated so that an epoch stays as long: for a study of
            how much data helps.
    """

    train: tuple[str, ...]
    dev: tuple[str, ...]
    pronunciations: str | None = None
    noise: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    min_seconds: float = 0.3
    max_seconds: float = 20.0
    batch_seconds: Above = 120.0
    workers: NonNegative = 1
    cache_hours: float = 40.0
    resident: bool = False
    share: Annotated[float, msgspec.Meta(ge=1e-4, le=1.0)] = 1.0

    def __post_init__(self) -> None:
        """Reject bounds that no clip is between."""
        if not self.min_seconds <= self.max_seconds:
            raise ValueError(f"min_seconds {self.min_seconds:g} is more than max_seconds {self.max_seconds:g}")


class AugmentationConfig(Record, frozen=True):
    """What happens to a clip before it is heard (Deep Speech 2, section 5.2: noise on 40 % of utterances).

    ``pause_share`` of the clips begin late in the room that their batch leaves them, after silence or faint hiss: clips
    are cut closely, streams are not. ``band_limit_share`` of the clips lose what
    lies above a frequency in ``band_limit_hz``, as on a telephone or a wireless headset.

    From the first pass over ``growing_passes`` more, shares and widths of masks grow evenly to what is written here,
    and ``dropout`` with them: a model that has yet to learn what a letter is learns it sooner from plain speech.
    """

    pause_share: Share = 0.0
    speed_share: Share = 0.6
    speed_range: tuple[Above, Above] = (0.88, 1.14)
    band_limit_share: Share = 0.0
    band_limit_hz: tuple[Above, Above] = (3000.0, 7000.0)
    gain_db: tuple[float, float] = (-14.0, 6.0)
    noise_share: Share = 0.4
    noise_snr_db: tuple[float, float] = (5.0, 30.0)
    room_share: Share = 0.15
    frequency_masks: NonNegative = 2
    frequency_mask_bins: NonNegative = 12
    time_masks: NonNegative = 2
    time_mask_share: Share = 0.06
    growing_passes: NonNegative = 0

    def __post_init__(self) -> None:
        """Reject ranges that run backwards."""
        for name in ("speed_range", "band_limit_hz", "gain_db", "noise_snr_db"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"{name} runs from {low:g} down to {high:g}: the smaller bound comes first")

    def strength(self, epoch: int) -> float:
        """What part of it acts in a pass, counted from 0: more than 0, at most 1."""
        return min(1.0, (epoch + 1) / (self.growing_passes + 1))

    def in_pass(self, epoch: int) -> AugmentationConfig:
        """What acts in a pass, counted from 0."""
        strength = self.strength(epoch)
        return msgspec.structs.replace(
            self,
            speed_share=strength * self.speed_share,
            band_limit_share=strength * self.band_limit_share,
            noise_share=strength * self.noise_share,
            room_share=strength * self.room_share,
            frequency_mask_bins=round(strength * self.frequency_mask_bins),
            time_mask_share=strength * self.time_mask_share,
        )


class OptimisationConfig(Record, frozen=True):
    """How weights move, with warm-up and cosine decay.

    Attributes:
        optimiser: ``adamw`` for all; ``muon`` for matrices and kernels below the output layer, AdamW for the rest.
        epochs: Passes over the training data; the first one is ordered by length (SortaGrad, section 3.3).
        budget_minutes: If given, the decay also follows the accumulated training time, whichever is further.
        learning_rate: Peak.
        warmup_steps: Linear rise to the peak.
        weight_decay: Decoupled, on weight matrices only.
        clip_norm: Bound on the norm of the whole gradient.
        dropout: On the input of every recurrent layer but the first, and of the output layer.
        ema_decay: Of the averaged weights, which are what is evaluated and kept.
        phoneme_weight: Share of the loss that is CTC over phonemes (`phonemes.WithPhonemes`); the rest is over labels.
        phoneme_layer: Recurrent layer whose output the phonemes are read from, counted from 1.
        precision: ``auto`` takes float16 on GPUs, bfloat16 on CPUs with matrix tiles, float32 on others.
        evaluate_every: Passes between two looks at dev.
        threads: CPU threads; 0 leaves it to torch.
        seed: Of weights, order and augmentation.
    """

    optimiser: Literal["adamw", "muon"] = "adamw"
    epochs: Positive = 20
    budget_minutes: Above | None = None
    learning_rate: Above = 1.2e-3
    warmup_steps: NonNegative = 400
    weight_decay: float = 0.02
    clip_norm: Above = 2.0
    dropout: Share = 0.1
    ema_decay: Share = 0.998
    phoneme_weight: Share = 0.0
    phoneme_layer: Positive = 3
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    evaluate_every: Positive = 1
    threads: NonNegative = 0
    seed: Seed = 0


class TrainingConfig(Record, frozen=True):
    """One training run; paths are relative to the configuration file.

    Attributes:
        output: Folder of its checkpoints.
        start: Checkpoint of the same model to begin with (fine-tuning); without one the weights are random.
    """

    data: DataConfig
    output: str
    start: str | None = None
    name: str = "edgespeech"
    licence: str = ""
    model: ModelConfig = ModelConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    optimisation: OptimisationConfig = OptimisationConfig()

    def __post_init__(self) -> None:
        """Reject phonemes without pronunciations, pronunciations without use, and a layer that the model lacks."""
        weight, layer = self.optimisation.phoneme_weight, self.optimisation.phoneme_layer
        if weight and self.data.pronunciations is None:
            raise ValueError(f"phoneme_weight {weight:g} needs pronunciations in [data]: give both or none")
        if self.data.pronunciations is not None and not weight:
            raise ValueError("pronunciations need a phoneme_weight above 0 in [optimisation]: give both or none")
        if weight and layer > self.model.layers:
            raise ValueError(f"phoneme_layer {layer} is above the {self.model.layers} recurrent layers of [model]")


def read_training_config(path: Path) -> TrainingConfig:
    """Read a TOML file.

    Args:
        path: The file.

    Raises:
        ConfigError: No such file, not TOML, an unknown key, a missing key or a value out of range.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), TrainingConfig)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}; give a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}; mend the line it names") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}; see reference/config.py for every key") from None


def model_config_from(value: object) -> ModelConfig:
    """Turn the plain dict in a checkpoint into a `ModelConfig`.

    Raises:
        ConfigError: A key is unknown or missing, or a value is out of range.
    """
    try:
        return msgspec.convert(value, ModelConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"model configuration: {error}; was the checkpoint written by another version?") from None
