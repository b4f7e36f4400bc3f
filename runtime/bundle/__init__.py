"""A bundle: one folder with everything that transcription needs.

- bundle.json: strict, versioned description: hashes, labels, audio facts, states, decoder defaults
- acoustic.onnx: samples and states in, natural-log probabilities and new states out
- lm.bin: KenLM model, optional
- punctuation.onnx: tagger that writes marks and capitals, optional
"""

from edgespeech.runtime.bundle.description import (
    ACOUSTIC,
    FORMAT,
    LANGUAGE_MODEL,
    MANIFEST,
    MAX_CHUNK_SECONDS,
    MAX_LABELS,
    PUNCTUATION,
    VERSION,
    AudioFacts,
    DecoderDefaults,
    FileEntry,
    GraphFacts,
    Manifest,
    StateEntry,
)
from edgespeech.runtime.bundle.reading import DEFAULT_BUNDLE, Bundle, describe_file, load_bundle
from edgespeech.runtime.bundle.writing import require_bundle_folder, write_bundle

__all__ = [
    "ACOUSTIC",
    "DEFAULT_BUNDLE",
    "FORMAT",
    "LANGUAGE_MODEL",
    "MANIFEST",
    "MAX_CHUNK_SECONDS",
    "MAX_LABELS",
    "PUNCTUATION",
    "VERSION",
    "AudioFacts",
    "Bundle",
    "DecoderDefaults",
    "FileEntry",
    "GraphFacts",
    "Manifest",
    "StateEntry",
    "describe_file",
    "load_bundle",
    "require_bundle_folder",
    "write_bundle",
]
