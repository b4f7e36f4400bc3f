"""The public names of the package: complete, importable, cheap until they are used, and visible to type checkers."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import edgespeech
from edgespeech import errors

SOURCE = Path(__file__).resolve().parent.parent / "src" / "edgespeech" / "__init__.py"
HEAVY = {"kenlm", "msgspec", "numpy", "onnxruntime", "rich", "soundfile", "soxr", "torch"}


def loaded_by(program: str, *arguments: str) -> set[str]:
    """Run a program in a fresh process and return the heavy libraries that it imports."""
    command = [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules, file=sys.stderr)", *arguments]
    run = subprocess.run(command, capture_output=True, check=False, timeout=120, text=True)
    assert run.returncode == 0, run.stderr
    return HEAVY & set(run.stderr.split())


@pytest.mark.parametrize("name", edgespeech.__all__)
def test_every_public_name_is_importable(name: str) -> None:
    value = getattr(edgespeech, name)
    assert value is not None and name in dir(edgespeech)
    if name != "__version__":
        assert value.__name__ == name and getattr(importlib.import_module(value.__module__), name) is value


def test_all_names_are_sorted_and_include_every_error() -> None:
    assert edgespeech.__all__ == sorted(set(edgespeech.__all__))
    found = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert found <= set(edgespeech.__all__)
    assert all(issubclass(getattr(errors, name), edgespeech.EdgespeechError) for name in found)


def test_type_checkers_see_the_same_names() -> None:
    guarded = [node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If)]
    names = {
        (node.module, alias.name)
        for block in guarded
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {name for _, name in names} == set(edgespeech.__all__) - {"__version__"}
    for module, name in names:
        assert getattr(importlib.import_module(str(module)), name) is getattr(edgespeech, name)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Recogniser'; it has AudioError, .*Recognizer"):
        edgespeech.Recogniser  # noqa: B018


def test_importing_the_package_is_cheap() -> None:
    assert loaded_by("import edgespeech") == set()
    assert loaded_by("from edgespeech import DecoderOptions, RecognizerOptions, UsageError") == set()


def test_importing_the_command_line_is_cheap() -> None:
    assert loaded_by("import edgespeech.demo.cli") == set()


ALL_HELPS = """
import click
from edgespeech.demo.cli import cli
def show(group, prefix):
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        try:
            cli.main([*prefix, name, "--help"], standalone_mode=False)
        except SystemExit:
            pass
        if isinstance(command, click.Group):
            show(command, [*prefix, name])
cli.main(["--help"], standalone_mode=False)
show(cli, [])
"""


def test_help_of_every_command_is_cheap() -> None:
    assert loaded_by(ALL_HELPS) <= {"msgspec"}
