"""Outputs of the original code of a model, given as NumPy archives (.npz): what it computed of one recording."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.reference.foreign.original import GUIDE
from edgespeech.runtime import audio

Floats = NDArray[np.float32]
MAX_BYTES = 1 << 30
_KEYS = (
    "log_probs [frames, labels], features [bins, frames] if known, and samples with sample_rate unless there is --audio"
)
# Names that other projects' own scripts use, and whether their frames come first instead of last.
_FEATURES = {"features": False, "log1p": False, "fbank": True}
_STAGE = re.compile(r"normalised|convolution\d+|recurrent\d+|lookahead|connected\d+")
_OTHERS = {"log_probs", "logits", "samples", "sample_rate", "mean", "std", *_FEATURES}


@dataclass(frozen=True)
class Reference:
    """A recording, and what the original code computed of it.

    Attributes:
        samples: float32 [n] in [-1, 1], at the model's rate.
        log_probs: Natural logarithms [frames, labels] of the whole utterance.
        stages: Outputs of stages by the names that `DeepSpeech2.stages` has: convolutions [channels, frequencies,
            frames], all others [frames, width]; and ``features`` before normalisation and ``normalised`` ones
            [bins, frames].
        unknown: Names of other arrays, which are not compared.
    """

    samples: Floats
    log_probs: Floats
    stages: Mapping[str, Floats]
    unknown: tuple[str, ...] = ()


def read_reference(paths: Sequence[Path], recording: Path | None, sample_rate: int) -> Reference:
    """Read the arrays of one or more archives, and the recording that they belong to.

    Raises:
        UsageError: A file is not an archive of arrays, an array is missing or has another shape, or the rate differs.
        AudioError: The recording cannot be read.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for path in paths:
        arrays |= _read_arrays(path)
    names = ", ".join(map(str, paths))
    if recording is not None:
        found_rate, samples = float(audio.info(recording).sample_rate), audio.read(recording, sample_rate)
    elif "samples" in arrays:
        found_rate = _rate(arrays, sample_rate, names)
        samples = _as_samples(arrays["samples"], names)
    else:
        raise UsageError(f"{names} has no samples; give the recording with --audio FILE")
    if found_rate != sample_rate:
        raise UsageError(
            f"the recording has {found_rate:g} Hz, and the model {sample_rate} Hz; give the one that was used"
        )
    unknown = tuple(name for name in arrays if name not in _OTHERS and not _STAGE.fullmatch(name))
    return Reference(samples, _log_probs(arrays, names), _stages(arrays, names), unknown)


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        if path.stat().st_size > MAX_BYTES or not zipfile.is_zipfile(path):
            raise ValueError("it is not an archive")
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise ValueError("it is larger than 1 GiB")
        with np.load(path, allow_pickle=False) as found:
            return {name: one for name, one in found.items() if isinstance(one, np.ndarray)}
    except Exception as error:  # a damaged array can raise anything
        reason = " ".join(str(error).split())[:80]
        raise UsageError(f"{path} cannot be read as a NumPy archive ({reason}); give one with {_KEYS}") from None


def _rate(arrays: Mapping[str, NDArray[Any]], default: int, names: str) -> float:
    rate = arrays.get("sample_rate", np.array(default))
    if rate.size != 1 or rate.dtype.kind not in "iuf":
        raise UsageError(f"{names}: sample_rate is an array of {rate.dtype} {list(rate.shape)}, wanted one number")
    return float(rate.reshape(()))


def _as_samples(samples: NDArray[Any], names: str) -> Floats:
    if samples.ndim != 1 or samples.dtype.kind not in "fi" or not len(samples):
        raise UsageError(f"{names}: samples have the shape {list(samples.shape)}, wanted one channel of numbers")
    scale = 32768.0 if samples.dtype == np.int16 else 1.0
    return np.ascontiguousarray(samples / scale, np.float32)


def _log_probs(arrays: Mapping[str, NDArray[Any]], names: str) -> Floats:
    found = arrays.get("log_probs", arrays.get("logits"))
    if found is None or found.ndim != 2 or found.dtype.kind != "f" or not found.size:
        what = "none" if found is None else f"an array of the shape {list(found.shape)}"
        raise UsageError(f"{names}: log_probs is {what}; wanted an archive with {_KEYS}, see {GUIDE}")
    values = found.astype(np.float64)
    normal: Floats = (values - np.logaddexp.reduce(values, axis=1, keepdims=True)).astype(np.float32)
    return normal


def _stages(arrays: Mapping[str, NDArray[Any]], names: str) -> dict[str, Floats]:
    stages = {name: _numbers(name, one, names) for name, one in arrays.items() if _STAGE.fullmatch(name)}
    found = next((name for name in _FEATURES if name in arrays), None)
    if found is not None:
        features = _numbers(found, arrays[found], names)
        stages["features"] = features.T if _FEATURES[found] else features
        if "mean" in arrays and "std" in arrays and "normalised" not in stages:
            mean, deviation = (_numbers(name, arrays[name], names) for name in ("mean", "std"))
            if mean.ndim == deviation.ndim == 0:
                stages["normalised"] = (stages["features"] - mean) / deviation
    return stages


def _numbers(name: str, array: NDArray[Any], names: str) -> Floats:
    if array.dtype.kind != "f":
        raise UsageError(f"{names}: {name} is an array of {array.dtype}, wanted floating-point numbers; see {GUIDE}")
    return array.astype(np.float32)
