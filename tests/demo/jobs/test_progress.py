"""The progress of many recordings, where standard error is not a terminal."""

from __future__ import annotations

import logging

import pytest

from edgespeech.demo.jobs.progress import HoursProgress


def test_a_line_each_minute(caplog: pytest.LogCaptureFixture) -> None:
    times = [0.0]
    with caplog.at_level(logging.INFO), HoursProgress(4, 4 * 3600.0, lambda: times[-1]) as progress:
        for seconds in (30.0, 90.0, 120.0, 200.0):
            times.append(seconds)
            progress.advance(3600.0)
    assert caplog.messages == ["2 of 4 files, 2.00 of 4.00 h, 80 hours per hour; 90 seconds left"]
    assert progress.line == "4 of 4 files, 4.00 of 4.00 h, 72 hours per hour"
