"""Messages and replies of one client: order, idle clients, clients that do not read, the end of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from edgespeech.demo.server.conversation import ClientGoneError, Conversation
from edgespeech.errors import AudioError, EdgespeechError, UsageError
from edgespeech.runtime.transcript import Event


def event(text: str) -> Event:
    return Event("final", text)


def receive_from(*messages: str | BaseException | None) -> Callable[[], Awaitable[str | None]]:
    """Return these messages one by one, then nothing more."""
    waiting = list(messages)

    async def receive() -> str | None:
        await asyncio.sleep(0)
        if not waiting:
            await asyncio.Event().wait()
        message = waiting.pop(0)
        if isinstance(message, BaseException):
            raise message
        return message

    return receive


async def forever(events: list[Event]) -> None:
    await asyncio.Event().wait()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60.0))


def test_replies_come_in_the_order_of_the_messages() -> None:
    async def work() -> None:
        sent: list[str] = []

        async def send(events: list[Event]) -> None:
            sent.extend(one.text for one in events)

        async with Conversation(receive_from("slow", "fast", None), 30.0) as conversation:
            results = {name: asyncio.get_running_loop().create_future() for name in ("slow", "fast")}
            async for message in conversation.messages():
                await conversation.reply(send, results[message])
            results["fast"].set_result([event("fast")])
            await asyncio.sleep(0.01)
            assert sent == []
            results["slow"].set_result([event("slow")])
            await conversation.wait_for_replies()
        assert sent == ["slow", "fast"]

    run(work())


@pytest.mark.parametrize(
    ("failure", "wanted"), [(AudioError("bad audio"), AudioError), (ConnectionResetError(), ClientGoneError)]
)
def test_a_reply_that_fails_ends_the_messages(failure: Exception, wanted: type[EdgespeechError]) -> None:
    async def work() -> None:
        async def send(events: list[Event]) -> None:
            raise failure

        async with Conversation(receive_from("one"), 30.0) as conversation:
            with pytest.raises(wanted):
                async for _ in conversation.messages():
                    await conversation.reply(send)
            with pytest.raises(wanted):
                await conversation.wait_for_replies()
            with pytest.raises(wanted):
                await conversation.reply(send)

    run(work())


@pytest.mark.parametrize(
    ("failure", "wanted"), [(UsageError("no event"), UsageError), (ConnectionResetError(), ClientGoneError)]
)
def test_a_message_that_cannot_be_read_ends_the_messages(failure: Exception, wanted: type[EdgespeechError]) -> None:
    async def work() -> None:
        async with Conversation(receive_from("one", failure), 30.0) as conversation:
            with pytest.raises(wanted):
                async for message in conversation.messages():
                    assert message == "one"

    run(work())


def test_a_client_that_sends_nothing_is_idle() -> None:
    async def work() -> None:
        async with Conversation(receive_from("one"), 0.05) as conversation:
            with pytest.raises(UsageError, match="nothing arrived"):
                async for _ in conversation.messages():
                    pass

    run(work())


def test_a_client_that_waits_for_its_reply_is_not_idle() -> None:
    async def work() -> None:
        sent = asyncio.Event()

        async def send(events: list[Event]) -> None:
            sent.set()

        async def slow() -> list[Event]:
            await asyncio.sleep(0.3)
            return []

        async with Conversation(receive_from("one"), 0.05) as conversation:
            with pytest.raises(UsageError, match="nothing arrived"):
                async for _ in conversation.messages():
                    await conversation.reply(send, slow())
            assert sent.is_set()

    run(work())


def test_a_client_that_does_not_read_is_left() -> None:
    async def work() -> None:
        async with Conversation(receive_from("one", None), 0.05) as conversation:
            async for _ in conversation.messages():
                await conversation.reply(forever)
            with pytest.raises(ClientGoneError, match="does not read"):
                await conversation.wait_for_replies()

    run(work())


def test_a_client_that_does_not_read_is_not_read_from() -> None:
    async def work() -> None:
        taken = 0

        async def receive() -> str:
            nonlocal taken
            taken += 1
            return "more"

        async with Conversation(receive, 0.2) as conversation:
            with pytest.raises(ClientGoneError, match="does not read"):
                async for _ in conversation.messages():
                    await conversation.reply(forever)
            assert taken < 200

    run(work())


def test_the_end_of_the_server_ends_the_messages_after_those_that_arrived() -> None:
    async def work() -> None:
        async with Conversation(receive_from("one", "two"), 30.0) as conversation:
            await asyncio.sleep(0.01)
            conversation.stop()
            assert [message async for message in conversation.messages()] == ["one", "two"]
            assert conversation.is_stopped

    run(work())
