"""Missing libraries are reported before the work, with the command that installs them."""

from __future__ import annotations

import pytest

from edgespeech.errors import MissingDependencyError
from edgespeech.runtime.dependencies import require


def test_installed_libraries_are_accepted() -> None:
    require("numpy msgspec", "cpu")


def test_missing_libraries_are_named_with_the_pip_command() -> None:
    with pytest.raises(MissingDependencyError, match=r"needs nowhere1, nowhere2, which .* 'edgespeech\[train\]'"):
        require("nowhere1 numpy nowhere2", "train")
