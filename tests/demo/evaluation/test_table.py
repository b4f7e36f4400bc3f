"""Tables, documents and the command that makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.evaluation.table import (
    against_line,
    confusion_lines,
    confusions,
    markdown_table,
    summary,
    text_table,
)
from edgespeech.errors import UsageError
from edgespeech.runtime.measure.evaluation import Evaluation
from edgespeech.runtime.measure.tables import insert_between_marks
from edgespeech.runtime.measure.word_errors import count_errors, wer_interval

Command = Callable[..., Any]


def evaluation(corpus: str = "books/dev.jsonl", condition: str = "as recorded", speakers: int = 2) -> Evaluation:
    said = ["the cat sat", "the cat ran", "on the mat"] * 8
    heard = ["the bat sat down", "the bat ran", "on mat"] * 8
    errors = count_errors(said, heard)
    by = tuple(f"speaker {index % speakers}" for index in range(len(said)))
    interval = wer_interval(errors, by)
    names = tuple(f"{index}.wav" for index in range(len(said)))
    return Evaluation(corpus, condition, names, tuple(said), tuple(heard), by, errors, interval, 48.0, 1.2)


def test_a_single_evaluation_in_words() -> None:
    lines = summary(evaluation()).splitlines()
    assert lines[0] == "WER 44.44%   (16 substitutions, 8 deletions, 8 insertions in 72 words)"
    assert lines[1].endswith(" % in 95 of 100 draws of other utterances")
    assert lines[3] == "24 utterances, 48.0 s of audio in 1.2 s: real-time factor 0.0250"


def test_two_bundles_in_words() -> None:
    one = evaluation()
    perfect = replace(one, errors=count_errors(one.references, one.references))
    assert against_line(one, perfect, Path("perfect")).startswith(
        "books/dev.jsonl, as recorded: +44.44 points against 0.00% of perfect, +"
    )
    assert against_line(one, perfect, Path("perfect")).endswith(": more than noise")
    assert against_line(one, one, Path("same")).endswith(
        " +0.00 to +0.00 in 95 of 100 draws of other utterances: within noise"
    )


def test_tables_have_a_row_for_each() -> None:
    both = [evaluation(), evaluation("learners/dev.jsonl", "noise, 5 dB", speakers=12)]
    lines = text_table(both).splitlines()
    assert len(lines) == 3 and len({len(line) for line in lines}) == 1
    assert lines[2].split()[:5] == ["learners/dev.jsonl", "noise,", "5", "dB", "44.4"]
    rows = markdown_table(both).splitlines()
    assert [row.count("|") for row in rows] == [9, 9, 9, 9, 0, 0]
    assert rows[2].startswith("| books/dev.jsonl | as recorded | 44.4 | ") and rows[2].endswith(
        " | 11.1 | 72 | 0.0250 |"
    )
    assert rows[-1] == ("Intervals: bootstrap over the speakers of learners/dev.jsonl; utterances of books/dev.jsonl.")


def test_the_most_frequent_errors() -> None:
    assert confusions(evaluation(), 5) == {
        "substituted": [["cat", "bat", 16]],
        "deleted": [["the", 8]],
        "inserted": [["down", 8]],
    }
    assert list(confusion_lines(evaluation(), 5)) == [
        "books/dev.jsonl, as recorded, most often mistaken: cat -> bat 16",
        "  not heard: the 8",
        "  heard without being said: down 8",
    ]


def test_a_document_changes_between_its_marks_only(tmp_path: Path) -> None:
    document = tmp_path / "card.md"
    document.write_text(
        "# Größe\n<!-- a: begin -->\nold\n<!-- a: end -->\n<!-- b: begin --><!-- b: end -->\nend\n", "utf-8"
    )
    for _ in range(2):
        insert_between_marks(document, "a", "new")
    insert_between_marks(document, "b", "other")
    assert document.read_text("utf-8") == (
        "# Größe\n<!-- a: begin -->\nnew\n<!-- a: end -->\n<!-- b: begin -->\nother\n<!-- b: end -->\nend\n"
    )
    with pytest.raises(UsageError, match="has no <!-- c: begin -->"):
        insert_between_marks(document, "c", "x")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two recordings of noise, which a tiny model hears something in."""
    for index in range(2):
        samples = 0.1 * np.random.default_rng(index).standard_normal(8000)
        soundfile.write(tmp_path / f"{index}.wav", samples, 16000)
    lines = [{"audio_filepath": f"{index}.wav", "text": "one two"} for index in range(2)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "m.jsonl"


def test_one_row_per_manifest_and_condition(
    edgespeech: Command, tiny_bundle: Any, manifest: Path, tmp_path: Path
) -> None:
    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "n.wav", 0.1 * np.random.default_rng(9).standard_normal(16000), 16000)
    document = tmp_path / "card.md"
    document.write_text("<!-- figures: begin -->\n<!-- figures: end -->\n")
    common = ["--bundle", tiny_bundle.folder, "--noise", tmp_path / "noise", "--snr", "10,0"]
    common += ["--rooms", tmp_path / "noise"]
    saved = tmp_path / "heard.jsonl"
    outcome = edgespeech("evaluate", manifest, manifest, *common, "--json", "--confusions", 2, "--save", saved)
    assert (outcome.code, outcome.err) == (0, "")
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [row["condition"] for row in rows] == ["as recorded", "noise, 10 dB", "noise, 0 dB", "rooms"] * 2
    assert all(set(row["confusions"]) == {"substituted", "deleted", "inserted"} for row in rows)
    assert len(saved.read_text().splitlines()) == 16
    outcome = edgespeech("evaluate", manifest, *common, "--limit", 1)
    assert len(outcome.out.splitlines()) == 5 and outcome.out.startswith("speech")
    outcome = edgespeech("evaluate", manifest, *common, "--into", f"{document}#figures", "--confusions", 1)
    assert (outcome.code, outcome.out) == (0, "")
    written = document.read_text()
    assert written.count("| noise, 10 dB |") == 1 and "`edgespeech evaluate " in written and "most often" in written
    outcome = edgespeech("evaluate", manifest, "--markdown", "--bundle", tiny_bundle.folder)
    assert outcome.out.startswith("| speech | condition |")


def test_against_another_bundle(edgespeech: Command, tiny_bundle: Any, manifest: Path) -> None:
    both = ["--bundle", tiny_bundle.folder, "--against", tiny_bundle.folder]
    outcome = edgespeech("evaluate", manifest, manifest, *both)
    assert outcome.code == 0 and outcome.out.count(": +0.00 points against ") == 2
    outcome = edgespeech("evaluate", manifest, *both, "--json")
    found = json.loads(outcome.out)
    assert found["against"] == {
        "wer": found["wer"],
        "difference": 0.0,
        "difference_interval": [0.0, 0.0],
        "resampled": "utterances",
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--json", "--markdown"], "clash"),
        (["--into", "card.md"], "wanted FILE#NAME"),
        (["--into", "lost.md#a"], "cannot read lost.md"),
        (["--noise", "lost"], "lost has no audio files"),
        (["--noise", ".", "--snr", "loud"], "wanted decibels"),
        (["--limit", "0"], "--limit"),
        (["--save", "lost/heard.jsonl"], "cannot write"),
        (["--against", "lost"], "lost"),
    ],
)
def test_what_cannot_be_done(
    edgespeech: Command,
    tiny_bundle: Any,
    manifest: Path,
    options: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(manifest.parent)
    outcome = edgespeech("evaluate", manifest, "--bundle", tiny_bundle.folder, *options)
    assert outcome.code == 2 and said in outcome.err and outcome.err.count("\n") == 1
