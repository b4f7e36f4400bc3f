"""Settings of a realtime transcription session, in the present form of the API and in the older flat one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from edgespeech.demo.server.application import RequestError
from edgespeech.demo.server.openai.form import check_language, hot_words
from edgespeech.errors import UsageError
from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.serving.settings import StreamSettings

INCLUDE_LOGPROBS = "item.input_audio_transcription.logprobs"
_PCM_RATE = 24000
_FORMATS = {
    "audio/pcm": RawFormat("s16le", _PCM_RATE),
    "audio/pcmu": RawFormat("mulaw", 8000),
    "audio/pcma": RawFormat("alaw", 8000),
}
_FLAT_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}


class Format(msgspec.Struct):
    """Format of the audio; PCM always has 24000 Hz."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int | None = None


class Guidance(msgspec.Struct):
    """What is known about the speech; ``model`` has no effect."""

    model: str | None = None
    language: str | None = None
    languages: list[str] | None = None
    prompt: str | None = None
    keywords: list[str] | None = None


class TurnDetection(msgspec.Struct):
    """When the server ends an item by itself; of these, the silence has an effect."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float | None = None
    prefix_padding_ms: float = 300
    silence_duration_ms: float | None = None


class Input(msgspec.Struct):
    """How the audio comes, and what becomes of it; None as turn detection leaves the end of items to the client."""

    format: Format = msgspec.field(default_factory=Format)
    transcription: Guidance | None = None
    noise_reduction: dict[str, Any] | None = None
    turn_detection: TurnDetection | None = msgspec.field(default_factory=TurnDetection)


class Audio(msgspec.Struct):
    """The part of a session that is about audio."""

    input: Input = msgspec.field(default_factory=Input)


class Session(msgspec.Struct):
    """A session; keys that are not here have no effect."""

    type: Literal["transcription"] = "transcription"
    audio: Audio = msgspec.field(default_factory=Audio)
    include: list[str] | None = None

    @property
    def format(self) -> RawFormat:
        """Format of the audio that the client sends."""
        return _FORMATS[self.audio.input.format.type]

    @property
    def turn_detection(self) -> TurnDetection | None:
        """When the server ends an item by itself."""
        return self.audio.input.turn_detection

    @property
    def has_logprobs(self) -> bool:
        """Whether results have the log probability of each word."""
        return INCLUDE_LOGPROBS in (self.include or ())

    def hot_words(self, labels: Sequence[str]) -> dict[str, float]:
        """Return the phrases to expect with their boosts.

        Raises:
            RequestError: There are too many, or one is too long.
        """
        known = self.audio.input.transcription or Guidance()
        return hot_words(known.prompt or "", known.keywords or (), labels)

    def stream_settings(self, labels: Sequence[str]) -> StreamSettings:
        """Return the settings of a stream for this session.

        Raises:
            UsageError: A setting is out of range.
        """
        silence = None if self.turn_detection is None else self.turn_detection.silence_duration_ms
        return StreamSettings(
            self.format,
            hot_words=self.hot_words(labels),
            endpoint_seconds=None if silence is None else silence / 1000.0,
        )

    def updated(self, changes: Any, labels: Sequence[str], language: str) -> Session:
        """Return the session with the settings that a client sent, in either form; the others stay.

        Raises:
            RequestError: A setting is of another type, or cannot be fulfilled.
        """
        if not isinstance(changes, Mapping):
            raise RequestError("session is not an object; wanted its settings", "session")
        if changes.get("type") == "realtime":
            raise RequestError(
                "this server only transcribes; wanted a session of the type transcription", "session.type"
            )
        merged = _merge(msgspec.to_builtins(self), _nested(changes))
        try:
            session = msgspec.convert(merged, Session)
        except msgspec.ValidationError as error:
            raise RequestError(f"invalid session: {error}", "session") from None
        rate = session.audio.input.format.rate
        if session.format.encoding == "s16le" and rate not in (None, _PCM_RATE):
            raise RequestError(f"audio/pcm with {rate} Hz; wanted {_PCM_RATE}", "session.audio.input.format.rate")
        known = session.audio.input.transcription or Guidance()
        check_language([one for one in (known.language, *(known.languages or ())) if one], language)
        try:
            session.stream_settings(labels)
        except RequestError:
            raise
        except UsageError as error:
            raise RequestError(str(error), "session.audio.input.turn_detection") from None
        return session

    def described(self, identity: str, flat: bool, silence_seconds: float | None) -> dict[str, Any]:
        """Return the session as the server reports it.

        Args:
            identity: Identifier of the session.
            flat: Whether the client uses the older form.
            silence_seconds: Silence that ends a segment unless the client chooses.
        """
        whole: dict[str, Any] = msgspec.to_builtins(self)
        given = whole["audio"]["input"]
        if (detection := given["turn_detection"]) is not None:
            detection["type"] = "server_vad"  # there is nothing else
            if detection["silence_duration_ms"] is None and silence_seconds is not None:
                detection["silence_duration_ms"] = silence_seconds * 1000.0
        base = {"id": identity, "object": "realtime.transcription_session"}
        if flat:
            names = {new: old for old, new in _FLAT_FORMATS.items()}
            return base | {
                "input_audio_format": names[given["format"]["type"]],
                "input_audio_transcription": given["transcription"],
                "input_audio_noise_reduction": given["noise_reduction"],
                "turn_detection": detection,
                "include": whole["include"],
            }
        if self.format.encoding == "s16le":
            given["format"]["rate"] = _PCM_RATE
        return base | whole


def _nested(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in the present form."""
    nested = {key: value for key, value in changes.items() if key in ("type", "audio", "include")}
    given: dict[str, Any] = {}
    if "input_audio_format" in changes:
        name = changes["input_audio_format"]
        if not isinstance(name, str) or name not in _FLAT_FORMATS:
            raise RequestError(
                f"input_audio_format is {name!r}; wanted {', '.join(_FLAT_FORMATS)}", "session.input_audio_format"
            )
        given["format"] = {"type": _FLAT_FORMATS[name]}
    for old, new in (
        ("input_audio_transcription", "transcription"),
        ("input_audio_noise_reduction", "noise_reduction"),
        ("turn_detection", "turn_detection"),
    ):
        if old in changes:
            given[new] = changes[old]
    return _merge(nested, {"audio": {"input": given}}) if given else nested


def _merge(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        both = isinstance(before, dict) and isinstance(value, Mapping) and key != "format"
        merged[key] = _merge(before, value) if both else value  # type: ignore[arg-type]
    return merged
