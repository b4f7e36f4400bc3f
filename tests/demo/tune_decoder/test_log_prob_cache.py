"""Log-probabilities of a manifest: those of the stream, once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.demo.tune_decoder.log_prob_cache import cache_folder, hear_manifest
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
    """Counts how often the acoustic model is loaded."""
    counted: list[int] = []

    def load(bundle: Bundle) -> AcousticModel:
        counted.append(1)
        return AcousticModel(bundle)

    monkeypatch.setattr("edgespeech.demo.tune_decoder.log_prob_cache.AcousticModel", load)
    return counted


def test_they_are_what_the_recognizer_hears(tiny_bundle: Bundle, manifest: Path, tmp_path: Path) -> None:
    heard = hear_manifest(tiny_bundle, manifest, tmp_path / "cache")
    assert [one.reference for one in heard] == ["the cat", "sat"]
    facts = tiny_bundle.manifest.audio
    samples = soundfile.read(manifest.parent / "0.wav", dtype="float32")[0]
    assert heard[0].seconds == len(samples) / 16000
    frames = -(-len(samples) // facts.frame_samples) + round(0.3 / facts.frame_seconds)  # its own, and the silence
    assert heard[0].log_probs.shape == (frames, len(tiny_bundle.manifest.labels))
    assert np.allclose(np.exp(heard[0].log_probs).sum(axis=1), 1.0, atol=1e-4)
    # Its best path is that of the recognizer without a language model and without a beam.
    recognizer = Recognizer(tiny_bundle, beam_width=64, endpoint_seconds=None)
    text = recognizer.decoder.decode(heard[0].log_probs, 1)[0].text
    assert " ".join(text.split()) == recognizer.transcribe(manifest.parent / "0.wav").text


def test_the_second_time_they_come_from_the_disk(
    tiny_bundle: Bundle, manifest: Path, tmp_path: Path, runs: list[int]
) -> None:
    said: list[str] = []
    first = hear_manifest(tiny_bundle, manifest, tmp_path / "cache", say=said.append)
    second = hear_manifest(tiny_bundle, manifest, tmp_path / "cache", say=said.append)
    assert len(runs) == 1
    assert all(np.array_equal(a.log_probs, b.log_probs) for a, b in zip(first, second, strict=True))
    assert [(one.reference, one.seconds) for one in first] == [(one.reference, one.seconds) for one in second]
    assert len(said) == 2 and "kept in" in said[0] and "last time" in said[1]


def test_a_changed_recording_or_a_damaged_file_is_heard_again(
    tiny_bundle: Bundle, manifest: Path, noise: Callable[[int], Samples], tmp_path: Path, runs: list[int]
) -> None:
    cache = tmp_path / "cache"
    hear_manifest(tiny_bundle, manifest, cache)
    soundfile.write(manifest.parent / "0.wav", noise(12000), 16000)
    assert hear_manifest(tiny_bundle, manifest, cache)[0].seconds == 12000 / 16000
    assert len(runs) == 2
    for kept in cache.iterdir():
        kept.write_bytes(kept.read_bytes()[:100])
    assert hear_manifest(tiny_bundle, manifest, cache)[0].seconds == 12000 / 16000
    assert len(runs) == 3


def test_a_folder_that_cannot_be_written_only_costs_time(tiny_bundle: Bundle, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said: list[str] = []
    assert len(hear_manifest(tiny_bundle, manifest, tmp_path / "file" / "cache", say=said.append)) == 2
    assert len(said) == 1 and "not kept" in said[0]


def test_a_manifest_without_texts_is_refused(tiny_bundle: Bundle, manifest: Path, tmp_path: Path) -> None:
    manifest.write_text('{"audio_filepath": "0.wav"}\n')
    with pytest.raises(ManifestError, match="no utterance with a text"):
        hear_manifest(tiny_bundle, manifest, tmp_path)


def test_the_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "edgespeech" / "log_probs"
