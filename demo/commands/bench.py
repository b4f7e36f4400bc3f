"""The commands of ``edgespeech bench``, ``tune-device`` and ``doctor``; what they do stands elsewhere."""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from edgespeech.demo.commands.options import FILE
from edgespeech.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from edgespeech.demo.bench.report import Report

log = logging.getLogger(__name__)

Value = TypeVar("Value")


def values(convert: Callable[[str], Value]) -> Callable[[click.Context, click.Parameter, str | None], list[Value]]:
    """Read ``a,b,c``."""

    def read(context: click.Context, parameter: click.Parameter, text: str | None) -> list[Value]:
        try:
            return list(dict.fromkeys(convert(part.strip()) for part in (text or "").split(",") if part.strip()))
        except ValueError:
            raise UsageError(f"{parameter.opts[0]} {text!r}: wanted values with commas between them") from None

    return read


def threads_from(text: str) -> int:
    """Parse a number of threads; ``all`` is every core that this process may use."""
    from edgespeech.demo.machine.device import usable_cores

    return usable_cores() if text == "all" else int(text)


BUNDLES = click.option(
    "--bundle", "bundles", type=FILE, multiple=True, metavar="DIR", help="Bundle; may be repeated. Default: ours."
)
PROVIDER = click.option("--provider", "providers", default="cpu", show_default=True, metavar="A,B",
                        callback=values(str), help="Where the model runs; `all`: every one that loads.")  # fmt: skip
CHUNKS = click.option("--chunk-ms", "chunks_ms", metavar="MS,MS", callback=values(float),
                      help="Audio per step, where a bundle leaves it free.")  # fmt: skip
BEAMS = click.option("--beam-width", "beam_widths", metavar="N,N", callback=values(int), help="Beam widths.")
AUDIO = click.option("--audio", type=FILE, metavar="FILE", help="Recording to hear; default: the clips that ship.")


@click.group(invoke_without_command=True)
@BUNDLES
@click.option("--threads", default="1,all", show_default=True, metavar="N,N", callback=values(threads_from),
              help="CPU threads of the model; `all`: every core.")  # fmt: skip
@PROVIDER
@CHUNKS
@BEAMS
@AUDIO
@click.option("--no-lm", is_flag=True, help="Search without the language model.")
@click.option("--checkpoint", type=FILE, metavar="CKPT", help="Make bundles of a checkpoint to compare.")
@click.option("--precisions", default="fp32,fp16,int8,int4", show_default=True, metavar="A,B", callback=values(str),
              help="With --checkpoint: which, such as int8 or int8:fused.")  # fmt: skip
@click.option("--speech", type=FILE, metavar="MANIFEST", help="With --checkpoint: calibration speech.")
@click.option("--keep", type=FILE, metavar="DIR", help="With --checkpoint: keep the bundles there.")
@click.option("--dev", type=FILE, metavar="MANIFEST", help="Count word errors on; default: the clips that ship.")
@click.option("--launches", type=click.IntRange(1, 100), metavar="N",
              help="Fresh processes for each configuration; default: 6. `compare` needs 4.")  # fmt: skip
@click.option("--no-streams", is_flag=True, help="Do not search how many streams at once are possible.")
@click.option("--quick", is_flag=True, help="A few seconds, to see that it works; no figures to quote.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (demo/bench/schema.json describes it).")
@click.option("--save", type=FILE, metavar="DIR", help="Also write bench.json, .md, .png and .svg there.")
@click.option("--into", metavar="FILE#NAME",
              help="Also put a small table between <!-- NAME: begin --> and <!-- NAME: end -->.")  # fmt: skip
@click.pass_context
def bench(context: click.Context, /, **options: Any) -> None:
    """Measure speed, latency, memory and word errors on this device.

    Several values of an option are compared with each other in one run, taking turns; ratios are to the first.

    \b
    edgespeech bench                                          the bundle that ships, one thread and all
    edgespeech bench --bundle a/ --bundle b/ --threads 1      two bundles
    edgespeech bench --checkpoint model.pt --threads 1        fp32, fp16, int8 and int4 of one model
    edgespeech bench compare before.json after.json           do two reports agree?
    """  # noqa: D301 (click reads the backspace)
    if context.invoked_subcommand is None:
        _bench(**options)


def _bench(
    bundles: Sequence[Path],
    checkpoint: Path | None,
    precisions: list[str],
    speech: Path | None,
    keep: Path | None,
    as_json: bool,
    into: str | None,
    save: Path | None,
    **options: Any,
) -> None:
    from edgespeech.demo.bench.card import render_card
    from edgespeech.demo.bench.table import render_table
    from edgespeech.demo.bench.variants import build_variants
    from edgespeech.runtime.bundle import DEFAULT_BUNDLE, load_bundle
    from edgespeech.runtime.measure.tables import find_marks, insert_between_marks

    if checkpoint is None and (speech or keep):
        raise UsageError("--speech and --keep are for bundles made of a --checkpoint; give one or leave them out")
    place = find_marks(into) if into else None
    if save is not None:
        _make_folder(save)
    folders = list(bundles) or ([] if checkpoint else [DEFAULT_BUNDLE])
    for folder in folders:
        load_bundle(folder)
    with contextlib.ExitStack() as stack:
        if checkpoint is not None:
            target = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgespeech-")))
            like = load_bundle(bundles[0] if bundles else None)
            folders = [*build_variants(checkpoint, precisions, like, target, speech, log.info), *folders]
        report = _measure(folders, **options)
    if save is not None:
        _save(report, save)
    if place is not None:
        insert_between_marks(*place, render_table(report, shlex.join(["edgespeech", *sys.argv[1:]])))
        log.info(f"{into}: {len(report.results)} rows")
    click.echo(msgspec.json.encode(report).decode() if as_json else render_card(report))


def _measure(
    folders: Sequence[Path],
    providers: list[str],
    threads: list[int],
    chunks_ms: list[float],
    beam_widths: list[int],
    audio: Path | None,
    no_lm: bool,
    dev: Path | None,
    launches: int | None,
    no_streams: bool,
    quick: bool,
) -> Report:
    from edgespeech.demo.bench.run import QUICK, BenchSettings, Effort, make_plans, run_bench

    effort = QUICK if quick else Effort()
    if launches is not None:
        effort = replace(effort, launches=launches)
    if no_streams:
        effort = replace(effort, most_streams=0)
    plans = make_plans(
        folders, providers_to_try(providers, folders[0]), threads, chunks_ms or [None], beam_widths or [None], not no_lm
    )
    return run_bench(BenchSettings(plans=plans, effort=effort, audio=audio, dev=dev), log.info)


def providers_to_try(names: Sequence[str], folder: Path) -> list[str]:
    """The providers that were asked for; ``all`` is every one that loads this bundle, and the others are named.

    Raises:
        UsageError: One that was asked for is unknown or not installed.
    """
    from edgespeech.demo.doctor.providers import try_providers
    from edgespeech.runtime.acoustic_model import require_provider

    if "all" not in names:
        for name in names:
            require_provider(name)
        return list(names)
    tried = try_providers(folder)
    for one in tried:
        if one.problem:
            log.info(f"provider {one.name} is left out: {one.problem}")
    return [one.name for one in tried if not one.problem]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}; give another folder to --save") from None


def _save(report: Report, folder: Path) -> None:
    from edgespeech.demo.bench.card import render_card
    from edgespeech.demo.bench.picture import draw_report
    from edgespeech.runtime.files import replacing

    for name, content in (
        ("bench.json", msgspec.json.format(msgspec.json.encode(report), indent=1)),
        ("bench.md", render_card(report).encode()),
    ):
        with replacing(folder / name) as file:
            file.write(content + b"\n")
    try:
        draw_report(report, folder)
    except MissingDependencyError as error:
        log.info(f"no picture: {error}")


@bench.command("compare")
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of figures.")
@click.pass_context
def bench_compare(context: click.Context, first: Path, second: Path, as_json: bool) -> None:
    """Say of two reports of `bench --json`, figure by figure, whether they agree or differ.

    The exit code is that of diff: 0 if all figures agree, 1 if one differs or is undecided, 2 if a file does not do.
    """
    from edgespeech.demo.bench.compare import all_agree, as_objects, differences, render_comparison
    from edgespeech.demo.bench.report import read_report

    reports = read_report(first), read_report(second)
    found = list(differences(*reports))
    click.echo(json.dumps(as_objects(found)) if as_json else render_comparison(*reports))
    if not all_agree(found):
        context.exit(1)
