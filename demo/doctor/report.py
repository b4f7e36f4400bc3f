"""What a doctor's check found, and how it is shown; nothing is looked at here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "broken", "missing", "note"]
_SIGNS: dict[State, str] = {"ok": "ok", "broken": "BROKEN", "missing": "missing", "note": "note"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        topic: What.
        state: ``broken`` things are needed and do not work, ``missing`` ones are for something that may not be wanted,
            a ``note`` is worth knowing.
        found: In words.
        mend: The command, or what to do; empty where nothing is wrong.
    """

    topic: str
    state: State
    found: str
    mend: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def needed_is_there(checks: Sequence[Check]) -> bool:
    """Whether nothing is broken."""
    return all(check.state != "broken" for check in checks)


def render(checks: Sequence[Check]) -> str:
    """Lines for people: topic, state, what was found, and below it what mends it."""
    width = max(len(check.topic) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.topic:<{width}}  {_SIGNS[check.state]:<7}  {check.found}")
        if check.mend:
            lines.append(f"{'':<{width}}           -> {check.mend}")
    broken = sum(check.state == "broken" for check in checks)
    missing = sum(check.state == "missing" for check in checks)
    verdict = "all that is needed is there" if not broken else f"{broken} broken: mend the lines marked BROKEN"
    return "\n".join([*lines, "", f"{verdict}{f'; {missing} optional missing' if missing else ''}"])
