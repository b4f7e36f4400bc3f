"""Node runs the modules of `demo/web/engine` on files that tests in Python make."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.demo.web.onnxruntime_web import SCRIPT, find_onnxruntime_web
from edgespeech.errors import EdgespeechError
from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples
from edgespeech.runtime.recognizer import Recognizer

HERE = Path(__file__).parent
OLDEST_NODE = 18
SECONDS = 540.0


@pytest.fixture(scope="session")
def node() -> str:
    """Path of Node."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("the engine of the page is tested with Node, which is not installed")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"v(\d+)", version)
    if found is None or int(found[1]) < OLDEST_NODE:
        pytest.skip(f"Node is {version.strip()}; the engine of the page wants {OLDEST_NODE} or newer")
    return path


@pytest.fixture
def run_job(node: str, tmp_path: Path) -> Callable[..., Any]:
    """Run a job of `job.mjs`; arrays of floating point among its values become files."""

    def run(job: str, **values: Any) -> Any:
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value.tofile(tmp_path / name)
                values[name] = str(tmp_path / name)
            elif isinstance(value, Path):
                values[name] = str(value)
        request, result = tmp_path / "job.json", tmp_path / "result.json"
        request.write_text(json.dumps({"job": job, **values}), encoding="utf-8")
        command = [node, str(HERE / "job.mjs"), str(request), str(result)]
        finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        assert finished.returncode == 0, finished.stderr
        return json.loads(result.read_text(encoding="utf-8"))

    return run


@pytest.fixture(scope="session")
def onnxruntime_web() -> Path:
    """The script of onnxruntime-web, whose WebAssembly lies beside it."""
    try:
        return find_onnxruntime_web()[SCRIPT]
    except EdgespeechError as error:
        pytest.skip(f"the graph is run by onnxruntime-web, which npm cannot bring here: {error}")


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """The default bundle in Python."""
    return Recognizer(DEFAULT_BUNDLE)


@pytest.fixture(scope="session")
def clips() -> list[NDArray[np.float32]]:
    """The sample clips at 16 kHz."""
    return [read_samples(utterance, 16000) for utterance in read_manifest(SAMPLE_CLIPS)]
