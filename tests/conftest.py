"""Tiny models and sounds that several tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# Before torch is imported: threads only make such small models slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def noise() -> Callable[[int], Samples]:
    """Reproducible noise of a given number of samples."""
    return lambda samples: (np.random.default_rng(samples).standard_normal(samples) * 0.1).astype(np.float32)


TINY_SHAPES = [
    pytest.param({"cell": cell, "front_end": front_end, "label_set": labels}, id=f"{cell}-{front_end}-{labels}")
    for cell, front_end, labels in (
        ("gru", "1d", "characters"),
        ("lstm", "1d", "bigrams"),
        ("rnn", "1d", "characters"),
        ("gru", "2d", "bigrams"),
        ("lstm", "2d", "characters"),
        ("rnn", "2d", "bigrams"),
    )
]


@pytest.fixture(params=TINY_SHAPES)
def tiny_model(request: pytest.FixtureRequest) -> Any:
    """A small model of every kind, with weights and batch-norm statistics that are not the initial ones."""
    return make_tiny_model(**request.param)


@pytest.fixture(scope="session")
def tiny_model_factory() -> Callable[..., Any]:
    """`make_tiny_model`, for tests that choose the fields of `ModelConfig` themselves."""
    return make_tiny_model


def make_tiny_model(**settings: Any) -> Any:
    """Build a `DeepSpeech2` with 12 hidden units and statistics as after training."""
    import torch

    from edgespeech.reference.model.config import ConvolutionConfig, FeatureConfig, ModelConfig
    from edgespeech.reference.model.deep_speech2 import DeepSpeech2
    from edgespeech.reference.model.labels import CHARACTERS, Labels, bigram_labels
    from edgespeech.reference.model.layers import MaskedBatchNorm

    defaults: dict[str, Any] = {
        "features": FeatureConfig(bins=16),
        "convolutions": (
            ConvolutionConfig(channels=6, kernel=5, stride=2, frequency_kernel=5, frequency_stride=2),
            ConvolutionConfig(channels=5, kernel=3, stride=2, frequency_kernel=3, frequency_stride=2),
        ),
        "hidden": 12,
        "layers": 2,
        "lookahead_frames": 3,
    }
    config = ModelConfig(**{**defaults, **settings})
    bigrams = config.label_set == "bigrams"
    labels = bigram_labels(["the cat sat on the mat"], minimum_count=1) if bigrams else Labels(CHARACTERS)
    generator = torch.Generator().manual_seed(7)
    model = DeepSpeech2(config, labels)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
        for module in model.modules():
            if isinstance(module, MaskedBatchNorm):
                module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.5)
                module.running_variance.copy_(torch.rand(module.running_variance.shape, generator=generator) + 0.3)
                module.weight.copy_(torch.rand(module.weight.shape, generator=generator) + 0.5)
        model.features.mean.fill_(-6.0)
        model.features.inverse_deviation.fill_(0.4)
    return model.eval()


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bundle on disk: GRU, 1-D, characters, frames of 40 ms, chunks of 80 ms, no language model."""
    from edgespeech.export.fold import fold_batch_norm
    from edgespeech.export.streaming_graph import build_graph
    from edgespeech.runtime import bundle

    model = make_tiny_model()
    chunk = 2 * model.config.frame_samples
    graph, states = build_graph(fold_batch_norm(model), "fused", chunk)

    def describe(files: dict[str, bundle.FileEntry]) -> bundle.Manifest:
        return bundle.Manifest(
            format=bundle.FORMAT,
            version=bundle.VERSION,
            name="tiny",
            labels=model.labels.symbols,
            audio=bundle.AudioFacts(
                sample_rate=model.config.features.sample_rate,
                frame_samples=model.config.frame_samples,
                chunk_samples=chunk,
                chunk_free=True,
                delay_frames=model.delay_frames,
            ),
            graph=bundle.GraphFacts(
                form="fused",
                precision="fp32",
                states=tuple(bundle.StateEntry(name=s.name, output=s.output, shape=s.shape) for s in states),
            ),
            files=files,
        )

    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    return bundle.write_bundle(folder, {bundle.ACOUSTIC: graph.SerializeToString()}, describe)


@pytest.fixture(scope="session")
def cells_bundle(tiny_bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model of `tiny_bundle` with its recurrence unrolled, so that the chunk is fixed."""
    import msgspec

    from edgespeech.export.fold import fold_batch_norm
    from edgespeech.export.streaming_graph import build_graph
    from edgespeech.runtime import bundle

    manifest = tiny_bundle.manifest
    graph, _ = build_graph(fold_batch_norm(make_tiny_model()), "cells", manifest.audio.chunk_samples)

    def describe(files: dict[str, bundle.FileEntry]) -> bundle.Manifest:
        described: bundle.Manifest = msgspec.structs.replace(
            manifest,
            audio=msgspec.structs.replace(manifest.audio, chunk_free=False),
            graph=msgspec.structs.replace(manifest.graph, form="cells"),
            files=files,
        )
        return described

    folder = tmp_path_factory.mktemp("bundles") / "cells"
    return bundle.write_bundle(folder, {bundle.ACOUSTIC: graph.SerializeToString()}, describe)


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def edgespeech(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The command line, in this process."""

    def run(*arguments: object) -> Outcome:
        from edgespeech.demo.cli import main

        monkeypatch.setattr("sys.argv", ["edgespeech", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return run
