"""The programs in the guides, run against a server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech import Recognizer
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from tests.demo.server.clients import RATE, RunningServer
from tests.docs import documents

GUIDES = ("server-home-assistant.md", "server-openai.md", "server-vosk.md", "server-websocket.md")


@pytest.mark.parametrize("page", GUIDES)
def test_the_program_of_a_guide_prints_the_words(
    server: RunningServer, recognizer: Recognizer, tmp_path: Path, page: str
) -> None:
    clip = read_manifest(SAMPLE_CLIPS)[2].path
    soundfile.write(tmp_path / "talk.wav", audio.read(clip, RATE), RATE)
    blocks = [one for one in documents.blocks(documents.DOCS / "guide" / page) if one.language == "python"]
    program = "\n".join(one.text for one in blocks).replace("ws://127.0.0.1:8080/v1/stream", server.stream_url)
    program = program.replace("http://127.0.0.1:8080", server.addresses["http"])
    program = program.replace("ws://127.0.0.1:2700", server.vosk_url).replace("10300", str(server.wyoming_port))
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=tmp_path, capture_output=True, text=True, timeout=120.0, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.count(recognizer.transcribe(tmp_path / "talk.wav").text) >= len(blocks)
