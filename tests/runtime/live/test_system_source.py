"""What the computer plays as a source: the programs that record it, a server that goes away, Windows and macOS."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgespeech.errors import DeviceError
from edgespeech.runtime.live import system_source
from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.system_source import SystemSource, describe_system, open_device
from tests.runtime.live.fake_portaudio import FakePortAudio

RATE = 48000
FRAMES = RATE  # that the stand-in of a program writes
STAND_IN = """
import sys, time
sys.stderr.write({error!r})
with open({log!r}, "a") as log:
    print(*sys.argv[1:], sep="\\n", file=log)
if "--help" in sys.argv:
    print({help!r})
    sys.exit(0)
with open({samples!r}, "rb") as samples:
    sys.stdout.buffer.write(samples.read())
    sys.stdout.buffer.flush()
time.sleep({seconds})
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A folder that is the whole PATH; each call puts a stand-in for a program there and returns its log."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    system_source._has_raw.cache_clear()

    def add(name: str, samples: Any = (), error: str = "", seconds: float = 60.0, help: str = "") -> Path:
        log = tmp_path / f"{name}.log"
        (tmp_path / f"{name}.f32").write_bytes(np.asarray(samples, "<f4").tobytes())
        values = {"error": error, "log": str(log), "help": help, "seconds": seconds}
        (tmp_path / f"{name}.py").write_text(STAND_IN.format(samples=str(tmp_path / f"{name}.f32"), **values))
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {tmp_path / name}.py "$@"\n')
        program.chmod(0o755)
        return log

    return add


def tone(channels: int = 2) -> Any:
    left = 0.5 * np.sin(np.arange(FRAMES) / RATE * 2.0 * np.pi * 440.0)
    return np.stack([left, 0.5 * left, *[np.zeros(FRAMES)] * (channels - 2)], axis=1)


def read_all(source: SystemSource, seconds: float = 0.9) -> Any:
    blocks = []
    for block in source:
        blocks.append(block.samples)
        if sum(map(len, blocks)) >= seconds * 16000:
            source.stop()
    source.close()
    return np.concatenate(blocks)


def test_a_program_that_ignores_sigterm_is_killed(
    programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs("parec", tone())
    monkeypatch.setattr(system_source, "END_SECONDS", 0.2)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a process that is started ignores it, too
    try:
        source = open_device("system", 16000)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert isinstance(source, SystemSource) and source._process is not None
    process = source._process
    source.close()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("channel", "gain"), [("mix", 0.375), (1, 0.5), (2, 0.25), ("each", None), (3, 0.0)])
def test_a_program_records_what_the_computer_plays(
    programs: Callable[..., Path], channel: str | int, gain: float | None
) -> None:
    log = programs("parec", tone(3 if channel == 3 else 2))
    source = open_device(" System", 16000, channel=channel)
    assert isinstance(source, SystemSource) and not source.is_microphone
    assert source.description.startswith("listening to 'system' at 48000 Hz")
    got = read_all(source)
    wanted = np.sin(np.arange(16000) / 16000 * 2.0 * np.pi * 440.0)
    if gain is None:
        got, gain = got[:, 1], 0.25
    np.testing.assert_allclose(got[100:14000], gain * wanted[100:14000], atol=2e-3)
    options = log.read_text().splitlines()
    assert {"--device=@DEFAULT_MONITOR@", "--rate=48000", f"--channels={3 if channel == 3 else 2}"} <= set(options)
    assert source.counts()["unplugged"] == 0


@pytest.mark.parametrize(("help", "raw"), [("--raw  RAW mode", True), ("", False)])
def test_pipewire_alone(programs: Callable[..., Path], help: str, raw: bool) -> None:
    log = programs("pw-record", tone(), help=help)
    assert np.abs(read_all(SystemSource(rate=48000))).max() > 0.3
    options = log.read_text().splitlines()
    assert options[-1] == "-" and ("--raw" in options) is raw
    assert "{ stream.capture.sink=true }" in options


def test_the_next_program_is_tried_and_the_error_names_all(programs: Callable[..., Path]) -> None:
    programs("parec", error="\nConnection failure: refused\nmore\n", seconds=0.0)
    with pytest.raises(
        DeviceError, match=r"cannot be recorded \(parec: Connection failure: refused\); check that"
    ) as caught:
        SystemSource()
    assert "\n" not in str(caught.value)
    programs("pw-record", tone())
    assert np.abs(read_all(SystemSource())).max() > 0.3


def test_no_program(programs: Callable[..., Path]) -> None:
    with pytest.raises(DeviceError, match="needs parec or pw-record.*apt-get install"):
        open_device("system", 16000)
    assert describe_system().endswith("(needs parec or pw-record)")


def test_a_server_that_ends_gives_silence_until_it_is_back(programs: Callable[..., Path]) -> None:
    programs("parec", tone(), seconds=0.0)
    source = SystemSource()
    messages: list[str] = []
    for block in source:
        messages += source.take_messages()
        if block.absent and source.counts()["unplugged"] == 1:
            programs("parec", tone())
        if messages and messages[-1] == "'system' is back" and np.abs(block.samples).max(initial=0.0) > 0.1:
            source.stop()
    source.close()
    assert messages == ["'system' stopped: unplugged, or taken by another program? waiting for it", "'system' is back"]


def test_the_program_ends_with_the_source(programs: Callable[..., Path]) -> None:
    programs("parec", tone())
    source = SystemSource()
    process = source._process
    assert process is not None and process.poll() is None
    assert os.getsid(process.pid) != os.getsid(0), "Ctrl-C must not end it before it has been read"
    source.close()
    assert process.poll() is not None
    source.close()


def test_macos_needs_a_virtual_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DeviceError, match="virtual device such as BlackHole"):
        open_device("system", 16000)
    assert "virtual device" in describe_system()


@pytest.mark.parametrize("has_loopback", [True, False])
def test_windows_needs_a_portaudio_with_loopback_devices(monkeypatch: pytest.MonkeyPatch, has_loopback: bool) -> None:
    fake = FakePortAudio()
    loopbacks = [fake.device(f"{name} [Loopback]", 2, 48000.0) for name in ("Monitor (HDMI)", "Speakers (USB)")]
    outputs = [fake.device("Speakers (USB)", 0, 48000.0)]
    fake.devices += [*outputs, *(loopbacks if has_loopback else [])]
    default = {"name": "Windows WASAPI", "default_output_device": 4}
    monkeypatch.setattr(fake, "query_hostapis", lambda: ({"name": "MME", "default_output_device": 0}, default))
    monkeypatch.setattr(fake, "get_portaudio_version", lambda: (1, "PortAudio V19.7.0-devel, revision"), raising=False)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr(system_source, "sys", SimpleNamespace(platform="win32"))
    if not has_loopback:
        with pytest.raises(DeviceError, match=r"does not have \(PortAudio V19\.7\.0-devel\); enable Stereo Mix"):
            open_device("system", 16000)
        return
    source = open_device("system", 16000)
    assert isinstance(source, MicrophoneSource) and source.name == "Speakers (USB) [Loopback]"
    assert not source.is_microphone and source.dead_seconds == float("inf")
    source.close()
