"""Which speech a model is trained on, and how it is augmented: the ``[data]`` and ``[augmentation]`` of a recipe."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edgespeech.reference.model.config import Above, NonNegative, Record, UnitInterval


class DataConfig(Record, frozen=True):
    """Speech, noise and rooms; paths are relative to the configuration file.

    Attributes:
        train: Manifests (NeMo-style JSON lines).
        dev: Manifests of speakers that are not in ``train``.
        anchor: Manifests of other speech, for ``anchor_weight``; its texts are not used.
        search: Bundle whose search finds the texts for ``risk_weight``.
        pronunciations: Table written by `edgespeech data pronounce`, for ``phoneme_weight``.
        noise: Folders of audio files to mix in.
        rooms: Folders of room impulse responses.
        min_seconds, max_seconds: Clips outside these bounds are dropped.
        batch_seconds: Audio in an update, padding included, divided among the workers.
        anchor_seconds: Audio of ``anchor`` in an update.
        workers: Loader processes; 0 loads in the training process.
        cache_hours: Decoded audio that each loader process keeps in memory.
        resident: Decode all training speech into the memory of the training device and augment it there; an hour takes
            115 MB. For GPUs, which are faster than any loader process.
        fraction: Fraction of every speaker's clips to train on, repeated so that an epoch stays as long.
    """

    train: tuple[str, ...]
    dev: tuple[str, ...]
    anchor: tuple[str, ...] = ()
    search: str | None = None
    pronunciations: str | None = None
    noise: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    min_seconds: float = 0.3
    max_seconds: float = 20.0
    batch_seconds: Above = 120.0
    anchor_seconds: Above = 20.0
    workers: NonNegative = 1
    cache_hours: float = 40.0
    resident: bool = False
    fraction: Annotated[float, msgspec.Meta(ge=1e-4, le=1.0)] = 1.0

    def __post_init__(self) -> None:
        if not self.min_seconds <= self.max_seconds:
            raise ValueError(f"min_seconds {self.min_seconds:g} is more than max_seconds {self.max_seconds:g}")


class AugmentationConfig(Record, frozen=True):
    """Random changes to clips (Deep Speech 2, section 5.2: noise on 40 % of utterances); probabilities are per clip.

    Attributes:
        pause_prob: Start late, after silence or faint hiss, within the padding of the batch. Clips are cut closely,
            streams are not.
        speed_prob: Change speed and pitch by a factor within ``speed_range``.
        band_limit_prob: Remove frequencies above a limit in ``band_limit_hz``, as a telephone or a headset does.
        noise_prob: Add noise at a signal-to-noise ratio within ``noise_snr_db``.
        room_prob: Convolve with a room impulse response.
        time_mask_fraction: Maximum width of a time mask, as a fraction of the clip (SpecAugment).
        growing_passes: Passes over which probabilities, widths of masks and ``dropout`` grow evenly to their values:
            a model that does not yet know the letters learns them sooner from clean speech.
    """

    pause_prob: UnitInterval = 0.0
    speed_prob: UnitInterval = 0.6
    speed_range: tuple[Above, Above] = (0.88, 1.14)
    band_limit_prob: UnitInterval = 0.0
    band_limit_hz: tuple[Above, Above] = (3000.0, 7000.0)
    gain_db: tuple[float, float] = (-14.0, 6.0)
    noise_prob: UnitInterval = 0.4
    noise_snr_db: tuple[float, float] = (5.0, 30.0)
    room_prob: UnitInterval = 0.15
    frequency_masks: NonNegative = 2
    frequency_mask_bins: NonNegative = 12
    time_masks: NonNegative = 2
    time_mask_fraction: UnitInterval = 0.06
    growing_passes: NonNegative = 0

    def __post_init__(self) -> None:
        for name in ("speed_range", "band_limit_hz", "gain_db", "noise_snr_db"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"{name} runs from {low:g} down to {high:g}: the smaller bound comes first")

    def strength(self, epoch: int) -> float:
        """Return how much of the augmentation applies in an epoch, counted from 0: above 0, at most 1."""
        return min(1.0, (epoch + 1) / (self.growing_passes + 1))

    def in_pass(self, epoch: int) -> AugmentationConfig:
        """Return the augmentation of an epoch, counted from 0."""
        strength = self.strength(epoch)
        return msgspec.structs.replace(
            self,
            speed_prob=strength * self.speed_prob,
            band_limit_prob=strength * self.band_limit_prob,
            noise_prob=strength * self.noise_prob,
            room_prob=strength * self.room_prob,
            frequency_mask_bins=round(strength * self.frequency_mask_bins),
            time_mask_fraction=strength * self.time_mask_fraction,
        )
