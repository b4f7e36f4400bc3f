"""Which commands a session sends for pieces of audio, and what their futures return."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from edgespeech.errors import EdgespeechError
from edgespeech.runtime.serving.dispatcher import Command, Reply
from edgespeech.runtime.serving.observer import Observer
from edgespeech.runtime.serving.session import Session
from edgespeech.runtime.serving.settings import StreamSettings
from edgespeech.runtime.transcript import Event

PIECE = bytes(3200)  # 0.1 s


def opened(sent: list[Command]) -> Session:
    """Return a session of which the worker wants 0.3 s of audio."""
    session = Session(1, StreamSettings(), sent.append, Observer(), lambda key: None)
    session.receive(Reply(1, 0, seconds_to_step=0.3))
    sent.clear()
    return session


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 10))


def test_audio_is_sent_when_it_completes_a_chunk() -> None:
    async def work() -> None:
        sent: list[Command] = []
        session = opened(sent)
        first, second, third = (session.accept(bytes([number]) * 3200) for number in (1, 2, 3))
        assert await first == [] and await second == [] and not third.done()
        (command,) = sent
        assert command.data == bytes([1]) * 3200 + bytes([2]) * 3200 + bytes([3]) * 3200
        event = Event("partial", "a", start=0.0, end=0.3)
        session.receive(Reply(1, command.number, (event,), seconds_to_step=0.3))
        assert await third == [event]

    run(work)


def test_a_resampler_that_holds_audio_back_is_given_more() -> None:
    async def work() -> None:
        sent: list[Command] = []
        session = opened(sent)
        session.accept(PIECE * 3)
        session.receive(Reply(1, sent[-1].number, seconds_to_step=0.02))
        session.accept(PIECE[:320])
        assert len(sent) == 1
        session.accept(PIECE[:320])
        assert len(sent) == 2 and len(sent[-1].data) == 640

    run(work)


def test_audio_that_comes_while_the_worker_is_busy_goes_out_at_once_after_its_reply() -> None:
    async def work() -> None:
        sent: list[Command] = []
        session = opened(sent)
        busy = [session.accept(PIECE) for _ in range(9)][2:]
        assert len(sent) == 1 and not any(future.done() for future in busy)
        assert session.oldest is not None
        session.receive(Reply(1, sent[0].number, seconds_to_step=0.3))
        assert await busy[0] == [] and len(sent) == 2 and sent[1].data == PIECE * 6
        event = Event("partial", "a", start=0.0, end=0.9)
        session.receive(Reply(1, sent[1].number, (event,), seconds_to_step=0.3))
        assert [await future for future in busy[1:]] == [[]] * 5 + [[event]]
        assert session.oldest is None

    run(work)


def test_a_second_of_audio_does_not_wait_for_the_reply() -> None:
    async def work() -> None:
        sent: list[Command] = []
        session = opened(sent)
        for _ in range(15):
            session.accept(PIECE)
        assert [len(command.data) for command in sent] == [9600, 35200]

    run(work)


@pytest.mark.parametrize("kind", ["finish", "end_segment"])
def test_audio_goes_before_another_command(kind: str) -> None:
    async def work() -> None:
        sent: list[Command] = []
        session = opened(sent)
        audio = session.accept(PIECE)
        assert await audio == [] and not sent
        end = getattr(session, kind)()
        assert [command.kind for command in sent] == ["audio", kind] and sent[0].data == PIECE
        session.receive(Reply(1, sent[0].number))
        event = Event("final", "a", start=0.0, end=0.1)
        session.receive(Reply(1, sent[1].number, (event,)))
        assert await end == [event]

    run(work)


def test_an_error_reaches_all_pieces_that_wait() -> None:
    async def work() -> None:
        sent: list[Command] = []
        session = opened(sent)
        waiting = [session.accept(PIECE) for _ in range(6)][2:]
        session.receive(Reply(1, sent[0].number, error=EdgespeechError("broken")))
        for future in (*waiting, session.accept(PIECE)):
            with pytest.raises(EdgespeechError, match="broken"):
                await future
        await session.room()

    run(work)
