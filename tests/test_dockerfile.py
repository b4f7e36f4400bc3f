"""The image of the command line: what its files may contain, and, where a container engine runs, the image itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from edgespeech.demo.server.request import ServeRequest
from tests.test_packaging import PYPROJECT, ROOT, SETUPTOOLS

CLIPS = ROOT / "runtime" / "sample_clips"
LARGEST_IMAGE = 350e6  # bytes
LARGEST_SERVER_IMAGE = 400e6
BASE = "debian:trixie-slim"
TAG = "edgespeech-test"


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, with their arguments in one line."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    found: list[list[tuple[str, str]]] = []
    for line in filter(None, lines):
        word, _, arguments = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, arguments))
    return found


def arguments(stage: list[tuple[str, str]], instruction: str) -> list[str]:
    return [rest for word, rest in stage if word == instruction]


def server_stage() -> list[tuple[str, str]]:
    (found,) = (stage for stage in stages() if arguments(stage, "FROM")[0].endswith(" AS serve"))
    return found


def test_the_last_stage_is_slim_and_runs_the_program_as_a_user() -> None:
    build, *_, final = stages()
    assert arguments(build, "FROM") == ["debian:trixie-slim AS build"] and arguments(final, "FROM") == [
        "debian:trixie-slim"
    ]
    (user,) = arguments(final, "USER")
    (system,) = arguments(final, "RUN")
    assert user not in {"root", "0"} and system.endswith(f"useradd --create-home --uid 1000 --groups audio {user}")
    assert not re.search(r"\b(g\+\+|gcc|cmake|pip|venv)\b", system)
    assert arguments(final, "COPY") == ["--from=build /opt/edgespeech /opt/edgespeech"]
    assert arguments(final, "ENV") == ["PATH=/opt/edgespeech/bin:$PATH"]
    assert [json.loads(one) for word in ("ENTRYPOINT", "CMD") for one in arguments(final, word)] == [
        ["edgespeech"],
        ["--help"],
    ]


def test_the_stage_of_the_server_runs_it_as_a_user_and_asks_for_its_health() -> None:
    serve = server_stage()
    assert arguments(serve, "USER")[0] not in {"root", "0"}
    assert [json.loads(one) for one in arguments(serve, "ENTRYPOINT")] == [["edgespeech", "serve"]]
    assert not re.search(r"\b(g\+\+|gcc|cmake|pip|venv)\b", arguments(serve, "RUN")[0])
    environment = dict(one.split("=", 1) for one in arguments(serve, "ENV")[0].split())
    assert environment["EDGESPEECH_HOST"] == "0.0.0.0" and not any("TOKEN" in name for name in environment)
    ports = set(arguments(serve, "EXPOSE")[0].split())
    request = ServeRequest()
    assert ports == {str(one) for one in (request.http_port, request.vosk_port, request.wyoming_port)}


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_tells_whether_the_server_is_ready(status: int, code: int) -> None:
    program, *options = json.loads(arguments(server_stage(), "HEALTHCHECK")[0].partition(" CMD ")[2])

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, format: str, *values: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        environment = {**os.environ, "EDGESPEECH_HTTP_PORT": str(server.server_port)}
        done = subprocess.run([sys.executable, *options], env=environment, capture_output=True, check=False, timeout=60)
    assert program == "python3" and done.returncode == code


def test_no_layer_keeps_what_apt_or_pip_downloaded() -> None:
    for command in (one for stage in stages() for one in arguments(stage, "RUN")):
        assert "apt-get" not in command or "rm -rf /var/lib/apt/lists/* /var/cache/apt/*" in command
        assert " install " not in command or "apt-get" in command or "--no-cache-dir" in command


def test_the_extras_of_the_image_exist() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for chosen in re.findall(r"EXTRAS=([\w,]+)", text):
        assert set(chosen.split(",")) <= set(extras)


def test_the_build_gets_what_the_package_is_built_from_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert lines[1] == "*" and all((ROOT / name).exists() for name in allowed)
    folders = {path.split("/")[0] for path in SETUPTOOLS["package-dir"].values()}
    files = {PYPROJECT["project"]["readme"], *PYPROJECT["project"]["license-files"]}
    assert allowed == folders | files | {"pyproject.toml", "setup.py", "constraints.txt"}


def engine() -> str:
    """A container engine that runs containers of the base image here."""
    for program in ("docker", "podman"):
        if shutil.which(program):
            trial = [program, "run", "--rm", BASE, "true"]
            if subprocess.run(trial, capture_output=True, check=False, timeout=300).returncode == 0:
                return program
    pytest.skip(f"neither docker nor podman runs a container of {BASE} here")


def build_image(program: str, tag: str, *options: str) -> dict[str, Any]:
    """Build an image, and return what the engine tells of it."""
    build = subprocess.run(
        [program, "build", *options, "--tag", tag, "."],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert build.returncode == 0, build.stderr[-2000:]
    inspected = subprocess.run([program, "image", "inspect", tag], capture_output=True, check=True).stdout
    facts: dict[str, Any] = json.loads(inspected)[0]
    return facts


@pytest.mark.slow
def test_the_image_is_small_and_transcribes_without_a_network() -> None:
    program = engine()
    facts = build_image(program, TAG)
    assert facts["Size"] < LARGEST_IMAGE and facts["Config"]["User"] == "edgespeech"
    wanted = json.loads((ROOT / "tests" / "golden" / "sample_clips.json").read_text(encoding="utf-8"))
    name, text = next(iter(wanted.items()))
    run = [program, "run", "--rm", "--network", "none", "--volume", f"{CLIPS}:/audio:ro", TAG, "transcribe", name]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, " ".join(done.stdout.split())) == (0, text), done.stderr


@pytest.mark.slow
def test_the_image_of_the_server_is_small_and_needs_a_token() -> None:
    program, tag = engine(), f"{TAG}-serve"
    facts = build_image(program, tag, "--target", "serve")
    assert facts["Size"] < LARGEST_SERVER_IMAGE and facts["Config"]["User"] == "edgespeech"
    done = subprocess.run([program, "run", "--rm", tag], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2 and "needs a token" in done.stderr
