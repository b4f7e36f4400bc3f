"""Which recordings of a voice are trained on and which are held out, and which voices are refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from edgespeech.errors import ManifestError
from edgespeech.reference.adaptation import voice
from edgespeech.reference.adaptation.voice import Voice, VoiceRules, read_voice, split_voice
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.labels import CHARACTERS, Labels
from edgespeech.runtime.manifest import Utterance
from tests.reference.adaptation.voices import texts_of, write_voice

RULES = VoiceRules(Labels(CHARACTERS), ModelConfig())


def utterances(texts: Sequence[str], seconds: float = 5.0) -> list[Utterance]:
    paths = [Path(f"/{index}.wav") for index in range(len(texts))]
    return [Utterance(path.name, path, text, seconds) for path, text in zip(paths, texts, strict=True)]


def texts(side: Sequence[Utterance]) -> set[str]:
    return {one.text for one in side}


def test_a_seventh_is_held_out_and_no_sentence_is_on_both_sides() -> None:
    spoken = utterances([f"sentence {chr(97 + index % 20)}" for index in range(40)])
    found = split_voice(spoken, Path("mine.jsonl"))
    assert found.train_seconds + found.held_out_seconds == 200.0
    assert 30.0 <= found.held_out_seconds <= 40.0
    assert texts(found.train).isdisjoint(texts(found.held_out))
    assert [*found.train] == [one for one in spoken if one.text in texts(found.train)]


def test_the_split_depends_on_the_seed_and_not_on_the_order() -> None:
    spoken = utterances(texts_of(30))
    first = split_voice(spoken, Path("mine.jsonl"), seed=1)
    assert texts(split_voice(spoken[::-1], Path("mine.jsonl"), seed=1).held_out) == texts(first.held_out)
    assert texts(split_voice(spoken, Path("mine.jsonl"), seed=2).held_out) != texts(first.held_out)


@pytest.mark.parametrize("spoken", [utterances(["one"] * 30), utterances(texts_of(3)), utterances(texts_of(5), 1.0)])
def test_too_few_sentences_or_seconds_cannot_be_split(spoken: Sequence[Utterance]) -> None:
    with pytest.raises(ManifestError, match=r"mine.jsonl has \d different sentences, \d+ s, too few to hold some out"):
        split_voice(spoken, Path("mine.jsonl"))


def test_texts_are_normalised_and_lengths_are_read(tmp_path: Path) -> None:
    path = write_voice(tmp_path, "mine", ["abc", "cab"])
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines[0]["text"] = "A, b – C!"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = RULES.usable(path)
    assert [(one.text, one.duration) for one in found] == [("a b c", 0.8), ("cab", 0.8)]


def test_what_cannot_be_trained_on_is_counted(tmp_path: Path) -> None:
    path = write_voice(tmp_path, "mine", ["abc"])
    path.write_text(path.read_text(encoding="utf-8").replace('"abc"', '"5"'), encoding="utf-8")
    with pytest.raises(ManifestError, match="no usable recording in .*: 1 text with a character that no label has"):
        RULES.usable(path)


def test_too_little_speech_is_refused(tmp_path: Path) -> None:
    speech = write_voice(tmp_path, "mine", texts_of(12))
    with pytest.raises(ManifestError, match=r"mine.jsonl has \d+ s of speech to train on; wanted at least 20 s"):
        read_voice(RULES, speech)


def test_a_sentence_on_both_sides_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "MIN_SECONDS", 1.0)
    speech, other = write_voice(tmp_path, "mine", texts_of(4)), write_voice(tmp_path, "other", ["bab", texts_of(4)[2]])
    with pytest.raises(ManifestError, match="other.jsonl shares 1 sentences with .*, such as '[abc ]{8}'; remove them"):
        read_voice(RULES, speech, other)
    other = write_voice(tmp_path, "other", ["bab"])
    assert len(read_voice(RULES, speech, other).train) == 4


def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("hello there\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="mine.txt:1: invalid JSON"):
        read_voice(RULES, tmp_path / "mine.txt")
    with pytest.raises(ManifestError, match="none.jsonl does not exist"):
        read_voice(RULES, tmp_path / "none.jsonl")


def test_unknown_lengths_count_as_nothing() -> None:
    spoken = [replace(one, duration=None) for one in utterances(["a", "b"])]
    assert Voice(spoken, spoken).train_seconds == 0.0
