"""Building a language model with KenLM's tools, and clear errors where they are missing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgespeech.errors import LanguageModelError, MissingDependencyError, UsageError
from edgespeech.reference.language_model.build import LanguageModelSummary, build_language_model
from edgespeech.reference.language_model.kenlm_tools import find_tool
from edgespeech.reference.language_model.request import BuildRequest
from edgespeech.reference.language_model.scoring import SPACE_TOKEN, SentenceScorer
from edgespeech.runtime.decoder.language_model import LanguageModel

LINES = ["the cat sat on the mat", "the dog sat on the log", "The cat saw the dog.", "press x", "in 1904 it rained"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.fixture
def tools() -> Path:
    try:
        find_tool("build_binary")
        return find_tool("lmplz").parent
    except MissingDependencyError as error:
        pytest.skip(str(error))


def build(*texts: Path, output: Path, **options: Any) -> LanguageModelSummary:
    return build_language_model(BuildRequest(texts=texts, output=output, **options))


def fake_tools(folder: Path, lmplz: str) -> Path:
    folder.mkdir()
    for name, script in {"lmplz": lmplz, "build_binary": "exit 0"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def test_a_model_prefers_the_sentences_it_was_built_from(
    text: Path, tools: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kenlm = pytest.importorskip("kenlm")
    caplog.set_level(logging.INFO, "edgespeech")
    output = tmp_path / "new" / "lm.bin"
    summary = build(text, output=output, prune="0", tools=tools)
    model = kenlm.Model(str(output))
    words = LanguageModel(output).vocabulary
    assert words is not None
    assert model.order == 3
    assert model.score("the cat sat on the mat") > model.score("mat the on sat cat the")
    assert "press" in words and "rained" not in words
    assert (summary.lines, summary.unspoken, summary.words, summary.vocabulary_size) == (4, 1, 19, len(words))
    assert summary.ngrams[0] == len(words) + 3 and len(summary.ngrams) == 3
    assert summary.size == output.stat().st_size
    assert [path.name for path in output.parent.iterdir()] == ["lm.bin"]
    assert caplog.messages[:2] == [
        f"{text}: 4 used, 1 unspoken",
        f"estimating 3-grams over {len(words)} of {len(words)} words, prune 0",
    ]


def test_the_vocabulary_has_the_most_frequent_words(text: Path, tools: Path, tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    output = tmp_path / "lm.bin"
    summary = build(text, output=output, prune="0", vocabulary=5, tools=tools)
    words = LanguageModel(output).vocabulary
    assert words is not None and summary.vocabulary_size == len(words) == 5
    assert all(word in words for word in ("cat", "dog", "on", "sat", "the"))
    model = kenlm.Model(str(output))
    assert "cat" in model and "mat" not in model


def test_excluded_lines_and_lone_letters_are_left_out(text: Path, tools: Path, tmp_path: Path) -> None:
    dev = tmp_path / "dev.jsonl"
    dev.write_text('{"text": "the cat sat on the mat"}\n')
    output = tmp_path / "lm.bin"
    summary = build(text, output=output, exclude=(dev,), keep_lone_letters=False, prune="0", tools=tools)
    assert (summary.lines, summary.excluded, summary.lone_letters) == (2, 1, 1)
    words = LanguageModel(output).vocabulary
    assert words is not None and "mat" not in words


def test_a_model_over_characters_has_a_token_for_the_space(text: Path, tools: Path, tmp_path: Path) -> None:
    output = tmp_path / "lm.bin"
    summary = build(text, output=output, characters=True, order=4, prune="0", tools=tools)
    model = LanguageModel(output)
    assert model.order == 4 and model.vocabulary is not None and model.vocabulary.is_of_characters()
    assert SPACE_TOKEN in model.vocabulary and summary.vocabulary_size == len(model.vocabulary)
    scorer = SentenceScorer(output)
    assert scorer.score("the cat").log_prob > scorer.score("teh tac").log_prob
    assert scorer.score("the cat").tokens == 7


def test_labels_without_a_space_make_a_model_without_one(text: Path, tools: Path, tmp_path: Path) -> None:
    output = tmp_path / "lm.bin"
    labels = ("", *"abcdefghijklmnopqrstuvwxyz")
    build(text, output=output, characters=True, labels=labels, prune="0", tools=tools)
    vocabulary = LanguageModel(output).vocabulary
    assert vocabulary is not None and SPACE_TOKEN not in vocabulary
    assert SentenceScorer(output).score("the cat").tokens == 6


def test_perplexity_is_measured_on_a_held_out_text_that_is_excluded(
    text: Path, tools: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgespeech")
    held_out = tmp_path / "held.txt"
    held_out.write_text("the cat sat on the mat\n\nthe dog flew\n")
    summary = build(text, output=tmp_path / "lm.bin", held_out=held_out, prune="0", tools=tools)
    assert summary.excluded == 1
    assert summary.perplexity is not None and summary.perplexity.perplexity > 1.0
    assert (summary.perplexity.lines, summary.perplexity.tokens, summary.perplexity.unknown) == (2, 9, 2)  # flew, mat
    assert "on held-out lines: perplexity" in caplog.messages[-1]


def test_a_fraction_of_the_lines_is_held_out_with_all_their_copies(tools: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    lines = [f"the {first} {second}" for first in "abcdefghijklmnop" for second in "abcdefghijklmnop"]
    text.write_text("\n".join(lines * 3))
    summary = build(text, output=tmp_path / "lm.bin", held_out_fraction=0.25, prune="0", tools=tools)
    assert summary.perplexity is not None
    assert summary.perplexity.lines % 3 == 0 and summary.lines == 3 * 256 - summary.perplexity.lines
    assert 30 < summary.perplexity.lines / 3 < 100


def test_too_few_lines_to_hold_out_are_not_an_error(
    text: Path, tools: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgespeech")
    summary = build(text, output=tmp_path / "lm.bin", prune="0", tools=tools)
    assert summary.perplexity is None and "no lines were held out" in caplog.messages[-1]


def test_the_error_about_missing_tools_names_the_fix(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KENLM_BIN", raising=False)
    with pytest.raises(MissingDependencyError, match="lmplz was not found.*make kenlm-tools") as caught:
        build(text, output=tmp_path / "lm.bin")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "lm.bin").exists()


def test_tools_are_found_where_the_variable_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake_tools(tmp_path / "bin", "exit 0")
    monkeypatch.setenv("KENLM_BIN", str(folder))
    assert find_tool("lmplz") == folder / "lmplz"


def test_a_failing_tool_leaves_the_old_model_unchanged(text: Path, tmp_path: Path) -> None:
    folder = fake_tools(tmp_path / "bin", "echo 'first message' >&2; echo 'out of luck' >&2; exit 3")
    output = tmp_path / "out" / "lm.bin"
    output.parent.mkdir()
    output.write_bytes(b"old")
    with pytest.raises(LanguageModelError, match="lmplz ended with 3: out of luck"):
        build(text, output=output, tools=folder)
    assert output.read_bytes() == b"old"
    assert [path.name for path in output.parent.iterdir()] == ["lm.bin"]


def test_a_text_without_a_usable_line_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "digits.txt").write_text("1904\n1905\n")
    with pytest.raises(LanguageModelError, match="no usable line"):
        build(tmp_path / "digits.txt", output=tmp_path / "lm.bin", tools=fake_tools(tmp_path / "bin", ""))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 1}, "order 1 is out of range"),
        ({"order": 7}, "order 7 is out of range"),
        ({"held_out_fraction": 0.6}, "held-out fraction of 0.6 is out of range"),
        ({"held_out_fraction": 0.1, "held_out": Path("x")}, "clash"),
        ({"vocabulary": 0}, "vocabulary of 0 words"),
        ({"bits": 0}, "0 bits are out of range"),
        ({"prune": "1 2 3"}, "prune '1 2 3' does not fit"),
        ({"prune": "0 2 1"}, "prune '0 2 1' does not fit"),
        ({"prune": "0 0 1 1"}, "does not fit order 3"),
        ({"prune": "0 x"}, "prune '0 x' does not fit"),
        ({"prune": ""}, "prune '' does not fit"),
    ],
)
def test_options_out_of_range_are_rejected(text: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BuildRequest(texts=(text,), output=text.with_name("lm.bin"), **options)


def test_a_folder_as_output_and_no_text_are_rejected(text: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        BuildRequest(texts=(text,), output=tmp_path)
    with pytest.raises(UsageError, match="no text was given"):
        BuildRequest(texts=(), output=tmp_path / "lm.bin")


@pytest.mark.parametrize("option", ["--held-out-fraction", "--held-out-share"])
def test_the_command_takes_the_held_out_fraction_under_both_names(
    edgespeech: Callable[..., Any], text: Path, tools: Path, tmp_path: Path, option: str
) -> None:
    output = tmp_path / "lm.bin"
    outcome = edgespeech("lm", "build", text, "-o", output, "--prune", "0", option, "0")
    assert (outcome.code, outcome.out) == (0, f"{output}\n")
    assert "no lines were held out, so no perplexity is measured" in outcome.err
    outcome = edgespeech("lm", "build", text, "-o", tmp_path / "other.bin", option, "0.7")
    assert outcome.code == 2 and "held-out fraction of 0.7 is out of range" in outcome.err
