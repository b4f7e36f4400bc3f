"""What the computer plays as a live source: the monitor of its loudspeakers, read by a program of the sound server."""

from __future__ import annotations

import contextlib
import queue
import shutil
import subprocess
import sys
import threading
from functools import cache

import numpy as np

from edgespeech.errors import DeviceError
from edgespeech.runtime.audio import EACH, MIX, Channel
from edgespeech.runtime.live.device_source import DeviceSource
from edgespeech.runtime.live.microphone import find_loopback
from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.sources import BLOCK_SECONDS

SYSTEM = "system"  # the device's name on the command line
RATE = 48000  # Hz, of most sound servers
PROGRAMS = ("parec", "pw-record")
FIRST_BLOCK_SECONDS = 4.0  # PulseAudio begins with a buffer of 2 s
END_SECONDS = 1.0
_SAMPLE_BYTES = 4


def open_device(
    device: str | int | None, sample_rate: int, rate: int | None = None, channel: Channel = MIX
) -> DeviceSource:
    """Open a microphone, or what the computer plays if the device is called ``system``; see `MicrophoneSource`.

    Raises:
        MissingDependencyError: sounddevice or PortAudio is not installed.
        DeviceError: No or several devices match, the device does not open, or this system cannot record what it plays.
    """
    if not isinstance(device, str) or device.strip().casefold() != SYSTEM:
        return MicrophoneSource(device, sample_rate, rate, channel)
    if sys.platform == "win32":
        return LoopbackSource(find_loopback(), sample_rate, rate, channel)
    if sys.platform == "darwin":
        raise DeviceError(
            "--device system: macOS does not let programs record what it plays; install a virtual device such as "
            "BlackHole, choose it as the output in the sound settings, and give its name to --device"
        )
    return SystemSource(sample_rate, rate, channel)


def describe_system() -> str:
    """Return one line of a list of devices: how what the computer plays is recorded here."""
    if sys.platform == "win32":
        how = "through a loopback device of PortAudio, if it has one"
    elif sys.platform == "darwin":
        how = "needs a virtual device"
    else:
        found = [program for program in PROGRAMS if shutil.which(program) is not None]
        how = f"through {found[0]}" if found else "needs parec or pw-record"
    return f"  system  what the computer plays  ({how})"


class LoopbackSource(MicrophoneSource):
    """The loopback device of Windows, which gives no blocks while nothing is played."""

    dead_seconds = float("inf")
    is_microphone = False


class SystemSource(DeviceSource):
    """What the computer plays, from its creation until `close`, by a program of PulseAudio or PipeWire.

    PortAudio sees the monitors of a sound server only where ALSA's plug-in for it is configured so. The program follows
    the default output where the server does. While the server is gone, silence takes its place in real time.

    Raises:
        DeviceError: No such program is installed, or none of them can record.
    """

    name = SYSTEM
    device_seconds = BLOCK_SECONDS  # that the sound server is asked for
    is_microphone = False

    def __init__(self, sample_rate: int = 16000, rate: int | None = None, channel: Channel = MIX) -> None:
        super().__init__(sample_rate, channel)
        self._rate = rate or RATE
        self._wanted_channels = 2 if self._channel in (MIX, EACH) else max(2, int(self._channel))
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._open()

    def close(self) -> None:
        """End the program that records."""
        self._stopping = True
        self._abort()

    def _abort(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
            process.kill()
            process.wait()
            if self._reader is not None:
                self._reader.join(END_SECONDS)
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()

    def _reopen(self) -> bool:
        self._abort()
        with contextlib.suppress(DeviceError):
            self._open()
            return True
        return False

    def _open(self) -> None:
        reasons = []
        for program in PROGRAMS:
            if shutil.which(program) is None:
                continue
            reason = self._start(_command(program, self._rate, self._wanted_channels))
            if not reason:
                self._opened(self._rate, self._wanted_channels)
                return
            reasons.append(f"{program}: {reason}")
        if not reasons:
            raise DeviceError(
                "--device system needs parec or pw-record, which read what the computer plays: "
                "sudo apt-get install pulseaudio-utils, or pipewire-bin"
            )
        raise DeviceError(
            f"--device system: the sound server cannot be recorded ({'; '.join(reasons)}); "
            "check that PulseAudio or PipeWire runs for this user"
        )

    def _start(self, command: list[str]) -> str:
        """Start a program and wait for its first block; return why it ended instead, if it did."""
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # so that Ctrl-C ends it only when what it recorded has been read
            )
        except OSError as error:
            return str(error.strerror)
        arrived: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._ended = False
        reader = threading.Thread(target=self._read_pipe, args=(process, arrived), daemon=True)
        self._process, self._reader = process, reader
        reader.start()
        with contextlib.suppress(queue.Empty):
            if not arrived.get(timeout=FIRST_BLOCK_SECONDS):
                return self._reason(process)
        return ""

    def _reason(self, process: subprocess.Popen[bytes]) -> str:
        assert process.stderr is not None
        lines = process.stderr.read().decode(errors="replace").split("\n")
        self._abort()
        return next((line.strip() for line in lines if line.strip()), "it ended at once")

    def _read_pipe(self, process: subprocess.Popen[bytes], arrived: queue.SimpleQueue[bool]) -> None:
        frame_bytes = _SAMPLE_BYTES * self._wanted_channels
        size = round(BLOCK_SECONDS * self._rate) * frame_bytes
        assert process.stdout is not None
        waiting, is_first = b"", True
        while received := process.stdout.read(size - len(waiting)):
            waiting += received
            if len(waiting) == size:
                self._put(np.frombuffer(waiting, "<f4").astype(np.float32).reshape(-1, self._wanted_channels))
                waiting = b""
                if is_first:
                    arrived.put(True)
                    is_first = False
        self._ended = True
        arrived.put(False)


def _command(program: str, rate: int, channels: int) -> list[str]:
    """Return the command that writes float32 samples of the default output to its standard output."""
    milliseconds = round(1000 * BLOCK_SECONDS)
    numbers = [f"--rate={rate}", f"--channels={channels}"]
    if program == "parec":
        # Without a latency, PulseAudio collects 2 s before it gives anything.
        source = ["--device=@DEFAULT_MONITOR@", "--client-name=edgespeech"]
        return [program, *source, "--format=float32le", *numbers, "--raw", f"--latency-msec={milliseconds}"]
    raw = ["--raw"] if _has_raw(program) else []
    properties = ["-P", "{ stream.capture.sink=true }"]
    return [program, *properties, "--format=f32", *numbers, f"--latency={milliseconds}ms", *raw, "-"]


@cache
def _has_raw(program: str) -> bool:
    """Find out whether pw-record writes samples without a header only if told so; older releases always do."""
    return "--raw" in subprocess.run([program, "--help"], capture_output=True, text=True, timeout=10).stdout
