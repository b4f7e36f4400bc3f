"""Models that can be imported are named with the command by every command that wants something else."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Command = Callable[..., Any]
STATE = {"module.rnns.0.rnn.weight_ih_l0": torch.zeros(2, 2)}
NAMES = {
    "net.pth": "a Deep Speech 2 model of deepspeech.pytorch",
    "bare.pth": "a Deep Speech 2 model of deepspeech.pytorch, in the format of torch before 1.6",
    "net.pdparams": "a Deep Speech 2 model of PaddleSpeech",
    "release": "a folder with a model of PaddlePaddle",
}


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.save({"epoch": 3, "state_dict": STATE}, "net.pth")
    torch.save(STATE, "bare.pth", _use_new_zipfile_serialization=False)
    Path("net.pdparams").write_bytes(pickle.dumps({"encoder.conv.conv.0.weight": 1}))
    Path("release/exp/ds2/checkpoints").mkdir(parents=True)
    Path("release/exp/ds2/checkpoints/avg_1.pdparams").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("command", ["info {}", "calibrate {} -o out.pt --speech s.jsonl", "average {} -o out.pt"])
@pytest.mark.parametrize("name", NAMES)
def test_other_commands_point_to_the_import(edgespeech: Command, things: Path, name: str, command: str) -> None:
    outcome = edgespeech(*command.format(name).split())
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert NAMES[name] in outcome.err
    assert (
        f"make a checkpoint of it: edgespeech import {name} -o model.pt" in outcome.err
        or "make one of it" in outcome.err
    )


@pytest.mark.parametrize("command", ["import {} -o out.pt", "export {} -o out"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_in_them_is_named(edgespeech: Command, things: Path, name: str, command: str) -> None:
    outcome = edgespeech(*command.format(name).split())
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    missing = "weight_hh_l0 is missing" if name.endswith("pth") else "has no conf/preprocess.yaml"
    assert missing in outcome.err and not (things / "out.pt").exists() and not (things / "out").exists()


def test_outputs_that_exist_and_options_that_clash_are_refused(edgespeech: Command, things: Path) -> None:
    Path("out.pt").write_bytes(b"precious")
    assert "--overwrite" in edgespeech("import", "net.pth", "-o", "out.pt").err
    assert Path("out.pt").read_bytes() == b"precious"
    assert "--audio belongs to --reference" in edgespeech("import", "net.pth", "-o", "new.pt", "--audio", "x.wav").err
    assert "does not exist" in edgespeech("import", "nothing", "-o", "new.pt").err
    assert "cannot write" in edgespeech("import", "net.pth", "-o", "no/such/new.pt").err
