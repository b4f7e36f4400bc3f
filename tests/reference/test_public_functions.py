"""`edgespeech.reference` as a script uses it: a cheap import of the names that checkpoints are made with."""

from __future__ import annotations

import subprocess
import sys

import pytest

import edgespeech.reference as door


def test_all_names_can_be_imported() -> None:
    assert {"ModelConfig", "Labels", "model_from_state_dict", "save_checkpoint"} <= set(door.__all__)
    assert all(getattr(door, name).__doc__ for name in door.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'save'; it has ConvolutionConfig"):
        door.save  # noqa: B018


def test_the_import_loads_no_torch() -> None:
    program = (
        "import sys, edgespeech.reference as r; r.ModelConfig; r.Labels; print({'torch', 'onnx'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
