"""A checkpoint becomes a verified streaming ONNX bundle.

    from edgespeech.export import ExportRequest, export_checkpoint

    bundle = export_checkpoint("model.pt", "bundle", ExportRequest(chunk_ms=160.0))

The names are resolved on first use, so that importing the package needs no torch.
"""

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
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'edgespeech.export' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
