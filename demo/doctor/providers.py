"""The doctor on onnxruntime: which flavours are installed, whether they suit the hardware, which providers load."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgespeech.demo.doctor.report import Check
from edgespeech.demo.machine.device import ONNXRUNTIME_FLAVOURS, find_gpus, installed_version
from edgespeech.demo.machine.jetson import Run, describe_jetson, run_tool
from edgespeech.errors import EdgespeechError, MissingDependencyError
from edgespeech.runtime.acoustic_model import AcousticModel, available_providers, import_onnxruntime
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.node_placement import describe_fallback

OLDEST = (1, 17)
_MENDS = {
    "cuda": "install the CUDA and cuDNN versions that this onnxruntime-gpu was built for: pip install "
    "'onnxruntime-gpu[cuda,cudnn]'",
    "cpu": "export the bundle again, or copy it again",
    "tensorrt": "install TensorRT (JetPack has it), or use --provider cuda",
    "openvino": "pip install openvino, or use --provider cpu",
}
_JETSON_WHEEL = "install the onnxruntime-gpu wheel for this JetPack: docs/jetson.md"


@dataclass(frozen=True)
class Tried:
    """A provider that was tried with a bundle.

    Attributes:
        name: As ``--provider`` takes it.
        problem: Why it does not load; empty if it does.
        fallback: Which nodes it leaves to the CPU; empty if none.
    """

    name: str
    problem: str = ""
    fallback: str = ""


def try_providers(folder: Path) -> list[Tried]:
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
            tried.append(Tried(name, problem=str(error)))
        else:
            tried.append(Tried(name, fallback=describe_fallback(model.nodes, model.nodes_on_cpu)))
    return tried


def check_onnxruntime(root: Path = Path("/"), run: Run = run_tool) -> Iterator[Check]:
    """Exactly one flavour, recent enough, that loads and suits the hardware."""
    flavours = {name: version for name in ONNXRUNTIME_FLAVOURS if (version := installed_version(name))}
    told = ", ".join(f"{name} {version}" for name, version in flavours.items())
    jetson, nvidia = describe_jetson(root, run), _nvidia(root, run)
    extra = "gpu" if nvidia and jetson is None else "cpu"
    if len(flavours) > 1:
        yield Check(
            "onnxruntime",
            "broken",
            f"{told}: flavours that overwrite each other's files",
            f"pip uninstall -y {' '.join(flavours)} && pip install 'edgespeech[{extra}]'",
        )
        return
    try:
        onnxruntime = import_onnxruntime()
    except MissingDependencyError as error:
        why = str(error)[:160]
        remove = f"pip uninstall -y {' '.join(flavours)} && " if flavours else ""
        mend = f"{remove}pip install 'edgespeech[{extra}]'"
        yield Check("onnxruntime", "broken", f"{told}: {why}" if flavours else "not installed", mend)
        return
    version = str(getattr(onnxruntime, "__version__", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield Check("onnxruntime", "broken", f"{version}; wanted {wanted} or newer", "pip install -U 'edgespeech[cpu]'")
        return
    yield Check("onnxruntime", "ok", told or f"{version} (not installed by pip)")
    if not nvidia or "onnxruntime-gpu" in flavours or "cuda" in available_providers():
        return
    if jetson is not None:
        mend = _JETSON_WHEEL
    elif platform.machine() not in {"x86_64", "AMD64"}:
        return
    else:
        mend = f"pip uninstall -y {' '.join(flavours)} && pip install 'edgespeech[gpu]'"
    yield Check("GPU", "note", f"{nvidia}: not used by this flavour; small models are often faster on the CPU", mend)


def check_providers(folder: Path, root: Path = Path("/"), run: Run = run_tool) -> Iterator[Check]:
    """Each provider: whether it loads and computes, and what it leaves to the CPU."""
    try:
        tried = try_providers(folder)
    except MissingDependencyError:
        return  # said already
    except EdgespeechError as error:
        yield Check("providers", "note", f"not tried: {error}")
        return
    on_jetson = describe_jetson(root, run) is not None
    for one in tried:
        topic = f"--provider {one.name}"
        if one.problem:
            mend = _MENDS.get(one.name, "use another --provider")
            if on_jetson and one.name in {"cuda", "tensorrt"}:
                mend = _JETSON_WHEEL
            yield Check(topic, "broken" if one.name == "cpu" else "missing", one.problem, mend)
        elif one.fallback:
            yield Check(topic, "note", f"loads; {one.fallback}")
        else:
            yield Check(topic, "ok", "loads; every node runs there")


def _nvidia(root: Path, run: Run) -> str:
    jetson = describe_jetson(root, run)
    if jetson is not None:
        return jetson.model
    return next((name for name in find_gpus(root, run) if not name.startswith(("AMD ", "Intel "))), "")
