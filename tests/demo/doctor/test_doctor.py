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

from edgespeech.demo.doctor import checks as doctor
from edgespeech.demo.doctor import machine as doctor_machine
from edgespeech.demo.doctor import providers as doctor_providers
from edgespeech.demo.doctor.machine import check_permissions, check_power, check_sound
from edgespeech.demo.doctor.providers import ProviderTrial, check_onnxruntime, check_providers, has_gpu_wheels
from edgespeech.demo.doctor.report import Check, all_required_work, render
from edgespeech.demo.machine.host import Host
from edgespeech.errors import MissingDependencyError
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.live.microphone import Microphone
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
    checks = doctor.examine(tiny_bundle.folder, healthy)
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
    assert (fine.state, gpu.state) == ("ok", "note")
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


def fake_import(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    def load(name: str) -> Any:
        if error is not None:
            raise error
        return SimpleNamespace()

    monkeypatch.setattr(doctor_machine, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor_machine, "import_module", load)


def test_without_portaudio_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_import(monkeypatch, OSError("PortAudio library not found"))
    monkeypatch.setattr("sys.platform", "linux")
    (check,) = check_sound()
    assert (check.topic, check.state) == ("PortAudio", "broken")
    assert check.fix == "sudo apt-get install libportaudio2"
    monkeypatch.setattr("sys.platform", "darwin")
    assert list(check_sound())[0].fix == "brew install portaudio"
    fake_import(monkeypatch, RuntimeError("no host\nAPI"))
    assert list(check_sound())[0].found == "does not start: no host API"


def test_microphones_are_listed_with_their_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_import(monkeypatch, None)
    found = [Microphone(3, "USB", "ALSA", 1, 48000, (16000, 48000)), Microphone(4, "Busy", "ALSA", 1, 48000)]
    monkeypatch.setattr(doctor_machine, "list_microphones", lambda: found)
    library, usb, busy = check_sound()
    assert [library.state, usb.state, busy.state] == ["ok", "ok", "note"]
    assert usb.found == "3 USB (ALSA): 16000 48000 Hz" and "does not open" in busy.found

    def none() -> list[Microphone]:
        raise MissingDependencyError("gone")

    monkeypatch.setattr(doctor_machine, "list_microphones", none)
    assert [check.state for check in check_sound()] == ["ok", "broken"]


def test_without_sounddevice_the_microphone_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "find_spec", lambda name: None)
    (check,) = check_sound()
    assert (check.state, check.fix) == ("missing", "pip install 'edgespeech[mic]'")


def test_a_language_model_that_only_kenlm_reads_is_broken_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LanguageModel", lambda path: raise_error(MissingDependencyError("no kenlm; run: pip")))
    (check,) = doctor.check_kenlm(load_bundle())
    assert check.state == "broken" and "kenlm" in check.fix and "--no-lm" in check.fix


@pytest.mark.parametrize(
    ("version", "fix"), [((3, 12), "pip install kenlm"), ((3, 13), "see CONTRIBUTING.md on kenlm for Python 3.13")]
)
def test_without_kenlm_the_default_bundle_works_and_doctor_says_what_is_slower(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], fix: str
) -> None:
    monkeypatch.setitem(sys.modules, "kenlm", None)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr("sys.version_info", version)
    for bundle, use in (
        (load_bundle(), "the bundle's 4-gram model loads"),
        (tiny_bundle, "of the kind trie load"),
    ):
        (check,) = doctor.check_kenlm(bundle)
        assert (check.state, check.fix) == ("missing", fix)
        assert use in check.found and "slower" in check.found


def test_a_kenlm_that_does_not_load_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kenlm.py").write_text("raise ImportError('undefined symbol')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "kenlm", raising=False)
    (check,) = doctor.check_kenlm(load_bundle())
    assert check.state == "missing" and "undefined symbol" in check.found and "pip uninstall kenlm" in check.fix


def raise_error(error: Exception) -> None:
    raise error


def test_missing_extras_have_their_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "find_tool", lambda name: raise_error(MissingDependencyError(f"no {name}")))
    found = {check.topic: check for check in doctor.check_optional()}
    assert found["report"].fix == "pip install 'edgespeech[report]'"
    assert {check.state for check in found.values()} == {"missing"} and "lm build" in found


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
    assert sound.state == "broken" and "usermod -aG audio" in sound.fix
    assert "XDG_CONFIG_HOME" in settings.fix and "chmod a+r /sys/x/energy_uj" in energy.fix
