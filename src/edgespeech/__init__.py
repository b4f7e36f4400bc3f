"""edgespeech: a Deep Speech 2 checkpoint becomes a streaming bundle that transcribes on the device.

The public door: ``from edgespeech import BeamSearchDecoder, Recognizer, load_bundle``. The names are resolved on first
use, so that ``import edgespeech`` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgespeech.runtime.bundle import load_bundle
    from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
    from edgespeech.runtime.recognizer import Recognizer

__version__ = "0.1.0"
__all__ = ["BeamSearchDecoder", "Recognizer", "__version__", "load_bundle"]

_HOMES = {
    "BeamSearchDecoder": "edgespeech.runtime.decoder.beam_search",
    "Recognizer": "edgespeech.runtime.recognizer",
    "load_bundle": "edgespeech.runtime.bundle",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'edgespeech' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
