"""Configurations are read strictly; every mistake is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import edgespeech.reference
from edgespeech.errors import ConfigError
from edgespeech.reference.model.config import ModelConfig, model_config_from
from edgespeech.reference.training.config import read_training_config

MINIMAL = """
output = "out"
[data]
train = ["train.jsonl"]
dev = ["dev.jsonl"]
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], object]:
    def write_and_read(text: str) -> object:
        path = tmp_path / "run.toml"
        path.write_text(text, encoding="utf-8")
        return read_training_config(path)

    return write_and_read


@pytest.mark.parametrize(("part", "frame"), [("edge.toml", 480), ("edge_tune.toml", 480), ("edge_scaling.toml", 640)])
def test_the_recipe_of_the_default_bundle_can_be_read(part: str, frame: int) -> None:
    config = read_training_config(Path(edgespeech.reference.__path__[0]) / "recipes" / part)
    assert config.model.cell == "lstm"
    assert config.model.frame_samples == frame
    assert not set(config.data.train) & set(config.data.dev)


def test_what_is_not_said_has_a_default(read: Callable[[str], object]) -> None:
    config = read(MINIMAL)
    assert msgspec.to_builtins(config)["model"] == msgspec.to_builtins(ModelConfig())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("output = ", "not TOML"),
        ("", "missing required field `data`"),
        ('output = "out"', "data"),
        ("unknown = 1\n" + MINIMAL, "unknown"),
        (MINIMAL + "[model]\nhiden = 3", "hiden"),
        (MINIMAL + "[model]\nhidden = 'wide'", "hidden"),
        (MINIMAL + "[model]\nhidden = 0", "hidden"),
        (MINIMAL + "[model]\ncell = 'transformer'", "transformer"),
        (MINIMAL + "[model]\nlookahead_frames = -1", "lookahead_frames"),
        (MINIMAL + "[model]\nconvolutions = []", "convolutions"),
        (MINIMAL + "[[model.convolutions]]\nchannels = 3\nkernel = 2\nstride = 3", "stride 3"),
        (
            MINIMAL + "[[model.convolutions]]\nchannels = 3\nkernel = 2\nfrequency_kernel = 2\nfrequency_stride = 3",
            "frequency_stride 3",
        ),
        (MINIMAL + "[model.features]\nhop_samples = 400", "hop_samples 400"),
        (MINIMAL + "[model.features]\nfloor = 0.0", "floor"),
        (MINIMAL + "batch_seconds = 0.0", "batch_seconds"),
        (MINIMAL + "min_seconds = 5.0\nmax_seconds = 1.0", "min_seconds 5"),
        (MINIMAL + "[augmentation]\nspeed_range = [1.1, 0.9]", "speed_range"),
        (MINIMAL + "[augmentation]\nspeed_range = [0.0, 0.9]", "speed_range"),
        (MINIMAL + "[augmentation]\nnoise_snr_db = [10.0, nan]", "noise_snr_db"),
        (MINIMAL + "[augmentation]\nnoise_share = 1.5", "noise_share"),
        (MINIMAL + "[optimisation]\nlearning_rate = -1.0", "learning_rate"),
        (MINIMAL + "[optimisation]\nlearning_rate = nan", "learning_rate"),
        (MINIMAL + "[optimisation]\nseed = -1", "seed"),
    ],
)
def test_a_mistake_is_named_in_one_line(read: Callable[[str], object], text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert named in str(caught.value)
    assert "run.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "directory", "bytes"])
def test_a_file_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run.toml"
    if kind == "directory":
        path.mkdir()
    elif kind == "bytes":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read the configuration") as caught:
        read_training_config(path)
    assert "\n" not in str(caught.value)


def test_a_model_configuration_survives_the_checkpoint() -> None:
    config = ModelConfig(cell="gru", front_end="2d", hidden=7)
    assert model_config_from(msgspec.to_builtins(config)) == config


@pytest.mark.parametrize("value", [None, [], {"cell": "gru", "colour": "red"}, {"hidden": 1.5}, {"layers": 0}])
def test_a_foreign_model_configuration_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="model configuration") as caught:
        model_config_from(value)
    assert "\n" not in str(caught.value)


def test_strides_give_the_frame() -> None:
    config = ModelConfig()
    assert (config.time_stride, config.frame_samples) == (4, 640)
