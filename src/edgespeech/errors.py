"""Every error a user can meet, as one tree.

EdgespeechError                 one line: what came, what was wanted, what to do
├── UsageError                  options that clash or are out of range
├── AudioError                  a file or samples that cannot be heard
├── ManifestError               a line of a manifest that cannot be used
├── ConfigError                 a training or model configuration that cannot be built
├── CheckpointError             a checkpoint that is damaged, foreign or unsafe
├── BundleError                 a bundle that is damaged, incomplete or from another version
├── LanguageModelError          an n-gram model that cannot be read or does not fit the labels
├── DecodingError               log-probabilities that are none, or of another width
├── DeviceError                 a microphone that is missing or does not open
├── MissingDependencyError      a library that is not installed, with the line that installs it
└── VerificationError           the work was done and its result refused (exit code 1)
"""

from __future__ import annotations


class EdgespeechError(Exception):
    """Base of all errors; ``str(error)`` is one line fit for a terminal."""

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        """Keep the message on one line, whatever a path or a foreign error in it holds."""
        super().__init__(" ".join(message.split()))


class UsageError(EdgespeechError):
    """Options that clash or are out of range."""


class AudioError(EdgespeechError):
    """A file or an array of samples that cannot be heard."""


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
    """Log-probabilities that are none, or of another width than the labels."""


class DeviceError(EdgespeechError):
    """A microphone that is missing or does not open."""


class MissingDependencyError(EdgespeechError):
    """A library that is not installed; the message holds the line that installs it."""


class VerificationError(EdgespeechError):
    """The work was done, compared, and its result refused."""

    exit_code = 1
