"""The commands that make training speech from an archive: what they write, and what `data check` says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.archive.cutting import Stretch, cut
from edgespeech.demo.archive.label import agreement_of
from edgespeech.runtime.audio import read
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest

CLIPS = read_manifest(SAMPLE_CLIPS)
INSERTED = "this sentence is in the text and was never said by anyone"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Join the sample clips, with pauses."""
    path = tmp_path_factory.mktemp("archive") / "talk.wav"
    pause = np.zeros(8000, np.float32)
    soundfile.write(path, np.concatenate([part for clip in CLIPS for part in (read(clip.path), pause)]), 16000)
    return Path(path)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_text_in_another_order_becomes_clips(edgespeech: Callable[..., Any], recording: Path, tmp_path: Path) -> None:
    texts = [clip.text for clip in CLIPS]
    (tmp_path / "talk.txt").write_text("\n".join([texts[2], texts[1], INSERTED, *texts[3:]]))
    output = tmp_path / "clips.jsonl"
    done = edgespeech("data", "align", recording, "--text", tmp_path / "talk.txt", "-o", output, "--json",
                      "--picture", tmp_path / "histogram.png", "--max-cer", "0.5")  # fmt: skip
    assert done.code == 0, done.err
    lines = lines_of(output)
    found = json.loads(done.out)
    assert found["clips"] == len(lines) >= 3
    said = {line["text"] for line in lines}
    assert said <= set(texts) - {texts[0]}
    assert {texts[1], texts[2]} <= said
    for line in lines:
        clip = tmp_path / line["audio_filepath"]
        assert soundfile.info(clip).duration == pytest.approx(line["duration"], abs=2e-3)
        assert line["provenance"]["kind"] == "aligned" and line["provenance"]["source"] == "talk.wav"
    assert (tmp_path / "histogram.png").read_bytes().startswith(b"\x89PNG")
    checked = edgespeech("data", "check", output, "--json")
    assert json.loads(checked.out)["train"]["all"]["texts"]["aligned"]["clips"] == len(lines)


def test_labels_have_provenance_that_data_check_counts(
    edgespeech: Callable[..., Any], recording: Path, tmp_path: Path
) -> None:
    output, clean = tmp_path / "labelled.jsonl", tmp_path / "clean.jsonl"
    done = edgespeech("data", "label", recording, "-o", output, "--min-word-confidence", 0.4, "--min-agreement", 0.5)
    assert done.code == 0, done.err
    lines = lines_of(output)
    assert lines and all(line["provenance"]["kind"] == "labelled" for line in lines)
    assert all(line["provenance"]["agreement"] >= 0.5 for line in lines)
    assert sorted(path.name for path in (tmp_path / "labelled_clips").iterdir()) == sorted(
        Path(line["audio_filepath"]).name for line in lines
    )
    checked = edgespeech("data", "check", output, SAMPLE_CLIPS, "-o", clean)
    assert "| labelled" in checked.out and "| transcribed" in checked.out
    assert sum("provenance" in line for line in lines_of(clean)) == len(lines)


def test_limits_that_nothing_meets_write_nothing(
    edgespeech: Callable[..., Any], recording: Path, tmp_path: Path
) -> None:
    output = tmp_path / "labelled.jsonl"
    done = edgespeech("data", "label", recording, "-o", output, "--min-word-confidence", 1.0)
    assert done.code == 2 and "no clip is good enough" in done.err and not output.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{audio}", "{audio}", "--text", "{text}"), "2 recordings and 1 texts"),
        (("{audio}", "--text", "nothing.txt"), "nothing.txt does not exist"),
        (("{audio}", "--text", "{text}", "--max-cer", "2"), "wanted a fraction from 0 to 1"),
        (("{audio}", "--text", "{text}", "--min-seconds", "30"), "clips of 30 to 20 s"),
        (("nothing.wav", "--text", "{text}"), "does not exist"),
    ],
)
def test_what_cannot_be_aligned(
    edgespeech: Callable[..., Any], recording: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("some words")
    given = [one.format(audio=recording, text=text) for one in arguments]
    done = edgespeech("data", "align", *given, "-o", tmp_path / "out.jsonl")
    assert done.code == 2 and message in done.err and done.err.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_a_bundle_without_a_language_model_needs_another(
    edgespeech: Callable[..., Any], recording: Path, tiny_bundle: Any, tmp_path: Path
) -> None:
    done = edgespeech("data", "label", recording, "-o", tmp_path / "out.jsonl", "--bundle", tiny_bundle.folder)
    assert done.code == 2 and "give another bundle with --agree-with" in done.err


def test_stretches_are_cut_exactly(tmp_path: Path) -> None:
    samples = (np.arange(5000) % 200 / 400).astype(np.float32)
    stretches = [Stretch(tmp_path / f"{index}.flac", *where) for index, where in
                 enumerate([(0.1, 0.3), (0.0, 0.05), (0.2, 0.45), (4.9, 5.5)])]  # fmt: skip
    cut((samples[at : at + 137] for at in range(0, 5000, 137)), 1000, stretches)
    for one in stretches:
        found, _ = soundfile.read(one.path, dtype="float32")
        wanted = samples[round(one.start * 1000) : round(one.end * 1000)]
        assert len(found) == len(wanted) and np.allclose(found, wanted, atol=1e-4)


def test_agreement_counts_characters() -> None:
    assert agreement_of("Hello, world", "hello world") == 1.0
    assert agreement_of("abcd", "abxd") == 0.75
    assert agreement_of("abcd", "") == 0.0
