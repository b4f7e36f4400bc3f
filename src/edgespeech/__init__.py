"""edgespeech: streaming speech recognition on the device with Deep Speech 2 models.

``from edgespeech import Recognizer, load_bundle`` is the usual beginning. The public names are imported on first use,
so that ``import edgespeech`` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgespeech.errors import (
        AudioError,
        BundleError,
        BusyError,
        CheckpointError,
        ConfigError,
        DamagedAudioError,
        DecodingError,
        DeviceError,
        EdgespeechError,
        LanguageModelError,
        ManifestError,
        MissingDependencyError,
        UsageError,
        VerificationError,
    )
    from edgespeech.runtime.bundle import Bundle, load_bundle
    from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
    from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word
    from edgespeech.runtime.decoder.language_model import LanguageModel
    from edgespeech.runtime.decoder.options import DecoderOptions
    from edgespeech.runtime.options import RecognizerOptions
    from edgespeech.runtime.recognizer import Recognizer
    from edgespeech.runtime.stream import Stream
    from edgespeech.runtime.transcript import Event, Segment, Transcript

__version__ = "0.1.0"
__all__ = [
    "AudioError",
    "BeamSearchDecoder",
    "Bundle",
    "BundleError",
    "BusyError",
    "CheckpointError",
    "ConfigError",
    "DamagedAudioError",
    "DecoderOptions",
    "DecodingError",
    "DeviceError",
    "EdgespeechError",
    "Event",
    "Hypothesis",
    "LanguageModel",
    "LanguageModelError",
    "ManifestError",
    "MissingDependencyError",
    "Recognizer",
    "RecognizerOptions",
    "Segment",
    "Stream",
    "Transcript",
    "UsageError",
    "VerificationError",
    "Word",
    "__version__",
    "load_bundle",
]

# Public names by module; the error classes, all the others, are in `edgespeech.errors`.
_NAMES = {
    "runtime.bundle": ("Bundle", "load_bundle"),
    "runtime.decoder.beam_search": ("BeamSearchDecoder",),
    "runtime.decoder.hypothesis": ("Hypothesis", "Word"),
    "runtime.decoder.language_model": ("LanguageModel",),
    "runtime.decoder.options": ("DecoderOptions",),
    "runtime.options": ("RecognizerOptions",),
    "runtime.recognizer": ("Recognizer",),
    "runtime.stream": ("Stream",),
    "runtime.transcript": ("Event", "Segment", "Transcript"),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'edgespeech' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"edgespeech.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
