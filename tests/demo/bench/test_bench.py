"""`edgespeech bench` as it is used, on tiny bundles: no sensor, no GPU and no network is needed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.demo.bench.listen import Plan, Speech, final_after_silence, listen, open_ear, speech_limits
from edgespeech.demo.bench.report import SCHEMA, Report
from edgespeech.demo.bench.run import make_plans
from edgespeech.demo.bench.streams import StreamSearch, in_one_batch, most_within, one_by_one, search_streams
from edgespeech.demo.bench.turns import Turns, measure_turns
from edgespeech.demo.bench.worker import in_fresh_process
from edgespeech.errors import AudioError, UsageError, VerificationError
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]
Command = Callable[..., Any]


@pytest.fixture
def speech() -> Speech:
    return Speech(manifest=str(SAMPLE_CLIPS), seconds=1.5)


def plan(bundle: Bundle, **settings: Any) -> Plan:
    return Plan(bundle=str(bundle.folder), **settings)


@pytest.mark.slow
def test_two_bundles_are_measured_and_the_json_fits_the_schema(
    edgespeech: Command, tiny_bundle: Bundle, cells_bundle: Bundle, tmp_path: Path
) -> None:
    document = tmp_path / "document.md"
    document.write_text("<!-- bench: begin -->\n<!-- bench: end -->\n")
    arguments = ["--bundle", tiny_bundle.folder, "--bundle", cells_bundle.folder, "--threads", "1", "--quick"]
    outcome = edgespeech("bench", *arguments, "--json", "--save", tmp_path / "card", "--into", f"{document}#bench")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(found)
    report = msgspec.json.decode(outcome.out, type=Report)
    fused, cells = report.results
    assert (fused.configuration.name, cells.configuration.name) == ("fp32 fused", "fp32 cells")
    assert fused.relative is None and cells.relative is not None and cells.relative.all.median > 0.0
    assert fused.accuracy == msgspec.structs.replace(cells.accuracy, rtf=fused.accuracy.rtf)
    for result in report.results:
        factors = result.rtf
        assert 0.0 < factors.acoustic.median + factors.decoder.median <= factors.all.high * 1.01
        assert result.chunk_times.all.p50.median >= result.chunk_times.acoustic.p50.median
        assert result.streams is not None and 0 <= result.streams.unbatched.high <= 3
        memory = result.memory
        assert memory is None or memory.peak.median >= memory.steady.median > memory.added.median
    assert sorted(path.name for path in (tmp_path / "card").iterdir()) == [
        "bench.json", "bench.md", "bench.png", "bench.svg",
    ]  # fmt: skip
    written = document.read_text()
    assert written.startswith("<!-- bench: begin -->\n| precision") and written.endswith("\n<!-- bench: end -->\n")
    card = (tmp_path / "card" / "bench.md").read_text()
    assert card.startswith("# edgespeech bench: ") and "| fp32 cells" in card


@pytest.mark.slow
def test_precisions_of_a_checkpoint_are_one_command(
    edgespeech: Command, tiny_model_factory: Callable[..., Any], tmp_path: Path
) -> None:
    save_checkpoint(tiny_model_factory(cell="gru"), tmp_path / "model.pt", {"name": "tiny"})
    arguments = ["--checkpoint", tmp_path / "model.pt", "--threads", "1", "--no-streams", "--quick", "--keep"]
    outcome = edgespeech("bench", *arguments, tmp_path / "kept", "--json", "--precisions", "fp32,int8:fused")
    assert outcome.code == 0, outcome.err
    results = msgspec.json.decode(outcome.out, type=Report).results
    assert [result.configuration.precision for result in results] == ["fp32", "int8"]
    assert [result.configuration.form for result in results] == ["fused", "cells"], "no integer operator for a GRU"
    assert all(result.streams is None for result in results)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["fp32", "int8-fused"]
    assert load_bundle(tmp_path / "kept/int8-fused").manifest.decoder == load_bundle().manifest.decoder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "x"], "wanted values with commas between them"),
        (["--bundle", "absent"], "bundle absent does not exist"),
        (["--precisions", "fp7", "--checkpoint", "absent.pt"], "precision 'fp7' is unknown"),
        (["--precisions", "int8:round", "--checkpoint", "absent.pt"], "precision 'int8:round' is unknown"),
        (["--checkpoint", "absent.pt"], "absent.pt"),
        (["--into", "absent.md#bench"], "cannot read absent.md"),
        (["--launches", "0"], "--launches"),
        (["--speech", "a.jsonl"], "are for bundles made of a --checkpoint"),
        (["--threads", "1,2,3,4,5,6,7,8,9", "--beam-width", "1,2,3,4,5,6,7,8"], "72 configurations; wanted at most 64"),
        (["--threads", "0", "--quick"], "threads is 0; wanted 1 to 256"),
        (["--provider", "cpu,abacus"], "provider 'abacus' is unknown"),
    ],
)
def test_what_does_not_do_is_one_line(
    edgespeech: Command, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = edgespeech("bench", *arguments)
    last = outcome.err.splitlines()[-1]
    assert (outcome.code, outcome.out) == (2, "") and last.startswith("edgespeech: ") and message in last
    if arguments != ["--threads", "0", "--quick"]:
        assert "launch 1" not in outcome.err, "found before anything was measured"


def test_a_folder_that_cannot_be_written_is_found_before_measuring(edgespeech: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = edgespeech("bench", "--save", tmp_path / "file")
    assert outcome.code == 2 and "cannot write to" in outcome.err and "launch" not in outcome.err


def test_a_process_that_dies_is_reported(tiny_bundle: Bundle, speech: Speech, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    task = Turns(plans=[plan(tiny_bundle)], speech=speech, rounds=2, seconds=1.0)
    with pytest.raises(VerificationError, match="a measuring process failed: it said nothing"):
        in_fresh_process(task, dict)


def test_turns_hear_the_same_for_everybody(tiny_bundle: Bundle, cells_bundle: Bundle, speech: Speech) -> None:
    task = Turns(plans=[plan(tiny_bundle), plan(cells_bundle)], speech=speech, rounds=3, seconds=60.0)
    found = measure_turns(task)
    assert found.audio_seconds == pytest.approx(1.5)
    assert [len(turn.rounds) for turn in found.turns] == [3, 3]
    assert [[len(chunks) for chunks in turn.chunks] for turn in found.turns] == [[int(1.5 / 0.08)] * 3] * 2
    for whole, acoustic, decoder in found.turns[0].rounds + found.turns[0].chunks[0]:
        assert whole >= acoustic + decoder > 0.0
    hurried = measure_turns(msgspec.structs.replace(task, seconds=0.0))
    assert [len(turn.rounds) for turn in hurried.turns] == [2, 2], "two rounds at least"


def test_listening_hears_what_the_recognizer_hears(tiny_bundle: Bundle, noise: Callable[[int], Samples]) -> None:
    ear = open_ear(plan(tiny_bundle))
    samples = noise(16000)
    assert Recognizer(tiny_bundle).transcribe((samples, 16000)).text
    heard = listen(ear, samples)
    assert len(heard.chunks) == len(samples) // 1280
    assert heard.final_on_stop > 0.0
    assert heard.first_partial is None or heard.first_partial > 0.08, "not before the first chunk was spoken"


def test_the_limits_of_speech_are_found(noise: Callable[[int], Samples]) -> None:
    silence = np.zeros(16000, np.float32)
    quiet = np.concatenate([silence, noise(8000), silence])
    assert speech_limits(quiet, 16000) == (16000, 24000)
    assert speech_limits(silence, 16000) == (0, 16000)


def test_a_final_after_silence_waits_for_the_endpoint(tiny_bundle: Bundle, noise: Callable[[int], Samples]) -> None:
    waited = final_after_silence(open_ear(plan(tiny_bundle)), noise(16000))
    assert waited is None or waited >= 0.0


def test_too_little_sound_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(100, np.float32), 16000)
    with pytest.raises(AudioError, match="less than half a second"):
        Speech(manifest=str(SAMPLE_CLIPS), audio=str(tmp_path / "short.wav")).read(16000)


def test_a_long_recording_is_cut_in_pieces(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(16000 * 25, np.float32), 16000)
    pieces = Speech(manifest=str(SAMPLE_CLIPS), audio=str(tmp_path / "long.wav"), seconds=22.0).read(16000)
    assert [len(piece) for piece in pieces] == [160000, 160000, 32000]


@pytest.mark.parametrize("start", [1, 7, 31, 33, 200])
@pytest.mark.parametrize(("slope", "most", "wanted"), [(0.1, 512, 32), (0.9, 512, 3), (5.0, 512, 0), (0.001, 50, 50)])
def test_the_most_streams_are_found(slope: float, most: int, wanted: int, start: int) -> None:
    tried: list[int] = []

    def measure(streams: int) -> float:
        tried.append(streams)
        return slope * streams

    found = most_within(measure, 3.2, most, start)
    assert wanted / 1.05 <= found <= wanted and max(tried) <= most and len(set(tried)) == len(tried) <= 7
    if start in {31, 33} and wanted == 32:
        assert len(tried) <= 3, "a good guess spares tries"


def test_a_search_that_others_disturb_ends(noise: Callable[[int], Samples]) -> None:
    disturbed = iter(1.0 + np.abs(noise(100)) * 3.0)
    assert 15 <= most_within(lambda streams: 0.1 * streams * next(disturbed), 3.2, 512) <= 32


def test_streams_in_a_batch_and_alone_are_all_decoded(tiny_bundle: Bundle, speech: Speech) -> None:
    recognizer = Recognizer(tiny_bundle)
    chunks = np.resize(np.concatenate(speech.read(16000)), (9, 1280))
    for crowd in (one_by_one, in_one_batch):
        latencies = crowd(recognizer, chunks, 3, 4)
        assert len(latencies) == 12
        assert all(first < second < third for first, second, third in zip(*[iter(latencies)] * 3, strict=True))


def test_a_search_for_streams_has_a_limit(tiny_bundle: Bundle, speech: Speech) -> None:
    found = search_streams(StreamSearch(plan=plan(tiny_bundle), speech=speech, most=2, rounds=2))
    assert found.unbatched <= 2 and found.batched is not None and found.batched <= 2
    again = StreamSearch(plan=plan(tiny_bundle), speech=speech, most=2, rounds=2, likely=found)
    assert search_streams(again).unbatched <= 2


def test_every_combination_is_planned() -> None:
    plans = make_plans([Path("/a"), Path("/b")], ["cpu"], [1, 2], [None, 80.0], [None])
    assert len({msgspec.json.encode(one) for one in plans}) == 8
    with pytest.raises(UsageError, match="configurations"):
        make_plans([Path("/a")] * 65, ["cpu"], [1], [None], [None])
