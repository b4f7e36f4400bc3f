"""Channels: one of them, the mean, or each; and warnings about channels that should not be mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.audio import EACH, MAX_CHANNELS, MIX, from_array, parse_channel, read, read_blocks
from tests.runtime.audio.stand_ins import babble, encode, refusal

RATE = 16000
SOUND = babble(RATE, 1, 6.0)[:, 0]
OTHER = SOUND[::-1]
NOISE = np.random.default_rng(2).standard_normal(len(SOUND)) * 0.1
CANCEL, UNRELATED = "cancel each other", "nothing in common"

SOUNDS: dict[str, tuple[list[NDArray[np.float64]], str]] = {
    "equal": ([SOUND, SOUND], ""),
    "one is weaker": ([SOUND, 0.1 * SOUND], ""),
    "one is silent": ([SOUND, 0 * SOUND], ""),
    "all are silent": ([0 * SOUND, 0 * SOUND], ""),
    "one has faint noise": ([SOUND, 0.01 * NOISE], ""),
    "a room": ([SOUND + 0.3 * OTHER, SOUND - 0.3 * OTHER], ""),
    "inverted": ([SOUND, -SOUND], CANCEL),
    "inverted and weaker": ([SOUND, -0.8 * SOUND], CANCEL),
    "inverted with an offset": ([SOUND + 0.1, 0.1 - SOUND], CANCEL),
    "inverted for a while": ([SOUND, np.where(np.arange(len(SOUND)) < 3 * RATE, SOUND, -SOUND)], CANCEL),
    "two speakers at once": ([SOUND, OTHER], UNRELATED),
    "two speakers in turn": ([np.append(SOUND, 0 * SOUND), np.append(0 * SOUND, OTHER)], UNRELATED),
    "one has noise": ([SOUND, NOISE], UNRELATED),
    "four of which two cancel": ([SOUND, -SOUND, OTHER, -OTHER], CANCEL),
}


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("block_seconds", [0.1, 100.0])
def test_channels_that_should_not_be_mixed_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, block_seconds: float
) -> None:
    channels, warning = SOUNDS[name]
    samples = np.stack(channels, axis=1)
    path = tmp_path / "sound.wav"
    path.write_bytes(encode("WAV", "FLOAT", samples, RATE))
    mixed = np.concatenate(list(read_blocks(path, block_seconds=block_seconds)))
    assert np.allclose(mixed, samples.mean(axis=1), atol=1e-6)
    assert len(caplog.records) == bool(warning) and warning in caplog.text
    caplog.clear()
    from_array(samples, RATE)
    assert len(caplog.records) == bool(warning) and warning in caplog.text
    caplog.clear()
    for channel in (1, 2, EACH):
        read(path, channel=channel)
    assert caplog.text == ""


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG"])
def test_a_channel_equals_a_file_of_that_channel_alone(tmp_path: Path, container: str, rate: int) -> None:
    samples = np.stack([babble(rate)[:, 0], babble(rate)[::-1, 0], 0.5 * babble(rate)[:, 0]], axis=1)
    path, lossless = tmp_path / "sound", container != "OGG"
    path.write_bytes(encode(container, "PCM_16" if lossless else "VORBIS", samples, rate))
    each = read(path, channel=EACH)
    for number in (1, 2, 3):
        one = read(path, channel=number)
        assert np.array_equal(each[:, number - 1], one)
        assert np.allclose(one, from_array(samples[:, number - 1], rate, RATE), atol=1e-3 if lossless else 0.2)
    joined = np.concatenate(list(read_blocks(path, block_seconds=0.033, channel=EACH)))
    assert np.array_equal(joined, each)


def test_arrays_have_channels_too() -> None:
    samples = np.array([[0.5, -0.25], [0.25, 0.0]])
    assert from_array(samples, RATE, channel=2).tolist() == [-0.25, 0.0]
    assert from_array(samples, RATE, channel=EACH).tolist() == samples.tolist()
    assert from_array(samples, RATE).tolist() == [0.125, 0.125]
    assert from_array(samples[:, 0], RATE, channel=EACH).tolist() == [[0.5], [0.25]]


def test_a_channel_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(encode("WAV", "PCM_16", babble(RATE, 2), RATE))
    assert "has 2 channels; wanted channel 3" in refusal(lambda: read(path, channel=3))
    assert "has 1 channel;" in refusal(lambda: from_array(SOUND, RATE, channel=2))


def test_each_needs_one_number_of_channels(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(encode("WAV", "PCM_16", babble(RATE, 2), RATE) + encode("WAV", "PCM_16", babble(RATE, 1), RATE))
    assert "changes from 2 to 1 channels" in refusal(lambda: read(path, channel=EACH))


def test_channels_are_parsed() -> None:
    assert [parse_channel(text) for text in ("mix", "each", "1", "64", 2)] == [MIX, EACH, 1, 64, 2]
    for text in ("0", "-1", str(MAX_CHANNELS + 1), "left", "", "1.5"):
        with pytest.raises(UsageError, match="wanted mix, each"):
            parse_channel(text)
