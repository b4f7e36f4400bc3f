"""Progress bars: visible on a terminal only, and log lines in their place elsewhere."""

from __future__ import annotations

import logging

import pytest

from edgespeech.runtime.measure.progress import Countdown, Progress, TimedSteps, describe_duration, track


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")


def test_nothing_is_drawn_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("reading", 2) as progress:
        assert not progress.visible
        progress.advance()
        progress.update(2, 2)
    assert list(track("ab", "letters")) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("terminal")
def test_a_terminal_shows_the_bar_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("reading [a].wav", 3) as progress:
        assert progress.visible
        progress.advance(2)
    shown = capsys.readouterr()
    assert shown.out == "" and "2/3" in shown.err and "reading [a].wav" in shown.err


@pytest.mark.usefixtures("terminal")
def test_the_total_may_become_known_later(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("loading") as progress:
        progress.update(7, 9)
        progress.advance(title="decoding")
    shown = capsys.readouterr().err
    assert "8/9" in shown and "decoding" in shown


@pytest.mark.usefixtures("terminal")
def test_tracked_items_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([1, 2, 3], "squares")) == [1, 2, 3]
    assert "3/3" in capsys.readouterr().err
    assert list(track(iter("ab"), "letters", total=2)) == ["a", "b"]
    assert "2/2" in capsys.readouterr().err


@pytest.mark.usefixtures("terminal")
def test_an_error_inside_the_loop_removes_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="bad item"), Progress("reading", 2):
        raise ValueError("bad item")
    assert capsys.readouterr().err.endswith("\x1b[2K")  # the line is erased


@pytest.mark.usefixtures("terminal")
def test_a_bar_within_a_bar_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("manifests", 2) as outer:
        assert list(track("ab", "utterances")) == ["a", "b"]
        outer.advance()
    assert "1/2" in capsys.readouterr().err


def test_a_step_is_logged_if_there_is_no_bar(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "edgespeech"), Progress("searching", 2) as progress:
        progress.log_step("WER 50 %")
    assert caplog.messages == ["WER 50 %"]


@pytest.mark.usefixtures("terminal")
def test_a_step_is_shown_beside_the_bar(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "edgespeech"), Progress("searching", 2) as progress:
        progress.log_step("WER 50 %")
    shown = capsys.readouterr().err
    assert "1/2" in shown and "WER 50 %" in shown and caplog.messages == []


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


def test_the_time_left_follows_the_clock_and_the_pace_of_the_finished_steps() -> None:
    clock = Clock()
    countdown = Countdown(100.0, clock)
    countdown.begin(40.0)
    assert countdown.left == pytest.approx(100.0)
    clock.now = 30.0
    assert countdown.left == pytest.approx(70.0)
    clock.now = 90.0
    assert countdown.left == pytest.approx(60.0), "a step that takes too long is about to end"
    countdown.begin(60.0)  # the first one took 90 instead of 40 seconds
    assert countdown.left == pytest.approx(60.0 * (90.0 + 10.0) / (40.0 + 10.0))
    clock.now = 1000.0
    assert (countdown.left, countdown.elapsed) == (0.0, 1000.0)


def test_steps_are_logged_with_the_time_left(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "edgespeech"), TimedSteps(600.0) as steps:
        assert not steps.visible and steps.elapsed >= 0.0
        steps.begin("launch 1", 300.0)
    assert caplog.messages == ["launch 1; 10 minutes left"]


@pytest.mark.usefixtures("terminal")
def test_a_terminal_shows_the_time_left(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "edgespeech"), TimedSteps(600.0) as steps:
        steps.begin("launch [1]", 300.0)
    shown = capsys.readouterr().err
    assert "10 minutes left" in shown and "launch [1]" in shown and caplog.messages == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "5 seconds"), (42.0, "40 seconds"), (119.0, "120 seconds"), (150.0, "3 minutes"), (3599.0, "60 minutes"),
     (9000.0, "2.5 hours")],
)  # fmt: skip
def test_durations_are_rounded(seconds: float, words: str) -> None:
    assert describe_duration(seconds) == words
