"""The command `lm tune`: its figures, the files it writes, and the input it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.demo.tune_decoder.bundle_tuning import require_writable_bundle, write_settings
from edgespeech.demo.tune_decoder.decoder_tuning import BeamFigures
from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import Bundle, DecoderDefaults, load_bundle

pytest.importorskip("kenlm")

Samples = NDArray[np.float32]
Command = Callable[..., Any]
GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle with a language model of the words a, b, ab, bab."""
    write_settings(tiny_bundle, DecoderDefaults(beam_width=8), {}, GOLDEN / "tiny.bin", tmp_path / "bundle")
    return load_bundle(tmp_path / "bundle")


@pytest.fixture
def manifest(noise: Callable[[int], Samples], tmp_path: Path) -> Path:
    (tmp_path / "speech").mkdir()
    lines = []
    for number in range(3):
        soundfile.write(tmp_path / "speech" / f"{number}.wav", noise(9000 + number), 16000)
        lines.append(json.dumps({"audio_filepath": f"{number}.wav", "text": "a ab bab"}))
    path = tmp_path / "speech" / "speech.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_the_settings_are_written_into_the_bundle(
    edgespeech: Command, bundle: Bundle, manifest: Path, tmp_path: Path
) -> None:
    arguments = ["--bundle", bundle.folder, "--cache", tmp_path / "cache", "--beams", "2,4", "--search-beam", "4"]
    outcome = edgespeech(
        "lm", "tune", manifest, *arguments, "--json", "--report-on", manifest, "--picture", tmp_path / "map.png"
    )
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    tuned = load_bundle(bundle.folder)
    assert found["after"] == msgspec.to_builtins(tuned.manifest.decoder)
    assert "least_confidence" in found["after"]  # the key of bundle.json
    assert found["before"]["beam_width"] == 8 and tuned.manifest.decoder.beam_width in (2, 4)
    best = min(found["decodings"], key=lambda one: one["wer"])
    assert all(best[name] == found["after"][name] for name in ("alpha", "beta", "unknown_score"))
    assert [one["beam_width"] for one in found["beams"]] == [2, 4]
    assert found["other"]["wer"] == found["wer"] and found["other"]["wer_before"] == found["wer_before"]
    assert tuned.manifest.measured["tuning"]["wer"] == found["wer"]
    assert tuned.manifest.files == bundle.manifest.files
    assert bundle.manifest.label_priors is msgspec.UNSET
    assert np.exp(tuned.manifest.label_priors or ()).sum() == pytest.approx(1.0, abs=0.01)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert "3 utterances are few to tune on" in outcome.err
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_a_dry_run_prints_tables_and_changes_nothing(
    edgespeech: Command, bundle: Bundle, manifest: Path, tmp_path: Path
) -> None:
    before = (bundle.folder / "bundle.json").read_bytes()
    arguments = ["--bundle", bundle.folder, "--cache", tmp_path / "cache", "--beams", "4", "--search-beam", "4"]
    outcome = edgespeech("lm", "tune", manifest, *arguments, "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "optimistic" in outcome.out and "| after  | alpha" in outcome.out
    assert outcome.out.startswith("weights tried at beam 4\n") and "<- the narrowest that is as good" in outcome.out
    assert "WER " in outcome.err and "; best " in outcome.err  # one line per decoding
    assert (bundle.folder / "bundle.json").read_bytes() == before


def test_better_current_settings_stay(
    edgespeech: Command, bundle: Bundle, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "edgespeech.demo.tune_decoder.decoder_tuning.measure_settings", lambda *_: BeamFigures(8, 0.0, 0.0)
    )
    arguments = ["--bundle", bundle.folder, "--cache", tmp_path / "cache", "--beams", "4", "--search-beam", "4"]
    outcome = edgespeech("lm", "tune", manifest, *arguments, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["after"] == found["before"] and found["wer"] == 0.0 < min(one["wer"] for one in found["beams"])
    assert load_bundle(bundle.folder).manifest.decoder == bundle.manifest.decoder
    assert "they stay" in outcome.err


def test_another_language_model_is_put_into_the_copy(
    edgespeech: Command, tiny_bundle: Bundle, manifest: Path, tmp_path: Path
) -> None:
    arguments = ["--cache", tmp_path / "cache", "--beams", "4", "--search-beam", "4", "-o", tmp_path / "copy"]
    outcome = edgespeech(
        "lm", "tune", manifest, "--bundle", tiny_bundle.folder, "--lm", GOLDEN / "tiny.bin", *arguments
    )
    assert outcome.code == 0, outcome.err
    copied = load_bundle(tmp_path / "copy").language_model_path
    assert copied is not None and copied.read_bytes() == (GOLDEN / "tiny.bin").read_bytes()
    assert tiny_bundle.language_model_path is None


def test_a_bundle_without_a_language_model_is_refused(edgespeech: Command, tiny_bundle: Bundle, manifest: Path) -> None:
    outcome = edgespeech("lm", "tune", manifest, "--bundle", tiny_bundle.folder, "--dry-run")
    assert outcome.code == 2
    assert "no language model; name one with --lm" in outcome.err


def test_a_read_only_bundle_is_refused_before_the_work(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match="is not writable; give -o DIR"):
        require_writable_bundle(bundle, None)
    require_writable_bundle(bundle, bundle.folder / "elsewhere")


def test_other_files_in_the_bundle_folder_stay(bundle: Bundle) -> None:
    (bundle.folder / "notes.txt").write_text("mine")
    write_settings(bundle, DecoderDefaults(alpha=0.75), {"wer": 0.5}, None, None)
    written = load_bundle(bundle.folder).manifest
    assert written.decoder.alpha == 0.75 and written.measured["tuning"] == {"wer": 0.5}
    assert (bundle.folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "minutes is 0"),
        (["--minutes", "nan"], "minutes is nan"),
        (["--beams", "4,x"], "beams are '4,x'"),
        (["--beams", "0"], "beam width is 0"),
        (["--search-beam", "0"], "beam width is 0"),
        (["--picture", "no/such/folder.png"], "cannot write no/such/folder.png"),
        (["--lm", "missing.bin"], "no language model at missing.bin"),
        (["--report-on", "missing.jsonl"], "missing.jsonl does not exist"),
    ],
)
def test_invalid_input_is_one_line(
    edgespeech: Command, bundle: Bundle, manifest: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    outcome = edgespeech("lm", "tune", manifest, "--bundle", bundle.folder, "--cache", tmp_path / "cache", *arguments)
    assert outcome.code == 2 and outcome.out == ""
    assert message in outcome.err.splitlines()[-1]


def test_a_read_only_default_bundle_is_refused(
    edgespeech: Command, bundle: Bundle, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgespeech.runtime.bundle.reading.DEFAULT_BUNDLE", bundle.folder)
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode, **rest: Path(path) != bundle.folder and allowed(path, mode, **rest)
    )
    outcome = edgespeech("lm", "tune", manifest)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1 and "is not writable" in outcome.err
