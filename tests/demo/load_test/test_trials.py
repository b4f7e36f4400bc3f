"""The search for the largest number of streams, and when a trial counts as good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgespeech.demo.load_test.report import KINDS, LoadTestRequest, ServerResult, load_test_page
from edgespeech.demo.load_test.server_process import Use, server_kinds
from edgespeech.demo.load_test.trials import Trial, find_max_streams, max_streams
from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.measure.tables import markdown_text

GOOD = Trial("batched", 1, (1, 2, 3, 4), (1, 2, 3, 4), 0.0, 5, 0, (), 20.0, 10.0, 1.0, 0.5, 100)


def carrying(limit: int, tried: list[int]) -> object:
    def measure(streams: int) -> Trial:
        tried.append(streams)
        slow = 100.0 if streams <= limit else 900.0
        return replace(GOOD, streams=streams, final_ms=(slow,) * 4)

    return measure


@pytest.mark.parametrize("limit", [0, 1, 5, 8, 37, 100, 499, 500, 1000])
def test_the_max_streams_are_found_within_a_tenth(limit: int) -> None:
    tried: list[int] = []
    trials = find_max_streams(carrying(limit, tried), 8, 500.0, 500)  # type: ignore[arg-type]
    found, wanted = max_streams(trials, 500.0), min(limit, 500)
    assert wanted - max(1, wanted // 10) <= found <= wanted
    assert len(tried) == len(set(tried)) <= 14 and max(tried) <= 500


@pytest.mark.parametrize(
    "change",
    [
        {"wrong": 1},
        {"failures": ("lost",)},
        {"clips": 0},
        {"final_ms": (1.0, 2.0, 500.0, 600.0)},
        {"partial_ms": (1.0, 2.0, 501.0, 600.0)},
    ],
)
def test_a_wrong_word_counts_as_much_as_a_late_one(change: dict[str, object]) -> None:
    assert GOOD.stays_below(500.0)
    assert not replace(GOOD, **change).stays_below(500.0)  # type: ignore[arg-type]


def test_a_number_of_streams_counts_only_if_all_smaller_ones_passed() -> None:
    late = replace(GOOD, streams=20, final_ms=(900.0,) * 4)
    assert max_streams([replace(GOOD, streams=10), late, replace(GOOD, streams=40)], 500.0) == 10


def test_the_page_has_the_ratio_and_the_memory_of_a_stream() -> None:
    results = [
        ServerResult("batched", (replace(GOOD, streams=10, memory=50_000_000),), Use(0.0, 20_000_000)),
        ServerResult("threads", (replace(GOOD, streams=5, memory=30_000_000),), Use(0.0, 20_000_000)),
    ]
    page = markdown_text(load_test_page(results, LoadTestRequest(), "edgespeech bench serve"))
    assert "| batched |" in page.replace("  ", " ") and "1.00" in page and "0.50" in page
    assert "3.0" in page and "2.0" in page and "`edgespeech bench serve`" in page


@pytest.mark.parametrize("wrong", [{"kinds": ("vosk",)}, {"kinds": ()}, {"streams": (0,)}, {"limit_ms": 0.0}])
def test_requests_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="wanted|must be"):
        LoadTestRequest(**wrong)  # type: ignore[arg-type]


def test_every_way_to_serve_has_a_command() -> None:
    assert tuple(server_kinds(DEFAULT_BUNDLE, 2, 10, 64)) == KINDS
