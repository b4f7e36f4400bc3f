"""The arrows between folders, read from the imports of every module: one direction, no circles, small rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_MODULES = 16  # of a package
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8

# What each package may import, beside itself and `edgespeech.errors`.
SEARCHES = {"runtime.decoder.native", "runtime.decoder.numpy_search"}
RUNTIME = {
    "runtime",
    "runtime.audio",
    "runtime.bundle",
    "runtime.conditioning",
    "runtime.decoder",
    "runtime.foreign",
    "runtime.graph",
    "runtime.punctuation",
    "runtime.storage",
}
REFERENCE = {"reference.kernels", "reference.model", "reference.foreign", "reference.data", "reference.training"}
QUANTIZATION = {"quantization", "quantization.graph", "quantization.report"}
LIBRARIES = (
    RUNTIME
    | REFERENCE
    | QUANTIZATION
    | {
        "runtime.live",
        "runtime.measure",
        "runtime.serving",
        "reference.adaptation",
        "reference.alignment",
        "reference.language_model",
        "reference.punctuation",
        "export",
    }
)
ARROWS: dict[str, set[str]] = {
    "runtime.audio.containers": set(),
    "runtime.audio": {"runtime.audio.containers"},
    "runtime.decoder": set(),
    "runtime.decoder.numpy_search": {"runtime.decoder"},
    "runtime.decoder.phrases": {"runtime.decoder"},
    "runtime.decoder.native": {"runtime.decoder", "runtime.decoder.numpy_search"},
    "runtime.conditioning": set(),
    "runtime.graph": set(),
    "runtime.foreign": {"runtime.audio.containers"},
    "runtime.punctuation": {"runtime.decoder"},
    "runtime.storage": set(),
    "runtime.bundle": {"runtime.decoder", "runtime.foreign", "runtime.graph", "runtime.storage"},
    "runtime": {
        "runtime.audio",
        "runtime.bundle",
        "runtime.conditioning",
        "runtime.decoder",
        "runtime.foreign",
        "runtime.graph",
        "runtime.punctuation",
        "runtime.storage",
    },
    "runtime.live": RUNTIME,
    "runtime.measure": RUNTIME,
    "runtime.serving": RUNTIME,
    "reference": {"reference.model"},
    "reference.kernels": RUNTIME,
    "reference.language_model": RUNTIME | {"runtime.measure", "reference.model"},
    "reference.model": RUNTIME | {"reference.kernels"},
    "reference.alignment": RUNTIME | {"runtime.measure", "reference.model", "reference.language_model"},
    "reference.adaptation": RUNTIME | {"runtime.measure"} | REFERENCE,
    "reference.data": RUNTIME | {"runtime.measure", "reference.model", "reference.language_model"},
    "reference.foreign": RUNTIME | {"runtime.measure", "reference.model"},
    "reference.training": RUNTIME | {"runtime.measure", "reference.language_model"} | REFERENCE,
    "reference.punctuation": RUNTIME | {"runtime.measure", "reference.model", "reference.language_model"},
    "export": RUNTIME | REFERENCE | {"reference.punctuation", "reference.language_model"},
    "quantization.graph": RUNTIME,
    "quantization": RUNTIME | REFERENCE | {"runtime.measure", "quantization.graph"},
    "quantization.report": RUNTIME | {"runtime.measure", "quantization", "quantization.graph"},
    "demo.machine": LIBRARIES,
    "demo.server": LIBRARIES,
    "demo.server.openai": LIBRARIES | {"demo.server"},
    "demo.server.page": set(),
    "demo.live": LIBRARIES,
    "demo.record": LIBRARIES | {"demo.live"},
    "demo.bundles": LIBRARIES,
    "demo.evaluation": LIBRARIES | {"demo.jobs"},
    "demo.jobs": LIBRARIES,
    "demo.archive": LIBRARIES | {"demo.jobs", "demo.transcribe"},
    "demo.transcribe": LIBRARIES | {"demo.jobs"},
    "demo.tune_decoder": LIBRARIES,
    "demo.load_test": LIBRARIES,
    "demo.bench": LIBRARIES | {"demo.machine", "demo.bundles"},
    "demo.tune_device": LIBRARIES | {"demo.machine", "demo.bench"},
    "demo.doctor": LIBRARIES | {"runtime.decoder.native", "demo.machine", "demo.bench", "demo.tune_device"},
    "demo.web": LIBRARIES | {"demo.server"},
    "demo.experiments": LIBRARIES | {"demo.bundles", "demo.live", "demo.tune_decoder"},
    "demo.experiments.training_data": LIBRARIES | {"demo.archive", "demo.experiments"},
    "demo.experiments.vocabulary": LIBRARIES | {"demo.evaluation", "demo.experiments", "demo.tune_decoder"},
}
ARROWS["demo.commands.speech"] = {*ARROWS, "demo.commands"}
ARROWS["demo.commands"] = {*ARROWS, "demo"}
ARROWS["demo"] = LIBRARIES | {"demo.commands", "demo.live"}
# The pipelines put the pieces of their package together.
PIPELINES = {
    "quantization.bundle_quantization": QUANTIZATION,
    "runtime.decoder.beam_search": SEARCHES | {"runtime.decoder.phrases"},
    "runtime.decoder.vocabulary": {"runtime.decoder.native"},  # compiled code sorts words, where there is any
    "demo.server.run": {"demo.server.openai", "demo.server.page"},
}


def modules() -> dict[str, Path]:
    """Every module below `edgespeech`, by its name without that prefix."""
    folders = ("runtime", "reference", "export", "quantization", "demo")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def package_of(module: str) -> str:
    return module if module in ARROWS else module.rpartition(".")[0]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Our modules that a file imports, inside functions too."""
    known = modules()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("edgespeech."):
            source = node.module.removeprefix("edgespeech.")
            for alias in node.names:
                name = f"{source}.{alias.name}"
                yield name if name in known else source
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("edgespeech.") for a in node.names if a.name.startswith("edgespeech."))


def test_imports_follow_the_arrows() -> None:
    wrong = []
    for module, path in modules().items():
        package = package_of(module)
        allowed = ARROWS[package] | PIPELINES.get(module, set()) | {package, "errors"}
        wrong += [
            f"{module} -> {name}" for name in imports(path) if package_of(name) not in allowed and name != "errors"
        ]
    assert wrong == []


def test_no_module_imports_itself_through_others() -> None:
    graph = {module: set(imports(path)) & set(modules()) for module, path in modules().items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for name in graph[module] - {module}:
                visit(name, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_no_package_is_a_heap() -> None:
    sizes: dict[str, int] = {}
    for module in modules():
        sizes[package_of(module)] = sizes.get(package_of(module), 0) + (module not in ARROWS)
    assert {package: size for package, size in sizes.items() if size > MAX_MODULES} == {}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for module, path in modules().items():
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{module}.{node.name}", node


def test_functions_fit_on_a_screen() -> None:
    lengths = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in functions()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_what_takes_many_values_takes_a_record() -> None:
    def count(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        names = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        return len(names) - (names[:1] in (["self"], ["cls"]))

    assert {name: count(node) for name, node in functions() if count(node) > MAX_PARAMETERS} == {}
