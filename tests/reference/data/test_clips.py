"""Clips from manifests: which are dropped, and fractions of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.errors import ConfigError, ManifestError
from edgespeech.reference.data.clips import Clip, build_labels, manifest_texts, take_fraction, usable_clips
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.labels import CHARACTERS, Labels
from tests.reference.data.recordings import LABELS, MODEL, data_config, manifest, tone


def test_drops_are_counted_with_reasons(tmp_path: Path) -> None:
    one, brief = tone(tmp_path, "one.wav", 1.0), tone(tmp_path, "brief.wav", 0.1)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    lines: list[dict[str, Any]] = [
        {"audio_filepath": one, "text": "hello"},
        {"audio_filepath": one, "duration": 1.0, "text": "  two \t words "},
        {"audio_filepath": "nowhere.wav", "text": "hello"},
        {"audio_filepath": "broken.wav", "text": "hello"},
        {"audio_filepath": one, "text": "Grüße"},
        {"audio_filepath": one, "text": "   "},
        {"audio_filepath": one, "text": ""},
        {"audio_filepath": brief, "text": "a"},
        {"audio_filepath": one, "duration": 21.0, "text": "a"},
        {"audio_filepath": one, "text": "twenty six labels in a second"},
        {"audio_filepath": one, "text": "aaaaaaaaaaaaa"},
    ]
    clips, dropped = usable_clips([manifest(tmp_path, lines)], LABELS, MODEL, data_config())
    assert [(clip.text, clip.seconds) for clip in clips] == [("hello", 1.0), ("two words", 1.0), ("aaaaaaaaaaaaa", 1.0)]
    assert clips[0].targets == tuple(LABELS.encode("hello"))
    assert dropped == {
        "missing file": 1,
        "unreadable file": 1,
        "text with a character that no label has": 1,
        "no text": 2,
        "not between 0.3 and 20 s": 2,
        "more labels than output frames": 1,
    }


def test_repeated_letters_need_one_more_frame(tmp_path: Path) -> None:
    one = tone(tmp_path, "one.wav", 1.0)  # 25 frames
    lines = [{"audio_filepath": one, "text": text} for text in ("a" * 13, "a" * 14, "ab" * 12 + "a", "ab" * 13)]
    clips, dropped = usable_clips([manifest(tmp_path, lines)], LABELS, MODEL, data_config())
    assert [clip.text for clip in clips] == ["a" * 13, "ab" * 12 + "a"]
    assert dropped == {"more labels than output frames": 2}


def test_texts_are_composed_and_get_the_labels_of_the_recipe(tmp_path: Path) -> None:
    lines = [{"audio_filepath": tone(tmp_path, "one.wav", 1.0), "text": text} for text in ("Gru\u0308\u00dfe", "naïve")]
    path = manifest(tmp_path, lines)
    labels = build_labels(MODEL, [path], " abcdefghijklmnopqrstuvwxyzäöüß")
    clips, dropped = usable_clips([path], labels, MODEL, data_config())
    assert [clip.text for clip in clips] == ["grüße"] and labels.decode(clips[0].targets) == "grüße"
    assert dropped == {"text with a character that no label has": 1}
    with pytest.raises(ConfigError, match="`edgespeech data check` names the characters$"):
        usable_clips([path], LABELS, MODEL, data_config())


def test_a_manifest_without_a_usable_clip_is_an_error(tmp_path: Path) -> None:
    path = manifest(tmp_path, [{"audio_filepath": "nowhere.wav", "text": "hello"}])
    with pytest.raises(ConfigError, match="no usable clip in .*: 1 missing file; correct the manifests$"):
        usable_clips([path], LABELS, MODEL, data_config())
    with pytest.raises(ManifestError):
        usable_clips([tmp_path / "no.jsonl"], LABELS, MODEL, data_config())


def test_the_texts_of_all_manifests_are_read(tmp_path: Path) -> None:
    path = manifest(tmp_path, [{"audio_filepath": "x.wav", "text": "a b"}, {"audio_filepath": "y.wav", "text": "c"}])
    assert manifest_texts([path, path]) == ["a b", "c", "a b", "c"]


def test_texts_are_trained_on_in_lower_case(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(16000, np.float32), 16000)
    (tmp_path / "m.jsonl").write_text('{"audio_filepath": "a.wav", "duration": 1.0, "text": "GOOD Day"}\n')
    data = DataConfig(train=("m.jsonl",), dev=("m.jsonl",))
    clips, dropped = usable_clips([tmp_path / "m.jsonl"], Labels(CHARACTERS), ModelConfig(), data)
    assert [clip.text for clip in clips] == ["good day"] and not dropped
    assert manifest_texts([tmp_path / "m.jsonl"]) == ["good day"]


def spoken_by(*counts: int) -> list[Clip]:
    """Make the given numbers of one-second clips by speakers 0, 1, ..."""
    return [
        Clip(Path(f"{speaker}-{index}.wav"), 1.0, "a", (3,), speaker=str(speaker))
        for speaker, count in enumerate(counts)
        for index in range(count)
    ]


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.floats(0.05, 1.0), st.integers(0, 5))
def test_a_fraction_is_taken_from_every_speaker(counts: list[int], fraction: float, seed: int) -> None:
    clips = spoken_by(*counts)
    try:
        chosen = take_fraction(clips, fraction, seed)
    except ConfigError:
        assert fraction * max(counts) < 1.0
        return
    kept = set(chosen)
    assert chosen == [clip for clip in clips if clip in kept]
    for speaker, count in enumerate(counts):
        taken = sum(clip.speaker == str(speaker) for clip in chosen)
        assert abs(taken - fraction * count) < 1.0 + 1e-9


def test_smaller_fractions_are_subsets_of_larger_ones_and_seeds_differ() -> None:
    clips = spoken_by(30, 7, *[1] * 200)
    eighth, quarter, half, everything = (take_fraction(clips, one) for one in (1 / 8, 1 / 4, 1 / 2, 1.0))
    assert set(eighth) < set(quarter) < set(half) < set(everything) and everything == clips
    # Speakers with a single clip are chosen at random, with the probability of the fraction.
    assert 30 <= sum(clip.speaker not in ("0", "1") for clip in quarter) <= 70
    assert take_fraction(clips, 1 / 4) == quarter != take_fraction(clips, 1 / 4, seed=1)


def test_a_fraction_without_a_clip_is_an_error() -> None:
    with pytest.raises(ConfigError, match="fraction of 0.0001 of 3 clips is empty"):
        take_fraction(spoken_by(3), 1e-4)
