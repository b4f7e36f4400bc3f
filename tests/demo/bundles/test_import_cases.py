"""Checkpoints that other projects wrote, with the outputs of their code: imported, exported, streamed, quantized."""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgespeech.demo.bundles.export import BundleRequest, export_bundle
from edgespeech.demo.bundles.import_model import ImportRequest, import_model
from edgespeech.errors import CheckpointError
from edgespeech.export.request import ExportRequest
from edgespeech.reference.foreign.normalisation import Calibration, streaming_model
from edgespeech.reference.foreign.reading import original_model, read_original
from edgespeech.reference.foreign.reference_outputs import Reference, read_reference
from edgespeech.reference.foreign.torch_reader import read_torch
from edgespeech.reference.foreign.whole_utterance import features_of, statistics_of
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.runtime.acoustic_model import AcousticModel

CASES = Path(__file__).resolve().parents[4] / "shared" / "import_cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the checkpoints of other projects are not here")
NAMES = [
    "sn-v1.1-gru-ctx20", "sn-v2.0-gru-ctx20", "sn-V2.1-gru-ctx20", "sn-V3.0-lstm-ctx20", "ps-online-lstm-fc0",
    "ps-online-gru-fc1",
]  # fmt: skip
FEATURES = {"ps-online": "features-ps", "sn-v1.1": "features-sn-v1"}
CLIPS = ("grid_swwi9s", "librispeech_1737-146161-0013")
WITH_FEATURES = CLIPS[1]


def unpack(name: str, folder: Path) -> Path:
    """Write a checkpoint, or the folder of a release, without its compression."""
    target = folder / name
    if (CASES / name).is_dir():
        shutil.copytree(CASES / name, target, copy_function=shutil.copyfile)
        packed = sorted(target.rglob("*.xz"))
    else:
        packed = [shutil.copyfile(path, folder / path.name) for path in CASES.glob(f"{name}.*.xz")]
        packed += [shutil.copyfile(path, folder / path.name) for path in CASES.glob(f"{name}.xz")]
    for path in packed:
        path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
        path.unlink()
    return target if target.is_dir() else packed[0].with_suffix("")


def files_of(name: str, clip: str) -> tuple[Path, ...]:
    family = "-".join(name.split("-")[:2])
    features = CASES / f"{FEATURES.get(family, f'features-{family}')}.{clip}.npz"
    return (CASES / f"{name}.{clip}.npz", *([features] if clip == WITH_FEATURES else []))


def recording(clip: str) -> Path:
    return CASES / "clips" / f"{clip}.wav"


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("name", NAMES)
def test_log_probs_equal_those_of_the_original(tmp_path: Path, name: str, clip: str) -> None:
    request = ImportRequest(references=files_of(name, clip), audio=recording(clip), measure_costs=False)
    imported = import_model(unpack(name, tmp_path), request)
    assert imported.comparison is not None and not imported.comparison.unknown
    before = [one.part for one in imported.comparison.differences[:-3]]
    if clip == WITH_FEATURES:
        assert before == (["features"] if name.startswith("ps") else ["features", "normalised"])
    assert all(one.largest < 5e-4 and one.above == 0 for one in imported.comparison.differences)
    facts = json.loads((CASES / f"{name}.json").read_text())
    config = imported.model.config
    assert (config.cell, config.hidden, config.layers) == (facts["cell"], facts["hidden"], facts["layers"])
    assert config.lookahead_frames == (facts["lookahead_taps"] or 1) - 1
    fixed = not imported.original.per_utterance
    assert fixed == name.startswith("ps") and ("normalisation" in imported.provenance) != fixed


def test_a_bidirectional_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is bidirectional .* so it cannot stream"):
        import_model(unpack("sn-v2.0-lstm-bi", tmp_path), ImportRequest())


def checkpoint_for(name: str, reference: Reference, folder: Path) -> Path:
    """Import a model with the statistics of one recording, as its original normalises that."""
    original = read_original(unpack(name, folder))
    model = original_model(original)
    if original.per_utterance:
        statistics = statistics_of(features_of(model, reference.samples))
        model = streaming_model(original, Calibration(statistics, (), None, 16000), "frozen")
    save_checkpoint(model, folder / "model.pt", original.provenance)
    return folder / "model.pt"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_bundles_stream_what_the_original_computes_of_the_whole(tmp_path: Path, name: str) -> None:
    clip = CLIPS[0]
    reference = read_reference(files_of(name, clip), recording(clip), 16000)
    manifest = tmp_path / "speech.jsonl"
    manifest.write_text(json.dumps({"audio_filepath": str(recording(clip)), "text": "set white with i nine soon"}))
    checkpoint = checkpoint_for(name, reference, tmp_path)
    request = ExportRequest(speech=manifest)
    bundle = export_bundle(checkpoint, tmp_path / "full", BundleRequest(request))
    model = AcousticModel(bundle)
    samples, delay, frames = reference.samples[None], model.audio.delay_frames, len(reference.log_probs)
    tail = np.zeros((1, (delay + 1) * model.audio.frame_samples), np.float32)
    padded = np.concatenate([samples, tail], axis=1)
    streamed = [
        model.stream(padded, size * model.audio.frame_samples, len(reference.samples))[0, delay : delay + frames]
        for size in (1, 7, padded.shape[1] // model.audio.frame_samples + 1)
    ]
    for one in streamed:
        assert np.abs(one - reference.log_probs).max() < 1e-3
    small = AcousticModel(export_bundle(checkpoint, tmp_path / "small", BundleRequest(request, "int8")))
    quantized = small.stream(padded, None, len(reference.samples))[0, delay : delay + frames]
    assert np.mean(quantized.argmax(1) == reference.log_probs.argmax(1)) > 0.9


@pytest.mark.slow
def test_the_command_prints_what_it_found_and_export_takes_the_file(
    edgespeech: Callable[..., Any], tmp_path: Path
) -> None:
    foreign, clip = unpack("sn-v2.0-gru-ctx20", tmp_path), CLIPS[0]
    output = tmp_path / "model.pt"
    given = ("--reference", files_of("sn-v2.0-gru-ctx20", clip)[0], "--audio", recording(clip))
    outcome = edgespeech("import", foreign, "-o", output, "--normalisation", "running", *given)
    assert outcome.code == 0 and output.is_file()
    for words in ("v2.0", "3 x 48, forwards only", "20 taps", "frames above 0.001", "sample clips", "running", "CER"):
        assert words in outcome.out
    wrong = ("--reference", files_of("sn-V2.1-gru-ctx20", clip)[0], "--audio", recording(clip))
    refused = edgespeech("import", foreign, "-o", tmp_path / "wrong.pt", *wrong)
    assert (refused.code, refused.err.count("\n")) == (1, 1) and "differs from its original" in refused.err
    assert not (tmp_path / "wrong.pt").exists()
    exported = edgespeech("export", foreign, "-o", tmp_path / "bundle")
    assert exported.code == 0 and "Nothing was compared" in exported.err
    provenance = json.loads((tmp_path / "bundle" / "bundle.json").read_text())["provenance"]
    assert provenance["releases"] == "v2.0" and provenance["normalisation"]["speech"] == "sample clips"


@pytest.mark.parametrize("name", ["sn-v2.0-gru-ctx20", "sn-V3.0-lstm-ctx20"])
def test_outputs_of_the_original_decide_which_release_wrote_bare_tensors(tmp_path: Path, name: str) -> None:
    opened = read_torch(unpack(name, tmp_path)).value
    torch.save(dict(opened["state_dict"]), tmp_path / "bare.pth")
    guessed = import_model(tmp_path / "bare.pth", ImportRequest(measure_costs=False))
    assert guessed.original.doubts and guessed.provenance["releases"] == "V3.0 assumed"
    request = ImportRequest(references=files_of(name, CLIPS[0]), audio=recording(CLIPS[0]), measure_costs=False)
    decided = import_model(tmp_path / "bare.pth", request)
    assert decided.provenance["releases"] == ("v2.0" if "v2.0" in name else "V3.0 assumed")
    assert not decided.original.doubts and decided.comparison.largest < 5e-4  # type: ignore[union-attr]
