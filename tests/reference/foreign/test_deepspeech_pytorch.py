"""Models of all releases of deepspeech.pytorch against its computation in torch, and what is refused."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor

from edgespeech.errors import CheckpointError, VerificationError
from edgespeech.reference.foreign.original import Original
from edgespeech.reference.foreign.reading import original_model, read_original
from edgespeech.reference.foreign.reference_outputs import Reference
from edgespeech.reference.foreign.stage_differences import compare
from edgespeech.reference.foreign.whole_utterance import features_of, log_probs_of, statistics_of
from tests.reference.foreign.originals import ENGLISH, ERAS, deepspeech_pytorch, forward_deepspeech_pytorch, package

State = dict[str, Tensor]
SAMPLES = (np.random.default_rng(3).standard_normal(21_347) * np.linspace(0.02, 0.3, 21_347)).astype(np.float32)


def saved(tmp_path: Path, value: Any, **options: Any) -> Path:
    path = tmp_path / "original.pth"
    torch.save(value, path, **options)
    return path


def imported(tmp_path: Path, value: Any, **options: Any) -> Original:
    return read_original(saved(tmp_path, value, **options))


def largest_difference(original: Original, state: State, era: str) -> float:
    model = original_model(original)
    found = log_probs_of(model, SAMPLES, statistics_of(features_of(model, SAMPLES)))
    wanted = forward_deepspeech_pytorch(state, era, SAMPLES).numpy()
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max())


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("era", ERAS)
def test_log_probs_of_every_release_equal_those_of_its_computation(
    tmp_path: Path, era: str, cell: str, legacy: bool
) -> None:
    state = deepspeech_pytorch(era, cell, taps=21 if era == "v1.1" else 20, layers=3 if cell == "rnn" else 2)
    original = imported(tmp_path, package(era, state), _use_new_zipfile_serialization=not legacy)
    assert largest_difference(original, state, era) < 1e-3
    assert original.labels.symbols == ("", *ENGLISH[1:].lower())
    assert original.config.cell == {"rnn": "tanh"}.get(cell, cell)


@pytest.mark.parametrize(
    ("era", "taps"), [("v1.1", 2), ("v1.1", 20), ("dev", 21), ("v2.0", 21), ("V3.0", 2), ("v2.0", 81)]
)
def test_the_number_of_taps_is_that_of_the_file(tmp_path: Path, era: str, taps: int) -> None:
    state = deepspeech_pytorch(era, taps=taps, layers=1)
    original = imported(tmp_path, package(era, state))
    assert original.config.lookahead_frames == taps - 1
    assert largest_difference(original, state, era) < 1e-3


def prefixed(state: State) -> State:
    return OrderedDict((f"module.{name}", one) for name, one in state.items())


def with_strays(state: State) -> State:
    return {**state, "counter": torch.tensor(3), "criterion.weight": torch.ones(29), "stray.matrix": torch.ones(3, 5)}


def with_average(state: State) -> State:
    return {**state, **{f"ema.{name}": one * 0 for name, one in state.items()}}


@pytest.mark.parametrize("change", [prefixed, with_strays, with_average, lambda state: prefixed(prefixed(state))])
def test_prefixes_and_stray_tensors_change_nothing(tmp_path: Path, change: Callable[[State], State]) -> None:
    state = deepspeech_pytorch("v2.0")
    original = imported(tmp_path, package("v2.0", change(state)))
    assert largest_difference(original, state, "v2.0") < 1e-3


def test_a_batch_norm_that_early_releases_never_applied_changes_nothing(tmp_path: Path) -> None:
    names = ("weight", "bias", "running_mean", "running_var")
    strays = {f"rnns.0.batch_norm.module.{name}": torch.full((672,), 3.0) for name in names}
    state = deepspeech_pytorch("v1.1", taps=21)
    original = imported(tmp_path, package("v1.1", {**state, **strays}))
    assert largest_difference(original, state, "v1.1") < 1e-3
    unused = next(fact.value for fact in original.facts if fact.what == "not used")
    assert "rnns.0.batch_norm.module.weight" in unused
    wide = {name: torch.full((1312,), 3.0) for name in strays}
    with pytest.raises(CheckpointError, match="unknown part, rnns.0.batch_norm"):
        imported(tmp_path, package("v2.0", {**deepspeech_pytorch("v2.0"), **wide}))


def test_optimiser_state_and_half_precision_are_no_obstacle(tmp_path: Path) -> None:
    state = deepspeech_pytorch("v2.0")
    moments = {0: {"step": torch.tensor(4.0), "exp_avg": torch.ones(96, 24)}}
    value = {**package("v2.0", state), "optim_dict": {"state": moments, "param_groups": [{"lr": 1e-3}]}}
    assert largest_difference(imported(tmp_path, value), state, "v2.0") < 1e-3
    halved = {name: one.half() if one.is_floating_point() else one for name, one in state.items()}
    rounded = {name: one.float() for name, one in halved.items()}
    assert largest_difference(imported(tmp_path, package("v2.0", halved)), rounded, "v2.0") < 1e-3


def test_a_bare_state_dict_is_imported_with_a_doubt(tmp_path: Path) -> None:
    state = deepspeech_pytorch("V3.0")
    original = imported(tmp_path, state)
    assert largest_difference(original, state, "V3.0") < 1e-3
    assert len(original.doubts) == 1 and "--reference" in original.doubts[0]
    assert not imported(tmp_path, deepspeech_pytorch("dev")).doubts


def test_labels_come_from_the_file(tmp_path: Path) -> None:
    accents = imported(tmp_path, package("v2.0", deepspeech_pytorch(labels=5), "_ äöü"))
    assert accents.labels.symbols == ("", " ", "ä", "ö", "ü")
    both = imported(tmp_path, package("V3.0", deepspeech_pytorch("V3.0", labels=4), "_aAb"))
    assert both.labels.symbols == ("", "a", "A", "b")  # two cases of a letter stay apart
    with pytest.raises(CheckpointError, match="the blank ._. is label 2 of the file, wanted 0"):
        imported(tmp_path, package("V3.0", deepspeech_pytorch("V3.0", labels=4), "ab_ "))


def without(*names: str) -> Callable[[State], State]:
    return lambda state: {name: one for name, one in state.items() if not name.endswith(names)}


def adding(name: str, *shape: int) -> Callable[[State], State]:
    return lambda state: {**state, name: torch.zeros(shape)}


REFUSED: dict[str, tuple[Callable[[State], State], str]] = {
    "bidirectional": (adding("rnns.0.rnn.weight_ih_l0_reverse", 72, 1312), "is bidirectional (1 tensors"),
    "no running mean": (without("rnns.1.batch_norm.module.running_mean"), "running_mean is missing"),
    "no running variance": (without("running_var"), "conv.seq_module.1.running_var is missing"),
    "no output": (without("fc.0.module.1.weight"), "fc.0.module.1.weight is missing"),
    "no convolution": (without("conv.seq_module.3.weight"), "conv.seq_module.3.weight is missing"),
    "third convolution": (adding("conv.seq_module.6.weight", 96, 32, 21, 11), "unknown part, conv.seq_module.6.weight"),
    "attention": (adding("attention.query.weight", 24, 24), "unknown part, attention.query.weight [24, 24]"),
    "layer norm": (adding("rnns.1.layer_norm.weight", 24), "unknown part, rnns.1.layer_norm.weight"),
    "other width": (lambda s: {**s, "rnns.0.rnn.weight_ih_l0": torch.zeros(72, 1000)}, "1000 inputs; at 16000 Hz"),
    "other gates": (lambda s: {**s, "rnns.0.rnn.weight_ih_l0": torch.zeros(48, 1312)}, "has 2 times 24 rows"),
    "other kernel": (lambda s: {**s, "conv.seq_module.0.weight": torch.zeros(32, 1, 41, 9)}, "wanted [32, 1, 41, 11]"),
    "one tap": (lambda s: {**s, "lookahead.0.conv.weight": torch.zeros(24, 1, 1)}, "has 1 tap,"),
    "not finite": (lambda s: {**s, "fc.0.module.1.weight": torch.full((29, 24), torch.nan)}, "not finite"),
    "more outputs": (lambda s: {**s, "fc.0.module.1.weight": torch.zeros(30, 24)}, "29 labels, with the blank, for 30"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_imported_is_named_in_one_line(tmp_path: Path, case: str) -> None:
    change, words = REFUSED[case]
    path = saved(tmp_path, package("v2.0", change(deepspeech_pytorch())))
    with pytest.raises(CheckpointError) as caught:
        original_model(read_original(path))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_window_is_refused(tmp_path: Path) -> None:
    value = package("v2.0", deepspeech_pytorch())
    value["audio_conf"]["window"] = "blackman"
    with pytest.raises(CheckpointError, match="window 'blackman' is not supported"):
        imported(tmp_path, value)


def test_labels_can_be_missing_only_for_the_english_ones(tmp_path: Path) -> None:
    assert imported(tmp_path, deepspeech_pytorch()).labels.symbols == ("", *ENGLISH[1:].lower())
    with pytest.raises(CheckpointError, match="give them with --labels"):
        imported(tmp_path, deepspeech_pytorch(labels=31))


def swapped_gates(state: State) -> State:
    return {
        name: torch.cat([one[24:48], one[:24], one[48:]]) if ".rnn." in name else one for name, one in state.items()
    }


def unpadded_look_ahead(state: State) -> State:
    weight = state["lookahead.0.conv.weight"]
    return {**state, "lookahead.0.conv.weight": torch.cat([weight, torch.zeros(24, 1, 1)], dim=2)[:, :, 1:]}


def reset_statistics(state: State) -> State:
    return {name: torch.zeros_like(one) if "running_mean" in name else one for name, one in state.items()}


WRONG: dict[str, Callable[[State], State]] = {
    "swapped gates": swapped_gates,
    "shifted taps": unpadded_look_ahead,
    "a tap less": lambda state: {**state, "lookahead.0.conv.weight": state["lookahead.0.conv.weight"][:, :, :-1]},
    "reset running statistics": reset_statistics,
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_import_is_caught_by_the_outputs_of_the_original(tmp_path: Path, case: str) -> None:
    state = deepspeech_pytorch("v2.0")
    reference = Reference(SAMPLES, forward_deepspeech_pytorch(state, "v2.0", SAMPLES).numpy(), {})
    right = original_model(imported(tmp_path, package("v2.0", state)))
    compare(right, reference, per_utterance=True).require_equal()
    wrong = original_model(imported(tmp_path, package("v2.0", WRONG[case](state))))
    with pytest.raises(VerificationError, match="differs from its original by more than 0.001"):
        compare(wrong, reference, per_utterance=True).require_equal()


@pytest.mark.parametrize("paddings", [((10, 10), (0, 0)), ((10, 0), (5, 5)), ((5, 5), (10, 0)), ((6, 4), (5, 5))])
def test_a_wrong_padding_is_caught(tmp_path: Path, paddings: tuple[tuple[int, int], ...]) -> None:
    state = deepspeech_pytorch("v2.0")
    reference = Reference(SAMPLES, forward_deepspeech_pytorch(state, "v2.0", SAMPLES).numpy(), {})
    original = imported(tmp_path, package("v2.0", state))
    layers = tuple(
        msgspec.structs.replace(layer, padding=padding)
        for layer, padding in zip(original.config.convolutions, paddings, strict=True)
    )
    config = msgspec.structs.replace(original.config, convolutions=layers)
    wrong = original_model(Original("", config, original.labels, original.weights, True, ()))
    with pytest.raises(VerificationError):
        compare(wrong, reference, per_utterance=True).require_equal()
