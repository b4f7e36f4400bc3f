"""Turn a checkpoint into a verified streaming ONNX bundle; names are imported on first use, so this needs no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgespeech.export.checkpoint_export import ExportedBundle, export_checkpoint
    from edgespeech.export.parity import Parity
    from edgespeech.export.request import ExportRequest

__all__ = ["ExportRequest", "ExportedBundle", "Parity", "export_checkpoint"]

_HOMES = {
    "ExportRequest": "edgespeech.export.request",
    "ExportedBundle": "edgespeech.export.checkpoint_export",
    "Parity": "edgespeech.export.parity",
    "export_checkpoint": "edgespeech.export.checkpoint_export",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgespeech.export' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
