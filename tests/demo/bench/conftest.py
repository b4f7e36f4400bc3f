"""Speech and plans for tests of the benchmark."""

from __future__ import annotations

import pytest

from edgespeech.demo.bench.plan import Speech
from edgespeech.runtime.manifest import SAMPLE_CLIPS


@pytest.fixture
def speech() -> Speech:
    """The first 1.5 seconds of the sample clips."""
    return Speech(manifest=str(SAMPLE_CLIPS), seconds=1.5)
