"""Calibrate a checkpoint's batch norm, and reduce the precision of a bundle's weights, with figures of what it costs.

The names are imported on first use, so that importing the package needs neither torch nor onnx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgespeech.quantization.bundle_quantization import QuantizedBundle, quantize_bundle
    from edgespeech.quantization.checkpoint_calibration import CalibratedCheckpoint, calibrate_checkpoint
    from edgespeech.quantization.requests import Budget, CalibrateRequest, QuantizeRequest

__all__ = [
    "Budget",
    "CalibrateRequest",
    "CalibratedCheckpoint",
    "QuantizeRequest",
    "QuantizedBundle",
    "calibrate_checkpoint",
    "quantize_bundle",
]

_HOMES = {
    "Budget": "edgespeech.quantization.requests",
    "CalibrateRequest": "edgespeech.quantization.requests",
    "CalibratedCheckpoint": "edgespeech.quantization.checkpoint_calibration",
    "QuantizeRequest": "edgespeech.quantization.requests",
    "QuantizedBundle": "edgespeech.quantization.bundle_quantization",
    "calibrate_checkpoint": "edgespeech.quantization.checkpoint_calibration",
    "quantize_bundle": "edgespeech.quantization.bundle_quantization",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgespeech.quantization' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
