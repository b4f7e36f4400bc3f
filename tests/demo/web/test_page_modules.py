"""Modules of the page that need no browser, in Node: subtitles as Python writes them, hot words, recordings."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.runtime.decoder.hypothesis import Word, join_words
from edgespeech.runtime.formats import to_srt, to_vtt
from edgespeech.runtime.transcript import Segment

PAGE = Path(__file__).resolve().parents[3] / "demo" / "web" / "page"
SUBTITLES = """
import { toSrt, toText, toVtt } from "%s/subtitles.js";
const cases = JSON.parse(await new Response(process.stdin).text());
console.log(JSON.stringify(cases.map((finals) => [toText(finals), toSrt(finals), toVtt(finals)])));
"""


def node(program: str, given: Any = None) -> Any:
    """Run a module in Node and return what it prints as JSON."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("needs Node.js")
    run = subprocess.run(
        [path, "--input-type=module", "-e", program.replace("%s", PAGE.as_uri())],
        input=json.dumps(given), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def random_finals(random: np.random.Generator) -> list[Segment]:
    """Segments in order, with words of all lengths, pauses, and signs that subtitles must escape."""
    now, segments = 0, []
    for _ in range(random.integers(0, 5)):
        words = []
        for size in random.integers(1, random.choice([4, 12, 50]), random.integers(1, 30)):
            text = "".join(random.choice(list("ab'<>&"), size))
            begin = now + int(random.integers(0, random.choice([2, 60])))
            now = begin + int(random.integers(0, random.choice([4, 80])))
            words.append(Word("<unknown>" if text == "<" else text, begin * 0.03, now * 0.03, confidence=0.9))
        text = " ".join(one.word for one in words)
        segments.append(Segment(text, words[0].start, words[-1].end, tuple(words)))
    return segments


def finals_of_characters(random: np.random.Generator) -> list[Segment]:
    """Segments of a model without spaces: each character is a word, wide ones and those of Thai."""
    now, segments = 0, []
    for first in random.choice([0x4E00, 0x20000, 0x0E01, 0x3041], random.integers(1, 4)):
        words = []
        for at in range(random.integers(1, 120)):
            begin = now + int(random.integers(1, random.choice([9, 60])))
            now = begin + 1
            one = chr(first + random.integers(0, 40))
            words.append(Word(one, begin * 0.03, now * 0.03, confidence=0.9, joined=at > 0))
        segments.append(Segment(join_words(words), words[0].start, words[-1].end, tuple(words)))
    return segments


@pytest.mark.parametrize("make", [random_finals, finals_of_characters])
def test_subtitles_are_those_of_python(make: Callable[[np.random.Generator], list[Segment]]) -> None:
    random = np.random.default_rng(7)
    cases = [make(random) for _ in range(300)]
    names = ("word", "start", "end", "joined")
    given = [
        [{"text": one.text, "words": [{name: getattr(w, name) for name in names} for w in one.words]} for one in case]
        for case in cases
    ]
    wanted = [["".join(f"{one.text}\n" for one in case), to_srt(case), to_vtt(case)] for case in cases]
    found = node(SUBTITLES, given)
    assert [one for one in zip(found, wanted, strict=True) if one[0] != one[1]] == []


def test_hot_words_are_read_as_the_command_line_reads_them() -> None:
    program = """
    globalThis.location = { pathname: "/" };
    const { parseHotWords } = await import("%s/settings.js");
    const read = (text) => { try { return parseHotWords(text); } catch (error) { return error.message; } };
    console.log(JSON.stringify(JSON.parse(await new Response(process.stdin).text()).map(read)));
    """
    found = node(program, ["deep speech\n\n edge : 3.5 \n", "a:b", "a:0", "a:101", ":8", "", "x:100"])
    assert found[0] == {"deep speech": 8, "edge": 3.5} and found[5:] == [{}, {"x": 100}]
    assert all(one.startswith("Hot words: ") for one in found[1:5])


def test_a_recording_is_a_wav_file_of_the_same_samples() -> None:
    program = """
    const { Recording } = await import("%s/recording.js");
    const recording = new Recording();
    const samples = JSON.parse(await new Response(process.stdin).text());
    for (let at = 0; at < samples.length; at += 700) recording.add(Int16Array.from(samples.slice(at, at + 700)), 1000);
    const wav = Buffer.from(await recording.wav().arrayBuffer()).toString("hex");
    console.log(JSON.stringify([wav, recording.seconds, recording.parts.length]));
    """
    wanted = np.random.default_rng(1).integers(-32768, 32768, 31234)
    wav, seconds, parts = node(program, wanted.tolist())
    samples, rate = soundfile.read(io.BytesIO(bytes.fromhex(wav)), dtype="int16")
    assert rate == 1000 and np.array_equal(samples, wanted) and (seconds, parts) == (31.234, 4)
