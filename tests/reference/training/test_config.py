"""Recipes are validated strictly; every mistake is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import edgespeech.reference
from edgespeech.errors import ConfigError
from edgespeech.reference.model.config import ModelConfig, model_config_from
from edgespeech.reference.training.config import RENAMED_KEYS, read_training_config

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
def test_the_shipped_recipes_can_be_read(part: str, frame: int) -> None:
    config = read_training_config(Path(edgespeech.reference.__path__[0]) / "recipes" / part)
    assert config.model.cell == "lstm"
    assert config.model.frame_samples == frame
    assert not set(config.data.train) & set(config.data.dev)


@pytest.mark.parametrize("part", ["edge.toml", "edge_tune.toml", "edge_scaling.toml"])
def test_the_shipped_recipes_use_the_new_names_of_keys(part: str) -> None:
    text = (Path(edgespeech.reference.__path__[0]) / "recipes" / part).read_text(encoding="utf-8")
    assert "noise_prob = " in text and "_share" not in text


OLD_AND_NEW = [(table, old, new) for table, keys in RENAMED_KEYS.items() for old, new in keys.items()]


@pytest.mark.parametrize(("table", "old", "new"), OLD_AND_NEW)
def test_former_names_of_keys_are_read_and_clash_with_the_new_ones(
    read: Callable[[str], object], table: str, old: str, new: str
) -> None:
    start = MINIMAL if table == "data" else f"{MINIMAL}[{table}]\n"
    former, present = read(f"{start}{old} = 0.5"), read(f"{start}{new} = 0.5")
    assert former == present
    assert msgspec.to_builtins(present)[table][new] == 0.5
    with pytest.raises(ConfigError, match=f"has {old} and {new}, its new name; remove {old}"):
        read(f"{start}{old} = 0.5\n{new} = 0.5")


def test_keys_that_are_left_out_have_defaults(read: Callable[[str], object]) -> None:
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
        (MINIMAL + "[augmentation]\nnoise_share = 1.5", "noise_prob"),
        (MINIMAL + "[optimisation]\nlearning_rate = -1.0", "learning_rate"),
        (MINIMAL + "[optimisation]\nlearning_rate = nan", "learning_rate"),
        (MINIMAL + "[optimisation]\nseed = -1", "seed"),
        ("labels = 'abcÄ'\n" + MINIMAL, "label 'Ä' is upper case"),
        ("labels = 'aba'\n" + MINIMAL, "occurs twice"),
        ("labels = 3\n" + MINIMAL, "labels"),
        (MINIMAL + "[model]\nlabels = 'abc'", "labels is a key of the whole recipe, not of [model]"),
        (MINIMAL + "labels = 'abc'", "labels is a key of the whole recipe, not of [data]; move it above the first"),
    ],
)
def test_a_mistake_is_named_in_one_line(read: Callable[[str], object], text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert named in str(caught.value)
    assert "run.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "directory", "bytes"])
def test_an_unreadable_file_is_named_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run.toml"
    if kind == "directory":
        path.mkdir()
    elif kind == "bytes":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read the configuration") as caught:
        read_training_config(path)
    assert "\n" not in str(caught.value)


def test_a_model_configuration_is_restored_from_a_checkpoint() -> None:
    config = ModelConfig(cell="gru", front_end="2d", hidden=7)
    assert model_config_from(msgspec.to_builtins(config)) == config


@pytest.mark.parametrize("value", [None, [], {"cell": "gru", "colour": "red"}, {"hidden": 1.5}, {"layers": 0}])
def test_an_invalid_model_configuration_is_rejected(value: object) -> None:
    with pytest.raises(ConfigError, match="model configuration") as caught:
        model_config_from(value)
    assert "\n" not in str(caught.value)


def test_strides_determine_the_frame_length() -> None:
    config = ModelConfig()
    assert (config.time_stride, config.frame_samples) == (4, 640)
