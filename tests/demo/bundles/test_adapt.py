"""`edgespeech adapt` with a tiny model: it writes a bundle, but only if that recognises the voice better."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from edgespeech import runtime
from edgespeech.demo.bundles.adapt import Comparison, PersonalRequest, adapt_bundle, default_checkpoint, state_folder
from edgespeech.demo.bundles.export import BundleRequest, export_bundle
from edgespeech.demo.cli import cli
from edgespeech.errors import CheckpointError, EdgespeechError, UsageError, VerificationError
from edgespeech.export.request import ExportRequest
from edgespeech.reference.adaptation import voice
from edgespeech.reference.adaptation.adapt import Adaptation, AdaptationRequest
from edgespeech.reference.adaptation.recipe import AdaptationSettings
from edgespeech.runtime.bundle import LANGUAGE_MODEL, PUNCTUATION, load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from edgespeech.runtime.measure.word_errors import align_and_count
from tests.reference.adaptation.voices import texts_of, write_start, write_voice

SETTINGS = AdaptationSettings(passes=2, repeats=1, learning_rate=0.02, mix=1.0, batch_seconds=6.0)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute tiny tensors on one thread: more only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkpoint, its bundle ``base``, an unusual voice, and general speech."""
    folder = tmp_path_factory.mktemp("personal")
    checkpoint = write_start(folder)
    write_voice(folder, "mine", texts_of(40), unusual=True)
    export_bundle(checkpoint, folder / "base", BundleRequest(ExportRequest(speech=folder / "all.jsonl")))
    return folder


@pytest.fixture
def request_(folder: Path, monkeypatch: pytest.MonkeyPatch) -> PersonalRequest:
    monkeypatch.setattr(voice, "MIN_SECONDS", 10.0)
    request = AdaptationRequest(folder / "out" / "best.pt", folder / "mine.jsonl", settings=SETTINGS)
    return PersonalRequest(request, folder / "base")


def test_a_bundle_of_the_adapted_model_is_written(request_: PersonalRequest, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "personal"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    request = PersonalRequest(request_.adaptation, request_.bundle, folder / "all.jsonl")
    told: list[str] = []
    written = adapt_bundle(request, output, lambda cost: told.append(str(cost)))
    mine, others = written.comparisons
    assert mine.speech == "your voice, held out" and others.speech.endswith("all.jsonl")
    assert told[0].startswith("at most 2 passes, ") and told[0].endswith(" GB of memory")
    bundle = load_bundle(output)
    assert bundle.manifest.provenance["adapted"]["passes"] == 2
    assert bundle.manifest.audio == load_bundle(request.bundle).manifest.audio
    table, *caution = written.page()
    assert "your voice, held out" in str(table)
    assert bool(caution) is (others.after.wer > others.before.wer + 0.005)
    assert not state_folder(output).exists()
    assert {path: path.read_bytes() for path in before} == before


def test_the_command_prints_the_table_and_the_folder(request_: PersonalRequest, folder: Path, tmp_path: Path) -> None:
    words = ["adapt", "--speech", str(folder / "mine.jsonl"), "-o", str(tmp_path / "new"), "--minutes", "60"]
    words += ["--bundle", str(folder / "base"), "--checkpoint", str(request_.adaptation.checkpoint)]
    done = CliRunner().invoke(cli, [*words, "--replay", str(folder / "all.jsonl"), "--markdown"])
    assert done.exit_code == 0, done.exception
    assert "this takes at most 3 passes, " in done.output
    assert "| your voice, held out |" in done.output and done.output.rstrip().endswith(str(tmp_path / "new"))
    assert load_bundle(tmp_path / "new").manifest.provenance["adapted"]["mix"] == 1.0
    with pytest.raises(UsageError, match="is a bundle; give --overwrite"):
        CliRunner().invoke(cli, words, catch_exceptions=False)


def test_without_progress_nothing_is_written(
    request_: PersonalRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Comparison, "is_worse", property(lambda self: True))
    with pytest.raises(VerificationError, match=r"makes \d+ word errors in \d+ held-out words of the voice, the one"):
        adapt_bundle(request_, tmp_path / "personal")
    assert list(tmp_path.iterdir()) == []


def test_wrong_texts_are_refused(request_: PersonalRequest, folder: Path, tmp_path: Path) -> None:
    wrong = write_voice(folder, "wrong", texts_of(20, seed=3))
    lines = [json.loads(line) for line in wrong.read_text(encoding="utf-8").splitlines()]
    turned = [{**one, "text": one["text"].translate(str.maketrans("abc", "bca"))} for one in lines]
    wrong.write_text("\n".join(map(json.dumps, turned)), encoding="utf-8")
    settings = replace(SETTINGS, repeats=6, learning_rate=0.03)
    adaptation = replace(request_.adaptation, speech=wrong, held_out=folder / "all.jsonl", settings=settings)
    with pytest.raises(
        VerificationError, match=r"and its loss there is [\d.]+ nats per letter instead of [\d.]+: noth"
    ):
        adapt_bundle(replace(request_, adaptation=adaptation), tmp_path / "personal")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("before", "after", "worse"), [(20, 60, True), (20, 22, False), (20, 10, False)])
def test_more_errors_count_if_chance_does_not_explain_them(before: int, after: int, worse: bool) -> None:
    def evaluation(wrong: int) -> Any:
        references = ["one two three"] * 30
        hypotheses = [
            " ".join(["one", "two", "three"][(wrong > place) + (wrong > 30 + place) :]) for place in range(30)
        ]
        return SimpleNamespace(errors=align_and_count(references, hypotheses), speakers=(None,) * 30)

    assert Comparison("mine", evaluation(before), evaluation(after)).is_worse is worse


def test_a_stopped_adaptation_says_how_to_go_on_and_the_bundle_before_stays(
    request_: PersonalRequest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgespeech.reference.adaptation import adapt as adaptation
    from edgespeech.reference.training.train import train

    output = tmp_path / "personal"
    with monkeypatch.context() as patch:
        patch.setattr(adaptation, "train", lambda config, base, resume: train(config, base, resume=resume, minutes=0.0))
        with pytest.raises(UsageError, match="stopped; the same command goes on, from .*personal.adapting"):
            adapt_bundle(request_, output)
    assert not output.exists() and state_folder(output).is_dir()
    assert adapt_bundle(request_, output).bundle.folder == output
    assert [path.name for path in tmp_path.iterdir()] == ["personal"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist; wanted a manifest"),
        ("hello\n", "invalid JSON"),
        ('{"audio_filepath": "all0.wav", "text": "abc"}\n', "too few to hold some out"),
    ],
)
def test_unusable_speech_is_an_error_of_one_line(
    folder: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    speech = folder / "bad.jsonl"
    speech.unlink(missing_ok=True)
    if content is not None:
        speech.write_text(content, encoding="utf-8")
    words = ["adapt", "--speech", str(speech), "-o", str(tmp_path / "new"), "--bundle", str(folder / "base")]
    done = CliRunner().invoke(cli, [*words, "--checkpoint", str(folder / "out" / "best.pt")])
    assert isinstance(done.exception, EdgespeechError) and done.exception.exit_code == 2
    assert message in str(done.exception) and "\n" not in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_the_checkpoint_of_the_default_bundle_is_found_or_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_checkpoint().is_file()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtime, "__path__", [str(tmp_path / "runtime")])
    with pytest.raises(CheckpointError, match="no checkpoint at .*edge.pt; give --checkpoint"):
        default_checkpoint()


@pytest.mark.slow
def test_the_default_model_keeps_its_precision_language_model_tagger_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Adaptation, "is_better", property(lambda self: True))
    monkeypatch.setattr(voice, "MIN_SECONDS", 5.0)
    settings = AdaptationSettings(passes=1, repeats=1, mix=0.1)
    request = AdaptationRequest(default_checkpoint(), SAMPLE_CLIPS, settings=settings)
    written = adapt_bundle(PersonalRequest(request), tmp_path / "personal").bundle.manifest
    default = load_bundle().manifest
    assert written.files.keys() == default.files.keys()
    assert {name: written.files[name] for name in (LANGUAGE_MODEL, PUNCTUATION)} == {
        name: default.files[name] for name in (LANGUAGE_MODEL, PUNCTUATION)
    }
    assert (written.graph.precision, written.decoder, written.audio) == ("int8", default.decoder, default.audio)
    assert written.label_priors == default.label_priors
    assert written.provenance["blank_score"] == default.provenance["blank_score"]
    assert written.provenance["punctuation"] == default.provenance["punctuation"]
    assert 0.0 < written.provenance["adapted"]["seconds"] < 60.0
