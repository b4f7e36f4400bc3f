"""Audio from files, arrays and pipes as float32 mono in [-1, 1]. Microphones are read by `runtime.live`."""

from edgespeech.runtime.audio.files import MAX_CHANNELS, AudioInfo, from_array, info, read, read_blocks, read_stream
from edgespeech.runtime.audio.resampler import (
    MAX_RATE,
    MIN_RATE,
    RESAMPLING_QUALITY,
    SAMPLE_RATE,
    Resampler,
    check_rate,
    resampling_delay,
)

__all__ = [
    "MAX_CHANNELS",
    "MAX_RATE",
    "MIN_RATE",
    "RESAMPLING_QUALITY",
    "SAMPLE_RATE",
    "AudioInfo",
    "Resampler",
    "check_rate",
    "from_array",
    "info",
    "read",
    "read_blocks",
    "read_stream",
    "resampling_delay",
]
