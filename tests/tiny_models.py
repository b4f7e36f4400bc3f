"""Tiny models of every kind, and bundles of them.

The bundles are also in `ARCHIVE`, for environments without torch. ``python -m tests.tiny_models`` writes it again.
"""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import Any

TINY, CELLS = "tiny", "cells"
# Settings of `make_tiny_model` for models that pad each layer with zeros, as other projects' do.
CENTRED: dict[str, Any] = {"spectrum": "magnitude", "scale": "linear", "logarithm": "log1p", "padding": (160, 160)}
PADDED_SHAPES: dict[str, dict[str, Any]] = {
    "gru-2d-reflect": {
        "cell": "gru",
        "front_end": "2d",
        "features": {**CENTRED, "window": "hamming", "reflect": True},
        "convolutions": (
            {"kernel": 11, "stride": 2, "padding": (5, 5), "frequency_kernel": 9, "frequency_stride": 8},
            {"kernel": 11, "padding": (5, 5), "frequency_kernel": 5, "frequency_stride": 4},
        ),
    },
    "tanh-1d-long-left": {
        "cell": "tanh",
        "front_end": "1d",
        "features": {**CENTRED, "reflect": True},
        "convolutions": ({"kernel": 11, "stride": 2, "padding": (10, 10)}, {"kernel": 5, "padding": (0, 0)}),
    },
    "lstm-2d-kaldi": {
        "cell": "lstm",
        "front_end": "2d",
        "batch_norm": False,
        "layer_norm": True,
        "lookahead_frames": 0,
        "fully_connected": (9, 7),
        "features": {
            "window_samples": 400,
            "transform_samples": 512,
            "window": "povey",
            "symmetric_window": True,
            "remove_mean": True,
            "pre_emphasis": 0.97,
            "scale": "kaldi_mel",
            "bins": 16,
            "lowest_hz": 20,
            "logarithm": "at_least_floor",
            "padding": (0, 0),
        },
        "convolutions": (
            {
                "kernel": 3,
                "stride": 2,
                "padding": (0, 0),
                "frequency_kernel": 3,
                "frequency_stride": 2,
                "frequency_padding": 0,
                "activation": "relu",
            },
        )
        * 2,
    },
    "rnn-1d-zeros-running": {
        "cell": "rnn",
        "front_end": "1d",
        "features": {**CENTRED, "normalisation": "running", "prior_frames": 20, "memory_frames": 100},
        "convolutions": ({"kernel": 3, "stride": 2, "padding": (1, 2)}, {"kernel": 5, "stride": 2, "padding": (3, 0)}),
    },
}
ARCHIVE = Path(__file__).parent / "golden" / "tiny_bundles.tar.xz"


def make_tiny_model(**settings: Any) -> Any:
    """Build a `DeepSpeech2` with 12 hidden units and statistics as after training."""
    import torch

    from edgespeech.reference.model.config import ConvolutionConfig, FeatureConfig, ModelConfig
    from edgespeech.reference.model.deep_speech2 import DeepSpeech2
    from edgespeech.reference.model.labels import CHARACTERS, Labels, bigram_labels
    from edgespeech.reference.model.layers import MaskedBatchNorm

    if isinstance(settings.get("features"), dict):
        layers = tuple(ConvolutionConfig(channels=6, **layer) for layer in settings["convolutions"])
        features = FeatureConfig(**settings["features"])
        settings = {**settings, "features": features, "convolutions": layers, "edges": "zeros"}
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
        model.features.mean.fill_(-6.0 if config.features.logarithm != "log1p" else 0.6)
        model.features.inverse_deviation.fill_(0.4 if config.features.logarithm != "log1p" else 2.0)
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


def unpack_tiny_bundles(folder: Path) -> None:
    """Write the bundles of the archive into a folder."""
    with tarfile.open(ARCHIVE) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            if content is not None:
                target = folder / entry.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())


def write_archive() -> None:
    """Export both bundles and replace the archive."""
    with tempfile.TemporaryDirectory() as name, tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
        folder = Path(name)
        write_cells_bundle(folder / CELLS, write_tiny_bundle(folder / TINY))
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(entry, content)


if __name__ == "__main__":
    write_archive()
