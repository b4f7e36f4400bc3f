"""The command `edgespeech bench` on tiny bundles, without sensor, GPU or network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from edgespeech.demo.bench.report import SCHEMA, Report
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "x"], "wanted values separated by commas"),
        (["--bundle", "absent"], "bundle absent does not exist"),
        (["--precisions", "fp7", "--checkpoint", "absent.pt"], "precision 'fp7' is unknown"),
        (["--precisions", "int8:round", "--checkpoint", "absent.pt"], "precision 'int8:round' is unknown"),
        (["--checkpoint", "absent.pt"], "absent.pt"),
        (["--into", "absent.md#bench"], "cannot read absent.md"),
        (["--launches", "0"], "--launches"),
        (["--speech", "a.jsonl"], "are for bundles made of a --checkpoint"),
        (["--threads", "1,2,3,4,5,6,7,8,9", "--beam-width", "1,2,3,4,5,6,7,8"], "72 configurations; wanted at most 64"),
        (["--threads", "0", "--quick"], "threads is 0; wanted 1 to 256"),
        (["--provider", "cpu,abacus"], "provider 'abacus' is unknown"),
    ],
)
def test_invalid_input_is_one_line(
    edgespeech: Command, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = edgespeech("bench", *arguments)
    last = outcome.err.splitlines()[-1]
    assert (outcome.code, outcome.out) == (2, "") and last.startswith("edgespeech: ") and message in last
    if arguments != ["--threads", "0", "--quick"]:
        assert "launch 1" not in outcome.err, "found before anything was measured"


def test_an_unwritable_folder_is_found_before_measuring(edgespeech: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = edgespeech("bench", "--save", tmp_path / "file")
    assert outcome.code == 2 and "cannot create" in outcome.err and "launch" not in outcome.err
