"""The graph in WebAssembly, from samples to text, against Python; and the tests that need Node alone."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.runtime.bundle import DEFAULT_BUNDLE, Bundle
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.measure.word_errors import word_error_rate
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.recognizer import Recognizer

HERE = Path(__file__).parent
ENGINE = Path(__file__).parents[4] / "demo" / "web" / "engine"
TSC = Path(__file__).parents[4] / "work" / "web" / "node_modules" / ".bin" / "tsc"
Samples = NDArray[np.float32]


def test_clips_have_pythons_texts(
    run_job: Callable[..., Any],
    onnxruntime_web: Path,
    recognizer: Recognizer,
    clips: list[Samples],
    tmp_path: Path,
) -> None:
    """int8 in WebAssembly and in the native library drift apart, so a word may differ; the number of errors hardly."""
    paths = [tmp_path / f"{number}.f32" for number in range(len(clips))]
    for path, clip in zip(paths, clips, strict=True):
        clip.tofile(path)
    found = run_job(
        "transcribe",
        bundle=DEFAULT_BUNDLE,
        ort=onnxruntime_web.as_uri(),
        clips=[str(path) for path in paths],
        options={},
        block=1600,
    )
    texts = [" ".join(segments) for segments in found["texts"]]
    wanted = [recognizer.transcribe((clip, 16000)).text for clip in clips]
    assert sum(text == other for text, other in zip(texts, wanted, strict=True)) >= 4
    references = [utterance.text for utterance in read_manifest(SAMPLE_CLIPS)]
    assert word_error_rate(references, texts) == pytest.approx(word_error_rate(references, wanted), abs=0.03)
    assert word_error_rate(references, texts) < 0.5


def test_a_bundle_with_a_fixed_chunk_and_other_labels(
    run_job: Callable[..., Any],
    onnxruntime_web: Path,
    cells_bundle: Bundle,
    noise: Callable[[int], Samples],
    tmp_path: Path,
) -> None:
    noise(24000).tofile(tmp_path / "noise.f32")
    options = {"minEvidence": 0, "nbest": 2}
    found = run_job(
        "transcribe",
        bundle=cells_bundle.folder,
        ort=onnxruntime_web.as_uri(),
        clips=[str(tmp_path / "noise.f32")],
        options=options,
        block=999,
    )
    wanted = Recognizer(cells_bundle, min_evidence=0.0, nbest=2).transcribe((noise(24000), 16000))
    assert wanted.text
    assert [text for segments in found["texts"] for text in segments] == [segment.text for segment in wanted.segments]


def test_minimum_evidence_equals_pythons(run_job: Callable[..., Any]) -> None:
    random = np.random.default_rng(0)
    cases: list[tuple[Hypothesis, float, float, float]] = []
    for _ in range(400):
        words, time = [], 0.0
        for _ in range(random.integers(0, 4)):
            length = int(random.integers(1, 4))
            words.append(Word("abcä"[:length], time, time + 0.1 * length, float(random.random())))
            time += random.random()
        labels = tuple(range(sum(len(word.word) for word in words)))
        score = float(random.normal(0.0, 20.0))
        hypothesis = Hypothesis("", tuple(words), score, score, 0.0, labels, labels)
        cases.append((hypothesis, float(-random.random() * 60.0), float(random.choice([0.0, 3.0, 12.0])), 0.4))
    found = run_job("evidence", cases=[[asdict(hypothesis), *others] for hypothesis, *others in cases])
    wanted = [MinEvidence(nats, confidence).passes(one, blank) for one, blank, nats, confidence in cases]
    assert found == wanted
    assert 40 < sum(wanted) < 360


def test_tests_of_node_pass(node: str, onnxruntime_web: Path) -> None:
    tests = sorted(str(path) for path in HERE.glob("*.test.mjs"))
    environment = {**os.environ, "ONNXRUNTIME_WEB": onnxruntime_web.as_uri()}
    run = subprocess.run(
        [node, "--test", *tests], capture_output=True, text=True, check=False, timeout=540.0, env=environment
    )
    assert run.returncode == 0, run.stdout
    passed = re.search(r"^(?:#|ℹ) pass (\d+)$", run.stdout, re.MULTILINE)
    assert passed and int(passed[1]) >= 20, run.stdout


def test_types_are_right(node: str) -> None:
    if not TSC.exists():
        pytest.skip("TypeScript is not installed; `make web-types` installs it in work/web")
    run = subprocess.run([TSC, "-p", ENGINE], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
