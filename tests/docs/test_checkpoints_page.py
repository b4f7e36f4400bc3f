"""docs/guide/checkpoints.md: a module of the user's own becomes a checkpoint, a bundle, and then text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgespeech.reference import load_checkpoint, model_from_state_dict, save_checkpoint, weight_shapes
from edgespeech.runtime import audio
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer
from tests.docs import documents
from tests.docs.documents import DOCS, ROOT
from tests.docs.test_documents import prepare_folder

PAGE = DOCS / "guide" / "checkpoints.md"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run all Python blocks of the page, and return their names."""
    monkeypatch.chdir(tmp_path)
    prepare_folder(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    torch.manual_seed(1)
    for block in documents.blocks(PAGE):
        if block.language == "python":
            exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), names)
    return names


def test_the_bundle_computes_what_the_own_module_computes(page: dict[str, Any], tmp_path: Path) -> None:
    assert float((page["log_probs"] - page["own"])[:, :-3].abs().max()) < 1e-4
    bundle = load_bundle(tmp_path / "mine")
    assert bundle.manifest.name == "mine" and bundle.manifest.provenance["licence"] == "CC BY 4.0"
    model, delay = AcousticModel(bundle), bundle.manifest.audio.delay_frames
    samples = audio.read(tmp_path / "talk.wav", model.audio.sample_rate)
    ours = model.stream(samples[None])[0][delay:]
    with torch.no_grad():
        own = page["mine"](page["model"].features(torch.from_numpy(samples)[None]))[0].roll(1, 1).numpy()
    frames = min(len(ours), len(own)) - delay
    assert frames > 90 and np.ptp(own[:frames, 0]) > 0.01
    np.testing.assert_allclose(ours[:frames], own[:frames], atol=1e-5)


def test_the_table_of_the_page_has_every_name(page: dict[str, Any]) -> None:
    rows = [
        re.sub(r"(\.\d)", ".0", row) for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith("| `")
    ]
    for name in weight_shapes(page["config"], page["labels"]):
        module, _, tensor = re.sub(r"(\.\d)", ".0", name).rpartition(".")
        assert any(f"`{module}." in row and (f".{tensor}`" in row or "..." in row) for row in rows), name


def as_own(page: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return the checkpoint of the default bundle, and its weights in the page's module under the names of that."""
    trained, _ = load_checkpoint(ROOT / "models" / "edge.pt")
    config, weights = trained.config, trained.state_dict()
    shapes = [(one.channels, one.kernel, one.stride) for one in config.convolutions]
    mine = page["Mine"](shapes, config.hidden, config.layers, config.lookahead_frames, len(trained.labels)).eval()
    own = {
        "future.weight": weights["lookahead.weight"].T[:, None],
        "classes.weight": weights["output.linear.weight"].roll(-1, 0),
        "classes.bias": weights["output.linear.bias"].roll(-1, 0),
    }
    for name in mine.state_dict():
        kind, _, rest = name.partition(".")
        layer, _, tensor = rest.partition(".")
        tensor = tensor.replace("running_var", "running_variance")
        if kind in {"convs", "conv_norms"}:
            part = "convolution" if kind == "convs" else "batch_norm"
            own[name] = weights.get(f"convolutions.{layer}.{part}.{tensor}")
        elif kind == "lstms":
            own[name] = weights[f"recurrents.{layer}.rnn.{tensor}"]
        elif kind == "norms":
            home = f"recurrents.{int(layer) + 1}" if int(layer) + 1 < config.layers else "output"
            own[name] = weights.get(f"{home}.batch_norm.{tensor}")
    mine.load_state_dict({name: own[name] if own[name] is not None else torch.tensor(0) for name in own})
    return trained, mine, (weights["features.mean"], 1.0 / weights["features.inverse_deviation"])


@pytest.mark.slow
def test_a_trained_module_of_ones_own_transcribes(page: dict[str, Any], tmp_path: Path) -> None:
    from edgespeech.export import export_checkpoint

    trained, mine, statistics = as_own(page)
    model = model_from_state_dict(page["weights_of"](mine, *statistics), trained.config, trained.labels)
    save_checkpoint(model, "own.pt")
    clip = read_manifest(SAMPLE_CLIPS)[0]
    texts = [
        Recognizer(export_checkpoint(checkpoint, name)).transcribe(clip.path).text
        for checkpoint, name in (("own.pt", "own"), (ROOT / "models" / "edge.pt", "original"))
    ]
    assert texts[0] == texts[1] and len(set(texts[0].split()) & set(clip.text.split())) > 2
