"""Tiny models of every kind, and bundles of them.

``python -m tests.tiny_models FOLDER`` writes the bundles, so that an environment without torch can test the runtime.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

TINY, CELLS = "tiny", "cells"


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
    labels = bigram_labels(["the cat sat on the mat"], min_count=1) if bigrams else Labels(CHARACTERS)
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


def write_tiny_bundle(folder: Path) -> Any:
    """Write a bundle: GRU, 1-D, characters, frames of 40 ms, chunks of 80 ms, no language model."""
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

    return bundle.write_bundle(folder, {bundle.ACOUSTIC: graph.SerializeToString()}, describe)


def write_cells_bundle(folder: Path, tiny: Any) -> Any:
    """Write the model of the tiny bundle with its recurrence unrolled, so that the chunk is fixed."""
    import msgspec

    from edgespeech.export.fold import fold_batch_norm
    from edgespeech.export.streaming_graph import build_graph
    from edgespeech.runtime import bundle

    manifest = tiny.manifest
    graph, _ = build_graph(fold_batch_norm(make_tiny_model()), "cells", manifest.audio.chunk_samples)

    def describe(files: dict[str, bundle.FileEntry]) -> bundle.Manifest:
        described: bundle.Manifest = msgspec.structs.replace(
            manifest,
            audio=msgspec.structs.replace(manifest.audio, chunk_free=False),
            graph=msgspec.structs.replace(manifest.graph, form="cells"),
            files=files,
        )
        return described

    return bundle.write_bundle(folder, {bundle.ACOUSTIC: graph.SerializeToString()}, describe)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    write_cells_bundle(target / CELLS, write_tiny_bundle(target / TINY))
