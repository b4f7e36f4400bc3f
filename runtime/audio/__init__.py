"""Audio from files, arrays and pipes as float32 in [-1, 1]. Microphones are read by `runtime.live`."""

from edgespeech.runtime.audio.arrays import ArrayInput, from_array
from edgespeech.runtime.audio.channels import EACH, MAX_CHANNELS, MIX, Channel, ChannelResampler, parse_channel
from edgespeech.runtime.audio.file_info import AudioInfo, info, stated_duration
from edgespeech.runtime.audio.opening import is_audio
from edgespeech.runtime.audio.raw import STANDARD_INPUT, RawDecoder, RawFormat, may_be_raw
from edgespeech.runtime.audio.reading import read, read_blocks, read_file_blocks, read_standard_input, read_stream
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
    "RawDecoder",
    "RawFormat",
    "Resampler",
    "check_rate",
    "from_array",
    "info",
    "is_audio",
    "may_be_raw",
    "parse_channel",
    "read",
    "read_blocks",
    "read_file_blocks",
    "read_standard_input",
    "read_stream",
    "resampling_delay",
    "stated_duration",
]
