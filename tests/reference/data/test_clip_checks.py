"""What a recording must sound like, with one fault at a time."""

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


def reason(one: Utterance, is_part: bool = False, listen: bool = True) -> str:
    with pytest.raises(Unusable) as caught:
        check_clip(RULES, one, is_part, listen)
    return str(caught.value)


@pytest.mark.parametrize("listen", [True, False])
def test_a_good_clip_has_its_measured_length(tmp_path: Path, listen: bool) -> None:
    good = utterance(tmp_path, tone(2.0), "Hello  there")
    heard = check_clip(RULES, replace(good, duration=2.03, speaker="ann"), False, listen)
    assert (heard.clip.seconds, heard.clip.text, heard.clip.speaker) == (2.0, "hello there", "ann")
    assert (heard.fingerprint is None) is not listen


def test_equal_samples_have_equal_fingerprints(tmp_path: Path) -> None:
    prints = []
    for name, level in (("a.wav", 0.5), ("b.flac", 0.5), ("c.wav", 0.4)):
        soundfile.write(tmp_path / name, (tone(2.0, level) * 32767).astype(np.int16), RATE)
        prints.append(check_clip(RULES, Utterance(name, tmp_path / name, "words"), False, True).fingerprint)
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("listen", [True, False])
@pytest.mark.parametrize(("stated", "fits"), [(2.0, True), (2.09, True), (1.91, True), (2.2, False), (1.8, False)])
def test_the_file_is_as_long_as_the_manifest_says(tmp_path: Path, stated: float, fits: bool, listen: bool) -> None:
    one = replace(utterance(tmp_path, tone(2.0)), duration=stated)
    if fits:
        assert check_clip(RULES, one, False, listen).clip.seconds == 2.0
    else:
        assert reason(one, listen=listen) == "another length than the manifest says"


def test_a_part_may_be_shorter_than_its_file_but_not_reach_beyond(tmp_path: Path) -> None:
    one = replace(utterance(tmp_path, np.concatenate([tone(1.0), np.zeros(RATE)])), duration=1.0)
    assert check_clip(RULES, one, True, True).clip.seconds == 1.0
    assert check_clip(RULES, replace(one, offset=0.5), True, True).clip.seconds == 1.0
    assert reason(replace(one, offset=1.0), True) == "silent"
    assert reason(replace(one, offset=1.5), True) == "another length than the manifest says"
    assert reason(replace(one, offset=2.5, duration=None), True) == "another length than the manifest says"


def test_sound_that_is_none_and_sound_that_is_too_much(tmp_path: Path) -> None:
    assert reason(utterance(tmp_path, tone(2.0, 0.002))) == "silent"
    assert reason(utterance(tmp_path, tone(2.0, 1.2))) == "clipped: more than 1% of the samples at full scale"
    assert check_clip(RULES, utterance(tmp_path, tone(2.0, 0.99)), False, True).clip.seconds == 2.0
    assert check_clip(RULES, utterance(tmp_path, tone(2.0, 0.002)), False, listen=False).fingerprint is None


def test_files_and_texts(tmp_path: Path) -> None:
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


def clips(*paces: float) -> list[Clip]:
    return [Clip(Path("a.wav"), 20.0 / pace, "a" * 20, (3,) * 20) for pace in paces]


def test_the_pace_is_that_of_the_corpus() -> None:
    usual = [10.0 + 0.1 * index for index in range(20)]
    assert pace_outliers(clips(2.0, *usual, 50.0, 30.0)) == [True, *[False] * 20, True, False]
    assert pace_outliers(clips(2.0, *usual[:10], 50.0)) == [False] * 12
