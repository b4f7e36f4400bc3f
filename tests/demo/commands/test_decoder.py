"""The commands that measure the search, and its options on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.evaluation.confidence import calibration
from edgespeech.demo.evaluation.hot_words import count_hot_words, rates_table
from edgespeech.runtime.bundle import Bundle

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, noise: Callable[[int], Any]) -> Path:
    """A recording with a manifest, and files of phrases."""
    path = tmp_path_factory.mktemp("sound")
    soundfile.write(path / "a.wav", noise(16000), 16000)
    line = {"audio_filepath": "a.wav", "duration": 1.0, "text": "The zebra"}
    (path / "manifest.jsonl").write_text(json.dumps(line) + "\n")
    (path / "hot.txt").write_text("# animals\nzebra:9\n")
    (path / "commands.txt").write_text("go on\nstop\n")
    (path / "empty.txt").write_text("\n")
    return path


def test_hot_words_are_counted_within_each_utterance() -> None:
    rates = count_hot_words(
        {"new york": 1.0, "zebra": 1.0},
        ["a zebra in new york", "new york new york", "nothing to see"],
        ["zebra a zebra in york", "new york and new york zebra", "nothing to say"],
    )
    assert (rates.said, rates.heard, rates.right) == (4, 5, 3)
    assert (rates.recall, rates.precision) == (0.75, 0.6)
    assert rates.wer_with == pytest.approx(4 / 9)  # zebra more, new less; and, zebra more
    assert rates.wer_without == pytest.approx(1 / 3)
    assert "75.00%" in rates_table(rates, rates)
    nothing = count_hot_words({"zebra": 1.0}, ["a"], ["a"])
    assert (nothing.recall, nothing.precision, nothing.wer_with) == (0.0, 1.0, 0.0)


def test_calibration_by_hand() -> None:
    found = calibration([0.05, 0.05, 0.95, 0.95, 1.0], [False, True, True, True, False])
    assert [(one.words, one.right) for one in found.bins] == [(2, 0.5), (3, pytest.approx(2 / 3))]
    assert found.error == pytest.approx((2 * 0.45 + 3 * (2.9 / 3 - 2 / 3)) / 5)
    # Right: .05 .95 .95, wrong: .05 1: one tie and two above the lower, none above the higher.
    assert found.ranking == pytest.approx((0.5 + 1 + 1) / 6)
    assert "ranking" in found.table()
    assert calibration([], []).error == 0.0


def test_the_commands(edgespeech: Command, folder: Path, tiny_bundle: Bundle) -> None:
    manifest, bundle = folder / "manifest.jsonl", ("--bundle", tiny_bundle.folder, "--noise-gate", "0")
    outcome = edgespeech("hot-words", manifest, *bundle, "--hot-words", folder / "hot.txt", "--json")
    found = json.loads(outcome.out)
    assert outcome.code == 0 and found["without"]["said"] == found["with"]["said"] == 1
    assert found["without"]["right"] <= found["with"]["right"]
    assert "recall" in edgespeech("hot-words", manifest, *bundle, "--hot-word", "zebra").out
    outcome = edgespeech("confidence", manifest, *bundle, "--json")
    assert outcome.code == 0 and 0.0 <= json.loads(outcome.out)["calibration_error"] <= 1.0
    assert "expected calibration error" in edgespeech("confidence", manifest, *bundle).out


def test_boosts_show_in_the_readings(edgespeech: Command, folder: Path, tiny_bundle: Bundle) -> None:
    arguments = (
        "transcribe",
        folder / "a.wav",
        "--bundle",
        tiny_bundle.folder,
        "--noise-gate",
        "0",
        "--format",
        "json",
    )
    plain = json.loads(edgespeech(*arguments, "--nbest", 2).out)
    assert [reading["hot_word_score"] for reading in plain["nbest"]] == [0.0, 0.0]
    first = max(plain["text"].split(), key=len)
    boosted = json.loads(edgespeech(*arguments, "--hot-word", f"{first}:5").out)
    (best,) = boosted["nbest"]
    assert best["hot_word_score"] == 5.0 * boosted["text"].split().count(first) > 0
    assert best["score"] == pytest.approx(best["acoustic_score"] + best["hot_word_score"], abs=0.01)
    closed = json.loads(edgespeech(*arguments, "--grammar", folder / "commands.txt").out)
    assert set(closed["text"].split()) <= {"go", "on", "stop", "<unknown>"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--hot-word :3", "wanted WORDS:BOOST"),
        ("--hot-word zebra:-1", "wanted WORDS:BOOST"),
        ("--hot-word Zebra", "write it in small letters"),
        ("--hot-words lost.txt", "cannot be read"),
        ("--hot-words empty.txt", "holds no hot words"),
        ("--grammar lost.txt", "cannot be read"),
        ("--grammar empty.txt", "holds no phrases"),
        ("--grammar commands.txt --filler-score 1", "filler_score is 1"),
        ("--grammar commands.txt --hot-word stop", "goes without"),
        ("--filler-score -2", "without a grammar"),
    ],
)
def test_options_that_will_not_do(
    edgespeech: Command,
    folder: Path,
    tiny_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    options: str,
    words: str,
) -> None:
    monkeypatch.chdir(folder)
    outcome = edgespeech("transcribe", "a.wav", "--bundle", tiny_bundle.folder, *options.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err and outcome.err.count("\n") == 1


def test_nothing_to_count(edgespeech: Command, folder: Path, tiny_bundle: Bundle) -> None:
    outcome = edgespeech("hot-words", folder / "manifest.jsonl", "--bundle", tiny_bundle.folder)
    assert outcome.code == 2 and "no hot words to count" in outcome.err
    mute = folder / "mute.jsonl"
    mute.write_text('{"audio_filepath": "a.wav", "duration": 1.0}\n')
    for command in (("hot-words", mute, "--hot-word", "a"), ("confidence", mute)):
        outcome = edgespeech(*command, "--bundle", tiny_bundle.folder)
        assert outcome.code == 2 and "no utterance with a text" in outcome.err
