"""A progress bar on standard error for long measurements; plain lines where nobody watches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from edgespeech.demo.tune_decoder.log_prob_cache import HeardUtterance, hear_manifest
from edgespeech.runtime.bundle import Bundle

log = logging.getLogger(__name__)
say = log.info

Advance = Callable[[int, int], None]


@contextmanager
def counted(what: str) -> Iterator[Advance]:
    """Show how many of how many are done: the caller is given ``advance(done, total)``."""
    with _bar() as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def narrated(total: int) -> Iterator[Callable[[str], None]]:
    """Show what the last step found: the caller is given ``tell(line)``, to be called about ``total`` times."""
    with _bar() as bar:
        task = bar.add_task("", total=total)

        def tell(line: str) -> None:
            if bar.disable:
                say(line)
            bar.update(task, description=line, advance=1)

        yield tell


def hear(bundle: Bundle, manifest: Path, cache: Path | None, say: Callable[[str], None]) -> list[HeardUtterance]:
    """Listen to a manifest behind a progress bar."""
    with counted(f"listening to {manifest.name}") as advance:
        return hear_manifest(bundle, manifest, cache, advance, say)


def _bar() -> Progress:
    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(bar_width=10), MofNCompleteColumn(), TextColumn("{task.description}"))
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
