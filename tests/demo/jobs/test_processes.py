"""Worker processes: every item has one outcome, whatever happens to the worker that had it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgespeech.demo.jobs.engine import Engine
from edgespeech.demo.jobs.processes import run_in_processes
from edgespeech.errors import BundleError, UsageError
from tests.demo.jobs.tasks import Shout


def test_every_item_has_an_outcome_and_workers_share_them() -> None:
    words = ["a", "b", "bad", "c", "bug", *"defghijklmnop"]
    outcomes = {one.index: one for one in run_in_processes(Shout(), words, 2)}
    assert sorted(outcomes) == list(range(len(words)))
    assert outcomes[2].error == "bad word; give another"
    assert outcomes[4].error == "KeyError: 'nobody expected this'"
    results = {index: one.result.split() for index, one in outcomes.items() if one.error is None}
    assert all(word == words[index].upper() for index, (word, _) in results.items())
    assert 1 <= len({process for _, process in results.values()}) <= 2


def test_a_worker_that_ends_costs_no_other_item(tmp_path: Path) -> None:
    words = ["a", "deadly", "b", "deadly once", "c", "d"]
    outcomes = {one.index: one for one in run_in_processes(Shout(str(tmp_path)), words, 2)}
    assert sorted(outcomes) == list(range(len(words)))
    assert outcomes[1].error == "its worker process ended by signal 9, 2 times"
    assert outcomes[3].result.startswith("DEADLY ONCE")
    assert [index for index, one in outcomes.items() if one.error] == [1]


def test_a_task_that_cannot_be_opened_ends_the_run() -> None:
    with pytest.raises(BundleError, match="no bundle here"):
        list(run_in_processes(Shout("closed"), ["a", "b"], 2))


def test_an_address_needs_the_engine() -> None:
    with pytest.raises(UsageError, match="give --engine ray too"):
        Engine(address="auto")
    assert list(Engine().run(Shout(), [])) == []
