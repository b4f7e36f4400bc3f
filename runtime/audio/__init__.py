"""Audio from files, arrays and pipes as float32 in [-1, 1]. Microphones are read by `runtime.live`."""

from edgespeech.runtime.audio.arrays import ArrayInput, from_array
from edgespeech.runtime.audio.channels import EACH, MAX_CHANNELS, MIX, Channel, ChannelResampler, parse_channel
from edgespeech.runtime.audio.raw import STANDARD_INPUT, RawFormat, may_be_raw
from edgespeech.runtime.audio.reading import AudioInfo, info, read, read_blocks, read_standard_input, read_stream
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
    "EACH",
    "MAX_CHANNELS",
    "MAX_RATE",
    "MIN_RATE",
    "MIX",
    "RESAMPLING_QUALITY",
    "SAMPLE_RATE",
    "STANDARD_INPUT",
    "ArrayInput",
    "AudioInfo",
    "Channel",
    "ChannelResampler",
    "RawFormat",
    "Resampler",
    "check_rate",
    "from_array",
    "info",
    "may_be_raw",
    "parse_channel",
    "read",
    "read_blocks",
    "read_standard_input",
    "read_stream",
    "resampling_delay",
]
