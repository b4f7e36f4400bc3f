"""Workers of a Ray cluster on this machine: the outcomes and figures are those of the local engine."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.jobs.engine import Engine
from edgespeech.demo.jobs.ray_data import MAX_ATTEMPTS
from edgespeech.errors import EdgespeechError
from edgespeech.runtime.audio import read
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from tests.demo.jobs.tasks import Shout

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray has warnings of its own
WORKERS = Engine(2, "ray")
RAY = ("--engine", "ray", "--jobs", 2)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Start a cluster with two processors, which the engine joins because it runs."""
    ray: Any = pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


def test_every_item_has_an_outcome_although_workers_end(tmp_path: Path) -> None:
    words = ["a", "bad", "deadly", "b", "deadly once", *"cdefgh"]
    outcomes = {one.index: one for one in WORKERS.run(Shout(str(tmp_path)), words)}
    assert sorted(outcomes) == list(range(len(words)))
    assert outcomes[1].error == "bad word; give another"
    assert outcomes[2].error == f"its worker ended, {MAX_ATTEMPTS} times"
    assert outcomes[4].result.startswith("DEADLY ONCE")
    assert [index for index, one in sorted(outcomes.items()) if one.error] == [1, 2]


def test_a_task_that_cannot_be_opened_ends_the_run() -> None:
    with pytest.raises(EdgespeechError, match="^no bundle here; give another$"):
        list(WORKERS.run(Shout("closed"), ["a", "b"]))


def test_evaluate_prints_the_figures_of_the_local_engine(
    edgespeech: Callable[..., Any], tiny_bundle: Any, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "n.wav", 0.1 * np.random.default_rng(9).standard_normal(16000), 16000)
    arguments = ("evaluate", SAMPLE_CLIPS, SAMPLE_CLIPS, "--noise", tmp_path, "--snr", "10", "--json",
                 "--bundle", tiny_bundle.folder, "--against", tiny_bundle.folder)  # fmt: skip
    found = {}
    for name, more in {"alone": (), "local": ("--jobs", 2), "ray": RAY}.items():
        done = edgespeech(*arguments, *more, "--save", tmp_path / f"{name}.jsonl")
        assert done.code == 0, done.err
        lines = [json.loads(line) for line in done.out.splitlines()]
        found[name] = [{key: line[key] for key in line if key not in ("seconds", "rtf")} for line in lines]
    assert len(found["alone"]) == 4
    assert found["alone"] == found["local"] == found["ray"]
    hypotheses = [(tmp_path / f"{name}.jsonl").read_text() for name in found]
    assert hypotheses[0] == hypotheses[1] == hypotheses[2]


def test_align_makes_the_clips_of_the_local_engine(edgespeech: Callable[..., Any], tmp_path: Path) -> None:
    clips = read_manifest(SAMPLE_CLIPS)
    arguments: list[object] = ["data", "align"]
    for number, some in enumerate((clips[:3], clips[3:])):
        parts = [part for one in some for part in (read(one.path), np.zeros(8000, np.float32))]
        soundfile.write(tmp_path / f"{number}.wav", np.concatenate(parts), 16000)
        (tmp_path / f"{number}.txt").write_text("\n".join(one.text for one in some))
        arguments += [tmp_path / f"{number}.wav", "--text", tmp_path / f"{number}.txt"]
    found = []
    for name, more in {"local": (), "ray": RAY}.items():
        done = edgespeech(*arguments, "-o", tmp_path / f"{name}.jsonl", "--clips", tmp_path / "clips", *more)
        assert done.code == 0, done.err
        samples = {one.name: one.read_bytes() for one in (tmp_path / "clips").iterdir()}
        found.append((done.out, (tmp_path / f"{name}.jsonl").read_text(), samples))
    assert found[0] == found[1]
    assert len(found[0][2]) >= 3
