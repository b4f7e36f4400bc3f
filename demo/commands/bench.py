"""The commands ``edgespeech bench`` and ``edgespeech bench compare``."""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgespeech.demo.commands.options import FILE
from edgespeech.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from edgespeech.demo.bench.report import Report
    from edgespeech.demo.bench.request import BenchRequest

log = logging.getLogger(__name__)

Value = TypeVar("Value")


def values(convert: Callable[[str], Value]) -> Callable[[click.Context, click.Parameter, str | None], list[Value]]:
    """Make an option's callback that splits ``a,b,c`` and converts each value; repeated values are dropped."""

    def read(context: click.Context, parameter: click.Parameter, text: str | None) -> list[Value]:
        try:
            return list(dict.fromkeys(convert(part.strip()) for part in (text or "").split(",") if part.strip()))
        except ValueError:
            raise UsageError(f"{parameter.opts[0]} {text!r} is invalid; wanted values separated by commas") from None

    return read


def threads_from(text: str) -> int:
    """Parse a number of threads; ``all`` is every core that this process may use."""
    from edgespeech.demo.machine.device import usable_cores

    return usable_cores() if text == "all" else int(text)


PROVIDER = click.option("--provider", "providers", default="cpu", show_default=True, metavar="A,B",
                        callback=values(str), help="Providers; `all` for every one that loads.")  # fmt: skip
CHUNKS = click.option("--chunk-ms", "chunks_ms", metavar="MS,MS", callback=values(float),
                      help="Milliseconds of audio per step, for bundles without a fixed chunk.")  # fmt: skip
BEAMS = click.option("--beam-width", "beam_widths", metavar="N,N", callback=values(int), help="Beam widths.")


@dataclass(frozen=True)
class _Variants:
    """Options for bundles that are made of a checkpoint."""

    checkpoint: Path | None
    precisions: Sequence[str]
    speech: Path | None
    keep: Path | None


@click.group(invoke_without_command=True, short_help="Measure speed, latency, memory and accuracy.")
@click.option("--bundle", "bundles", type=FILE, multiple=True, metavar="DIR",
              help="Bundle folder; repeatable. The default bundle if not given.")  # fmt: skip
@click.option("--threads", default="1,all", show_default=True, metavar="N,N", callback=values(threads_from),
              help="CPU threads of the acoustic model; `all` for every core.")  # fmt: skip
@PROVIDER
@CHUNKS
@BEAMS
@click.option("--audio", type=FILE, metavar="FILE", help="Recording to process instead of the sample clips.")
@click.option("--no-lm", is_flag=True, help="Decode without a language model.")
@click.option("--checkpoint", type=FILE, metavar="CKPT", help="Export this checkpoint to bundles to compare.")
@click.option("--precisions", default="fp32,fp16,int8,int4", show_default=True, metavar="A,B", callback=values(str),
              help="With --checkpoint: precisions of the bundles, such as int8 or int8:fused.")  # fmt: skip
@click.option("--speech", type=FILE, metavar="MANIFEST", help="With --checkpoint: calibration speech.")
@click.option("--keep", type=FILE, metavar="DIR", help="With --checkpoint: folder in which the bundles are kept.")
@click.option("--dev", type=FILE, metavar="MANIFEST",
              help="Manifest to measure word errors on instead of the sample clips.")  # fmt: skip
@click.option("--launches", type=click.IntRange(1, 100), metavar="N",
              help="Fresh processes for each configuration; default: 6. `compare` needs at least 4.")  # fmt: skip
@click.option("--no-streams", is_flag=True, help="Skip the search for the maximum number of streams.")
@click.option("--quick", is_flag=True, help="Measure for a few seconds, as a trial; not for figures to quote.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (schema: demo/bench/schema.json).")
@click.option("--save", type=FILE, metavar="DIR", help="Also write bench.json, .md, .png and .svg to this folder.")
@click.option("--into", metavar="FILE#NAME",
              help="Also write a table between <!-- NAME: begin --> and <!-- NAME: end --> of a document.")  # fmt: skip
@click.pass_context
def bench(context: click.Context, /, **options: Any) -> None:
    """Measure speed, latency, memory and word errors on this device.

    Several values of an option are compared in one run, alternating between them; ratios are to the first.

    \b
    edgespeech bench                                          the default bundle, with one thread and with all
    edgespeech bench --bundle a/ --bundle b/ --threads 1      two bundles
    edgespeech bench --checkpoint model.pt --threads 1        fp32, fp16, int8 and int4 of one model
    edgespeech bench compare before.json after.json           whether two reports agree
    """  # noqa: D301 (click reads the backspace)
    if context.invoked_subcommand is None:
        _bench(**options)


def _bench(as_json: bool, into: str | None, save: Path | None, **options: Any) -> None:
    from edgespeech.demo.bench.card import render_card
    from edgespeech.demo.bench.report import encode_report
    from edgespeech.demo.bench.request import BenchRequest
    from edgespeech.demo.bench.table import render_table
    from edgespeech.runtime.files import make_folder
    from edgespeech.runtime.measure.tables import find_marks, insert_between_marks

    variants = _Variants(*(options.pop(name) for name in ("checkpoint", "precisions", "speech", "keep")))
    request = BenchRequest(**options)
    if variants.checkpoint is None and (variants.speech or variants.keep):
        raise UsageError("--speech and --keep are for bundles made of a --checkpoint; give one or leave them out")
    place = find_marks(into) if into else None
    if save is not None:
        make_folder(save)
    report = _measure(request, variants)
    if save is not None:
        _save(report, save)
    if place is not None:
        insert_between_marks(*place, render_table(report, shlex.join(["edgespeech", *sys.argv[1:]])))
        log.info("%s: %d rows", into, len(report.results))
    click.echo(encode_report(report).decode() if as_json else render_card(report))


def _measure(request: BenchRequest, variants: _Variants) -> Report:
    from edgespeech.demo.bench.run import run_bench
    from edgespeech.runtime.bundle import DEFAULT_BUNDLE, load_bundle

    folders = list(request.bundles) or ([] if variants.checkpoint else [DEFAULT_BUNDLE])
    for folder in folders:
        load_bundle(folder)
    with contextlib.ExitStack() as stack:
        if variants.checkpoint is not None:
            folder = variants.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgespeech-")))
            folders = [*_build(variants, folders[0] if folders else None, folder), *folders]
        providers = providers_to_try(request.providers, folders[0])
        return run_bench(replace(request, bundles=folders, providers=providers))


def _build(variants: _Variants, like: Path | None, folder: Path) -> list[Path]:
    from edgespeech.runtime.bundle import load_bundle
    from edgespeech.runtime.dependencies import require

    require("torch onnx", "export")
    from edgespeech.demo.bench.variants import build_variants

    assert variants.checkpoint is not None
    return build_variants(variants.checkpoint, variants.precisions, load_bundle(like), folder, variants.speech)


def providers_to_try(names: Sequence[str], folder: Path) -> list[str]:
    """Check the providers that were asked for; ``all`` selects those that load this bundle, and logs the others.

    Raises:
        UsageError: A provider that was asked for is unknown or not installed.
    """
    from edgespeech.demo.doctor.providers import try_providers
    from edgespeech.runtime.acoustic_model import require_provider

    if "all" not in names:
        for name in names:
            require_provider(name)
        return list(names)
    trials = try_providers(folder)
    for trial in trials:
        if trial.problem:
            log.info("provider %s is left out: %s", trial.name, trial.problem)
    return [trial.name for trial in trials if not trial.problem]


def _save(report: Report, folder: Path) -> None:
    from edgespeech.demo.bench.card import render_card
    from edgespeech.demo.bench.picture import draw_report
    from edgespeech.demo.bench.report import encode_report
    from edgespeech.runtime.files import replacing

    contents = {"bench.json": encode_report(report, indent=1), "bench.md": render_card(report).encode()}
    for name, content in contents.items():
        with replacing(folder / name) as file:
            file.write(content + b"\n")
    try:
        draw_report(report, folder)
    except MissingDependencyError as error:
        log.info("no picture: %s", error)


@bench.command("compare")
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of figures.")
@click.pass_context
def bench_compare(context: click.Context, first: Path, second: Path, as_json: bool) -> None:
    """Compare two reports of `bench --json` figure by figure.

    The exit code is that of diff: 0 if all figures agree, 1 if one differs or is undecided, 2 if a file is invalid.
    """
    from edgespeech.demo.bench.compare import all_agree, as_objects, differences, render_comparison
    from edgespeech.demo.bench.report import read_report

    reports = read_report(first), read_report(second)
    found = list(differences(*reports))
    click.echo(json.dumps(as_objects(found)) if as_json else render_comparison(*reports))
    if not all_agree(found):
        context.exit(1)
