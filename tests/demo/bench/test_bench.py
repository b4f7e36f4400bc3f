"""The command `edgespeech bench` on tiny bundles, without sensor, GPU or network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.bench import run
from edgespeech.demo.bench.report import SCHEMA, Report
from edgespeech.demo.bench.trial import Trial, TrialFigures, Tried
from edgespeech.errors import VerificationError
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.runtime.bundle import Bundle, load_bundle

Command = Callable[..., Any]


@pytest.mark.slow
def test_two_bundles_are_measured_and_the_json_fits_the_schema(
    edgespeech: Command, tiny_bundle: Bundle, cells_bundle: Bundle, tmp_path: Path
) -> None:
    document = tmp_path / "document.md"
    document.write_text("<!-- bench: begin -->\n<!-- bench: end -->\n")
    arguments = ["--bundle", tiny_bundle.folder, "--bundle", cells_bundle.folder, "--threads", "1", "--quick"]
    outcome = edgespeech("bench", *arguments, "--json", "--save", tmp_path / "card", "--into", f"{document}#bench")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(found)
    report = msgspec.json.decode(outcome.out, type=Report)
    fused, cells = report.results
    assert (fused.configuration.name, cells.configuration.name) == ("fp32 fused", "fp32 cells")
    assert fused.relative is None and cells.relative is not None and cells.relative.all.median > 0.0
    assert fused.accuracy == msgspec.structs.replace(cells.accuracy, rtf=fused.accuracy.rtf)
    for result in report.results:
        factors = result.rtf
        assert 0.0 < factors.acoustic.median + factors.decoder.median <= factors.all.high * 1.01
        assert result.chunk_times.all.p50.median >= result.chunk_times.acoustic.p50.median
        assert result.streams is not None and 0 <= result.streams.unbatched.high <= 3
        memory = result.memory
        assert memory is None or memory.peak.median >= memory.steady.median > memory.added.median
    assert sorted(path.name for path in (tmp_path / "card").iterdir()) == [
        "bench.json", "bench.md", "bench.png", "bench.svg",
    ]  # fmt: skip
    written = document.read_text()
    assert written.startswith("<!-- bench: begin -->\n| precision") and written.endswith("\n<!-- bench: end -->\n")
    card = (tmp_path / "card" / "bench.md").read_text()
    assert card.startswith("# edgespeech bench: ") and "| fp32 cells" in card


@pytest.mark.slow
def test_precisions_of_a_checkpoint_are_one_command(
    edgespeech: Command, tiny_model_factory: Callable[..., Any], tmp_path: Path
) -> None:
    save_checkpoint(tiny_model_factory(cell="gru"), tmp_path / "model.pt", {"name": "tiny"})
    arguments = ["--checkpoint", tmp_path / "model.pt", "--threads", "1", "--no-streams", "--quick", "--keep"]
    outcome = edgespeech("bench", *arguments, tmp_path / "kept", "--json", "--precisions", "fp32,int8:fused")
    assert outcome.code == 0, outcome.err
    results = msgspec.json.decode(outcome.out, type=Report).results
    assert [result.configuration.precision for result in results] == ["fp32", "int8"]
    assert [result.configuration.form for result in results] == ["fused", "cells"], "no integer operator for a GRU"
    assert all(result.streams is None for result in results)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["fp32", "int8-fused"]
    assert load_bundle(tmp_path / "kept/int8-fused").manifest.decoder == load_bundle().manifest.decoder


@pytest.fixture
def inputs(tmp_path: Path, tiny_model_factory: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with good and bad inputs, which is the working folder."""
    save_checkpoint(tiny_model_factory(cell="gru"), tmp_path / "model.pt", {"name": "tiny"})
    (tmp_path / "junk").write_text("junk\n")
    (tmp_path / "nomarks.md").write_text("# No marks\n")
    soundfile.write(tmp_path / "short.wav", np.zeros(1600, np.float32), 16000)
    soundfile.write(tmp_path / "second.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    lines = {"lost": {"audio_filepath": "lost.wav", "text": "a"}, "mute": {"audio_filepath": "second.wav"}}
    for name, line in lines.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(line) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--threads x", "wanted values separated by commas"),
        ("--threads ,", "an option with several values has none"),
        ("--threads 0", "threads is 0; wanted 1 to 256"),
        ("--threads 1,2,3,4,5,6,7,8,9 --beam-width 1,2,3,4,5,6,7,8", "72 configurations; wanted at most 64"),
        ("--beam-width 0", "beam_width is 0"),
        ("--chunk-ms 0 --quick", "chunk of 0 ms"),
        ("--chunk-ms nan --quick", "chunk of nan ms"),
        ("--chunk-ms 31 --quick", "chunk of 31 ms: wanted a multiple of 30 ms"),
        ("--chunk-ms 30000 --audio second.wav", "are longer than every recording"),
        ("--launches 0", "--launches"),
        ("--provider cpu,abacus", "provider 'abacus' is unknown"),
        ("--bundle absent", "bundle absent does not exist"),
        ("--bundle junk", "junk"),
        ("--audio absent.wav", "absent.wav"),
        ("--audio junk", "junk"),
        ("--audio short.wav", "less than half a second of sound"),
        ("--dev absent.jsonl", "absent.jsonl"),
        ("--dev lost.jsonl", "audio file 'lost.wav' does not exist"),
        ("--dev mute.jsonl", "no utterance with a text"),
        ("--dev junk", "junk"),
        ("--into absent.md#bench", "cannot read absent.md"),
        ("--into nomarks.md#bench", "has no <!-- bench: begin -->"),
        ("--into nomarks.md", "is not a place in a document"),
        ("--save junk", "cannot create junk"),
        ("--json --markdown", "--json and --markdown clash"),
        ("--speech lost.jsonl", "are for bundles made of a --checkpoint"),
        ("--keep folder", "are for bundles made of a --checkpoint"),
        ("--checkpoint absent.pt", "absent.pt"),
        ("--checkpoint junk", "junk"),
        ("--checkpoint model.pt --precisions fp7", "precision 'fp7' is unknown"),
        ("--checkpoint model.pt --precisions int8:round", "precision 'int8:round' is unknown"),
        ("--checkpoint model.pt --precisions ,", "--precisions has no value"),
        ("--checkpoint model.pt --speech lost.jsonl", "audio file 'lost.wav' does not exist"),
        ("--checkpoint model.pt --keep junk", "junk"),
        ("--checkpoint model.pt --chunk-ms 31", "a chunk of 31 ms was asked for"),
        ("--checkpoint model.pt --chunk-ms 400", "int4 has a fixed chunk"),
        ("--checkpoint model.pt --beam-width 1,2,3,4,5,6,7,8,9 --threads 1,2", "72 configurations; wanted at most 64"),
        ("--checkpoint model.pt --bundle absent", "bundle absent does not exist"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_measured_or_exported(
    edgespeech: Command, arguments: str, message: str, inputs: Path
) -> None:
    before = sorted(inputs.iterdir())
    outcome = edgespeech("bench", *arguments.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("edgespeech: ") and outcome.err.count("\n") == 1 and message in outcome.err
    assert sorted(inputs.iterdir()) == before, "nothing is left behind"


def test_the_duration_is_stated_before_the_first_measurement(
    edgespeech: Command, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[object] = []

    def run_task(task: object, kind: type) -> object:
        if isinstance(task, Trial):
            tried = Tried(load=0.1, rtf=0.02, chunk_seconds=0.3)
            return TrialFigures(configurations=[tried], recordings=[10.0], start=0.0, has_meter=False)
        measured.append(task)
        raise VerificationError("the first measurement")

    monkeypatch.setattr(run, "in_fresh_process", run_task)
    outcome = edgespeech("bench", "--bundle", tiny_bundle.folder, "--threads", 1)
    first, second, last = outcome.err.splitlines()
    assert first == "measuring 1 configuration in 6 launches takes about 75 seconds"
    assert second == "launch 1 of 6: configuration 1 of 1; 75 seconds left"
    assert last == "edgespeech: the first measurement" and len(measured) == 1
