"""The result of a check, and the report of all checks as text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from edgespeech.errors import EdgespeechError

State = Literal["ok", "broken", "missing", "note"]
_SIGNS: dict[State, str] = {"ok": "ok", "broken": "BROKEN", "missing": "missing", "note": "note"}


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        topic: What was checked.
        state: ``broken`` parts are required and do not work; ``missing`` parts are optional; a ``note`` is a hint.
        found: What the check found.
        fix: Command that fixes it, or advice; empty if nothing is wrong.
        part: Optional part of the installation that it belongs to; empty for what every command needs.
    """

    topic: str
    state: State
    found: str
    fix: str = ""
    part: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the fields for JSON, where the fix has the key ``mend``."""
        fields = asdict(self)
        return {**fields, "mend": fields.pop("fix")}


def error_and_fix(error: EdgespeechError) -> tuple[str, str]:
    """Split an error message into the problem and the advice, which our errors put behind the last semicolon."""
    found, _, fix = str(error).rpartition("; ")
    return found or fix, fix


def require(checks: Iterable[Check], parts: Collection[str]) -> list[Check]:
    """Return the checks, where an optional part that was asked for is broken instead of missing."""
    return [
        replace(check, state="broken") if check.part in parts and check.state == "missing" else check
        for check in checks
    ]


def all_required_work(checks: Sequence[Check]) -> bool:
    """Return whether no required part is broken."""
    return all(check.state != "broken" for check in checks)


def render(checks: Sequence[Check]) -> str:
    """Lay out the checks as text, each with its fix in the line below."""
    width = max(len(check.topic) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.topic:<{width}}  {_SIGNS[check.state]:<7}  {check.found}")
        if check.fix:
            lines.append(f"{'':<{width}}           -> {check.fix}")
    broken = sum(check.state == "broken" for check in checks)
    missing = sum(check.state == "missing" for check in checks)
    verdict = f"{broken} broken: fix the lines marked BROKEN" if broken else "everything required works"
    parts = "1 optional part" if missing == 1 else f"{missing} optional parts"
    return "\n".join([*lines, "", f"{verdict}{f'; {parts} missing' if missing else ''}"])
