"""What a folder is that was given as a checkpoint or a bundle, told by the files in it."""

from __future__ import annotations

import json
from pathlib import Path

from edgespeech.runtime.foreign.kinds import ModelFile, importable, model, other

# Files, any of which makes a folder of this kind.
_KINDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("saved_model.pb", "saved_model.pbtxt"), "a SavedModel of TensorFlow"),
    (("*.index", "checkpoint"), "a checkpoint of TensorFlow"),
    ((".metadata", "*.distcp"), "a sharded checkpoint of torch.distributed"),
    (("model.safetensors.index.json", "pytorch_model.bin", "model.safetensors", "tokenizer_config.json"),
     "a Hugging Face folder"),
    (("am/final.mdl", "final.mdl"), "a model of Vosk or Kaldi"),
    (("Manifest.json",), "a package of Core ML"),
)  # fmt: skip


def describe_folder(folder: Path) -> ModelFile:
    """Tell what a folder is; raise OSError if it cannot be read."""
    if (folder / "bundle.json").is_file():
        return ModelFile("bundle", "a bundle of edgespeech")
    if architecture := _hugging_face(folder):
        return model(f"a Hugging Face folder ({architecture})")
    if any(next(folder.glob(pattern), None) for pattern in ("*.pdparams", "exp/*/checkpoints/*.pdparams")):
        return importable("a folder with a model of PaddlePaddle", "paddle")
    for patterns, what in _KINDS:
        if any(next(folder.glob(pattern), None) for pattern in patterns):
            return model(what)
    files = sorted(path.name for path in folder.iterdir())
    if checkpoints := [name for name in files if name.endswith(".pt")]:
        return other(f"a folder that holds {', '.join(checkpoints[:3])}; give one of them")
    return other(f"a folder ({', '.join(files[:3])}{', ...' if files[3:] else ''})" if files else "an empty folder")


def _hugging_face(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    if not isinstance(config, dict):
        return ""
    architectures = config.get("architectures")
    named = architectures[0] if isinstance(architectures, list) and architectures else config.get("model_type")
    return str(named)[:60] if named else ""
