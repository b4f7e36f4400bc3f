"""Lays out a report as a card: the machine, what was measured, and tables of all figures."""

from __future__ import annotations

from collections.abc import Sequence

from edgespeech.demo.bench.report import RESOLUTION, Accuracy, Percentiles, Report, Result, Spread
from edgespeech.demo.machine.instructions import consequence
from edgespeech.demo.machine.records import Device
from edgespeech.runtime.measure.tables import Bullets, Caution, Heading, Page, Part, Table
from edgespeech.runtime.node_placement import describe_fallback

UNKNOWN = "-"
EXPLANATION = (
    "Figures are medians of the launches, with their range in brackets; the brackets of WER are its 95 % interval. "
    "Another run on this machine, as idle as now, agrees if its ranges overlap these or its medians are within "
    f"{RESOLUTION:.0%} (`bench compare`). Compute time of a chunk: from its arrival to its words; that of the acoustic "
    "model includes the features. Real-time factor: compute time per second of audio. Ratios are to the first row, "
    "in the same rounds. Time to the text is for audio that arrives in real time: `first word` from the beginning of "
    "speech, `final` from the end of speech if silence ends the segment, `on stop` if the stream is ended. None of "
    "them is the latency, which `edgespeech live --latency-report` measures. Streams: the maximum for which 98 % of "
    "the chunks are done before the next one arrives, processed `one by one` or in `one batch`."
)


def card_page(report: Report) -> Page:
    """Lay out the whole card."""
    results = report.results
    parts: list[str | Part] = [Heading(f"edgespeech bench: {device_name(report.device)}", 1), Bullets(facts(report))]
    reasons = "; ".join(report.conditions.notes)
    if report.conditions.noisy:
        parts.append(
            Caution(f"This machine was noisy: {reasons}. Measure again on an idle one before you quote a figure.")
        )
    elif reasons:
        parts.append(f"> {reasons}")
    parts += [_summary(results), Heading("Compute time"), _times(results)]
    slow = [one.configuration.name for one in results if one.rtf.all.median > 1.0]
    if slow:
        parts.append(Caution(f"Cannot keep up in real time here: {', '.join(slow)}."))
    parts += [Heading("Time to the text, ms"), _time_to_text(results), Heading("Load, memory, streams"), _rest(results)]
    fallbacks = [(one.configuration.name, describe_fallback(one.nodes, one.nodes_on_cpu)) for one in results]
    if any(text for _, text in fallbacks):
        parts.append(Bullets([f"{name}: {text}" for name, text in fallbacks if text]))
    return [*parts, EXPLANATION]


def facts(report: Report) -> list[str]:
    """List the machine, the software, what was measured and the conditions, one line each."""
    return [*_machine_facts(report.device), *_software_facts(report), *_condition_facts(report)]


def _machine_facts(device: Device) -> list[str]:
    clock = f", {device.mhz_min:.0f} to {device.mhz_max:.0f} MHz" if device.mhz_min and device.mhz_max else ""
    governor = f", governor {device.governor}" if device.governor else ""
    cores = f"{device.cores} cores"
    if device.cores != device.cores_of_machine:
        cores = f"{device.cores} of {device.cores_of_machine} cores"
    lines = [f"processor: {device.cpu} ({device.architecture}), {cores}{clock}{governor}"]
    memory = f"{device.memory_mb / 1e3:.1f} GB, " if device.memory_mb else ""
    kind = f", {device.virtual}" if device.virtual else ""
    lines.append(f"memory and system: {memory}{device.os}, {device.kernel}{kind}")
    follows = consequence(device.architecture, device.instructions)
    if follows:
        lines.append(f"instructions: {', '.join(device.instructions or ()) or 'none'}; {follows.text}")
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
    return lines


def _software_facts(report: Report) -> list[str]:
    used = [one.configuration for one in report.results]
    models = dict.fromkeys(f"{one.model} {one.precision} ({one.sha256[:12]})" for one in used)
    launches = "1 launch" if report.launches == 1 else f"{report.launches} launches"
    quick = ", quick: too few runs for figures to quote" if report.quick else ""
    accuracy = report.results[0].accuracy
    return [
        "versions: " + ", ".join(f"{name} {version}" for name, version in report.versions.items()),
        f"bundle: {', '.join(models)}",
        f"passage: {report.audio}, {report.audio_seconds:.1f} s, in {launches}{quick}",
        f"word errors: {accuracy.speech}, {accuracy.utterances} recordings, {accuracy.words} words",
    ]


def _condition_facts(report: Report) -> list[str]:
    conditions, lines = report.conditions, []
    if conditions.mhz_before and conditions.mhz_after:
        lines.append(f"frequency under load: {conditions.mhz_before:.0f} MHz, at the end {conditions.mhz_after:.0f}")
    if conditions.temperatures:
        degrees = ", ".join(f"{one.name} {one.before:.0f} to {one.after:.0f}" for one in conditions.temperatures)
        lines.append(f"temperatures, degrees Celsius: {degrees}")
    if conditions.throttled is not None:
        lines.append(f"throttled: {'yes' if conditions.throttled else 'no'}")
    if not all(result.load.files_were_cold for result in report.results):
        lines.append("load cold: the files could not be dropped from the system's cache")
    return [*lines, f"measured: {report.made}"]


def device_name(device: Device) -> str:
    """Return the name of the board where it is well known, otherwise that of the processor."""
    if device.jetson:
        return device.jetson.model
    if device.board and "raspberry" in device.board.lower():
        return device.board
    return device.cpu


def _summary(results: Sequence[Result]) -> Table:
    first = results[0]
    headings = ["configuration", "graph, MB", "ratio", "memory, MB", "acoustic, ms", "ratio", "chunk p50, ms"]
    headings += ["p98, ms", "real-time factor", "ratio", "WER, %"]
    energy = any(result.energy for result in results)
    rows = []
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
    if energy:
        headings.append("J per s")
    shown = [at for at, heading in enumerate(headings) if heading != "ratio" or len(results) > 1]
    return Table([headings[at] for at in shown], [[row[at] for at in shown] for row in rows])


def _times(results: Sequence[Result]) -> Table:
    rows = []
    for result in results:
        times, factors = result.chunk_times, result.rtf
        parts: list[tuple[str, Percentiles, Spread]] = [
            ("acoustic model", times.acoustic, factors.acoustic),
            ("decoder", times.decoder, factors.decoder),
            ("all", times.all, factors.all),
        ]
        for name, chunk, factor in parts:
            middle, high = with_spread(chunk.p50, 2), with_spread(chunk.p98, 2)
            figures = [middle, f"{chunk.p95:.2f}", high, f"{chunk.p99:.2f}", f"{chunk.max:.2f}"]
            rows.append([result.configuration.name, name, *figures, with_spread(factor, 4)])
    headings = ["configuration", "part", "chunk p50, ms", "p95", "p98", "p99", "max", "real-time factor"]
    return Table(headings, rows, left=2)


def _time_to_text(results: Sequence[Result]) -> Table:
    rows = []
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
    return Table(["configuration", "chunk", "look-ahead", "first word", "final", "on stop"], rows)


def _rest(results: Sequence[Result]) -> Table:
    headings = ["configuration", "load cold, ms", "warm, ms", "memory of model, MB", "peak, MB", "CPU s per s"]
    headings += ["cores busy", "streams one by one", "one batch"]
    rows = []
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
    return Table(headings, rows)


def word_errors(accuracy: Accuracy) -> str:
    """Format the word error rate and its 95 % interval in percent: ``76.7 (66 to 86)``."""
    if accuracy.wer_interval is None:
        return f"{accuracy.wer * 100.0:.1f}"
    low, high = (bound * 100.0 for bound in accuracy.wer_interval)
    return f"{accuracy.wer * 100.0:.1f} ({low:.0f} to {high:.0f})"


def with_spread(figure: Spread | None, digits: int) -> str:
    """Format a figure and its range, such as ``0.0203 (0.0198 to 0.0210)``."""
    if figure is None:
        return UNKNOWN
    if figure.launches == 1:
        return f"{figure.median:.{digits}f}"
    return f"{figure.median:.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f})"
