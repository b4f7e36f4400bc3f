"""Options for what a command writes: an output that exists is refused unless ``--overwrite`` is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.options import FILE, Command

_KEY = "edgespeech.overwrite"


def may_overwrite() -> bool:
    """Whether ``--overwrite`` was given to the present command."""
    return bool(click.get_current_context().meta.get(_KEY))


def _remember(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    context.meta[_KEY] = given


# Eager, so that it is known when the outputs are checked.
OVERWRITE = click.option("--overwrite", is_flag=True, is_eager=True, expose_value=False, callback=_remember,
                         help="Replace an output that exists.")  # fmt: skip


def output_file(*names: str, beside: Sequence[str] = (), **settings: Any) -> Callable[[Command], Command]:
    """Declare an option for a file to write.

    Args:
        *names: Names of the option.
        beside: Endings of other files that are written beside it, in place of its own ending.
        **settings: Of `click.option`.
    """

    def check(path: Path) -> None:
        from edgespeech.runtime.files import require_new

        for one in (path, *(path.with_suffix(ending) for ending in beside)):
            require_new(one, may_overwrite())

    return _checked(check, names, {"metavar": "FILE", **settings})


def output_folder(*names: str, files: Sequence[str], **settings: Any) -> Callable[[Command], Command]:
    """Declare an option for a folder in which files with these names are written."""

    def check(folder: Path) -> None:
        from edgespeech.runtime.files import require_new

        for name in files:
            require_new(folder / name, may_overwrite())

    return _checked(check, names, {"metavar": "DIR", **settings})


def output_bundle(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """Declare an option for a bundle to write, which replaces an older one as a whole."""

    def check(folder: Path) -> None:
        from edgespeech.runtime.bundle import require_bundle_folder

        require_bundle_folder(folder, may_overwrite())

    return _checked(check, names, {"metavar": "BUNDLE", **settings})


def output_site(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """Declare an option for a site to write, which replaces an older one as a whole."""

    def check(folder: Path) -> None:
        from edgespeech.demo.web.site import KIND
        from edgespeech.runtime.storage.folders import require_folder

        require_folder(folder, KIND, may_overwrite())

    return _checked(check, names, {"metavar": "SITE", **settings})


def _checked(
    check: Callable[[Path], None], names: Sequence[str], settings: dict[str, Any]
) -> Callable[[Command], Command]:
    def callback(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
        if path is not None and not context.resilient_parsing:
            check(path)
        return path

    return click.option(*names, type=FILE, callback=callback, **settings)
