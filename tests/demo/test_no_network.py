"""No command but those of servers opens a connection of the internet, in its process or in one that it starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.cli import cli
from edgespeech.runtime.manifest import SAMPLE_CLIPS, Utterance, read_manifest, read_samples, write_manifest

GOLDEN = Path(__file__).parents[1] / "golden"
# They listen, or download onnxruntime-web.
SERVERS = {"serve", "bench serve", "web"}
# Every Python that is started with it notes what of the internet is touched, and refuses it.
GUARD = """
import os, socket, sys

def guard(event, arguments):
    if event == "socket.__new__":
        forbidden = arguments[1] in (socket.AF_INET, socket.AF_INET6)
    elif event in ("socket.connect", "socket.bind", "socket.sendto"):
        forbidden = isinstance(arguments[-1], tuple)
    else:
        forbidden = event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.getnameinfo", "urllib.Request")
    if forbidden:
        with open(os.environ["TOUCHED"], "a") as file:
            file.write(f"{' '.join(sys.argv)}: {event} {arguments[1:]}\\n")
        raise PermissionError(f"network: {event}")

sys.addaudithook(guard)
"""
RUN_ALL = """
import os, sys
from edgespeech.demo.cli import main
for line in sys.stdin.read().splitlines():
    sys.argv = ["edgespeech", *line.split()]
    print("+", line, flush=True)
    try:
        main()
    except SystemExit as end:
        print("=", end.code, flush=True)
"""
# What a tiny model has to do, and commands that need what is missing here, which only say so.
WORKING = """
info {bundle}
verify {bundle}
verify {bundle} --strict
transcribe a.wav --bundle {bundle}
live --replay a.wav --speed 0 --bundle {bundle} --json
evaluate dev.jsonl --bundle {bundle}
confidence dev.jsonl --bundle {bundle}
hot-words dev.jsonl --bundle {bundle} --hot-word few:8
lm info {golden}/tiny.bin
data check dev.jsonl
data csv t.csv -o csv.jsonl
average model.pt -o average.pt
export model.pt -o exported --precision int8
calibrate model.pt --speech dev.jsonl -o calibrated.pt
quantize {bundle} -o quantized --precision fp16
"""
TRIED = """
devices
doctor
lm tune dev.jsonl --bundle {bundle} --lm {golden}/tiny.bin
lm build text.txt -o built.bin
lm words text.txt --lm {golden}/tiny.bin -o words.txt --bundle {bundle}
lm compare dev.jsonl --bundle {bundle} --lm {golden}/tiny.bin
import dev.jsonl -o imported.pt
data librispeech . -o corpus.jsonl
data ljspeech . -o corpus.jsonl
data common-voice . -o corpus.jsonl
data pronounce dev.jsonl -o words.tsv
data align a.wav --text text.txt -o aligned.jsonl --bundle {bundle}
data label a.wav -o labelled.jsonl --bundle {bundle}
data scaling run.toml -o study
train run.toml --minutes 0.01
bench compare dev.jsonl dev.jsonl
record -o voice --sentences text.txt --replay a.wav --bundle {bundle}
adapt --speech dev.jsonl -o personal --checkpoint model.pt --bundle {bundle}
adapt --text text.txt -o words
punctuation
"""
SLOW = """
bench --bundle {bundle} --audio a.wav --seconds 1
tune-device --bundle {bundle}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Any) -> Path:
    home = Path(tmp_path_factory.mktemp("home"))
    shutil.copytree(tiny_bundle.folder, home / "bundle")  # some commands write into the bundle
    (home / "guard").mkdir()
    (home / "guard" / "sitecustomize.py").write_text(GUARD)
    clip = read_samples(read_manifest(SAMPLE_CLIPS)[0], 16000)
    soundfile.write(home / "a.wav", np.asarray(clip)[:32000], 16000)
    write_manifest(home / "dev.jsonl", [Utterance("a.wav", home / "a.wav", "a few words", speaker="s")])
    (home / "t.csv").write_text("path,text\na.wav,a few words\n")
    (home / "text.txt").write_text("a few words\n" * 100)
    (home / "run.toml").write_text('output = "out"\n[data]\ntrain = ["dev.jsonl"]\ndev = []\n')
    return home


def run(folder: Path, code: str, lines: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder / "guard"),
        "TOUCHED": str(folder / "touched"),
        "OMP_NUM_THREADS": "1",
        "KENLM_BIN": str(Path("work/kenlm/bin").resolve()),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    text = lines.strip().format(bundle=folder / "bundle", golden=GOLDEN)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, input=text, capture_output=True, text=True, timeout=600)


def touched(folder: Path) -> str:
    path = folder / "touched"
    return path.read_text() if path.exists() else ""


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    context = click.Context(command)
    if not isinstance(command, click.Group):
        yield " ".join(path)
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from leaves(inner, (*path, name))


def test_every_command_is_tried() -> None:
    tried = [line for line in (WORKING + TRIED + SLOW).splitlines() if line]
    missing = [name for name in leaves(cli) if not any(f"{line} ".startswith(f"{name} ") for line in tried)]
    assert {name for name in missing if not name.startswith("punctuation ")} == SERVERS


def test_the_guard_notices_a_connection(folder: Path) -> None:
    code = "import urllib.request; urllib.request.urlopen('http://localhost:9')"
    done = run(folder, code, "")
    assert done.returncode != 0 and "PermissionError" in done.stderr and "urllib.Request" in touched(folder)
    (folder / "touched").unlink()


def test_no_command_touches_the_network(folder: Path) -> None:
    from edgespeech.reference.model.checkpoint import save_checkpoint
    from tests.tiny_models import make_tiny_model

    save_checkpoint(make_tiny_model(), folder / "model.pt")
    done = run(folder, RUN_ALL, WORKING + TRIED.strip())
    assert touched(folder) == "" and "Traceback" not in done.stderr
    results = done.stdout.split("\n+ ")
    wanted = len(WORKING.strip().splitlines())
    failed = [one.splitlines()[0] for one in results[:wanted] if not one.rstrip().endswith(("= 0", "= None"))]
    assert failed == [], done.stderr


@pytest.mark.slow
def test_no_measuring_command_touches_the_network(folder: Path) -> None:
    done = run(folder, RUN_ALL, SLOW)
    assert touched(folder) == "" and "Traceback" not in done.stderr
