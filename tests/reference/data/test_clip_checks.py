"""Checks of a recording against its line in the manifest, one fault at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.reference.data.clip_checks import check_clip, pace_outliers
from edgespeech.reference.data.clips import Clip, ClipRules, Unusable
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.labels import CHARACTERS, Labels
from edgespeech.runtime.manifest import Utterance

RATE = 16000
RULES = ClipRules.of(Labels(CHARACTERS), ModelConfig(), DataConfig(train=(), dev=()))


def tone(seconds: float, level: float = 0.5) -> NDArray[np.float64]:
    return level * np.sin(2 * np.pi * 440.0 * np.arange(round(seconds * RATE)) / RATE)


def utterance(folder: Path, samples: NDArray[np.float64], text: str = "hello there") -> Utterance:
    soundfile.write(folder / "a.wav", samples, RATE, subtype="FLOAT")
    return Utterance("a.wav", folder / "a.wav", text)


def reason(one: Utterance, is_part: bool = False, decode: bool = True) -> str:
    with pytest.raises(Unusable) as caught:
        check_clip(RULES, one, is_part, decode)
    return str(caught.value)


@pytest.mark.parametrize("decode", [True, False])
def test_a_good_clip_has_its_measured_length(tmp_path: Path, decode: bool) -> None:
    good = utterance(tmp_path, tone(2.0), "Hello  there")
    checked = check_clip(RULES, replace(good, duration=2.03, speaker="ann"), False, decode)
    assert (checked.clip.seconds, checked.clip.text, checked.clip.speaker) == (2.0, "hello there", "ann")
    assert (checked.fingerprint is None) is not decode


def test_equal_samples_have_equal_fingerprints(tmp_path: Path) -> None:
    prints = []
    for name, level in (("a.wav", 0.5), ("b.flac", 0.5), ("c.wav", 0.4)):
        soundfile.write(tmp_path / name, (tone(2.0, level) * 32767).astype(np.int16), RATE)
        prints.append(check_clip(RULES, Utterance(name, tmp_path / name, "words"), False, True).fingerprint)
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize(("stated", "fits"), [(2.0, True), (2.09, True), (1.91, True), (2.2, False), (1.8, False)])
def test_the_file_must_be_as_long_as_the_manifest_says(tmp_path: Path, stated: float, fits: bool, decode: bool) -> None:
    one = replace(utterance(tmp_path, tone(2.0)), duration=stated)
    if fits:
        assert check_clip(RULES, one, False, decode).clip.seconds == 2.0
    else:
        assert reason(one, decode=decode) == "another length than the manifest says"


def test_a_part_may_be_shorter_than_its_file_but_not_extend_beyond_it(tmp_path: Path) -> None:
    one = replace(utterance(tmp_path, np.concatenate([tone(1.0), np.zeros(RATE)])), duration=1.0)
    assert check_clip(RULES, one, True, True).clip.seconds == 1.0
    assert check_clip(RULES, replace(one, offset=0.5), True, True).clip.seconds == 1.0
    assert reason(replace(one, offset=1.0), True) == "silent"
    assert reason(replace(one, offset=1.5), True) == "another length than the manifest says"
    assert reason(replace(one, offset=2.5, duration=None), True) == "another length than the manifest says"


def test_silent_and_clipped_recordings_are_dropped(tmp_path: Path) -> None:
    assert reason(utterance(tmp_path, tone(2.0, 0.002))) == "silent"
    assert reason(utterance(tmp_path, tone(2.0, 1.2))) == "clipped: more than 1% of the samples at full scale"
    assert check_clip(RULES, utterance(tmp_path, tone(2.0, 0.99)), False, True).clip.seconds == 2.0
    assert check_clip(RULES, utterance(tmp_path, tone(2.0, 0.002)), False, decode=False).fingerprint is None


def test_invalid_files_and_texts_are_dropped(tmp_path: Path) -> None:
    good = utterance(tmp_path, tone(2.0))
    (tmp_path / "b.wav").write_bytes(b"no sound")
    assert reason(replace(good, path=tmp_path / "lost.wav")) == "missing file"
    assert reason(replace(good, path=tmp_path / "b.wav")) == "unreadable file"
    assert reason(replace(good, text="number 4")) == "text with a character that no label has"
    assert reason(replace(good, text=" ")) == "no text"
    assert reason(replace(good, text="ab" * 26)) == "more labels than output frames"
    fast = ClipRules(RULES.labels, RATE, 160, 0.3, 20.0)
    with pytest.raises(Unusable, match="more than 30 characters per second"):
        check_clip(fast, replace(good, text="ab" * 31), False, True)


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_recordings_that_are_cut_off_are_dropped(tmp_path: Path, suffix: str, decode: bool) -> None:
    whole = utterance(tmp_path, tone(2.0))
    path = tmp_path / f"cut.{suffix}"
    soundfile.write(path, tone(2.0), RATE)
    path.write_bytes(path.read_bytes()[:-100])
    assert reason(replace(whole, path=path, duration=None), decode=decode) == "damaged file"


def clips(*paces: float) -> list[Clip]:
    return [Clip(Path("a.wav"), 20.0 / pace, "a" * 20, (3,) * 20) for pace in paces]


def test_pace_outliers_are_relative_to_the_corpus() -> None:
    usual = [10.0 + 0.1 * index for index in range(20)]
    assert pace_outliers(clips(2.0, *usual, 50.0, 30.0)) == [True, *[False] * 20, True, False]
    assert pace_outliers(clips(2.0, *usual[:10], 50.0)) == [False] * 12
