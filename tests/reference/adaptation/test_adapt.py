"""Adaptation to another voice: it learns, resumes, stops in time, and leaves the checkpoint as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch

from edgespeech.errors import UsageError
from edgespeech.reference.adaptation import adapt, voice
from edgespeech.reference.adaptation.adapt import AdaptationRequest, AdaptationRun
from edgespeech.reference.adaptation.cost import Cost
from edgespeech.reference.adaptation.recipe import AdaptationSettings
from edgespeech.reference.data.batches import ClipDataset
from edgespeech.reference.data.clips import usable_clips
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.model.checkpoint import load_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.training.greedy import evaluate_greedy
from edgespeech.reference.training.train import train
from tests.reference.adaptation.voices import texts_of, write_start, write_voice

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = AdaptationSettings(passes=3, repeats=3, learning_rate=0.03, mix=1.0, batch_seconds=6.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkpoint, an unusual voice, and general speech."""
    folder = tmp_path_factory.mktemp("adaptation")
    write_start(folder)
    write_voice(folder, "mine", texts_of(40), unusual=True)
    write_voice(folder, "others", texts_of(8, seed=2))
    return folder


@pytest.fixture
def request_(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AdaptationRequest:
    monkeypatch.setattr(voice, "MIN_SECONDS", 10.0)
    return AdaptationRequest(folder / "out" / "best.pt", folder / "mine.jsonl", settings=SETTINGS)


def loss(model: DeepSpeech2, manifest: Path) -> float:
    clips, _ = usable_clips([manifest], model.labels, model.config, DataConfig(train=(), dev=()))
    return evaluate_greedy(model, ClipDataset(clips, 16000), 20.0, torch.device("cpu")).loss


def adapted(request: AdaptationRequest, folder: Path) -> DeepSpeech2:
    run = AdaptationRun(request, folder)
    run.prepare()
    found = run.run()
    assert found.finished
    return found.model


def test_the_voice_is_recognised_better_and_the_checkpoint_stays(
    request_: AdaptationRequest, tmp_path: Path, folder: Path
) -> None:
    before = request_.checkpoint.read_bytes()
    run = AdaptationRun(request_, tmp_path / "work")
    cost = run.prepare()
    assert cost.passes == 3 and cost.seconds > 0.0 and cost.peak_mb > 100.0
    found = run.run()
    assert found.finished and found.is_better
    start, _ = load_checkpoint(request_.checkpoint)
    held_out = tmp_path / "work" / "held_out.jsonl"
    assert [*found.losses] == pytest.approx([loss(start, held_out), loss(found.model, held_out)])
    assert found.losses[1] < 0.5 * found.losses[0]
    assert found.provenance["adapted"] == {"seconds": pytest.approx(found.voice.train_seconds, abs=0.1), 
                                           "passes": 3, "mix": 1.0, "replay_seconds": 0.0}  # fmt: skip
    assert found.provenance["name"] == "tones"
    assert request_.checkpoint.read_bytes() == before


def test_wrong_texts_make_the_held_out_speech_less_probable(
    request_: AdaptationRequest, tmp_path: Path, folder: Path
) -> None:
    lines = [json.loads(line) for line in (folder / "others.jsonl").read_text(encoding="utf-8").splitlines()]
    wrong = [{**one, "text": one["text"].translate(str.maketrans("abc", "bca"))} for one in lines]
    (folder / "wrong.jsonl").write_text("\n".join(map(json.dumps, wrong)), encoding="utf-8")
    request = replace(request_, speech=folder / "wrong.jsonl", held_out=folder / "all.jsonl")
    run = AdaptationRun(request, tmp_path / "work")
    run.prepare()
    assert not run.run().is_better


def test_replay_and_mixing_keep_others_recognised(request_: AdaptationRequest, tmp_path: Path, folder: Path) -> None:
    free = adapted(request_, tmp_path / "free")
    mixed = adapted(replace(request_, settings=replace(SETTINGS, mix=0.3)), tmp_path / "free")
    replayed = adapted(replace(request_, replay=folder / "all.jsonl"), tmp_path / "replayed")
    others = folder / "others.jsonl"
    assert loss(mixed, others) < loss(free, others)
    assert loss(replayed, others) < loss(free, others)


def test_a_stopped_run_ends_as_one_that_was_not(
    request_: AdaptationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = adapted(request_, tmp_path / "whole")
    run = AdaptationRun(request_, tmp_path / "parts")
    run.prepare()
    with monkeypatch.context() as patch:
        patch.setattr(adapt, "train", lambda config, base, resume: train(config, base, resume=resume, minutes=0.0))
        assert not run.run().finished
    for (name, one), two in zip(
        whole.state_dict().items(), adapted(request_, tmp_path / "parts").state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name


def test_other_inputs_begin_again(request_: AdaptationRequest, tmp_path: Path) -> None:
    adapted(request_, tmp_path / "work")
    other = replace(request_, settings=replace(SETTINGS, learning_rate=0.002, passes=1))
    adapted(other, tmp_path / "work")
    assert len((tmp_path / "work" / "run" / "history.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_passes_are_chosen_by_the_time_limit(
    request_: AdaptationRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapt, "measure_cost", lambda *arguments: Cost(60.0, 3, 500.0))
    limited = replace(request_, minutes=2.5)
    run = AdaptationRun(limited, tmp_path / "work")
    assert run.prepare().passes == 2
    run.run()
    # The measured time of a run that goes on has no influence.
    monkeypatch.setattr(adapt, "measure_cost", lambda *arguments: Cost(10.0, 3, 500.0))
    assert AdaptationRun(limited, tmp_path / "work").prepare().passes == 2
    with pytest.raises(UsageError, match="a pass takes 0.2 minutes here, and --minutes is 0.1; allow more"):
        AdaptationRun(replace(request_, minutes=0.1), tmp_path / "other").prepare()


def test_settings_are_checked(request_: AdaptationRequest) -> None:
    with pytest.raises(UsageError, match="0 minutes; wanted more than 0"):
        replace(request_, minutes=0.0)
    with pytest.raises(UsageError, match="0 passes of 3 repeats: wanted at least 1 of each"):
        replace(SETTINGS, passes=0)
    with pytest.raises(UsageError, match="a mix of 0; wanted more than 0, at most 1"):
        replace(SETTINGS, mix=0.0)
    config = AdaptationRun(request_, Path("none")).config
    assert msgspec.to_builtins(config)["start"] == "start.pt"


def test_costs_are_told_in_a_line() -> None:
    cost = Cost(90.0, 6, 1540.0)
    assert str(cost) == "at most 6 passes, 9 minutes (90 seconds each), and 1.5 GB of memory"
    assert [cost.passes_within(seconds) for seconds in (80.0, 200.0, 9000.0)] == [0, 2, 6]
