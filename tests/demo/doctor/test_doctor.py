"""The checks of `edgespeech doctor`, on machines that lack something."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgespeech.demo.commands.device import DOCTOR_PARTS
from edgespeech.demo.doctor import checks as doctor
from edgespeech.demo.doctor import extras
from edgespeech.demo.doctor import machine as doctor_machine
from edgespeech.demo.doctor import providers as doctor_providers
from edgespeech.demo.doctor.checks import DoctorRequest
from edgespeech.demo.doctor.machine import check_permissions, check_power
from edgespeech.demo.doctor.microphone import MicrophoneTrial
from edgespeech.demo.doctor.providers import (
    ProviderTrial,
    check_gpu,
    check_onnxruntime,
    check_providers,
    has_gpu_wheels,
)
from edgespeech.demo.doctor.report import Check, all_required_work, render, require
from edgespeech.demo.machine.host import Host
from edgespeech.errors import MissingDependencyError
from edgespeech.runtime.bundle import Bundle, load_bundle
from tests.demo.machine.recorded_machines import bare_host, host, system_of

Command = Callable[..., Any]


@pytest.fixture
def flavours(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set which distributions are installed."""

    def install(**versions: str) -> None:
        known = {name.replace("_", "-"): version for name, version in versions.items()}
        monkeypatch.setattr(doctor_providers, "installed_version", known.get)

    return install


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    """Set up a machine that lacks nothing required, with an empty file system."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "check_sound", lambda: [Check("PortAudio", "ok", "loads")])
    monkeypatch.setattr(doctor, "check_onnxruntime", lambda host: [Check("onnxruntime", "ok", "1.32.0")])
    return bare_host(tmp_path)


def test_on_a_healthy_machine_everything_required_works(healthy: Host, tiny_bundle: Bundle) -> None:
    checks = doctor.examine(DoctorRequest(tiny_bundle.folder), healthy)
    assert all_required_work(checks), render(checks)
    found = {check.topic: check for check in checks}
    assert found["bundle"].state == found["--provider cpu"].state == "ok"
    assert found["settings"].fix == "edgespeech tune-device"
    assert render(checks).splitlines()[-1].startswith("everything required works")


def test_the_command_prints_the_checks_and_returns_an_exit_code(
    edgespeech: Command, healthy: Host, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    fine = edgespeech("doctor", "--bundle", tiny_bundle.folder)
    assert fine.code == 0, fine.out
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_bundle.folder, damaged)
    graph = damaged / "acoustic.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")
    outcome = edgespeech("doctor", "--bundle", damaged, "--json")
    assert outcome.code == 1
    found = {check["topic"]: check for check in json.loads(outcome.out)}
    assert found["bundle"]["state"] == "broken"
    assert "SHA-256" in found["bundle"]["found"] and found["bundle"]["mend"] == "copy the bundle again"


def test_a_damaged_default_bundle_is_installed_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "load_bundle", lambda path: load_bundle(tmp_path / "absent"))
    monkeypatch.setattr(doctor, "DEFAULT_BUNDLE", tmp_path / "runtime/default_bundle")
    bundle, checks = doctor.check_bundle(None)
    assert bundle is None and checks[0].state == "broken"
    assert checks[0].fix.startswith("pip install --force-reinstall --no-deps FOLDER")
    (tmp_path / ".git").mkdir()
    (check,) = doctor.check_bundle(None)[1]
    assert check.fix == f"git -C {tmp_path} checkout -- runtime/default_bundle"


@pytest.mark.parametrize(
    ("architecture", "python", "found"),
    [
        ("x86_64", (3, 10), True),
        ("AMD64", (3, 13), True),
        ("aarch64", (3, 10), False),  # JetPack 6
        ("aarch64", (3, 11), True),
        ("arm64", (3, 12), False),  # macOS
        ("armv7l", (3, 11), False),
    ],
)
def test_the_extra_for_gpus_is_advised_only_where_pip_finds_a_wheel(
    architecture: str, python: tuple[int, int], found: bool
) -> None:
    assert has_gpu_wheels(architecture, python) is found


def test_two_distributions_of_onnxruntime_are_broken(
    flavours: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flavours(onnxruntime="1.20.0", onnxruntime_gpu="1.19.2")
    (check,) = check_onnxruntime(bare_host(tmp_path))
    assert check.state == "broken" and "onnxruntime 1.20.0, onnxruntime-gpu 1.19.2" in check.found
    assert check.fix == "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'edgespeech[cpu]'"

    def nvidia(command: Any) -> str | None:
        return "NVIDIA RTX A2000, 6138 MiB, 550\n" if command[0] == "nvidia-smi" else None

    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (check,) = check_onnxruntime(Host(tmp_path, nvidia, system_of({})))
    assert check.fix.endswith("pip install 'edgespeech[gpu]'")
    monkeypatch.setattr("platform.machine", lambda: "armv7l")
    (check,) = check_onnxruntime(Host(tmp_path, nvidia, system_of({})))
    assert check.fix.endswith("pip install 'edgespeech[cpu]'")


def test_onnxruntime_that_is_missing_old_or_does_not_load(
    flavours: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flavours(onnxruntime="1.12.0")
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(__version__="1.12.0"))
    (check,) = check_onnxruntime(bare_host(tmp_path))
    assert (check.state, check.found) == ("broken", "1.12.0; wanted 1.17 or newer")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (check,) = check_onnxruntime(bare_host(tmp_path))
    assert check.state == "broken" and check.fix.startswith("pip uninstall -y onnxruntime && pip install")
    flavours()
    (check,) = check_onnxruntime(bare_host(tmp_path))
    assert (check.found, check.fix) == ("not installed", "pip install 'edgespeech[cpu]'")


def test_a_gpu_that_onnxruntime_does_not_use_is_noted(flavours: Callable[..., None], tmp_path: Path) -> None:
    flavours(onnxruntime="1.32.0")
    fine, gpu = check_onnxruntime(host("orin_nano", tmp_path))
    assert (fine.state, gpu.state) == ("ok", "missing")
    assert "Jetson Orin Nano" in gpu.found and "docs/guide/jetson.md" in gpu.fix


def test_providers_report_whether_they_load_and_what_falls_back(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (real,) = [check for check in check_providers(tiny_bundle.folder) if check.topic == "--provider cpu"]
    assert real.state == "ok"
    tried = [
        ProviderTrial("cuda", problem="libcudnn"),
        ProviderTrial("openvino", fallback="2 of 9 nodes fell back"),
        ProviderTrial("cpu", "x"),
    ]
    monkeypatch.setattr(doctor_providers, "try_providers", lambda folder: tried)
    cuda, openvino, cpu = check_providers(tiny_bundle.folder)
    assert (cuda.state, openvino.state, cpu.state) == ("missing", "note", "broken")
    assert "cudnn" in cuda.fix and openvino.found == "loads; 2 of 9 nodes fell back"
    cuda, *_ = check_providers(tiny_bundle.folder, host("orin_nano", tmp_path / "orin"))
    assert "docs/guide/jetson.md" in cuda.fix
    monkeypatch.undo()
    (damaged,) = check_providers(tmp_path / "absent")
    assert damaged.state == "note" and damaged.found.startswith("not tried: ")


def raise_error(error: Exception) -> None:
    raise error


def test_a_library_that_does_not_load_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> Any:
        return raise_error(OSError("cannot load library 'libsndfile.so'")) if name == "soundfile" else object()

    assert list(doctor.check_libraries()) == []
    monkeypatch.setattr(doctor, "import_module", load)
    (check,) = doctor.check_libraries()
    assert check.state == "broken" and check.fix == "pip install --force-reinstall soundfile"
    assert importlib.import_module("soundfile")


def test_heat_power_and_modes_are_noted(tmp_path: Path) -> None:
    pi = {check.topic: check for check in check_power(host("raspberry_pi", tmp_path / "pi"))}
    assert pi["heat"].state == "note" and "86 degrees" in pi["heat"].found
    assert "under-voltage now" in pi["power"].found and "power supply" in pi["power"].fix
    orin = {check.topic: check for check in check_power(host("orin_nano", tmp_path / "o"))}
    assert orin["power"].found == "Jetson power mode 15W (0); the highest is MAXN_SUPER (2)"
    assert orin["power"].fix.startswith("sudo nvpmodel -m 2 && sudo jetson_clocks")
    laptop = list(check_power(host("laptop", tmp_path / "laptop")))
    assert "running on battery" in " ".join(check.found for check in laptop)
    assert not any("governor" in check.found for check in laptop), "intel_pstate is fast with powersave too"
    assert [check.topic for check in check_power(bare_host(tmp_path / "nothing"))] == ["device"]


def test_instructions_that_decide_are_named_with_what_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("Features\t: fp asimd asimdhp asimddp\n")
    found = {check.topic: check for check in check_power(bare_host(tmp_path))}
    assert found["instructions"].state == "ok"
    assert found["instructions"].found.startswith("dot product, fp16: int8 products take one instruction")
    (tmp_path / "proc/cpuinfo").write_text("Features\t: fp asimd\n")
    found = {check.topic: check for check in check_power(bare_host(tmp_path))}
    assert found["instructions"].state == "note" and "edgespeech bench" in found["instructions"].fix


def test_cores_that_this_process_may_not_use_are_noted(tmp_path: Path) -> None:
    system = system_of({"cpu_count": 8, "cpu_affinity": 2, "virtual_memory": {"total": 4_000_000_000}})
    cores, device = check_power(Host(tmp_path, lambda command: None, system))
    assert cores.found == "this process may use 2 of 8 cores"
    assert "2 cores, 4.0 GB" in device.found


def test_a_hot_processor_that_throttles_is_noted(tmp_path: Path) -> None:
    (laptop,) = [
        check for check in check_power(host("laptop", tmp_path)) if check.state == "note" and check.topic == "heat"
    ]
    assert laptop.found == "the processor has throttled 7 times since boot"


def test_permissions_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert list(check_permissions(tmp_path)) == []
    (tmp_path / "dev/snd").mkdir(parents=True)
    (tmp_path / "dev/snd/pcmC0D0c").write_text("")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr(doctor_machine, "find_unreadable_rapl", lambda root: [Path("/sys/x/energy_uj")])
    sound, settings, energy = check_permissions(tmp_path)
    assert sound.state == "note" and "usermod -aG audio" in sound.fix
    assert "XDG_CONFIG_HOME" in settings.fix and "chmod a+r /sys/x/energy_uj" in energy.fix


@pytest.fixture
def nothing_optional(healthy: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Set up a machine that has what every command needs, and no optional part."""
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    monkeypatch.setattr(extras, "find_tool", lambda name: raise_error(MissingDependencyError(f"no {name}")))
    monkeypatch.setattr(extras, "can_decode_foreign", lambda: False)
    monkeypatch.setitem(sys.modules, "kenlm", None)
    monkeypatch.setattr(doctor, "check_sound", lambda: [Check("microphone", "missing", "no", "pip", "mic")])
    return healthy


@pytest.mark.parametrize("part", doctor.PARTS)
def test_a_missing_part_is_a_failure_only_if_it_is_asked_for(
    nothing_optional: Host, tiny_bundle: Bundle, part: str
) -> None:
    checks = doctor.examine(DoctorRequest(tiny_bundle.folder), nothing_optional)
    assert all_required_work(checks), render(checks)
    asked = doctor.examine(DoctorRequest(tiny_bundle.folder, (part,)), nothing_optional)
    assert [check.part for check in asked if check.state == "broken"] == [part], render(asked)
    assert {check.part for check in asked} == {"", part}
    assert render(asked).splitlines()[-1] == "1 broken: fix the lines marked BROKEN"


@pytest.mark.parametrize("part", ["export", "report"])
def test_a_part_that_is_installed_and_does_not_load_is_broken_if_it_is_asked_for(
    healthy: Host, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    monkeypatch.setattr(extras, "find_import_error", lambda name: "does not load: ImportError: libfoo.so")
    found = [check for check in doctor.examine(DoctorRequest(tiny_bundle.folder, (part,)), healthy) if check.part]
    assert {check.state for check in found} == {"broken"} and "libfoo" in found[0].found


def test_the_parts_of_the_command_are_those_of_the_checks(edgespeech: Command) -> None:
    assert DOCTOR_PARTS == doctor.PARTS
    unknown = edgespeech("doctor", "microfone")
    assert unknown.code == 2 and "'microfone' is not one of 'mic'" in unknown.err
    unasked = edgespeech("doctor", "export", "--device", "usb")
    assert unasked.code == 2 and "wanted: edgespeech doctor mic" in unasked.err


def test_the_microphone_is_recorded_only_if_it_is_asked_for(
    healthy: Host, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[Any] = []

    def check_recording(open_source: Any, seconds: float) -> list[Check]:
        recorded.append((open_source.__self__, seconds))
        return [Check("level", "note", "too low", part="mic")]

    monkeypatch.setattr(doctor, "check_recording", check_recording)
    doctor.examine(DoctorRequest(tiny_bundle.folder), healthy)
    assert not recorded
    trial = MicrophoneTrial("usb", 3.0)
    checks = doctor.examine(DoctorRequest(tiny_bundle.folder, ("mic",), trial), healthy)
    assert recorded == [(trial, 3.0)]
    assert all_required_work(checks), "low speech is a note"


def test_a_default_bundle_must_recognise_its_sample_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    (fine,) = doctor.check_recognition(load_bundle())
    assert fine.state == "ok" and "10% word errors" in fine.found

    class Untrained:
        def __init__(self, bundle: Bundle) -> None: ...

        def transcribe(self, path: Path) -> Any:
            return SimpleNamespace(text="a a a")

    monkeypatch.setattr(doctor, "Recognizer", Untrained)
    (broken,) = doctor.check_recognition(load_bundle())
    assert broken.state == "broken" and "95% word errors" in broken.found and "'a a a'" in broken.found


@pytest.mark.parametrize("works", [("cuda",), ("cuda", "tensorrt"), ()])
def test_one_provider_for_a_gpu_is_enough(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, works: tuple[str, ...]
) -> None:
    tried = [ProviderTrial(name, "" if name in works else "no library") for name in ("cuda", "tensorrt")]
    monkeypatch.setattr(doctor_providers, "try_providers", lambda folder: [*tried, ProviderTrial("cpu")])
    checks = list(check_providers(tiny_bundle.folder, bare_host(tmp_path)))
    assert all_required_work(require(checks, ())) and not list(check_gpu(checks))
    assert all_required_work(require(checks, ("gpu",))) == bool(works)
