"""A report as a Markdown card that is readable on a terminal too; nothing is measured here."""

from __future__ import annotations

from collections.abc import Sequence

from edgespeech.demo.bench.report import RESOLUTION, Accuracy, Percentiles, Report, Result, Spread
from edgespeech.demo.machine.records import Device
from edgespeech.runtime.node_placement import describe_fallback

UNKNOWN = "-"
HOW = (
    "Figures are medians of the launches; in brackets, the least and the most of them; of word errors, the 95 % "
    "interval. Another run on this machine, as idle as now, agrees if its brackets overlap these or its medians are "
    f"within {RESOLUTION:.0%} (`bench compare`). Real-time factor: seconds of computing per second of audio. A chunk's "
    "time is from its arrival to its words. Ratios are to the first row, from the same rounds. Latency is that of "
    "sound arriving in real time: `first word` from the beginning of speech, `final` from the end of speech when "
    "silence ends the segment, `on stop` when the stream is ended. Streams: the most at once for which 98 % of the "
    "chunks are done before the next one is there, `one by one` or in `one batch`."
)


def render_card(report: Report) -> str:
    """The whole card."""
    results = report.results
    parts = [
        f"# edgespeech bench: {device_name(report.device)}",
        "\n".join(f"- {line}" for line in facts(report)),
    ]
    if report.conditions.noisy:
        reasons = "; ".join(report.conditions.notes)
        parts.append(f"> **This machine was noisy: {reasons}. Measure again on a calm one before you quote a figure.**")
    elif report.conditions.notes:
        parts.append("> " + "; ".join(report.conditions.notes))
    parts += [table(_summary(results)), "## Time", table(_times(results)), "## Latency, ms", table(_latency(results))]
    parts += ["## Load, memory, streams", table(_rest(results))]
    fallen = [(one.configuration.name, describe_fallback(one.nodes, one.nodes_on_cpu)) for one in results]
    if any(told for _, told in fallen):
        parts.append("\n".join(f"- {name}: {told}" for name, told in fallen if told))
    parts.append(HOW)
    return "\n\n".join(parts)


def facts(report: Report) -> list[str]:
    """The machine, what ran on it, and how, as lines."""
    device, conditions = report.device, report.conditions
    clock = f", {device.mhz_min:.0f} to {device.mhz_max:.0f} MHz" if device.mhz_min and device.mhz_max else ""
    governor = f", governor {device.governor}" if device.governor else ""
    cores = f"{device.cores} cores"
    if device.cores != device.cores_of_machine:
        cores = f"{device.cores} of {device.cores_of_machine} cores"
    lines = [f"processor: {device.cpu} ({device.architecture}), {cores}{clock}{governor}"]
    memory = f"{device.memory_mb / 1e3:.1f} GB, " if device.memory_mb else ""
    kind = f", {device.virtual}" if device.virtual else ""
    lines.append(f"memory and system: {memory}{device.os}, {device.kernel}{kind}")
    if device.jetson:
        jetson = device.jetson
        lines.append(
            f"Jetson: {jetson.model}, L4T {jetson.l4t or UNKNOWN}, JetPack {jetson.jetpack or UNKNOWN}, "
            f"power mode {jetson.power_mode or UNKNOWN}"
        )
    elif device.board:
        lines.append(f"board: {device.board}")
    if device.gpus:
        lines.append(f"GPU: {', '.join(device.gpus)}")
    lines.append("versions: " + ", ".join(f"{name} {version}" for name, version in report.versions.items()))
    used = [one.configuration for one in report.results]
    models = dict.fromkeys(f"{one.model} {one.precision} ({one.sha256[:12]})" for one in used)
    lines.append(f"bundle: {', '.join(models)}")
    launches = "1 launch" if report.launches == 1 else f"{report.launches} launches"
    quick = ", quick: fewer runs than a figure to quote needs" if report.quick else ""
    lines.append(f"heard: {report.audio}, {report.audio_seconds:.1f} s, in {launches}{quick}")
    speech = report.results[0].accuracy
    lines.append(f"word errors: {speech.speech}, {speech.utterances} recordings, {speech.words} words")
    if conditions.mhz_before and conditions.mhz_after:
        lines.append(f"frequency under load: {conditions.mhz_before:.0f} MHz, at the end {conditions.mhz_after:.0f}")
    if conditions.temperatures:
        told = ", ".join(f"{one.name} {one.before:.0f} to {one.after:.0f}" for one in conditions.temperatures)
        lines.append(f"temperatures, degrees Celsius: {told}")
    if conditions.throttled is not None:
        lines.append(f"throttled: {'yes' if conditions.throttled else 'no'}")
    if not all(result.load.files_were_cold for result in report.results):
        lines.append("load cold: the system's cache of files could not be emptied")
    lines.append(f"measured: {report.made}")
    return lines


def device_name(device: Device) -> str:
    """What people call the machine."""
    if device.jetson:
        return device.jetson.model
    if device.board and "raspberry" in device.board.lower():
        return device.board
    return device.cpu


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned so that a terminal shows it well; the first row is the head."""
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(rows[0]))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    ruler = (
        "|"
        + "|".join("-" * (width + 2) if not at else "-" * (width + 1) + ":" for at, width in enumerate(widths))
        + "|"
    )
    return "\n".join([line(rows[0]), ruler, *map(line, rows[1:])])


def _summary(results: Sequence[Result]) -> list[list[str]]:
    first = results[0]
    head = ["configuration", "graph, MB", "ratio", "memory, MB", "acoustic, ms", "ratio", "chunk p50, ms", "p98, ms"]
    energy = any(result.energy for result in results)
    rows = [[*head, "real-time factor", "ratio", "WER, %", *["J per s"] * energy]]
    for result in results:
        one, ratios, times = result.configuration, result.relative, result.chunk_times
        row = [
            one.name,
            f"{one.acoustic_mb:.2f}",
            f"{one.acoustic_mb / first.configuration.acoustic_mb:.2f}",
            f"{result.memory.steady.median:.0f}" if result.memory else UNKNOWN,
            f"{times.acoustic.p50.median:.2f}",
            f"{ratios.acoustic.median:.2f}" if ratios else "1.00",
            f"{times.all.p50.median:.2f}",
            f"{times.all.p98.median:.2f}",
            f"{result.rtf.all.median:.4f}",
            f"{ratios.all.median:.2f}" if ratios else "1.00",
            word_errors(result.accuracy),
        ]
        if energy:
            row.append(f"{result.energy.joules_per_second_of_audio.median:.2f}" if result.energy else UNKNOWN)
        rows.append(row)
    shown = [at for at, heading in enumerate(rows[0]) if heading != "ratio" or len(results) > 1]
    return [[row[at] for at in shown] for row in rows]


def _times(results: Sequence[Result]) -> list[list[str]]:
    rows = [
        ["configuration", "part", "p50", "p95", "p98", "p99", "max, ms", "real-time factor"],
    ]
    for result in results:
        times, factors = result.chunk_times, result.rtf
        parts: list[tuple[str, Percentiles, Spread]] = [
            ("features and acoustic model", times.acoustic, factors.acoustic),
            ("decoder", times.decoder, factors.decoder),
            ("all", times.all, factors.all),
        ]
        for name, chunk, factor in parts:
            middle, high = with_spread(chunk.p50, 2), with_spread(chunk.p98, 2)
            figures = [middle, f"{chunk.p95:.2f}", high, f"{chunk.p99:.2f}", f"{chunk.max:.2f}"]
            rows.append([result.configuration.name, name, *figures, with_spread(factor, 4)])
    return rows


def _latency(results: Sequence[Result]) -> list[list[str]]:
    rows = [["configuration", "chunk", "look-ahead", "first word", "final", "on stop"]]
    for result in results:
        one, latency = result.configuration, result.latency
        rows.append(
            [
                one.name,
                f"{one.chunk_ms:g}",
                f"{one.lookahead_ms:g}",
                with_spread(latency.first_partial, 0),
                with_spread(latency.final_on_silence, 0),
                with_spread(latency.final_on_stop, 1),
            ]
        )
    return rows


def _rest(results: Sequence[Result]) -> list[list[str]]:
    head = [
        "configuration",
        "load cold, ms",
        "warm, ms",
        "memory of model, MB",
        "peak, MB",
        "CPU s per s",
        "cores busy",
    ]
    rows = [head + ["streams one by one", "one batch"]]
    for result in results:
        memory, streams = result.memory, result.streams
        plus = "+" if streams and streams.at_least else ""
        rows.append(
            [
                result.configuration.name,
                with_spread(result.load.cold, 0),
                with_spread(result.load.warm, 0),
                with_spread(memory.added, 1) if memory else UNKNOWN,
                with_spread(memory.peak, 0) if memory else UNKNOWN,
                with_spread(result.cpu_seconds_per_second_of_audio, 4),
                f"{result.cores_busy:.2f}",
                with_spread(streams.unbatched, 0) + plus if streams else UNKNOWN,
                with_spread(streams.batched, 0) + plus if streams and streams.batched else UNKNOWN,
            ]
        )
    return rows


def word_errors(accuracy: Accuracy) -> str:
    """``76.7 (66 to 86)``: percent, and the 95 % interval."""
    if accuracy.wer_interval is None:
        return f"{accuracy.wer * 100.0:.1f}"
    low, high = (share * 100.0 for share in accuracy.wer_interval)
    return f"{accuracy.wer * 100.0:.1f} ({low:.0f} to {high:.0f})"


def with_spread(figure: Spread | None, digits: int) -> str:
    """``0.0203 (0.0198 to 0.0210)``."""
    if figure is None:
        return UNKNOWN
    if figure.launches == 1:
        return f"{figure.median:.{digits}f}"
    return f"{figure.median:.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f})"
