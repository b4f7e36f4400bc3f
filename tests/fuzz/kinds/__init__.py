"""The kinds of input, by the name that ``--kind`` takes.

Each is imported by its own worker only, because some need torch, onnx or PyAV.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from tests.fuzz.kind import Kind

# Module, class, and the share of a run over all kinds: fast kinds have more.
KINDS: dict[str, tuple[str, str, int]] = {
    "bundle": ("bundles", "Descriptions", 10),
    "graph": ("bundles", "Graphs", 6),
    "wire": ("bundles", "Wire", 14),
    "kenlm": ("language_models", "Binaries", 10),
    "arpa": ("language_models", "Arpas", 10),
    "audio": ("audio", "Recordings", 8),
    "manifest": ("texts", "Manifests", 12),
    "recipe": ("texts", "Recipes", 4),
    "words": ("texts", "Phrases", 14),
    "text": ("texts", "Texts", 4),
    "checkpoint": ("checkpoints", "Checkpoints", 1),
    "foreign": ("checkpoints", "ForeignFiles", 1),
    "websocket": ("servers", "EventSockets", 2),
    "vosk": ("servers", "Vosks", 1),
    "openai": ("servers", "OpenAIs", 2),
    "wyoming": ("servers", "Wyomings", 1),
    "faulty": ("faulty", "Faulty", 0),  # for the tests of the fuzzing
}


def make_kind(name: str, folder: Path) -> Kind[Any]:
    """Make a kind, whose samples and inputs lie in a folder of its own."""
    module, kind, _ = KINDS[name]
    made: Any = getattr(import_module(f"tests.fuzz.kinds.{module}"), kind)(folder)
    assert isinstance(made, Kind)
    return made
