"""Log-probabilities of a manifest: equal to those of the recognizer, and computed once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.demo.tune_decoder.log_prob_cache import compute_log_probs
from edgespeech.errors import ManifestError
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]


@pytest.fixture
def manifest(noise: Callable[[int], Samples], tmp_path: Path) -> Path:
    lines = []
    for number, text in enumerate(("The  Cat", "", "sat")):
        soundfile.write(tmp_path / f"{number}.wav", noise(9000 + 700 * number), 16000)
        lines.append(json.dumps({"audio_filepath": f"{number}.wav", "text": text}))
    path = tmp_path / "speech.jsonl"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often the acoustic model is loaded."""
    counted: list[int] = []

    def load(bundle: Bundle) -> AcousticModel:
        counted.append(1)
        return AcousticModel(bundle)

    monkeypatch.setattr("edgespeech.demo.tune_decoder.log_prob_cache.AcousticModel", load)
    return counted


def test_characters_are_counted_where_no_label_has_a_space(tiny_bundle: Bundle, manifest: Path, tmp_path: Path) -> None:
    labels = tuple(label.replace(" ", "ก") for label in tiny_bundle.manifest.labels)
    spaceless = replace(tiny_bundle, manifest=msgspec.structs.replace(tiny_bundle.manifest, labels=labels))
    first, *_ = compute_log_probs(spaceless, manifest, tmp_path / "cache")
    assert first.reference == "t h e c a t" and first.by_characters
    assert first.errors("thecat") == 0 and first.errors("the cut") == 1
    plain, *_ = compute_log_probs(tiny_bundle, manifest, tmp_path / "cache")
    assert plain.errors("the cut") == 1 and plain.errors("thecat") == 2


def test_log_probs_equal_those_of_the_recognizer(tiny_bundle: Bundle, manifest: Path, tmp_path: Path) -> None:
    utterances = compute_log_probs(tiny_bundle, manifest, tmp_path / "cache")
    assert [one.reference for one in utterances] == ["the cat", "", "sat"]
    facts = tiny_bundle.manifest.audio
    samples = soundfile.read(manifest.parent / "0.wav", dtype="float32")[0]
    assert utterances[0].seconds == len(samples) / 16000
    frames = -(-len(samples) // facts.frame_samples) + round(0.3 / facts.frame_seconds)  # with the padding at the end
    assert utterances[0].log_probs.shape == (frames, len(tiny_bundle.manifest.labels))
    assert np.allclose(np.exp(utterances[0].log_probs).sum(axis=1), 1.0, atol=1e-4)
    # The text is that of the recognizer, which has no language model here.
    recognizer = Recognizer(tiny_bundle, beam_width=64, endpoint_seconds=None)
    text = recognizer.decoder.decode(utterances[0].log_probs, 1)[0].text
    assert " ".join(text.split()) == recognizer.transcribe(manifest.parent / "0.wav").text


def test_a_second_call_reads_the_cache(
    tiny_bundle: Bundle, manifest: Path, tmp_path: Path, runs: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgespeech")
    first = compute_log_probs(tiny_bundle, manifest, tmp_path / "cache")
    second = compute_log_probs(tiny_bundle, manifest, tmp_path / "cache")
    assert len(runs) == 1
    assert all(np.array_equal(a.log_probs, b.log_probs) for a, b in zip(first, second, strict=True))
    assert [(one.reference, one.seconds) for one in first] == [(one.reference, one.seconds) for one in second]
    (stored,) = (tmp_path / "cache").iterdir()
    messages = [line for line in caplog.messages if "log-probabilities" in line]
    assert messages == [f"log-probabilities stored in {stored}", f"log-probabilities read from {stored}"]


def test_a_changed_recording_or_a_damaged_cache_is_computed_again(
    tiny_bundle: Bundle, manifest: Path, noise: Callable[[int], Samples], tmp_path: Path, runs: list[int]
) -> None:
    cache = tmp_path / "cache"
    compute_log_probs(tiny_bundle, manifest, cache)
    soundfile.write(manifest.parent / "0.wav", noise(12000), 16000)
    assert compute_log_probs(tiny_bundle, manifest, cache)[0].seconds == 12000 / 16000
    assert len(runs) == 2
    for stored in cache.iterdir():
        stored.write_bytes(stored.read_bytes()[:100])
    assert compute_log_probs(tiny_bundle, manifest, cache)[0].seconds == 12000 / 16000
    assert len(runs) == 3


def test_an_unwritable_cache_is_only_a_warning(
    tiny_bundle: Bundle, manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    assert len(compute_log_probs(tiny_bundle, manifest, tmp_path / "file" / "cache")) == 3
    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "log-probabilities are not stored: cannot create" in record.getMessage()


def test_a_manifest_without_texts_is_refused(tiny_bundle: Bundle, manifest: Path, tmp_path: Path) -> None:
    manifest.write_text('{"audio_filepath": "0.wav"}\n')
    with pytest.raises(ManifestError, match="no utterance with a text"):
        compute_log_probs(tiny_bundle, manifest, tmp_path)
