"""The commands that measure hot words and confidences, and the decoder's options on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.runtime.bundle import Bundle

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, noise: Callable[[int], Any]) -> Path:
    """A folder with a recording, its manifest and files of phrases."""
    path = tmp_path_factory.mktemp("sound")
    soundfile.write(path / "a.wav", noise(16000), 16000)
    line = {"audio_filepath": "a.wav", "duration": 1.0, "text": "The zebra"}
    (path / "manifest.jsonl").write_text(json.dumps(line) + "\n")
    (path / "hot.txt").write_text("# animals\nzebra:9\n")
    (path / "commands.txt").write_text("go on\nstop\n")
    (path / "capitals.txt").write_text("Go on\nSTOP\n")
    (path / "accents.txt").write_text("# cities\nBoston\n\nZürich\n")
    (path / "latin1.txt").write_bytes("Boston\nZürich\n".encode("latin-1"))
    (path / "boosts.txt").write_text("boston:3\nnew york:much\n")
    (path / "empty.txt").write_text("\n")
    return path


def test_the_commands_print_json_and_tables(edgespeech: Command, folder: Path, tiny_bundle: Bundle) -> None:
    manifest, bundle = folder / "manifest.jsonl", ("--bundle", tiny_bundle.folder, "--min-evidence", "0")
    outcome = edgespeech("hot-words", manifest, *bundle, "--hot-words", folder / "hot.txt", "--json")
    found = json.loads(outcome.out)
    assert outcome.code == 0 and found["without"]["said"] == found["with"]["said"] == 1
    assert found["without"]["right"] <= found["with"]["right"]
    assert "recall" in edgespeech("hot-words", manifest, *bundle, "--hot-word", "zebra").out
    outcome = edgespeech("confidence", manifest, *bundle, "--json")
    assert outcome.code == 0 and 0.0 <= json.loads(outcome.out)["calibration_error"] <= 1.0
    assert "expected calibration error" in edgespeech("confidence", manifest, *bundle).out


def test_boosts_appear_in_the_nbest_scores(edgespeech: Command, folder: Path, tiny_bundle: Bundle) -> None:
    arguments = (
        "transcribe",
        folder / "a.wav",
        "--bundle",
        tiny_bundle.folder,
        "--min-evidence",
        "0",
        "--format",
        "json",
    )
    plain = json.loads(edgespeech(*arguments, "--nbest", 2).out)
    assert [one["hot_word_score"] for one in plain["nbest"]] == [0.0, 0.0]
    first = max(plain["text"].split(), key=len)
    boosted = json.loads(edgespeech(*arguments, "--hot-word", f"{first}:5").out)
    (best,) = boosted["nbest"]
    assert best["hot_word_score"] == 5.0 * boosted["text"].split().count(first) > 0
    assert best["score"] == pytest.approx(best["acoustic_score"] + best["hot_word_score"], abs=0.01)
    assert json.loads(edgespeech(*arguments, "--hot-word", f"{first.title()}:5").out)["nbest"] == boosted["nbest"]
    closed = json.loads(edgespeech(*arguments, "--grammar", folder / "commands.txt").out)
    assert set(closed["text"].split()) <= {"go", "on", "stop", "<unknown>"}
    capitals = json.loads(edgespeech(*arguments, "--grammar", folder / "capitals.txt").out)
    assert capitals["nbest"] == closed["nbest"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--hot-word :3", "wanted WORDS:BOOST"),
        ("--hot-word zebra:-1", "wanted WORDS:BOOST"),
        ("--hot-word Zébra", "'zébra' cannot be spelled: the labels have no é"),
        ("--hot-words accents.txt", "accents.txt:4: 'zürich' cannot be spelled: the labels have no ü"),
        ("--grammar accents.txt", "accents.txt:4: 'zürich' cannot be spelled: the labels have no ü"),
        ("--hot-words latin1.txt", "latin1.txt:2: the line cannot be read: it is not UTF-8 text"),
        ("--grammar latin1.txt", "latin1.txt:2: the line cannot be read: it is not UTF-8 text"),
        ("--hot-words boosts.txt", "boosts.txt:2: hot word 'new york:much'"),
        ("--hot-words lost.txt", "cannot be read (No such file or directory)"),
        ("--hot-words empty.txt", "contains no hot words"),
        ("--grammar lost.txt", "cannot be read"),
        ("--grammar empty.txt", "contains no phrases"),
        ("--grammar commands.txt --filler-score 1", "filler_score is 1"),
        ("--grammar commands.txt --hot-word stop", "excludes"),
        ("--filler-score -2", "without a grammar"),
    ],
)
def test_invalid_options_are_refused(
    edgespeech: Command,
    folder: Path,
    tiny_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    options: str,
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    outcome = edgespeech("transcribe", "a.wav", "--bundle", tiny_bundle.folder, *options.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err and outcome.err.count("\n") == 1


def test_missing_hot_words_and_references_are_refused(edgespeech: Command, folder: Path, tiny_bundle: Bundle) -> None:
    outcome = edgespeech("hot-words", folder / "manifest.jsonl", "--bundle", tiny_bundle.folder)
    assert outcome.code == 2 and "no hot words to count" in outcome.err
    mute = folder / "mute.jsonl"
    mute.write_text('{"audio_filepath": "a.wav", "duration": 1.0}\n')
    for command in (("hot-words", mute, "--hot-word", "a"), ("confidence", mute)):
        outcome = edgespeech(*command, "--bundle", tiny_bundle.folder)
        assert outcome.code == 2 and "no utterance with a text" in outcome.err
