"""Describes a bundle for people: what it is, how good it was measured to be, and the parts of its latency."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from edgespeech.errors import EdgespeechError
from edgespeech.runtime.audio import read
from edgespeech.runtime.bundle import AudioFacts, Bundle, GraphFacts, Manifest
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.endpoint import EndpointRules
from edgespeech.runtime.live.latency import LATENCY, latency_budget, resampling_part
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.measure.tables import Caution, Facts, Heading, Page
from edgespeech.runtime.recognizer import Recognizer

TIMED_CHUNKS = 20
MAX_TIMED_SECONDS = 2.0
MIN_TIMED_CHUNKS = 3
_NAMED = {" ": "space", "'": "apostrophe", "-": "hyphen", ".": "full stop", ",": "comma"}


def describe(bundle: Bundle) -> Page:
    """Lay out what a bundle is; the compute time of a chunk is measured if the graph runs here."""
    manifest, audio = bundle.manifest, bundle.manifest.audio
    facts = [
        ("model", _model(manifest.graph)),
        ("language", _language(manifest)),
        ("labels", _labels(manifest.labels)),
        ("audio", f"{audio.sample_rate / 1000.0:g} kHz, {_chunk(audio)}"),
        ("language model", _language_model(bundle)),
        ("word errors", _word_errors(manifest.measured)),
        ("size", _size(manifest)),
        ("licence", str(manifest.provenance.get("licence") or "not stated")),
        ("hashes", f"sizes and SHA-256 of {_files(len(manifest.files))} are as stated"),
        ("folder", str(bundle.folder)),
    ]
    budget = latency_budget(audio, audio.chunk_samples, seconds_per_chunk(bundle), EndpointRules().endpoint_seconds)
    _, *parts = budget.parts()  # the first is 0 for every bundle: layers look back only
    rows = [(name, f"{value}, {what}") for name, value, what in (resampling_part(audio), *parts)]
    return [
        Heading(manifest.name or bundle.folder.name, 1),
        Facts(facts),
        Heading(LATENCY[0].upper() + LATENCY[1:]),
        Facts(rows),
        *([Caution(budget.warning())] if budget.warning() else []),
        "Measured while you speak: edgespeech live --latency-report. All of bundle.json: edgespeech info --json",
    ]


def _model(graph: GraphFacts) -> str:
    widths = [state.shape[-1] for state in graph.states if re.fullmatch(r"recurrent\d+_hidden", state.name)]
    kind = "LSTM" if any(state.name.endswith("_cell") for state in graph.states) else "recurrent"
    layers = f"{len(widths)} {kind} layers of {widths[0]}, " if widths else ""
    unrolled = ", unrolled over the chunk (form cells)" if graph.form == "cells" else ""
    return f"Deep Speech 2, {layers}{graph.precision} weights{unrolled}"


def _language(manifest: Manifest) -> str:
    return str(manifest.provenance.get("language") or "not stated by its checkpoint")


def _labels(labels: Sequence[str]) -> str:
    characters = set("".join(labels))
    basic, plain = set(string.ascii_lowercase), ["a to z"]
    letters = sorted(one for one in characters - basic if one.isalpha())
    others = [_NAMED.get(one, one) for one in sorted(characters) if not one.isalpha()]
    if not basic <= characters:
        plain, letters = [], sorted(one for one in characters if one.isalpha())
    pairs = sum(len(label) > 1 for label in labels)
    named = ", ".join([*plain, *([" ".join(letters)] if letters else []), *others])
    return f"{named}{f', and {pairs} pairs of them' if pairs else ''}; {len(labels)} with the blank"


def _chunk(audio: AudioFacts) -> str:
    frame, chunk, lookahead = (
        f"{1000.0 * seconds:g} ms" for seconds in (audio.frame_seconds, audio.chunk_seconds, audio.lookahead_seconds)
    )
    choice = f"or any other multiple of {frame}" if audio.chunk_free else "fixed"
    return f"chunks of {chunk} ({choice}), look-ahead {lookahead}"


def _language_model(bundle: Bundle) -> str:
    path, search = bundle.language_model_path, bundle.manifest.decoder
    beam = f"beam width {search.beam_width}"
    if path is None:
        return f"none, {beam}"
    try:
        model = LanguageModel(path)
    except EdgespeechError as error:
        return f"cannot be read: {error}"
    words = "" if model.vocabulary is None else f" of {len(model.vocabulary)} words"
    return f"{model.order}-gram{words}, alpha {search.alpha:g}, beta {search.beta:g}, {beam}"


def _word_errors(measured: Mapping[str, Any]) -> str:
    """Format what `quantize --dev` and `lm tune` measured on this bundle."""
    found = []
    if (rate := measured.get("wer_percent")) is not None:
        before = measured.get("wer_percent_before")
        compared = "" if before is None else f" ({before:.1f} % before quantization)"
        found.append(f"{rate:.1f} % on {measured.get('wer_speech', 'speech that is not stated')}{compared}")
    tuning = measured.get("tuning") or {}
    if "wer" in tuning:
        found.append(f"{tuning['wer']:.1%} on {tuning.get('manifest')}, on which the search was tuned")
        if other := tuning.get("other"):
            found.append(f"{other['wer']:.1%} on {other['manifest']}")
    return "; ".join(found) or "not measured: edgespeech evaluate MANIFEST"


def _size(manifest: Manifest) -> str:
    files = ", ".join(f"{name} {entry.bytes / 1e6:.1f} MB" for name, entry in manifest.files.items())
    return f"{sum(entry.bytes for entry in manifest.files.values()) / 1e6:.1f} MB: {files}"


def _files(count: int) -> str:
    return "the 1 file" if count == 1 else f"all {count} files"


def seconds_per_chunk(bundle: Bundle) -> float | None:
    """Measure the median time of a chunk of speech, fast partials included; None if the bundle does not load."""
    try:
        recognizer = Recognizer(bundle)
    except EdgespeechError:
        return None
    with recognizer:
        stream, size = recognizer.stream(fast_partials=True), recognizer.chunk_samples
        speech = np.resize(read(read_manifest(SAMPLE_CLIPS)[0].path, recognizer.sample_rate), TIMED_CHUNKS * size)
        times: list[float] = []
        while len(times) < TIMED_CHUNKS and (sum(times) < MAX_TIMED_SECONDS or len(times) < MIN_TIMED_CHUNKS):
            chunk = speech[len(times) * size :][:size]
            began = perf_counter()
            stream.accept(chunk)
            times.append(perf_counter() - began)
    return float(np.median(times))
