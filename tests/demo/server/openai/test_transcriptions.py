"""Uploads by the package ``openai``, as an application would send them, and by hand where the package is too polite."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import openai
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech import Recognizer
from edgespeech.runtime import audio
from edgespeech.runtime.formats import to_srt, to_vtt
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.transcript import Transcript
from tests.demo.server.clients import RATE, RunningServer, running, stream_text
from tests.demo.server.conftest import Clip

TOKEN = "correct-horse"
CLIPS = [entry.path for entry in read_manifest(SAMPLE_CLIPS)]
PAUSE = CLIPS[0]  # with a pause within, so that there are two segments


def connect(server: RunningServer, token: str = "none", **settings: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.addresses["http"] + "/v1", api_key=token, max_retries=0, **settings)


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with connect(server) as opened:
        yield opened


@pytest.fixture(scope="module")
def strict() -> Iterator[RunningServer]:
    """A server with a token and low limits."""
    limits = ("--max-streams=1", "--max-file-mib=0.05", "--max-audio-minutes=0.03", "--idle=1.5")
    with running(*limits, EDGESPEECH_TOKEN=TOKEN) as started:
        yield started


@pytest.fixture(scope="module")
def expected(recognizer: Recognizer) -> Transcript:
    """What a recognizer alone finds in the clip with the pause."""
    return recognizer.transcribe(PAUSE)


def as_file(samples: np.ndarray[Any, Any], rate: int, kind: str, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.name)
def test_the_text_is_that_of_transcribe(client: openai.OpenAI, recognizer: Recognizer, path: Path) -> None:
    with path.open("rb") as file:
        found = client.audio.transcriptions.create(file=file, model="whisper-1")
    wanted = recognizer.transcribe(path)
    assert found.text == wanted.text
    assert found.usage is not None and found.usage.to_dict() == {
        "type": "duration", "seconds": round(wanted.duration, 3),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "subtype", "rate", "channels"),
    [("WAV", "PCM_16", 44100, 2), ("WAV", "ULAW", 8000, 1), ("FLAC", None, 16000, 1), ("MP3", None, 24000, 1)],
)
def test_a_file_of_any_kind_under_any_name(
    client: openai.OpenAI,
    recognizer: Recognizer,
    tmp_path: Path,
    kind: str,
    subtype: str | None,
    rate: int,
    channels: int,
) -> None:
    samples = audio.read(CLIPS[2], rate)
    data = as_file(np.stack([samples] * channels, axis=1), rate, kind, subtype)
    (tmp_path / "clip").write_bytes(data)
    found = client.audio.transcriptions.create(file=("../../etc/passwd", data), model="any")
    assert found.text == recognizer.transcribe(tmp_path / "clip").text != ""


def test_verbose_json_has_words_and_segments(client: openai.OpenAI, expected: Transcript) -> None:
    found = client.audio.transcriptions.create(file=PAUSE, model="whisper-1", response_format="verbose_json")
    assert (found.text, found.language) == (expected.text, "en") and found.duration == round(expected.duration, 3)
    assert found.words is not None and found.segments is not None
    assert [(word.word, word.start, word.end) for word in found.words] == [
        (word.word, round(word.start, 3), round(word.end, 3)) for word in expected.words
    ]
    assert [one.text for one in found.segments] == [one.text for one in expected.segments]
    assert len(found.segments) > 1 and [one.id for one in found.segments] == list(range(len(found.segments)))
    for segment in found.segments:
        assert segment.start < segment.end and -20.0 < segment.avg_logprob <= 0.0 < segment.compression_ratio


@pytest.mark.parametrize(("chosen", "other"), [("word", "segments"), ("segment", "words")])
def test_verbose_json_has_what_was_chosen(client: openai.OpenAI, chosen: Any, other: str) -> None:
    found = client.audio.transcriptions.create(
        file=CLIPS[2], model="whisper-1", response_format="verbose_json", timestamp_granularities=[chosen]
    )
    assert getattr(found, other) is None and getattr(found, f"{chosen}s")


@pytest.mark.parametrize("chosen", ["text", "srt", "vtt"])
def test_formats_that_are_text(client: openai.OpenAI, expected: Transcript, chosen: Any) -> None:
    found: object = client.audio.transcriptions.create(file=PAUSE, model="whisper-1", response_format=chosen)
    wanted = {
        "text": expected.text + "\n", "srt": to_srt(expected.segments), "vtt": to_vtt(expected.segments)
    }  # fmt: skip
    assert found == wanted[chosen]


def test_a_stream_of_events_only_appends(client: openai.OpenAI, expected: Transcript) -> None:
    deltas, done = [], []
    for event in client.audio.transcriptions.create(file=PAUSE, model="gpt-4o-transcribe", stream=True):
        if event.type == "transcript.text.delta":
            deltas.append(event.delta)
        elif event.type == "transcript.text.done":
            done.append(event.text)
    assert "".join(deltas) == expected.text and done == [expected.text] and len(deltas) == len(expected.segments)


def test_logprobs_are_those_of_the_words(client: openai.OpenAI, expected: Transcript) -> None:
    found = client.audio.transcriptions.create(file=PAUSE, model="gpt-4o-transcribe", include=["logprobs"])
    assert found.logprobs is not None and "".join(one.token or "" for one in found.logprobs) == expected.text
    assert [one.logprob for one in found.logprobs] == pytest.approx(
        np.log([word.confidence for word in expected.words]), abs=1e-4
    )


def test_prompt_and_keywords_are_hot_words(client: openai.OpenAI) -> None:
    clip = CLIPS[2]
    phrase = "he will be bach"
    wanted = Recognizer(beam_width=64, hot_words={phrase: 8.0}).transcribe(clip).text
    for settings in (
        {"keywords": [phrase]},
        {"prompt": f"Names; {phrase}, Łódź 7. A sentence that is too long to be one."},
    ):
        found = client.audio.transcriptions.create(file=clip, model="gpt-transcribe", **settings)
        assert found.text == wanted


def test_silence_that_ends_a_segment_is_chosen_by_the_client(client: openai.OpenAI) -> None:
    def segments(milliseconds: int) -> int:
        found = client.audio.transcriptions.create(
            file=PAUSE, model="whisper-1", response_format="verbose_json",
            chunking_strategy={"type": "server_vad", "silence_duration_ms": milliseconds},
        )  # fmt: skip
        return len(found.segments or ())

    assert segments(60000) == 1 < segments(300)


@pytest.mark.parametrize(
    ("settings", "param", "message"),
    [
        ({"response_format": "diarized_json"}, "response_format", "'diarized_json'; wanted json, text, srt"),
        ({"response_format": "srt", "stream": True}, "stream", "'srt' cannot be streamed"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities", "wanted verbose_json"),
        (
            {"timestamp_granularities": ["phone"], "response_format": "verbose_json"},
            "timestamp_granularities", "'phone'; wanted word, segment",
        ),
        ({"include": ["everything"]}, "include", "'everything'; wanted logprobs"),
        ({"language": "de"}, "language", "'de'; this server recognises 'en'"),
        ({"keywords": ["a" * 300]}, "keywords", "300 characters"),
        ({"keywords": ["a"] * 1100}, "keywords", "1100 phrases"),
        ({"prompt": ", ".join(["a"] * 1100)}, "prompt", "1100 phrases"),
        ({"file": b"no audio, only text"}, "file", "the uploaded file"),
        ({"file": b""}, "file", "empty"),
        (
            {"chunking_strategy": {"type": "server_vad", "silence_duration_ms": 60001}},
            "chunking_strategy", "at most 60000",
        ),
    ],
)  # fmt: skip
def test_values_that_cannot_be_fulfilled_are_named(
    client: openai.OpenAI, settings: dict[str, Any], param: str, message: str
) -> None:
    arguments = {"file": CLIPS[2], "model": "whisper-1", **settings}
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(**arguments)
    assert caught.value.param == param and message in caught.value.message and caught.value.status_code == 400


def test_language_and_temperature_of_the_bundle_are_accepted(client: openai.OpenAI, expected: Transcript) -> None:
    for language in ("en", "en-US", "EN"):
        found = client.audio.transcriptions.create(file=PAUSE, model="x", language=language, temperature=0.3)
        assert found.text == expected.text


def test_a_file_that_is_cut_off_gives_its_words_and_the_damage(client: openai.OpenAI, tmp_path: Path) -> None:
    data = as_file(audio.read(CLIPS[2], RATE), RATE, "WAV")
    (tmp_path / "half.wav").write_bytes(data[: len(data) // 2])
    wanted = Recognizer(beam_width=64).transcribe(tmp_path / "half.wav")
    found = client.audio.transcriptions.create(file=data[: len(data) // 2], model="whisper-1").to_dict()
    assert found["text"] == wanted.text != ""
    assert "the uploaded file is damaged" in str(found["damage"]) and str(tmp_path) not in str(found)


def test_models_has_the_bundle(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("edge", "model", "edgespeech") and model.created > 1e9
    assert client.models.retrieve("edge") == model
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("whisper-1")
    assert caught.value.code == "model_not_found"


def test_errors_are_the_exceptions_of_the_package(strict: RunningServer) -> None:
    small = as_file(np.zeros(RATE // 10, np.float32), RATE, "WAV")
    with connect(strict, "wrong") as client, pytest.raises(openai.AuthenticationError) as wrong:
        client.audio.transcriptions.create(file=small, model="whisper-1")
    assert wrong.value.code == "invalid_api_key" and TOKEN not in str(wrong.value)
    with connect(strict, TOKEN) as client:
        assert client.audio.transcriptions.create(file=small, model="whisper-1").text == ""
        for count in (2**17, 2**22):  # refused while it arrives, and before
            with pytest.raises(openai.APIStatusError) as large:
                client.audio.transcriptions.create(file=bytes(count), model="whisper-1")
            assert large.value.status_code == 413 and "0.05 MiB" in str(large.value)
        long = as_file(np.zeros(RATE * 3, np.float32), RATE, "FLAC")
        with pytest.raises(openai.BadRequestError, match="longer than 1.8 s"):
            client.audio.transcriptions.create(file=long, model="whisper-1")


def test_a_server_that_is_full_asks_to_come_again(strict: RunningServer) -> None:
    small = as_file(np.zeros(RATE // 10, np.float32), RATE, "WAV")

    async def run() -> tuple[openai.InternalServerError, str]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        address = strict.addresses["http"] + "/v1"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(strict.stream_url, headers=headers) as other,
            openai.AsyncOpenAI(base_url=address, api_key=TOKEN, max_retries=0) as client,
        ):
            await other.send_bytes(bytes(320))
            await other.receive()
            with pytest.raises(openai.InternalServerError) as busy:
                await client.audio.transcriptions.create(file=small, model="whisper-1")
            await other.close()
            patient = client.with_options(max_retries=5)
            return busy.value, (await patient.audio.transcriptions.create(file=small, model="whisper-1")).text

    error, text = asyncio.run(run())
    assert error.status_code == 503 and error.code == "busy" and error.response.headers["Retry-After"] == "1"
    assert text == ""


def post(
    server: RunningServer, body: bytes, length: int | None = None, kind: str = "multipart/form-data; boundary=x"
) -> Any:
    """Send a body by hand, and return status and error."""
    port = int(server.addresses["http"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30.0) as connection:
        head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
        connection.sendall(head.encode() + body)
        answer = connection.makefile("rb")
        status = int(answer.readline().split()[1])
        headers = dict(line.decode().strip().lower().split(": ") for line in iter(answer.readline, b"\r\n"))
        return status, json.loads(answer.read(int(headers["content-length"])))["error"]


def part(name: str, data: bytes) -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + data + b"\r\n"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"{}", "application/json", "application/json; wanted multipart/form-data"),
        (b"{}", "multipart/form-data", "not a complete multipart"),
        (b"no form", "multipart/form-data; boundary=x", "not a complete multipart"),
        (part("model", b"x") + b"--x--\r\n", "multipart/form-data; boundary=x", "has no file"),
        (part("file", b"x") * 2 + b"--x--\r\n", "multipart/form-data; boundary=x", "several files"),
        (part("prompt", b"\xff") + b"--x--\r\n", "multipart/form-data; boundary=x", "not UTF-8"),
        (part("prompt", bytes(70000)), "multipart/form-data; boundary=x", "longer than 65536 bytes"),
        (part("prompt", b"a") * 2001, "multipart/form-data; boundary=x", "more than 2000 fields"),
        (part("stream", b"maybe") + part("file", b"x") + b"--x--\r\n", "multipart/form-data; boundary=x", "'maybe'"),
        (part("file", b"half of it")[:-6], "multipart/form-data; boundary=x", "not a complete multipart"),
    ],
)
def test_bodies_that_are_no_form_with_a_file(strict: RunningServer, body: bytes, kind: str, message: str) -> None:
    status, error = post(strict, body, kind=kind)
    assert status == 400 and message in error["message"] and error["type"] == "invalid_request_error"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_is_not_compressed_as_its_header_says(strict: RunningServer, encoding: str) -> None:
    kind = f"multipart/form-data; boundary=x\r\nContent-Encoding: {encoding}"
    status, error = post(strict, part("file", b"not compressed") + b"--x--\r\n", kind=kind)
    assert status == 400 and "cannot be read" in error["message"] and error["type"] == "invalid_request_error"
    assert [entry for entry in strict.log if "traceback" in entry] == []


def test_an_upload_that_stops_is_answered(strict: RunningServer) -> None:
    status, error = post(strict, part("file", b"half of it")[:-4], length=1000)
    assert status == 408 and "nothing arrived for 1.5 s" in error["message"]


def test_clients_that_vanish_leave_nothing_behind(server: RunningServer, clips: list[Clip]) -> None:
    port = int(server.addresses["http"].rpartition(":")[2])
    body = part("file", as_file(np.zeros(RATE * 600, np.float32), RATE, "FLAC")) + b"--x--\r\n"
    head = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    for sent in (len(body) // 2, len(body)):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:sent])
    assert asyncio.run(stream_text(server.stream_url, clips[2].audio)) == clips[2].text

    async def wait() -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(200):
                async with session.get(server.addresses["http"] + "/health") as health:
                    if not (await health.json())["streams"]:
                        return
                await asyncio.sleep(0.05)
        raise AssertionError("a stream is still open")

    asyncio.run(wait())


def test_uploads_and_streams_at_once_have_their_words(
    server: RunningServer, recognizer: Recognizer, clips: list[Clip]
) -> None:
    async def run() -> list[str]:
        async with openai.AsyncOpenAI(base_url=server.addresses["http"] + "/v1", api_key="x") as client:

            async def upload(path: Path) -> str:
                return (await client.audio.transcriptions.create(file=path, model="whisper-1")).text

            uploads = [upload(CLIPS[number % len(CLIPS)]) for number in range(10)]
            streams = [stream_text(server.stream_url, clips[number % len(clips)].audio) for number in range(10)]
            return list(await asyncio.gather(*uploads, *streams))

    wanted = [recognizer.transcribe(path).text for path in CLIPS]
    assert asyncio.run(run()) == [
        *(wanted[number % len(CLIPS)] for number in range(10)),
        *(clips[number % len(clips)].text for number in range(10)),
    ]
