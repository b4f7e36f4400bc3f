"""Which speech a model is trained on, and how it is augmented: the ``[data]`` and ``[augmentation]`` of a recipe."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edgespeech.reference.model.config import Above, NonNegative, Record, Share


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
