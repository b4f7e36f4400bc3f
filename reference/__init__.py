"""The model in torch and its checkpoints; names are imported on first use, so that importing this needs no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgespeech.reference.model.checkpoint import (
        load_checkpoint,
        model_from_state_dict,
        save_checkpoint,
        weight_shapes,
    )
    from edgespeech.reference.model.config import ConvolutionConfig, FeatureConfig, ModelConfig
    from edgespeech.reference.model.deep_speech2 import DeepSpeech2
    from edgespeech.reference.model.labels import Labels

__all__ = [
    "ConvolutionConfig",
    "DeepSpeech2",
    "FeatureConfig",
    "Labels",
    "ModelConfig",
    "load_checkpoint",
    "model_from_state_dict",
    "save_checkpoint",
    "weight_shapes",
]

_CHECKPOINTS, _CONFIG = "edgespeech.reference.model.checkpoint", "edgespeech.reference.model.config"
_HOMES = {
    "ConvolutionConfig": _CONFIG,
    "DeepSpeech2": "edgespeech.reference.model.deep_speech2",
    "FeatureConfig": _CONFIG,
    "Labels": "edgespeech.reference.model.labels",
    "ModelConfig": _CONFIG,
    "load_checkpoint": _CHECKPOINTS,
    "model_from_state_dict": _CHECKPOINTS,
    "save_checkpoint": _CHECKPOINTS,
    "weight_shapes": _CHECKPOINTS,
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgespeech.reference' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
