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
from typing import TYPE_CHECKING, Any

import click

from edgespeech.demo.commands.bench_serve import bench_serve
from edgespeech.demo.commands.options import FILE, MARKDOWN, BundleOption, Command, json_option, values
from edgespeech.demo.commands.outputs import OVERWRITE, may_overwrite, output_folder
from edgespeech.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from edgespeech.demo.bench.report import Report
    from edgespeech.demo.bench.request import BenchRequest

log = logging.getLogger(__name__)


def threads_from(text: str) -> int:
    """Parse a number of threads; ``all`` is every core that this process may use."""
    from edgespeech.demo.machine.device import usable_cores

    return usable_cores() if text == "all" else int(text)


PROVIDER = click.option("--provider", "providers", default="cpu", show_default=True, metavar="A,B",
                        callback=values(str), help="Providers; `all` for every one that loads.")  # fmt: skip


def chunks_option(default: str) -> Callable[[Command], Command]:
    """Make the option for several chunk lengths, whose help names this default."""
    return click.option("--chunk-ms", "chunks_ms", metavar="MS,MS", callback=values(float), cls=BundleOption,
                        help=f"Milliseconds of audio per step, for bundles without a fixed chunk; default: {default}.",
                        )  # fmt: skip


def beams_option(default: str) -> Callable[[Command], Command]:
    """Make the option for several beam widths, whose help names this default."""
    return click.option("--beam-width", "beam_widths", metavar="N,N", callback=values(int), cls=BundleOption,
                        help=f"Beam widths; default: {default}.")  # fmt: skip


@dataclass(frozen=True)
class _Variants:
    """Options for bundles that are made of a checkpoint."""

    checkpoint: Path | None
    precisions: Sequence[str]
    speech: Path | None
    keep: Path | None


@click.group(invoke_without_command=True, short_help="Measure speed, memory, energy and accuracy.")
@click.option("--bundle", "bundles", type=FILE, multiple=True, metavar="DIR",
              help="Bundle folder; repeatable. The default bundle if not given.")  # fmt: skip
@click.option("--threads", default="1,all", show_default=True, metavar="N,N", callback=values(threads_from),
              help="CPU threads of the acoustic model; `all` for every core.")  # fmt: skip
@PROVIDER
@chunks_option("the bundle's")
@beams_option("the bundle's")
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
@json_option("Print one JSON object (schema: demo/bench/schema.json).")
@MARKDOWN
@output_folder("--save", files=["bench.json", "bench.md", "bench.png", "bench.svg"],
               help="Also write bench.json, .md, .png and .svg to this folder.")  # fmt: skip
@OVERWRITE
@click.option("--into", metavar="FILE#NAME",
              help="Also write a table between <!-- NAME: begin --> and <!-- NAME: end --> of a document.")  # fmt: skip
@click.pass_context
def bench(context: click.Context, /, **options: Any) -> None:
    """Measure speed, memory, energy and word errors on this device.

    Several values of an option are compared in one run, alternating between them; ratios are to the first.

    \b
    edgespeech bench                                          the default bundle, with one thread and with all
    edgespeech bench --bundle a/ --bundle b/ --threads 1      two bundles
    edgespeech bench --checkpoint model.pt --threads 1        fp32, fp16, int8 and int4 of one model
    edgespeech bench compare before.json after.json           whether two reports agree
    """  # noqa: D301 (click reads the backspace)
    if context.invoked_subcommand is None:
        _bench(**options)


def _bench(as_json: bool, markdown: bool, into: str | None, save: Path | None, **options: Any) -> None:
    from edgespeech.demo.bench.card import card_page
    from edgespeech.demo.bench.report import encode_report
    from edgespeech.demo.bench.request import BenchRequest
    from edgespeech.demo.bench.table import summary_page
    from edgespeech.runtime.files import make_folder, require_writable
    from edgespeech.runtime.measure.tables import find_marks, insert_between_marks, markdown_text, output_text

    variants = _Variants(*(options.pop(name) for name in ("checkpoint", "precisions", "speech", "keep")))
    if variants.checkpoint is None and (variants.speech or variants.keep):
        raise UsageError("--speech and --keep are for bundles made of a --checkpoint; give one or leave them out")
    request = BenchRequest(**options)
    place = find_marks(into) if into else None
    if place is not None:
        require_writable(place[0])
    if save is not None:
        make_folder(save)
        require_writable(save / "bench.json")
    request.check()
    report = _measure(request, variants)
    if save is not None:
        _save(report, save)
    if place is not None:
        command = shlex.join(["edgespeech", *sys.argv[1:]])
        insert_between_marks(*place, markdown_text(summary_page(report, command)))
        log.info("%s: %d rows", into, len(report.results))
    click.echo(encode_report(report).decode() if as_json else output_text(card_page(report), markdown))


def _measure(request: BenchRequest, variants: _Variants) -> Report:
    from edgespeech.demo.bench.run import run_bench
    from edgespeech.runtime.bundle import DEFAULT_BUNDLE

    folders = list(request.bundles) or ([] if variants.checkpoint else [DEFAULT_BUNDLE])
    with contextlib.ExitStack() as stack:
        if variants.checkpoint is not None:
            folder = variants.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgespeech-")))
            folders = [*_build(variants, variants.checkpoint, folder, request), *folders]
        providers = providers_to_try(request.providers, folders[0])
        return run_bench(replace(request, bundles=folders, providers=providers))


def _build(variants: _Variants, checkpoint: Path, folder: Path, request: BenchRequest) -> list[Path]:
    from edgespeech.runtime.bundle import load_bundle
    from edgespeech.runtime.dependencies import require
    from edgespeech.runtime.measure.progress import describe_duration

    require("torch onnx", "export")
    from edgespeech.demo.bench.run import estimate_durations
    from edgespeech.demo.bench.variants import VariantsRequest, build_variants, check_variants

    like = load_bundle(request.bundles[0] if request.bundles else None)
    wanted = VariantsRequest(checkpoint, variants.precisions, folder, like, variants.speech, may_overwrite())
    exporting = check_variants(wanted, request.chunks_ms)
    similar = replace(request, bundles=[*[like.folder] * len(wanted.precisions), *request.bundles])
    similar.plans()
    measuring = estimate_durations(replace(similar, chunks_ms=(), providers=["cpu"])).total(request.effort.launches)
    log.info("exporting %d bundles takes about %s, measuring them about %s",
             len(exporting), describe_duration(sum(exporting)), describe_duration(measuring))  # fmt: skip
    return build_variants(wanted, exporting)


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
    from edgespeech.demo.bench.card import card_page
    from edgespeech.demo.bench.picture import draw_report
    from edgespeech.demo.bench.report import encode_report
    from edgespeech.runtime.files import replacing
    from edgespeech.runtime.measure.tables import markdown_text

    contents = {"bench.json": encode_report(report, indent=1), "bench.md": markdown_text(card_page(report)).encode()}
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
@json_option("Print a JSON list of figures.")
@MARKDOWN
@click.pass_context
def bench_compare(context: click.Context, first: Path, second: Path, as_json: bool, markdown: bool) -> None:
    """Compare two reports of `bench --json` figure by figure.

    The exit code is that of diff: 0 if all figures agree, 1 if one differs or is undecided, 2 if a file is invalid.
    """
    from edgespeech.demo.bench.compare import all_agree, as_objects, comparison_page, differences
    from edgespeech.demo.bench.report import read_report
    from edgespeech.runtime.measure.tables import output_text

    reports = read_report(first), read_report(second)
    found = list(differences(*reports))
    click.echo(json.dumps(as_objects(found)) if as_json else output_text(comparison_page(*reports), markdown))
    if not all_agree(found):
        context.exit(1)


bench.add_command(bench_serve)
