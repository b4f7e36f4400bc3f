"""Reports made by hand: their schema, the card, the comparison, the table, the picture."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import numpy as np
import pytest

from edgespeech.demo.bench.card import card_page
from edgespeech.demo.bench.compare import comparison_page, differences, judge
from edgespeech.demo.bench.picture import draw_report
from edgespeech.demo.bench.report import (
    SCHEMA,
    Accuracy,
    ChunkTimes,
    Configuration,
    Energy,
    Load,
    Memory,
    Percentiles,
    Ratios,
    RealTimeFactors,
    Report,
    Result,
    Spread,
    Streams,
    TimesToText,
    apart_by_chance,
    percentiles,
    read_report,
    schema,
    spread,
)
from edgespeech.demo.bench.table import summary_page
from edgespeech.demo.machine.records import Conditions, Device, Jetson, Sensor
from edgespeech.errors import MissingDependencyError, UsageError
from edgespeech.runtime.measure.tables import markdown_text
from tests.markdown_tables import cells

Command = Callable[..., Any]


def figure(median: float, width: float = 0.1) -> Spread:
    return Spread(median, median * (1.0 - width), median * (1.0 + width), 6)


def result(name: str = "int8 cells", rtf: float = 0.02, **changes: Any) -> Result:
    times = Percentiles(p50=figure(6.0), p95=8.0, p98=figure(9.0), p99=11.0, max=20.0, count=900)
    configuration = Configuration(
        name=name, bundle="/b", model="edge", sha256="c0ffee" * 10, form=name.split()[1], precision=name.split()[0],
        provider="cpu", threads=1, chunk_ms=320.0, lookahead_ms=320.0, beam_width=64, language_model=True,
        acoustic_mb=6.28, bundle_mb=15.2,
    )  # fmt: skip
    factors = {"acoustic": figure(rtf * 0.6), "decoder": figure(rtf * 0.3), "all": figure(rtf)}
    made = Result(
        configuration=configuration,
        load=Load(cold=figure(200.0), warm=figure(60.0), files_were_cold=True),
        chunk_times=ChunkTimes(acoustic=times, decoder=times, all=times),
        rtf=RealTimeFactors(**factors),
        relative=Ratios(**factors) if name != "int8 cells" else None,
        latency=TimesToText(
            first_partial=None, final_on_stop=figure(5.0), final_on_silence=figure(1500.0), compute=9.0
        ),
        memory=Memory(steady=figure(110.0), peak=figure(115.0), added=figure(40.0)),
        cpu_seconds_per_second_of_audio=figure(0.02),
        cores_busy=1.0,
        energy=Energy("RAPL", figure(0.31), figure(0.2), figure(15.0), figure(5.0)),
        accuracy=Accuracy("sample clips", 0.767, 0.45, (0.66, 0.86), 73, 6, 0.02),
        streams=Streams(unbatched=figure(40.0), batched=None, at_least=False),
        nodes=90,
        nodes_on_cpu={"Identity": 6, "Slice": 3},
    )
    changed: Result = msgspec.structs.replace(made, **changes)
    return changed


def report(*results: Result, notes: tuple[str, ...] = ()) -> Report:
    return Report(
        made="2026-01-01T00:00:00+00:00",
        quick=False,
        audio="sample clips",
        audio_seconds=29.6,
        launches=6,
        device=Device(
            "Cortex", "aarch64", 4, 6, 100.0, 1500.0, "schedutil", 8000.0, "Ubuntu", "Linux 5", "board", None,
            ("a GPU",), Jetson("Jetson Orin Nano", "36.4.3", "6.2", "15W (0)"), ("dot product", "fp16"),
        ),
        versions={"edgespeech": "0.1.0"},
        conditions=Conditions(bool(notes), notes, 0.1, 0.0, 1500.0, 1400.0, (Sensor("cpu", 40.0, 50.0),), False, None),
        results=results or (result(),),
    )  # fmt: skip


def test_the_schema_in_the_repository_is_that_of_the_records() -> None:
    fix = "run: python -m edgespeech.demo.bench.report > demo/bench/schema.json"
    assert json.loads(SCHEMA.read_text()) == schema(), fix


def test_a_report_fits_the_schema_and_comes_back_equal(tmp_path: Path) -> None:
    made = report(result(), result("fp32 fused", memory=None, energy=None, streams=None, nodes_on_cpu=None))
    encoded = msgspec.json.encode(made)
    jsonschema.Draft202012Validator(schema()).validate(json.loads(encoded))
    (tmp_path / "r.json").write_bytes(encoded)
    assert read_report(tmp_path / "r.json") == made


def test_an_incomplete_report_does_not_fit_the_schema() -> None:
    broken = json.loads(msgspec.json.encode(report()))
    del broken["results"][0]["rtf"]
    with pytest.raises(jsonschema.ValidationError, match="'rtf' is a required property"):
        jsonschema.validate(broken, schema())


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"format": "else"}', b"[" * 9000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(UsageError, match="is not a bench report"):
        read_report(tmp_path / "r.json")
    with pytest.raises(UsageError, match="cannot read"):
        read_report(tmp_path / "absent.json")


def _card(found: Report) -> str:
    return markdown_text(card_page(found))


def _comparison(first: Report, second: Report) -> str:
    return markdown_text(comparison_page(first, second))


def _summary(found: Report, command: str) -> str:
    return markdown_text(summary_page(found, command))


def test_launches_are_summarised() -> None:
    assert spread([3.0]) == Spread(3.0, 3.0, 3.0, 1)
    assert spread([5.0, 1.0, 2.0, 9.0]) == Spread(3.5, 1.0, 9.0, 4)
    chunks = [0.001 * value for value in range(1, 101)]
    found = percentiles([chunks, [2.0 * value for value in chunks]])
    assert (found.count, found.p50.launches) == (200, 2)
    assert [found.p50.median, found.p50.low, found.p50.high] == pytest.approx([75.75, 50.5, 101.0])
    assert [found.p98.median, found.max] == pytest.approx([1.5 * 98.02, 200.0])
    assert found.p95 < found.p99 < found.max


def test_the_card_has_all_facts_and_its_tables_are_aligned() -> None:
    card = _card(report(result(), result("fp32 fused", rtf=0.04), notes=("a train passed",)))
    for wanted in (
        "Jetson Orin Nano",
        "JetPack 6.2",
        "instructions: dot product, fp16; int8 products take one instruction",
        "15W (0)",
        "4 of 6 cores",
        "governor schedutil",
        "a train passed",
    ):
        assert wanted in card
    for wanted in (
        "0.0200 (0.0180 to 0.0220)",
        "fp32 fused",
        "0.04",
        "76.7 (66 to 86)",
        "0.31",
        "cpu 40 to 50",
        "throttled: no",
    ):
        assert wanted in card
    assert "fp32 fused: 9 of 90 nodes fell back to the CPU: 6 Identity, 3 Slice" in card
    blocks = [block.splitlines() for block in card.split("\n\n") if block.startswith("| ")]
    assert len(blocks) == 4
    for lines in blocks:
        assert len({len(line) for line in lines}) == 1 and len({line.count("|") for line in lines}) == 1


def test_the_card_names_what_cannot_keep_up() -> None:
    card = _card(report(result(), result("fp32 fused", rtf=1.2)))
    assert "Cannot keep up in real time here: fp32 fused." in card
    assert "keep up" not in _card(report(result(rtf=0.9)))


def test_a_device_that_reports_nothing_has_a_card_too() -> None:
    bare = result(memory=None, energy=None, streams=None, nodes=None, nodes_on_cpu=None)
    nothing = msgspec.structs.replace(
        report(bare),
        device=Device("x", "x86_64", 2, 2, None, None, None, None, "os", "kernel", None, None, (), None),
        conditions=Conditions(False, (), None, None, None, None, (), None, None),
    )
    card = _card(nothing)
    assert "noisy" not in card and "J per s" not in card and not re.search(r"\bNone\b(?! of)", card)
    assert "| ratio" not in card, "of one configuration"


def test_figures_agree_within_the_spread_of_their_launches() -> None:
    before = report(result(rtf=0.02))
    near, far = report(result(rtf=0.022)), report(result(rtf=0.04))
    verdicts = [
        {one.figure: one.verdict for one in differences(before, after)}["real-time factor"] for after in (near, far)
    ]
    assert verdicts == ["agree", "differ"]
    lines = _comparison(before, far).splitlines()
    row = next(line for line in lines if line.startswith("| real-time factor"))
    assert cells(row)[-2:] == ["2.00", "differ"]
    assert lines[-1].startswith(
        "DIFFER: 3 of 16 figures: real-time factor; real-time factor, acoustic model; real-time factor, decoder"
    )
    assert _comparison(before, near).splitlines()[-1] == "AGREE: all 16 figures"


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        (Spread(1.0, 0.9, 1.1, 6), Spread(1.15, 1.1, 1.2, 6), "agree"),
        (Spread(1.0, 0.9, 1.1, 6), Spread(1.3, 1.2, 1.4, 6), "differ"),
        (Spread(1.0, 1.0, 1.0, 6), Spread(1.019, 1.019, 1.019, 6), "agree"),  # too close to tell apart
        (Spread(1.0, 1.0, 1.0, 6), Spread(1.03, 1.03, 1.03, 6), "differ"),
        (Spread(0.0, 0.0, 0.0, 6), Spread(0.0, 0.0, 0.0, 6), "agree"),
        (Spread(1.0, 0.9, 1.1, 3), Spread(9.0, 8.0, 10.0, 3), "undecided"),
        (Spread(1.0, 0.9, 1.1, 4), Spread(9.0, 8.0, 10.0, 4), "differ"),
        (Spread(1.0, 1.0, 1.0, 1), Spread(1.0, 1.0, 1.0, 1), "undecided"),
    ],
)
def test_spreads_have_a_verdict(one: Spread, other: Spread, verdict: str) -> None:
    assert judge(one, other) == judge(other, one) == verdict


def test_runs_on_one_machine_rarely_differ_and_those_on_a_slower_one_nearly_always() -> None:
    """Compare the stated probability with a simulation of launches that scatter by a tenth."""
    draws = 0.02 * np.random.default_rng(6).lognormal(sigma=0.1, size=(4000, 2, 6))
    apart = [judge(spread(one), spread(other)) == "differ" for one, other in draws]
    assert apart_by_chance(6, 6) == pytest.approx(1.0 / 462.0)
    assert sum(apart) / len(apart) <= 2.0 * apart_by_chance(6, 6)
    slower = [judge(spread(one), spread(1.5 * other)) == "differ" for one, other in draws]
    assert sum(slower) / len(slower) > 0.9


def test_only_figures_of_both_reports_are_compared() -> None:
    first = report(result(), result("fp32 fused"))
    second = report(result("fp32 fused", memory=None), result("int4 cells"))
    found = list(differences(first, second))
    assert {one.configuration for one in found} == {"fp32 fused"}
    assert "memory, MB" not in {one.figure for one in found}
    with pytest.raises(UsageError, match="no configuration in common: int8 cells, int8 cells against int4 cells"):
        _comparison(report(result(), result()), report(result("int4 cells")))


def test_compare_has_the_exit_codes_of_diff(edgespeech: Command, tmp_path: Path) -> None:
    paths = []
    for name, rtf in (("a", 0.02), ("b", 0.01), ("c", 0.0201)):
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_bytes(msgspec.json.encode(report(result(rtf=rtf))))
    halved, near = (edgespeech("bench", "compare", paths[0], other) for other in paths[1:])
    assert (halved.code, near.code) == (1, 0)
    assert near.out.splitlines()[-1] == "AGREE: all 16 figures" and "| real-time factor" in halved.out
    outcome = edgespeech("bench", "compare", *paths[:2], "--json")
    figures = {one["figure"]: one for one in json.loads(outcome.out)}
    assert outcome.code == 1 and figures["real-time factor"]["ratio"] == pytest.approx(0.5)
    assert {"of the acoustic model", "of the decoder"} <= figures.keys(), "names that scripts look up"
    assert figures["real-time factor"]["verdict"] == "differ" and figures["WER, %"]["verdict"] == "agree"
    assert edgespeech("bench", "compare", paths[0], tmp_path / "absent").code == 2


def test_too_few_launches_are_undecided() -> None:
    quick = result(rtf=0.02, memory=None, energy=None, streams=None)
    rtf = RealTimeFactors(acoustic=spread([0.01]), decoder=spread([0.01]), all=spread([0.02]))
    last = _comparison(report(msgspec.structs.replace(quick, rtf=rtf)), report(quick)).splitlines()[-1]
    assert last == "UNDECIDED: 3 of 12 figures, because each report needs 4 launches or more"


def test_the_table_for_a_document_has_ratios_to_the_first_row() -> None:
    slower = result("fp32 fused", rtf=0.04, memory=None)
    lines = _summary(report(result(), slower), "edgespeech bench --threads 1").splitlines()
    head, _, first, second, _, *explanation = lines
    assert len({line.count("|") for line in lines[:4]}) == 1 and head.startswith("| precision")
    assert cells(first) == [
        "int8 cells", "6.3", "6.0", "9.0", "0.0120", "0.0200", "110", "76.7 (66 to 86)",
    ]  # fmt: skip
    assert cells(second)[:-1] == [
        "fp32 fused", "6.3 (1.00)", "6.0 (1.00)", "9.0 (1.00)", "0.0240 (0.02)", "0.0400 (0.04)", "-",
    ]  # fmt: skip
    assert (
        "medians of 6 launches" in " ".join(explanation)
        and explanation[-1] == "Made by `edgespeech bench --threads 1`."
    )
    assert "noisy: a train" in _summary(report(notes=("a train",)), "x")


def test_the_picture_is_a_png_and_an_svg(tmp_path: Path) -> None:
    made = report(result(), result("fp32 fused", rtf=0.04), notes=("noise",))
    png, svg = draw_report(made, tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert svg.read_text().count("<path") > 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.png", "bench.svg"]


def test_without_matplotlib_the_error_has_the_install_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"edgespeech\[report\]"):
        draw_report(report(), tmp_path)
    assert list(tmp_path.iterdir()) == []
