"""The locked file of the runtime's libraries, and what the audit says of answers and of none."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements-runtime.txt").read_text(encoding="utf-8")


def section(name: str) -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf"^{name} = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return re.findall(r'"([\w-]+)', found[1])


def test_every_library_of_the_runtime_is_locked_with_hashes_and_without_an_address() -> None:
    entries = re.findall(r"^([\w.-]+)==\S+(.*?)(?=^[\w.-]+==|\Z)", LOCK, re.MULTILINE | re.DOTALL)
    names = {name for name, _ in entries}
    assert {*section("dependencies"), *section("cpu")} <= names
    assert all("--hash=sha256:" in rest for _, rest in entries)
    assert "://" not in LOCK and "index" not in LOCK


def test_the_lock_has_versions_that_constraints_name() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for name, version in re.findall(r"^([\w-]+)==(\S+)", constraints, re.MULTILINE):
        locked = re.findall(rf"^{name}==(\S+)", LOCK, re.MULTILINE)
        assert not locked or version in locked, f"{name} is {locked} in the lock: run make lock"


@pytest.fixture(scope="module")
def audit() -> Any:
    spec = spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("found", "code", "text"),
    [
        ([{"name": "numpy", "version": "2.0", "vulns": []}], 0, "1 of 1 packages looked up, 0 known vulnerabilities"),
        (
            [{"name": "numpy", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}],
            1,
            "numpy 2.0: PYSEC-1, fixed in 2.1",
        ),
        ([{"name": "numpy", "skip_reason": "not found"}], 3, "0 of 1 packages looked up, .* no answer about numpy"),
        ("connection refused", 3, "not done, because pip-audit gave no answer: connection refused"),
    ],
)
def test_the_audit_says_what_it_does_not_know(audit: Any, found: Any, code: int, text: str) -> None:
    given, lines = audit.judge(found)
    assert given == code and re.search(text, "\n".join(lines))
