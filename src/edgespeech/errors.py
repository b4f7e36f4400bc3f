"""All errors of the package; the message of each is one line: what came, what was wanted, what to do."""

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


class DamagedAudioError(AudioError):
    """A recording of which audio is missing; what can be read has been read when this is raised.

    Attributes:
        second: Where audio is missing for the first time.
    """

    def __init__(self, message: str, second: float) -> None:
        super().__init__(message)
        self.second = second


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


class BusyError(EdgespeechError):
    """A stream that a server refuses, because it has too many or is stopping."""


class MissingDependencyError(EdgespeechError):
    """A library that is not installed; the message contains the command that installs it."""


class VerificationError(EdgespeechError):
    """A result that failed its verification; the command line exits with code 1."""

    exit_code = 1
