"""The protocol of vosk-server, with the client library that its own test programs use."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets

from edgespeech.demo.server.vosk import ResultForm
from edgespeech.runtime.decoder.hypothesis import Word
from edgespeech.runtime.measure.word_errors import word_edit_distance
from edgespeech.runtime.transcript import Event
from tests.demo.server.clients import RATE, RunningServer, pieces, vosk_results, vosk_text
from tests.demo.server.conftest import Clip


def talk(url: str, *messages: str | bytes) -> list[dict[str, Any]]:
    """Send messages, and return all replies until the server closes, or none came for the last."""

    async def run() -> list[dict[str, Any]]:
        found = []
        async with websockets.connect(url) as socket:
            for message in messages:
                await socket.send(message)
            async for reply in socket:
                found.append(json.loads(reply))
        return found

    return asyncio.run(run())


EOF = '{"eof" : 1}'
CONFIG = json.dumps({"config": {"sample_rate": RATE}})


@pytest.mark.parametrize("rate", [16000, 16000.0, "16000"])
def test_words_equal_those_of_transcribe(server: RunningServer, clips: list[Clip], rate: object) -> None:
    for clip in clips[:3]:
        assert asyncio.run(vosk_text(server.vosk_url, clip.audio, sample_rate=rate)) == clip.text


def test_every_piece_has_one_reply(server: RunningServer, clips: list[Clip]) -> None:
    parts = pieces(clips[0].audio, 3201)  # half a sample is left over each time
    replies = talk(server.vosk_url, CONFIG, *parts, EOF)
    assert len(replies) == len(parts) + 1
    assert all(set(one) in ({"partial"}, {"result", "text"}) for one in replies)
    assert " ".join(one["text"] for one in replies if "text" in one) == clips[0].text
    assert any(one.get("partial") for one in replies)


def test_one_message_may_have_several_segments(server: RunningServer, clips: list[Clip]) -> None:
    replies = talk(server.vosk_url, CONFIG, clips[0].audio + bytes(2 * 2 * RATE), EOF)
    assert [one["text"] for one in replies] == [clips[0].text, ""]
    times = [(word["start"], word["end"]) for word in replies[0]["result"]]
    assert times == sorted(times) and all(set(one) == {"conf", "start", "end", "word"} for one in replies[0]["result"])


@pytest.mark.parametrize("eof", ['{"eof" : 1}', '{"eof":1}', ' { "eof": true } ', '{"eof": "x", "more": []}'])
def test_the_end_is_any_json_with_eof(server: RunningServer, eof: str) -> None:
    assert talk(server.vosk_url, eof) == [{"text": ""}]


def test_reset_makes_a_final_and_goes_on(server: RunningServer, clips: list[Clip]) -> None:
    audio, text = clips[2].audio, clips[2].text
    replies = talk(server.vosk_url, CONFIG, audio, '{"reset":1}', audio, EOF)
    assert [set(one) for one in replies] == [{"partial"}, {"result", "text"}, {"partial"}, {"result", "text"}]
    # The acoustic state goes on, so a word may differ.
    assert replies[1]["text"] == text and word_edit_distance(text, replies[3]["text"]) <= 1
    assert replies[1]["result"][-1]["end"] < replies[3]["result"][0]["start"]


def test_results_have_the_form_that_was_asked_for(server: RunningServer, clips: list[Clip]) -> None:
    audio = clips[2].audio
    (plain,) = asyncio.run(vosk_results(server.vosk_url, audio, words=0))
    assert plain == {"text": clips[2].text}
    (several,) = asyncio.run(vosk_results(server.vosk_url, audio, max_alternatives=3))
    texts = [one["text"] for one in several["alternatives"]]
    assert texts[0] == clips[2].text and len(set(texts)) == 3
    assert all([word["word"] for word in one["result"]] == one["text"].split() for one in several["alternatives"])
    (bare,) = asyncio.run(vosk_results(server.vosk_url, audio, max_alternatives=2, words=False))
    assert all(set(one) == {"confidence", "text"} for one in bare["alternatives"])


def test_characters_that_are_words_are_joined_and_unknown_speech_has_the_mark_of_the_client() -> None:
    words = tuple(Word(one, 0.0, 0.1, 0.9, joined=at > 0) for at, one in enumerate(["<unknown>", "打", "开"]))
    event = Event("final", "<unknown>打开", "<unknown>打开", "", 0.0, 0.1, words)
    with_mark, without = (json.loads(ResultForm(unknown=unknown).result([event])) for unknown in (True, False))
    assert with_mark["text"] == "[unk]打开" and [one["word"] for one in with_mark["result"]] == ["[unk]", "打", "开"]
    assert without["text"] == "打开" and [one["word"] for one in without["result"]] == ["打", "开"]
    assert ResultForm(unknown=True).partial("<unknown> on") == "[unk] on"
    assert ResultForm().partial("<unknown> on") == "on"


def test_a_phrase_list_is_a_closed_grammar_of_its_words(server: RunningServer, clips: list[Clip]) -> None:
    audio, phrases = clips[2].audio, ["Prepared to depart!", "night there declined"]
    words = {word.strip("!").lower() for phrase in phrases for word in phrase.split()}

    async def both() -> tuple[str, str]:
        marked = await vosk_text(server.vosk_url, audio, phrase_list=[*phrases, "[unk]"])
        return marked, await vosk_text(server.vosk_url, audio, phrase_list=phrases)

    marked, plain = asyncio.run(both())
    assert "[unk]" in marked.split() and set(marked.split()) <= {*words, "[unk]"}
    assert plain.split() == [word for word in marked.split() if word != "[unk]"] and set(plain.split()) & words


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ('{"config": {"sample_rate": "fast"}}', "sample_rate is 'fast'; wanted a number"),
        ('{"config": {"sample_rate": 1e300}}', "sample rate 1e+300 Hz"),
        ('{"config": {"phrase_list": "one"}}', "invalid config"),
        ('{"config": {"phrase_list": ["[unk]"]}}', "phrase_list has no phrase"),
        ('{"config": {"max_alternatives": "NaN"}}', "max_alternatives is 'NaN'"),
        (json.dumps({"config": {"phrase_list": ["one"] * 1001}}), "1001 phrases; wanted at most 1000"),
        ('{"config": []}', "not JSON with config, reset or eof"),
        ("hello", "not JSON with config, reset or eof"),
        ("[" * 100000, "not JSON with config, reset or eof"),
    ],
)
def test_an_invalid_message_is_answered_and_ends_the_connection(
    server: RunningServer, message: str, wanted: str
) -> None:
    async def run() -> tuple[dict[str, Any], websockets.ConnectionClosed]:
        async with websockets.connect(server.vosk_url) as socket:
            await socket.send(message)
            await socket.send(bytes(320))
            reply = json.loads(await socket.recv())
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            return reply, closed.value

    reply, closed = asyncio.run(run())
    assert wanted in reply["error"] and closed.rcvd is not None
    assert closed.rcvd.code == 1008 and closed.rcvd.reason == reply["error"][: len(closed.rcvd.reason)]


def test_a_model_of_the_client_is_not_opened(server: RunningServer, clips: list[Clip]) -> None:
    assert asyncio.run(vosk_text(server.vosk_url, clips[2].audio, model="/etc/passwd")) == clips[2].text
