"""Written text on the command line: all formats, the score of evaluate, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgespeech.demo.cli import cli
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest

CLIP = str(read_manifest(SAMPLE_CLIPS)[0].path)
FAST = ("--beam-width", "8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments], catch_exceptions=False)


@pytest.mark.parametrize("form", ["txt", "srt", "vtt"])
def test_text_and_subtitles_are_written_unless_plain_text_is_asked_for(form: str) -> None:
    written = run("transcribe", CLIP, "--format", form, *FAST).stdout
    assert written == run("transcribe", CLIP, "--written", "--format", form, *FAST).stdout
    plain = run("transcribe", CLIP, "--plain", "--format", form, *FAST).stdout
    letters = ["".join(filter(str.isalpha, text.replace("WEBVTT", "").lower())) for text in (written, plain)]
    assert written != plain and letters[0] == letters[1] != ""


def test_a_grammar_and_several_hypotheses_are_plain(tmp_path: Path) -> None:
    phrases = tmp_path / "phrases.txt"
    phrases.write_text("make one of the beginning\nthe first row\n", encoding="utf-8")
    for options in (["--nbest", "2"], ["--grammar", str(phrases)]):
        text = run("transcribe", CLIP, *options, *FAST).stdout
        assert text == text.lower()


def test_a_bundle_without_a_tagger_is_plain(tiny_bundle: Bundle) -> None:
    shown = run("transcribe", CLIP, "--bundle", str(tiny_bundle.folder))
    assert shown.exit_code == 0 and shown.stdout == shown.stdout.lower()


@pytest.mark.parametrize("form", ["txt", "srt", "vtt", "tsv", "json", "jsonl", "live", "events"])
def test_a_hot_word_keeps_its_case_in_every_output(form: str) -> None:
    options = ["--written", "--hot-word", "BEginning:2", *FAST]
    if form in ("live", "events"):
        shown = run("live", "--replay", CLIP, "--speed", "0", *(["--json"] if form == "events" else []), *options)
    else:
        shown = run("transcribe", CLIP, "--format", form, *options)
    assert "BEginning" in shown.stdout


def test_numerals_ask_for_written_text() -> None:
    pytest.importorskip("text_to_num")
    found = json.loads(run("transcribe", CLIP, "--numerals", "--format", "json", *FAST).stdout)
    assert any(word["written"][:1].isdigit() for word in found["words"])


def test_live_is_plain_in_a_pipe_and_written_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["live", "--replay", CLIP, "--speed", "0", *FAST]
    piped = run(*command).stdout
    monkeypatch.setattr("edgespeech.demo.commands.live.is_for_people", lambda as_json: not as_json)
    shown, as_json = run(*command).stdout, run(*command, "--json").stdout
    assert piped == piped.lower() != shown and piped == run(*command, "--plain").stdout
    assert all(event["text"] == event["text"].lower() for event in map(json.loads, as_json.splitlines()))


def test_json_has_both_forms_and_is_plain_by_default() -> None:
    written = json.loads(run("transcribe", CLIP, "--written", "--format", "json", *FAST).stdout)
    plain = json.loads(run("transcribe", CLIP, "--format", "json", *FAST).stdout)
    assert written["text"] != plain["text"] == written["text"].lower().translate(str.maketrans("", "", ".,?!"))
    assert [word["word"] for word in written["words"]] == plain["text"].split()
    assert " ".join(word["written"] for word in written["words"]) == written["text"]
    assert not any("written" in word for word in plain["words"])
    assert plain["text"] == json.loads(run("transcribe", CLIP, "--plain", "--format", "json", *FAST).stdout)["text"]


@pytest.mark.parametrize("form", ["txt", "srt", "vtt", "tsv"])
def test_other_formats_are_written_too(form: str) -> None:
    shown = run("transcribe", CLIP, "--written", "--format", form, *FAST).stdout
    assert any(line[:1].isupper() and line != "WEBVTT" for line in shown.replace("\t", "\n").splitlines())


def test_evaluate_scores_marks_and_leaves_word_errors_alone(tmp_path: Path) -> None:
    manifest = tmp_path / "one.jsonl"
    said = json.loads(run("transcribe", CLIP, "--written", "--format", "json", *FAST).stdout)
    line = {"audio_filepath": CLIP, "text": said["text"], "duration": said["duration"]}
    manifest.write_text(json.dumps(line) + "\n", encoding="utf-8")
    found = json.loads(run("evaluate", str(manifest), "--written", "--json", *FAST).stdout)
    assert found["wer"] == 0.0 and found["written"]["case"] == 1.0 and found["written"]["period"]["f1"] in {0.0, 1.0}
    assert "case 100.00%" in run("evaluate", str(manifest), "--written", *FAST).stdout
    assert "written" not in json.loads(run("evaluate", str(manifest), "--json", *FAST).stdout)


def test_a_tagger_is_trained_added_and_measured(tiny_bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    text, tagger, bundle = tmp_path / "text.txt", tmp_path / "tagger.pt", tmp_path / "bundle"
    text.write_text("So he came home. Who was there? Nobody, it seemed, and he went on.\n" * 90, encoding="utf-8")
    assert "words seen" in run("punctuation", "train", str(text), "-o", str(tagger), "--minutes", "0.01").stdout
    added = run("punctuation", "add", str(tagger), "--bundle", str(tiny_bundle.folder), "-o", str(bundle))
    assert "punctuation.onnx" in added.stdout and (bundle / "punctuation.onnx").is_file()
    copied = run("punctuation", "add", str(bundle), "--bundle", str(tiny_bundle.folder), "-o", str(tmp_path / "other"))
    assert "that of" in copied.stdout
    assert (tmp_path / "other" / "punctuation.onnx").read_bytes() == (bundle / "punctuation.onnx").read_bytes()
    found = json.loads(run("punctuation", "evaluate", str(text), "--bundle", str(bundle), "--json").stdout)
    assert set(found) == {"tagger", "period at each endpoint"}
    assert "tagger of marks and capitals" in run("verify", str(bundle)).stdout
