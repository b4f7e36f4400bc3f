"""Checks of onnxruntime: the installed distribution, whether it suits the hardware, and which providers load."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.demo.doctor.imports import find_crash
from edgespeech.demo.doctor.report import Check, State
from edgespeech.demo.machine.device import ONNXRUNTIME_FLAVOURS, find_gpus, installed_version
from edgespeech.demo.machine.host import THIS_HOST, Host
from edgespeech.demo.machine.jetson import describe_jetson
from edgespeech.errors import EdgespeechError, MissingDependencyError
from edgespeech.runtime.acoustic_model import AcousticModel, available_providers, import_onnxruntime
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.node_placement import describe_fallback

MIN_VERSION = (1, 17)
GPU = "gpu"  # the optional part of the installation
_GPU_PROVIDERS = {"cuda", "tensorrt", "coreml", "directml"}
_FIXES = {
    "cuda": "install the CUDA and cuDNN versions that this onnxruntime-gpu was built for: pip install "
    "'onnxruntime-gpu[cuda,cudnn]'",
    "cpu": "export the bundle again, or copy it again",
    "tensorrt": "install TensorRT (JetPack has it), or use --provider cuda",
    "openvino": "pip install openvino, or use --provider cpu",
}
_JETSON_WHEEL = "install the onnxruntime-gpu wheel for this JetPack: docs/guide/jetson.md"


@dataclass(frozen=True)
class ProviderTrial:
    """Result of loading a bundle with a provider.

    Attributes:
        name: Name of the provider for ``--provider``.
        problem: Reason why it does not load; empty if it does.
        fallback: Nodes that it leaves to the CPU; empty if there are none.
    """

    name: str
    problem: str = ""
    fallback: str = ""


def try_providers(folder: Path) -> list[ProviderTrial]:
    """Load a bundle with every provider of the installed onnxruntime.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        BundleError: The bundle is damaged.
    """
    bundle, tried = load_bundle(folder), []
    for name in available_providers():
        try:
            model = AcousticModel(bundle, provider=name)
        except EdgespeechError as error:
            tried.append(ProviderTrial(name, problem=str(error)))
        else:
            tried.append(ProviderTrial(name, fallback=describe_fallback(model.nodes, model.nodes_on_cpu)))
    return tried


def check_onnxruntime(host: Host = THIS_HOST) -> Iterator[Check]:
    """Check that exactly one distribution is installed, recent enough, importable and suited to the hardware."""
    installed = {name: version for name in ONNXRUNTIME_FLAVOURS if (version := installed_version(name))}
    listed = ", ".join(f"{name} {version}" for name, version in installed.items())
    on_jetson, gpu = describe_jetson(host.root, host.run) is not None, _nvidia_gpu(host)
    extra = "gpu" if gpu and not on_jetson and has_gpu_wheels() else "cpu"
    remove = f"pip uninstall -y {' '.join(installed)} && " if installed else ""
    install = f"{remove}pip install 'edgespeech[{extra}]'"
    if len(installed) > 1:
        yield Check("onnxruntime", "broken", f"{listed}: distributions that overwrite each other's files", install)
        return
    crash = find_crash("onnxruntime")
    if crash:
        others = "".join(f" '{name}!={version}'" for name, version in installed.items())
        yield Check(
            "onnxruntime",
            "broken",
            f"{listed or 'onnxruntime'}: {crash}",
            f"pip install{others}" if others else install,
        )
        return
    try:
        onnxruntime = import_onnxruntime()
    except MissingDependencyError as error:
        found = f"{listed}: {str(error)[:160]}" if installed else "not installed"
        yield Check("onnxruntime", "broken", found, install)
        return
    version = str(getattr(onnxruntime, "__version__", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < MIN_VERSION:
        wanted = ".".join(map(str, MIN_VERSION))
        yield Check("onnxruntime", "broken", f"{version}; wanted {wanted} or newer", "pip install -U 'edgespeech[cpu]'")
        return
    yield Check("onnxruntime", "ok", listed or f"{version} (not installed by pip)")
    if not gpu or "onnxruntime-gpu" in installed or "cuda" in available_providers():
        return
    if on_jetson or has_gpu_wheels():
        found = f"{gpu}: not used by this distribution; small models are often faster on the CPU"
        yield Check("GPU", "missing", found, _JETSON_WHEEL if on_jetson else install, GPU)


def check_providers(folder: Path, host: Host = THIS_HOST) -> Iterator[Check]:
    """Check whether each provider loads the bundle and computes, and what it leaves to the CPU."""
    try:
        trials = try_providers(folder)
    except MissingDependencyError:
        return  # reported by `check_onnxruntime`
    except EdgespeechError as error:
        yield Check("providers", "note", f"not tried: {error}")
        return
    on_jetson = describe_jetson(host.root, host.run) is not None
    gpu_loads = any(trial.name in _GPU_PROVIDERS and not trial.problem for trial in trials)
    for trial in trials:
        topic, part = f"--provider {trial.name}", GPU if trial.name in _GPU_PROVIDERS else ""
        if trial.problem:
            fix = _FIXES.get(trial.name, "use another --provider")
            if on_jetson and trial.name in {"cuda", "tensorrt"}:
                fix = _JETSON_WHEEL
            state: State = "broken" if trial.name == "cpu" else "note" if part and gpu_loads else "missing"
            yield Check(topic, state, trial.problem, fix, part)
        elif trial.fallback:
            yield Check(topic, "note", f"loads; {trial.fallback}", part=part)
        else:
            yield Check(topic, "ok", "loads; every node runs there", part=part)


def check_gpu(checks: Sequence[Check]) -> Iterator[Check]:
    """Report that no GPU can be used if no other check has found one."""
    if not any(check.part == GPU for check in checks):
        found = "no GPU was found, or onnxruntime has no provider for it"
        yield Check("GPU", "missing", found, "use the CPU, which is often faster for models of this size", GPU)


def has_gpu_wheels(architecture: str | None = None, python: tuple[int, int] = sys.version_info[:2]) -> bool:
    """Return whether pip finds onnxruntime-gpu here: on arm64 since 1.29, which needs Python 3.11."""
    architecture = (architecture or platform.machine()).lower()
    return architecture in {"x86_64", "amd64"} or (architecture == "aarch64" and python >= (3, 11))


def _nvidia_gpu(host: Host) -> str:
    jetson = describe_jetson(host.root, host.run)
    if jetson is not None:
        return jetson.model
    return next((name for name in find_gpus(host) if not name.startswith(("AMD ", "Intel "))), "")
