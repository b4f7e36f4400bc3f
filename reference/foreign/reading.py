"""Open a checkpoint of another project: tell whose it is, read it without running it, map it."""

from __future__ import annotations

from pathlib import Path

from edgespeech.errors import CheckpointError, ConfigError
from edgespeech.reference.foreign import deepspeech_pytorch, paddlespeech
from edgespeech.reference.foreign.original import GUIDE, Original
from edgespeech.reference.foreign.torch_reader import read_torch
from edgespeech.reference.model.checkpoint import MISFITS, misfit, model_from_state_dict
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.labels import Labels
from edgespeech.runtime.foreign.model_files import identify

WANTED = "a Deep Speech 2 checkpoint of deepspeech.pytorch or of PaddleSpeech ds2_online"


def read_original(path: Path, labels: Labels | None = None) -> Original:
    """Read and map a checkpoint of another project; nothing in it is run.

    Args:
        path: A file of torch, ``.pdparams``, or the folder of a release of PaddleSpeech.
        labels: Labels to use instead of those of the file.

    Raises:
        CheckpointError: It is something else, unsafe, damaged, incomplete, or cannot stream.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; give {WANTED}")
    found = identify(path)
    try:
        if found.reader == "paddle":
            return paddlespeech.map_model(path, labels)
        if found.reader == "torch":
            opened = read_torch(path)
            if deepspeech_pytorch.find_state_dict(opened.value) is not None:
                return deepspeech_pytorch.map_model(opened, labels)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except MISFITS as error:
        raise misfit(path, error) from None
    raise CheckpointError(f"{path} is {found.what}; wanted {WANTED}, see {GUIDE}")


def original_model(original: Original) -> DeepSpeech2:
    """Build the model with the weights of an original; raise CheckpointError for numbers that are not finite."""
    return model_from_state_dict(original.weights, original.config, original.labels)
