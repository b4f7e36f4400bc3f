"""`data scaling` on tones: it trains, fits, draws, and resumes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgespeech.demo.evaluation.scaling import draw, page, summary
from edgespeech.reference.training.scaling import Point
from edgespeech.runtime.measure.tables import markdown_text
from tests.markdown_tables import cells
from tests.reference.tones import write_tones

Command = Callable[..., Any]

RECIPE = """
output = "out"
[data]
train = ["all.jsonl"]
dev = ["all.jsonl"]
batch_seconds = 2.0
workers = 0
[model]
cell = "gru"
hidden = 8
layers = 1
lookahead_frames = 1
[model.features]
bins = 12
[[model.convolutions]]
channels = 8
kernel = 5
stride = 4
[optimisation]
epochs = 1
precision = "float32"
"""


def points(*rates: float) -> list[Point]:
    fractions = ("1/8", "1/4", "1/2", "1")
    return [
        Point(fraction=fraction, hours=2.5 * 2**index, speakers=9, wer=rate, loss=2.0 * rate, epochs=3)
        for index, (fraction, rate) in enumerate(zip(fractions, rates, strict=True))
    ]


def test_the_table_has_points_laws_and_predictions() -> None:
    lines = markdown_text(page(summary(points(0.8, 0.4, 0.2, 0.1), [40.0, 80.0]))).splitlines()
    assert cells(lines[0]) == ["fraction", "hours", "speakers", "dev WER", "dev loss"]
    assert cells(lines[2]) == ["1/8", "2.500", "9", "80.0%", "1.600"]
    assert lines[7:9] == [
        "- word error rate on dev, greedy: 2 x hours^-1.000, 90 % less for ten times the data",
        "- 40 h: 5.0%, 95 % interval 5.0% to 5.0%",
    ]
    assert lines[11].startswith("- 40 h: 0.1, ")
    flat = markdown_text(page(summary(points(1.0, 0.95, 1.0, 0.9), [1000.0])))
    assert "to more than 100%" in flat and flat.splitlines()[-1].startswith("- a WER above 90 %")


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(summary(points(0.8, 0.7, 0.6, 0.55), [100.0, 1000.0]), tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG") and len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_a_study_is_trained_kept_and_resumed(edgespeech: Command, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_tones(tmp_path)
    recipe = tmp_path / "tones.toml"
    recipe.write_text(RECIPE)
    outcome = edgespeech("data", "scaling", recipe, "--fractions", "1/4,1/2,1", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert [point["share"] for point in found["points"]] == ["1/4", "1/2", "1"]
    assert [one["hours"] for one in found["predictions"]] == [100.0, 1000.0]
    folder = tmp_path / "out_scaling"
    assert sorted(path.name for path in folder.iterdir()) == ["1of1", "1of2", "1of4", "scaling.json", "scaling.png"]
    # Finished fractions are not trained again; a new one, here under the former name of the option, is.
    outcome = edgespeech("data", "scaling", recipe, "--shares", "1/4,1/2,3/4,1", "--resume")
    assert outcome.code == 0 and len(outcome.out.splitlines()[1:5]) == 4
    lines = outcome.err.splitlines()
    assert lines[0] == "fraction 3/4" and "fraction 1/2" not in lines


def test_invalid_options_are_named_in_one_line(edgespeech: Command, tmp_path: Path) -> None:
    write_tones(tmp_path)
    recipe = tmp_path / "tones.toml"
    recipe.write_text(RECIPE)
    (tmp_path / "file").write_text("")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "scaling.json").write_text('{"points": 1}')
    for options, message in (
        (["--shares", "1/2,1"], "2 fractions; wanted 3 or more"),
        (["--fractions", "1/2,1"], "2 fractions; wanted 3 or more"),
        (["--hours", "many"], "wanted numbers"),
        (["--hours", "0"], "wanted more than 0"),
        (["--minutes", "0"], "--minutes"),
        (["-o", tmp_path / "file" / "study"], "cannot create"),
        (["-o", tmp_path / "study", "--resume"], "scaling.json cannot be read"),
    ):
        outcome = edgespeech("data", "scaling", recipe, *options)
        assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1, message
