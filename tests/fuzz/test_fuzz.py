"""The fuzzing itself: inputs can be made again, and every fault of an input is noticed, kept and survived."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz import campaign
from tests.fuzz.campaign import Campaign
from tests.fuzz.guided import GivenChance
from tests.fuzz.kinds import KINDS, make_kind
from tests.fuzz.kinds.faulty import ACTIONS
from tests.fuzz.progress import Progress, ProgressFile
from tests.fuzz.worker import chance_of

QUICK = ["bundle", "wire", "kenlm", "arpa", "manifest", "words", "text", "audio"]


@pytest.mark.parametrize("name", QUICK)
def test_inputs_depend_on_the_seed_alone(tmp_path: Path, name: str) -> None:
    pytest.importorskip("onnx", reason="graphs are made with onnx")
    pytest.importorskip("av", reason="some recordings are made with PyAV")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    one, other = make_kind(name, tmp_path / "a"), make_kind(name, tmp_path / "b")
    made = [one.make(chance_of(name, 7, number)) for number in range(20)]
    assert made == [other.make(chance_of(name, 7, number)) for number in range(20)]
    assert len({repr(given) for given in made}) > 15


@pytest.mark.parametrize("name", ["wire", "words", "text"])
def test_inputs_follow_the_bytes_of_a_guided_run(tmp_path: Path, name: str) -> None:
    kind = make_kind(name, tmp_path)
    data = random.Random(1).randbytes(512)
    assert kind.make(GivenChance(data)) == kind.make(GivenChance(data))
    made = {repr(kind.make(GivenChance(bytes([first]) + data[1:]))) for first in range(0, 256, 8)}
    assert 2 < len(made) < 32, "one byte is one decision of a few"


def test_given_chance_reads_its_bytes_and_draws_what_is_behind_them() -> None:
    chance = GivenChance(b"\x05\xff\x01" + bytes(6) + b"\x80")
    assert [chance.getrandbits(8), chance.getrandbits(4), chance.getrandbits(8)] == [5, 15, 1]
    assert chance.random() == 0.5
    drawn = [chance.random() for _ in range(100)]
    assert len(set(drawn)) == 100 and all(0.0 <= number < 1.0 for number in drawn)
    assert 0 <= GivenChance(b"").randrange(10) < 10


def test_all_kinds_take_part() -> None:
    assert sum(share for _, _, share in KINDS.values()) == 100 and KINDS["faulty"][2] == 0


def test_progress_is_there_for_another_process(tmp_path: Path) -> None:
    wanted = Progress(number=3, accepted=2, peak_bytes=10**10, began=1.5)
    ProgressFile(tmp_path / "progress").write(wanted)
    assert ProgressFile(tmp_path / "progress").read() == wanted


def expected(inputs: int) -> list[str]:
    return [chance_of("faulty", 1, number).choice(ACTIONS) for number in range(inputs)]


def test_every_fault_is_noticed_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "MAX_SECONDS", 0.5)
    wanted = expected(20)
    assert set(wanted) == set(ACTIONS)
    for inputs in (9, 20):  # the second run continues
        tally = Campaign("faulty", 1, tmp_path, resume=True).run(inputs, time.monotonic() + 1e6, lambda tally: None)
        assert tally.inputs == inputs and not tally.is_clean
    assert (tally.accepted, tally.refused) == (wanted.count("accept"), wanted.count("refuse"))
    assert tally.tracebacks == wanted.count("raise") + wanted.count("refuse without words")
    assert (tally.crashes, tally.hangs) == (wanted.count("end"), wanted.count("hang"))
    assert sorted(number for number, _, _ in tally.findings) == [
        number for number, action in enumerate(wanted) if action not in ("accept", "refuse")
    ]


def test_the_command_ends_with_1_and_the_way_to_repeat_a_finding(tmp_path: Path) -> None:
    first = expected(20).index("raise")
    command = [sys.executable, "-m", "tests.fuzz", "--kind", "faulty", "--keep", str(tmp_path)]
    done = subprocess.run([*command, "--inputs", f"{first + 1}"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "| faulty |" in done.stdout and f"--kind faulty --seed 1 --replay {first}" in done.stdout
    done = subprocess.run([*command, "--replay", f"{first}"], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1)
