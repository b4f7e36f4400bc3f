"""The acoustic graph in onnxruntime: ``step(samples, state) -> (log_probs, state)``."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import BundleError, MissingDependencyError, UsageError
from edgespeech.runtime.bundle import ACOUSTIC, MANIFEST, Bundle
from edgespeech.runtime.node_placement import read_profile
from edgespeech.runtime.options import MAX_THREADS

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
State = dict[str, Floats]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
}


class AcousticModel:
    """An acoustic graph in memory, for any number of streams.

    Args:
        bundle: Bundle with the graph.
        threads: CPU threads of one step; 1 is the fastest for small chunks on most devices.
        provider: Execution provider: ``cpu``, ``cuda``, ``tensorrt`` and so on; never silently replaced by another one.
        spin: Whether idle threads look for work before they sleep, which costs CPU time between chunks.

    Attributes:
        nodes: Number of nodes after fusion by the provider; None for ``cpu``, where placement does not matter.
        nodes_on_cpu: Number of them that fell back to the CPU, by operator; None for ``cpu``.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        UsageError: The provider is unknown, not installed or does not load.
        BundleError: The graph cannot be loaded or does not match the manifest.
    """

    def __init__(self, bundle: Bundle, threads: int = 1, provider: str = "cpu", spin: bool = False) -> None:
        if not 1 <= threads <= MAX_THREADS:
            raise UsageError(f"threads is {threads}; wanted 1 to {MAX_THREADS}")
        onnxruntime = import_onnxruntime()
        wanted = require_provider(provider)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
        options.log_severity_level = 3
        self.audio = bundle.manifest.audio
        self._graph = bundle.manifest.graph
        self._labels = len(bundle.manifest.labels)
        # onnxruntime's threads do not survive a fork: the child would wait for them without an end.
        self._only_in_process = os.getpid() if threads > 1 else None
        self._outputs = [self._graph.output, *(state.output for state in self._graph.states)]
        self.nodes: int | None = None
        self.nodes_on_cpu: dict[str, int] | None = None
        if provider == "cpu":
            self._session: Any = _open(onnxruntime, bundle, options, [wanted])
            return_freed_memory()
            self._check(bundle)
        else:
            self._open_and_profile(onnxruntime, bundle, options, provider)
        log.debug("acoustic model: onnxruntime %s, provider %s, threads %d", onnxruntime.__version__, provider, threads)

    def _open_and_profile(self, onnxruntime: Any, bundle: Bundle, options: Any, provider: str) -> None:
        wanted = PROVIDERS[provider]
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "placement")
            try:
                self._session = _open(onnxruntime, bundle, options, [wanted, PROVIDERS["cpu"]])
            except BundleError as error:
                raise UsageError(f"provider {provider!r} does not take this graph ({error}); use another one") from None
            if self._session.get_providers()[0] != wanted:
                raise UsageError(f"provider {provider!r} did not load its libraries; see `edgespeech doctor`")
            self._check(bundle)
            try:
                self.step(np.zeros((1, self.audio.chunk_samples), np.float32), self.initial_state())
            except BundleError as error:  # a build for other devices fails only here
                what, _, _ = str(error).rpartition("; ")
                raise UsageError(f"provider {provider!r} does not compute here ({what}); use another one") from None
            self.nodes, self.nodes_on_cpu = read_profile(Path(self._session.end_profiling()))

    def _check(self, bundle: Bundle) -> None:
        graph, audio, free = self._graph, self.audio, self.audio.chunk_free
        inputs = {value.name: value for value in self._session.get_inputs()}
        outputs = {value.name: value for value in self._session.get_outputs()}
        if set(inputs) != {graph.input, *(state.name for state in graph.states)} or set(outputs) != set(self._outputs):
            raise BundleError(f"{bundle.acoustic_path} has other inputs or outputs than {MANIFEST}; export again")
        frames = None if free else audio.chunk_samples // audio.frame_samples
        shapes: list[tuple[Any, tuple[int | None, ...]]] = [
            (inputs[graph.input], (None if free else audio.chunk_samples,)),
            (outputs[graph.output], (frames, self._labels)),
            *((inputs[state.name], state.shape) for state in graph.states),
            *((outputs[state.output], state.shape) for state in graph.states),
        ]
        for value, shape in shapes:
            if value.type != "tensor(float)" or not _fits(value.shape[1:], shape):
                raise BundleError(
                    f"{value.name} is {value.type} {value.shape[1:]} in the graph, float {list(shape)} in {MANIFEST} "
                    "(None: any size); export again"
                )

    def initial_state(self, batch: int = 1) -> State:
        """Return the state before the first sample, for ``batch`` parallel streams."""
        return {
            state.name: np.full((batch, *state.shape), state.initial, np.dtype(state.dtype))
            for state in self._graph.states
        }

    def ending(self, state: State, samples_left: int) -> State:
        """Return the state of streams whose recording ends after this many samples of the next step, or before it.

        Only models that were trained with zeros behind the end distinguish this state from the one given.
        """
        name = self.audio.end_state
        return {**state, name: np.full_like(state[name], samples_left)} if name else state

    def step(self, samples: Floats, state: State) -> tuple[Floats, State]:
        """Process one chunk.

        Args:
            samples: float32 [batch, chunk_samples], or with ``chunk_free`` any positive multiple of ``frame_samples``.
            state: From `initial_state` or an earlier step; it is not changed.

        Returns:
            Natural-log probabilities float32 [batch, frames, labels], and the new state.

        Raises:
            UsageError: The length of the chunk is not valid for the graph, or this process was forked from the one that
                made the model with several threads.
            BundleError: The graph fails, or returns a wrong number of frames or a state of another size.
        """
        length = samples.shape[1]
        fits = length > 0 and length % self.audio.frame_samples == 0
        if length != self.audio.chunk_samples and not (self.audio.chunk_free and fits):
            raise UsageError(f"a chunk of {length} samples came; the graph wants {self.audio.chunk_samples}")
        if self._only_in_process not in (None, os.getpid()):
            raise UsageError(
                "threads of onnxruntime do not survive a fork; make the recognizer afterwards, or threads=1"
            )
        try:
            outputs = self._session.run(self._outputs, {self._graph.input: samples, **state})
        except Exception as error:  # onnxruntime raises classes that it does not export
            raise BundleError(f"the acoustic graph failed: {_reason(error)}; try `edgespeech verify`") from None
        wanted = (len(samples), length // self.audio.frame_samples, self._labels)
        if outputs[0].shape != wanted:
            given = list(outputs[0].shape)
            raise BundleError(f"the acoustic graph gave {given}, wanted {list(wanted)}; export the bundle again")
        after = dict(zip((entry.name for entry in self._graph.states), outputs[1:], strict=True))
        for name, value in after.items():
            if value.shape != state[name].shape:
                raise BundleError(f"the acoustic graph changes the size of its state {name}; export the bundle again")
        return outputs[0], after

    def stream(self, samples: Floats, size: int | None = None, length: int | None = None) -> Floats:
        """Process recordings, float32 [batch, samples], in chunks of ``size`` samples, the last one padded with zeros.

        They end after ``length`` samples, and what follows is silence; None if their end is not known.

        Returns:
            Log-probabilities float32 [batch, frames, labels], including the ``delay_frames`` at the beginning.
        """
        size = self.audio.chunk_samples if size is None else size
        padded = np.pad(samples, ((0, 0), (0, -samples.shape[1] % size)))
        state, pieces = self.initial_state(len(samples)), [np.zeros((len(samples), 0, self._labels), np.float32)]
        for start in range(0, padded.shape[1], size):
            if length is not None and 0 <= length - start < size:
                state = self.ending(state, length - start)
            log_probs, state = self.step(padded[:, start : start + size], state)
            pieces.append(log_probs)
        return np.concatenate(pieces, axis=1)


def _open(onnxruntime: Any, bundle: Bundle, options: Any, providers: list[str]) -> Any:
    try:
        return onnxruntime.InferenceSession(str(bundle.acoustic_path), options, providers=providers)
    except Exception as error:  # onnxruntime raises classes that it does not export
        reason = _reason(error).replace(str(bundle.acoustic_path), ACOUSTIC)
        raise BundleError(f"{bundle.acoustic_path} does not load: {reason}; export the bundle again") from None


def return_freed_memory() -> None:
    """Make glibc return freed memory: after loading, up to half of what the graph needs."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _fits(found: Sequence[object], wanted: Sequence[int | None]) -> bool:
    return len(found) == len(wanted) and all(
        not isinstance(have, int) or have == want for have, want in zip(found, wanted, strict=True)
    )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def import_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry disabled.

    Since 1.29 the usual builds report each process and session to Microsoft, on Linux too; only a variable that is set
    before the import prevents the first report.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        onnxruntime = import_module("onnxruntime")
        if hasattr(onnxruntime, "disable_telemetry_events"):
            onnxruntime.disable_telemetry_events()
        return onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f"onnxruntime is not available ({_reason(error)}); run: pip install 'edgespeech[cpu]' (or [gpu])"
        ) from None


def available_providers() -> list[str]:
    """List the providers that the installed onnxruntime was built with, whether or not they load.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
    """
    available = import_onnxruntime().get_available_providers()
    return [name for name, provider in PROVIDERS.items() if provider in available]


def require_provider(name: str) -> str:
    """Return the name that onnxruntime has for a provider.

    Raises:
        UsageError: The provider is unknown, or not part of the installed onnxruntime.
        MissingDependencyError: onnxruntime is not installed.
    """
    if name not in PROVIDERS:
        raise UsageError(f"provider {name!r} is unknown; wanted one of {', '.join(PROVIDERS)}")
    installed = available_providers()
    if name not in installed:
        raise UsageError(
            f"provider {name!r} is not in the installed onnxruntime, which has: {', '.join(installed)}; "
            "use one of these, or see `edgespeech doctor`"
        )
    return PROVIDERS[name]
