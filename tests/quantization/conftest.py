"""Bundles of tiny models in either form, and speech-like noise to calibrate on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.export.fold import fold_batch_norm
from edgespeech.export.request import Form
from edgespeech.export.streaming_graph import build_graph
from edgespeech.runtime import bundle as bundles
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.measure.word_errors import WordErrors

Samples = NDArray[np.float32]


@pytest.fixture(scope="session")
def speech(noise: Callable[[int], Samples]) -> list[Samples]:
    """Six recordings that swell and fade; their lengths are not multiples of a chunk."""
    return [noise(length) * np.hanning(length).astype(np.float32) for length in range(9001, 15001, 1001)]


@pytest.fixture(scope="session")
def bundle_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    """Write a model as a bundle with chunks of a number of frames."""

    def write(model: Any, frames: int = 2, form: Form = "cells") -> Bundle:
        chunk = frames * model.config.frame_samples
        graph, states = build_graph(fold_batch_norm(model), form, chunk)

        def describe(files: dict[str, bundles.FileEntry]) -> bundles.Manifest:
            return bundles.Manifest(
                format=bundles.FORMAT,
                version=bundles.VERSION,
                name=form,
                labels=model.labels.symbols,
                audio=bundles.AudioFacts(
                    sample_rate=model.config.features.sample_rate,
                    frame_samples=model.config.frame_samples,
                    chunk_samples=chunk,
                    chunk_free=form == "fused",
                    delay_frames=model.delay_frames,
                    end_state="" if model.edges is None else "edges_left",
                ),
                graph=bundles.GraphFacts(
                    form=form,
                    precision="fp32",
                    states=tuple(
                        bundles.StateEntry(name=s.name, output=s.output, shape=s.shape, initial=s.initial)
                        for s in states
                    ),
                ),
                files=files,
            )

        folder = tmp_path_factory.mktemp(form) / form
        return bundles.write_bundle(folder, {bundles.ACOUSTIC: graph.SerializeToString()}, describe)

    return write


@pytest.fixture(scope="session")
def full(bundle_of: Callable[..., Bundle], tiny_model_factory: Callable[..., Any]) -> Bundle:
    """A bundle of LSTMs with 40 units: most of its bytes are matrices, as in a real model."""
    return bundle_of(tiny_model_factory(cell="lstm", hidden=40))


@pytest.fixture(scope="session")
def fused(bundle_of: Callable[..., Bundle], tiny_model_factory: Callable[..., Any]) -> Bundle:
    """The model of `full` with LSTM operators."""
    return bundle_of(tiny_model_factory(cell="lstm", hidden=40), form="fused")


@pytest.fixture(scope="session")
def known_errors() -> Callable[..., WordErrors]:
    """Make word errors with given rates, as fractions of 100 000 reference words."""

    def make(wer: float, deletions: float = 0.02, cer: float = 0.03) -> WordErrors:
        words, deleted = 100_000, round(100_000 * deletions)
        counts = np.array([round(words * wer)]), np.array([words])
        return WordErrors(wer, cer, round(words * wer) - deleted, deleted, 0, words, *counts)

    return make
