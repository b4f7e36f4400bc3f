"""The graph equals the torch model, and chunked equals whole, for both forms of every kind of model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.export.fold import fold_batch_norm
from edgespeech.export.streaming_graph import build_graph, chunk_samples

Samples = NDArray[np.float32]


class Graph:
    """An onnxruntime session of the graph of a model."""

    def __init__(self, model: Any, form: Any, chunk: int) -> None:
        graph, self.states = build_graph(fold_batch_norm(model), form, chunk)
        self.session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])

    def initial(self, batch: int) -> dict[str, Samples]:
        """Return the initial states for a batch."""
        return {state.name: np.full((batch, *state.shape), state.initial, np.float32) for state in self.states}

    def step(self, samples: Samples, state: dict[str, Samples]) -> tuple[Samples, dict[str, Samples]]:
        """Process one chunk of a batch."""
        names = ["log_probs", *(s.output for s in self.states)]
        outputs = self.session.run(names, {"samples": samples, **state})
        return outputs[0], {s.name: value for s, value in zip(self.states, outputs[1:], strict=True)}

    def stream(self, samples: Samples, chunk: int, length: int | None = None) -> Samples:
        """Compute log-probabilities of [batch, samples], chunk by chunk, that end after ``length`` samples."""
        state, pieces = self.initial(len(samples)), []
        for start in range(0, samples.shape[1], chunk):
            if length is not None and 0 <= length - start < chunk and "edges_left" in state:
                state = {**state, "edges_left": np.full((len(samples), 1), length - start, np.float32)}
            log_probs, state = self.step(samples[:, start : start + chunk], state)
            pieces.append(log_probs)
        return np.concatenate(pieces, axis=1)


def padded(model: Any, samples: Samples, chunk: int) -> Samples:
    length = -(-model.padded_samples(len(samples)) // chunk) * chunk
    return np.pad(samples, (0, length - len(samples)))[None]


@pytest.mark.parametrize("form", ["fused", "cells"])
def test_graph_equals_torch_for_every_chunk_size(tiny_model: Any, form: str, noise: Callable[[int], Samples]) -> None:
    samples = noise(9000)
    with torch.no_grad():
        whole = tiny_model(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))[0][0].numpy()
    frame = tiny_model.config.frame_samples
    fused = Graph(tiny_model, "fused", frame) if form == "fused" else None
    for frames in range(1, 7):
        graph = fused or Graph(tiny_model, form, frames * frame)
        chunked = graph.stream(padded(tiny_model, samples, frames * frame), frames * frame, len(samples))[0]
        chunked = chunked[tiny_model.delay_frames :][: len(whole)]
        np.testing.assert_allclose(chunked, whole, atol=2e-5)


@pytest.mark.parametrize("form", ["fused", "cells"])
def test_states_equal_those_of_torch(tiny_model: Any, form: str, noise: Callable[[int], Samples]) -> None:
    chunk = tiny_model.config.frame_samples * 3
    graph = Graph(tiny_model, form, chunk)
    samples = noise(chunk * 4).reshape(1, -1)
    ours, theirs = graph.initial(1), tiny_model.initial_state(1)
    for start in range(0, samples.shape[1], chunk):
        piece = samples[:, start : start + chunk]
        _, ours = graph.step(piece, ours)
        with torch.no_grad():
            _, theirs = tiny_model.step(torch.from_numpy(piece), theirs)
    assert set(ours) == {name for name, value in theirs.items() if value.numel()}
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name].numpy(), atol=2e-5, err_msg=name)


@pytest.mark.parametrize("form", ["fused", "cells"])
def test_streams_of_a_batch_are_independent(tiny_model: Any, form: str, noise: Callable[[int], Samples]) -> None:
    chunk = tiny_model.config.frame_samples * 2
    graph = Graph(tiny_model, form, chunk)
    quiet, loud = noise(chunk * 5), np.clip(noise(chunk * 5 + 1)[:-1] * 50, -1, 1)
    together = graph.stream(np.stack([quiet, loud]), chunk)
    np.testing.assert_allclose(together[0], graph.stream(quiet[None], chunk)[0], atol=1e-5)
    np.testing.assert_allclose(together[1], graph.stream(loud[None], chunk)[0], atol=1e-5)


def test_probabilities_sum_to_one(tiny_model: Any, noise: Callable[[int], Samples]) -> None:
    chunk = tiny_model.config.frame_samples
    log_probs = Graph(tiny_model, "cells", chunk).stream(noise(chunk * 8)[None], chunk)
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1.0, atol=1e-5)


@pytest.mark.parametrize("chunk_ms", [0, -40, 50, 39.9, float("nan"), float("inf")])
def test_a_chunk_that_is_not_a_multiple_of_a_frame_is_refused(
    chunk_ms: float, tiny_model_factory: Callable[..., Any]
) -> None:
    with pytest.raises(UsageError, match="multiple of one frame, 40 ms"):
        chunk_samples(tiny_model_factory(), chunk_ms)
