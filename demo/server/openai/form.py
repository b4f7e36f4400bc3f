"""What the fields of a transcription request ask for; values that cannot be fulfilled are refused by name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgespeech.demo.server.application import RequestError
from edgespeech.demo.server.phrases import check_phrases, spell_hot_words
from edgespeech.demo.server.request import same_language
from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.hot_words import DEFAULT_BOOST
from edgespeech.runtime.serving.settings import MAX_ENDPOINT_SECONDS

TEXTS = ("json", "text")
FORMATS = (*TEXTS, "srt", "verbose_json", "vtt")
GRANULARITIES = ("word", "segment")
MAX_PROMPT_WORDS = 4  # of a phrase; what is longer is a sentence
_SEPARATORS = re.compile(r"[,;:\n\r\t]+|[.!?]+(?:\s|$)")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}


@dataclass(frozen=True)
class TranscriptionForm:
    """A transcription request; fields that are not here, such as ``model`` and ``temperature``, have no effect.

    Attributes:
        response_format: One of `FORMATS`.
        granularities: What ``verbose_json`` contains; words and segments unless the client chooses.
        stream: Whether segments are sent as they become final.
        logprobs: Whether ``json`` has the log probability of each word.
        hot_words: Expected phrases with their boosts.
        endpoint_seconds: Silence that ends a segment; None for the setting of the server.
        written: Whether the text has marks and capitals; None for the setting of the server.
    """

    response_format: str
    granularities: frozenset[str]
    stream: bool
    logprobs: bool
    hot_words: Mapping[str, float]
    endpoint_seconds: float | None
    written: bool | None

    @classmethod
    def parse(cls, fields: Mapping[str, Sequence[str]], labels: Sequence[str], language: str) -> TranscriptionForm:
        """Read the fields of a form.

        Args:
            fields: The values of each field.
            labels: The letters of the bundle.
            language: The language of the bundle.

        Raises:
            RequestError: A value is unknown, or two of them clash.
        """
        check_language([*fields.get("language", ()), *fields.get("languages", ())], language)
        chosen = _one_of("response_format", _last(fields, "response_format", "json"), FORMATS)
        stream = _boolean("stream", _last(fields, "stream", ""))
        if stream and chosen not in TEXTS:
            raise RequestError(
                f"response_format {chosen!r} cannot be streamed; wanted json, or leave out stream", "stream"
            )
        wanted = [
            _one_of("timestamp_granularities", one, GRANULARITIES) for one in _all(fields, "timestamp_granularities")
        ]
        if wanted and chosen != "verbose_json":
            raise RequestError(
                f"timestamp_granularities with response_format {chosen!r}; wanted verbose_json",
                "timestamp_granularities",
            )
        included = [_one_of("include", one, ("logprobs",)) for one in _all(fields, "include")]
        return cls(
            response_format=chosen,
            granularities=frozenset(wanted or GRANULARITIES),
            stream=stream,
            logprobs=bool(included),
            hot_words=hot_words(_last(fields, "prompt", ""), _all(fields, "keywords"), labels),
            endpoint_seconds=_silence(fields),
            written=_boolean("written", written) if (written := _last(fields, "written", "")) else None,
        )


def hot_words(prompt: str, keywords: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Return the phrases to expect: the keywords, and what a prompt lists; phrases without a spelling are left out.

    Raises:
        RequestError: There are too many, or one is too long.
    """
    listed = [piece.strip() for piece in _SEPARATORS.split(prompt)]
    listed = [piece for piece in listed if 0 < len(piece.split()) <= MAX_PROMPT_WORDS]
    for name, phrases in (("keywords", keywords), ("prompt", listed)):
        try:
            check_phrases(phrases)
        except UsageError as error:
            raise RequestError(f"{name}: {error}", name) from None
    return dict.fromkeys(spell_hot_words([*keywords, *listed], labels), DEFAULT_BOOST)


def check_language(wanted: Sequence[str], language: str) -> None:
    """Refuse a request for other languages than that of the bundle; regions, as in ``en-US``, have no effect.

    Raises:
        RequestError: None of the languages that are wanted is that of the bundle.
    """
    given = [one for one in wanted if one.strip()]
    if given and not any(same_language(one, language) for one in given):
        raise RequestError(f"language {given[0]!r}; this server recognises {language!r}; leave it out", "language")


def _all(fields: Mapping[str, Sequence[str]], name: str) -> list[str]:
    return [one for one in fields.get(name, ()) if one.strip()]


def _last(fields: Mapping[str, Sequence[str]], name: str, default: str) -> str:
    return (_all(fields, name) or [default])[-1]


def _one_of(name: str, value: str, known: Sequence[str]) -> str:
    if value.strip() not in known:
        raise RequestError(f"{name} is {value!r}; wanted {', '.join(known)}", name)
    return value.strip()


def _boolean(name: str, value: str) -> bool:
    if (found := _BOOLEANS.get(value.strip().lower())) is None:
        raise RequestError(f"{name} is {value!r}; wanted true or false", name)
    return found


def _silence(fields: Mapping[str, Sequence[str]]) -> float | None:
    """Return the silence of ``chunking_strategy`` in seconds; the fields of the object come one by one."""
    name = "chunking_strategy[silence_duration_ms]"
    value = _last(fields, name, "")
    if not value:
        return None
    try:
        seconds = float(value) / 1000.0
    except ValueError:
        seconds = math.nan
    if not 0.0 < seconds <= MAX_ENDPOINT_SECONDS:
        raise RequestError(
            f"{name} is {value!r}; wanted more than 0, and at most {MAX_ENDPOINT_SECONDS * 1000:g}",
            "chunking_strategy",
        )
    return seconds
