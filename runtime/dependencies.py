"""A clear error, before the work begins, if an optional library is not installed."""

from __future__ import annotations

from importlib.util import find_spec

from edgespeech.errors import MissingDependencyError


def require(modules: str, extra: str) -> None:
    """Check that the modules of an extra, separated by spaces, are installed.

    Raises:
        MissingDependencyError: One of them is not installed.
    """
    missing = [name for name in modules.split() if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"this command needs {', '.join(missing)}, which is not installed; run: pip install 'edgespeech[{extra}]'"
        )
