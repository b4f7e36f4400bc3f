"""Microphones that a test plays audio into: null sinks of a PulseAudio server, which PortAudio sees through ALSA."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

PACKAGES = "pulseaudio libasound2-plugins libportaudio2"
ALSA_DEFAULTS = Path("/usr/share/alsa/alsa.conf")
START_SECONDS = 20.0

_ALSA = """
pcm.{name} {{
    type pulse
    server "unix:{socket}"
    device "{name}.monitor"
    hint {{ show on description "{name}" }}
}}
"""


class VirtualMicrophones:
    """A sound server with one microphone for each sample rate in hertz, named ``virtual_RATE``.

    The test is skipped where the server or its libraries are not installed.
    """

    def __init__(self, rates: Sequence[int]) -> None:
        for program in ("pulseaudio", "paplay", "pactl"):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed: apt-get install {PACKAGES}")
        if ctypes.util.find_library("portaudio") is None:
            pytest.skip(f"PortAudio is not installed: apt-get install {PACKAGES}")
        if not ALSA_DEFAULTS.exists() or not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
            pytest.skip(f"ALSA's plug-in for PulseAudio is not installed: apt-get install {PACKAGES}")
        # The path of a socket has at most 107 characters, and pytest's folders are long.
        self.folder = Path(tempfile.mkdtemp(prefix="mic"))
        self.names = {rate: f"virtual_{rate}" for rate in rates}
        socket = self.folder / "socket"
        blocks = (_ALSA.format(name=name, socket=socket) for name in self.names.values())
        (self.folder / "alsa.conf").write_text("".join(blocks))
        home = {"HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder)}
        self.environment = {
            **os.environ,
            "PULSE_SERVER": f"unix:{socket}",
            "ALSA_CONFIG_PATH": f"{ALSA_DEFAULTS}:{self.folder / 'alsa.conf'}",
        }
        self._server_environment = {**os.environ, **home}
        self._socket = socket
        self.start()

    def start(self) -> None:
        """Start the server; possible again after `kill`."""
        modules = [f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"]
        modules += [
            f"module-null-sink sink_name={name} rate={rate} channels=1 format=s16le"
            for rate, name in self.names.items()
        ]
        options = "-n --daemonize=no --use-pid-file=no --exit-idle-time=-1 --disable-shm=yes --high-priority=no".split()
        loads = [word for module in modules for word in ("-L", module)]
        with open(self.folder / "log", "ab") as log:
            self._server = subprocess.Popen(
                ["pulseaudio", *options, *loads], env=self._server_environment, stdout=log, stderr=log
            )
        end = time.monotonic() + START_SECONDS
        while subprocess.run(["pactl", "info"], env=self.environment, capture_output=True).returncode:
            if self._server.poll() is not None or time.monotonic() > end:
                pytest.skip(f"PulseAudio does not start here: {(self.folder / 'log').read_text()[-300:]}")
            time.sleep(0.1)

    def play(self, path: Path, rate: int) -> subprocess.Popen[bytes]:
        """Start to play a WAV file into the microphone with the given rate."""
        command = ["paplay", f"--device={self.names[rate]}", "--latency-msec=2000", str(path)]
        return subprocess.Popen(command, env=self.environment)

    def kill(self) -> None:
        """Kill the server, which unplugs all microphones at once."""
        self._server.kill()
        self._server.wait()

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
