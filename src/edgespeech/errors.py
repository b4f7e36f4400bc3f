"""All errors of the package, as one tree.

EdgespeechError                 one line: what came, what was wanted, what to do
├── UsageError                  options that clash or are out of range
├── AudioError                  an audio file or samples that cannot be read
├── ManifestError               a line of a manifest that cannot be used
├── ConfigError                 a training or model configuration that cannot be built
├── CheckpointError             a checkpoint that is damaged, foreign or unsafe
├── BundleError                 a bundle that is damaged, incomplete or from another version
├── LanguageModelError          an n-gram model that cannot be read or does not fit the labels
├── DecodingError               invalid log-probabilities, or a label dimension that does not match
├── DeviceError                 a microphone that is missing or does not open
├── MissingDependencyError      a library that is not installed, with the command that installs it
└── VerificationError           a result that failed its verification (exit code 1)
"""

from __future__ import annotations


class EdgespeechError(Exception):
    """Base class of all errors; ``str(error)`` is one line for a terminal."""

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(" ".join(message.split()))  # a path or a foreign error may contain line breaks


class UsageError(EdgespeechError):
    """Options that clash or are out of range."""


class AudioError(EdgespeechError):
    """An audio file or an array of samples that cannot be read."""


class ManifestError(EdgespeechError):
    """A manifest, or a line of it, that cannot be used."""


class ConfigError(EdgespeechError):
    """A training or model configuration that cannot be built."""


class CheckpointError(EdgespeechError):
    """A checkpoint that is damaged, foreign or unsafe to load."""


class BundleError(EdgespeechError):
    """A bundle that is damaged, incomplete or from another version."""


class LanguageModelError(EdgespeechError):
    """An n-gram model that cannot be read or does not fit the labels."""


class DecodingError(EdgespeechError):
    """Invalid log-probabilities, or a label dimension that does not match."""


class DeviceError(EdgespeechError):
    """A microphone that is missing or does not open."""


class MissingDependencyError(EdgespeechError):
    """A library that is not installed; the message contains the command that installs it."""


class VerificationError(EdgespeechError):
    """A result that failed its verification."""

    exit_code = 1
