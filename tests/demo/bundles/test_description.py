"""`info` describes a bundle for people; its JSON is the manifest, unchanged."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgespeech.demo.bundles import description
from edgespeech.demo.bundles.description import describe
from edgespeech.runtime.audio import read
from edgespeech.runtime.bundle import DEFAULT_BUNDLE, Bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.measure.tables import Caution, Facts
from tests.demo.bundles.test_inspect import ARPA, rebuilt, with_language_model

Command = Callable[..., Any]


def facts(bundle: Bundle) -> dict[str, str]:
    first, second = (part for part in describe(bundle) if isinstance(part, Facts))
    return {**dict(first.rows), **dict(second.rows)}


def test_a_small_bundle_is_described(tiny_bundle: Bundle, cells_bundle: Bundle, tmp_path: Path) -> None:
    found = facts(tiny_bundle)
    assert re.fullmatch(r"Deep Speech 2, \d (LSTM|recurrent) layers of \d+, fp32 weights", found["model"])
    assert found["labels"] == "a to z, space, apostrophe; 29 with the blank"
    assert found["audio"] == "16 kHz, chunks of 80 ms (or any other multiple of 40 ms), look-ahead 120 ms"
    assert found["language model"] == "none, beam width 64"
    assert found["word errors"] == "not measured: edgespeech evaluate MANIFEST"
    assert (found["language"], found["licence"]) == ("not stated by its checkpoint", "not stated")
    assert found["hashes"] == "sizes and SHA-256 of the 1 file are as stated"
    assert found["look-ahead"].startswith("120 ms, ") and found["latency"].endswith(
        "if no later speech changes the word"
    )
    cells = facts(cells_bundle)
    assert "(form cells)" in cells["model"] and "chunks of 80 ms (fixed)" in cells["audio"]
    spoken = facts(with_language_model(tiny_bundle, tmp_path / "bundle", ARPA.read_bytes()))
    assert (
        spoken["language model"] == "2-gram of 4 words, alpha 0.5, beta 1.5, beam width 64"
        and "MB: acoustic.onnx" in spoken["size"]
    )


def test_the_default_bundle_is_described(edgespeech: Command) -> None:
    outcome = edgespeech("info", "--markdown")
    assert (outcome.code, outcome.err) == (0, "")
    for line in (
        "# edge",
        "- model: Deep Speech 2, 5 LSTM layers of 384, int8 weights",
        "- language: English",
        "- language model: 4-gram of 50000 words, alpha 1, beta 0.5, beam width 512",
        "- word errors: 25.4 % on librispeech/dev.jsonl, 3794 words (25.4 % before quantization)",
        "- hashes: sizes and SHA-256 of all 3 files are as stated",
    ):
        assert line in outcome.out.splitlines()
    assert len(outcome.out.splitlines()) <= 30, "a short account"


def test_json_is_the_manifest_as_it_is(edgespeech: Command) -> None:
    outcome = edgespeech("info", "--json")
    assert outcome.out == (DEFAULT_BUNDLE / "bundle.json").read_text("utf-8").rstrip() + "\n"


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (("", " ", *"abcdefghijklmnopqrstuvwxyz", "ä", "ß"), "a to z, ß ä, space; 30 with the blank"),
        (("", " ", *"abcdefghijklmnopqrstuvwxyz", "th", "er"), "a to z, space, and 2 pairs of them; 30 with the blank"),
        (("", " ", "а", "б"), "а б, space; 4 with the blank"),
    ],
)
def test_labels_of_any_alphabet_are_named(labels: tuple[str, ...], text: str) -> None:
    assert description._labels(labels) == text


@pytest.mark.parametrize(
    ("measured", "text"),
    [
        ({"wer_percent": 20.25, "wer_percent_before": 20.0}, "20.2 % on speech that is not stated (20.0 % before "
         "quantization)"),
        ({"wer_percent": 20.25, "wer_speech": "a/b.jsonl, 9 words"}, "20.2 % on a/b.jsonl, 9 words"),
        ({"tuning": {"wer": 0.25, "manifest": "dev.jsonl"}}, "25.0% on dev.jsonl, on which the search was tuned"),
        ({"tuning": {"wer": 0.25, "manifest": "a", "other": {"wer": 0.3, "manifest": "b"}}},
         "25.0% on a, on which the search was tuned; 30.0% on b"),
    ],
)  # fmt: skip
def test_measured_word_errors_have_their_speech(
    tiny_bundle: Bundle, tmp_path: Path, measured: dict[str, Any], text: str
) -> None:
    bundle = rebuilt(tiny_bundle, tmp_path / "bundle", measured=measured, provenance={"licence": "CC BY 4.0"})
    found = facts(bundle)
    assert (found["word errors"], found["licence"]) == (text, "CC BY 4.0")


@pytest.mark.parametrize(("seconds", "behind"), [(None, False), (0.079, False), (0.145, True)])
def test_a_chunk_that_takes_longer_than_it_lasts_is_reported(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, seconds: float | None, behind: bool
) -> None:
    monkeypatch.setattr(description, "seconds_per_chunk", lambda bundle: seconds)
    cautions = [part.text for part in describe(tiny_bundle) if isinstance(part, Caution)]
    assert [text.startswith("cannot keep up in real time: a chunk of 80 ms takes 145 ms") for text in cautions] == [
        True
    ] * behind


def test_a_slow_machine_times_fewer_chunks(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(0.0, 100.0, 0.5))
    monkeypatch.setattr(description, "perf_counter", lambda: float(next(clock)))
    assert description.seconds_per_chunk(tiny_bundle) == 0.5
    assert next(clock) == 4.0, "4 chunks of half a second"


def test_the_time_of_a_chunk_is_that_of_speech_with_search_and_fast_partials(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model alone, or noise without words, takes a tenth of the time that a user sees."""
    chunks: list[np.ndarray] = []
    made: list[bool] = []

    class Spy:
        sample_rate, chunk_samples = tiny_bundle.manifest.audio.sample_rate, tiny_bundle.manifest.audio.chunk_samples

        def __init__(self, bundle: Bundle) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

        def stream(self, fast_partials: bool) -> Spy:
            made.append(fast_partials)
            return self

        def accept(self, samples: np.ndarray) -> None:
            chunks.append(samples)

    monkeypatch.setattr(description, "Recognizer", Spy)
    description.seconds_per_chunk(tiny_bundle)
    clip = read(read_manifest(SAMPLE_CLIPS)[0].path, Spy.sample_rate)
    played = np.concatenate(chunks)
    assert made == [True]
    assert all(len(chunk) == Spy.chunk_samples for chunk in chunks)
    np.testing.assert_array_equal(played[: len(clip)], clip[: len(played)])
