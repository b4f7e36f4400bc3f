"""A websocket of a client as a conversation needs it: whole messages, one error in the form of the protocol, an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from aiohttp import WSCloseCode, WSMsgType, web

from edgespeech.demo.server.application import HUB
from edgespeech.demo.server.conversation import ClientGoneError, Conversation
from edgespeech.errors import BusyError, EdgespeechError, UsageError

_MAX_REASON_BYTES = 123  # of a close frame
_END_SECONDS = 5.0


Frame = str | bytes


class Socket:
    """A websocket, opened by `serve_socket`."""

    def __init__(self, request: web.Request, response: web.WebSocketResponse) -> None:
        self._request, self.response = request, response

    async def receive(self) -> Frame | None:
        """Wait for a message; None when the client has closed.

        Raises:
            ClientGoneError: The connection was lost, or broken by an invalid frame, which has been answered.
        """
        message = await self.response.receive()
        if message.type is WSMsgType.TEXT:
            text: str = message.data
            return text
        if message.type is WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if message.type is WSMsgType.ERROR:
            raise ClientGoneError(f"broken websocket: {message.data}")
        return None

    async def send(self, text: str) -> None:
        """Send a text message to the client."""
        await self.response.send_str(text)

    async def end(self, error: EdgespeechError | None = None, last: str = "", stopping: bool = False) -> None:
        """Send a last message and close with the code and the reason of the error; a client that does not read is cut.

        Args:
            error: Why the connection ends; None at its regular end.
            last: Text to send before; empty for none.
            stopping: Whether the server stops.
        """
        if isinstance(error, ClientGoneError):
            self._abort()
            return
        code: int = WSCloseCode.GOING_AWAY if stopping else WSCloseCode.OK
        if error is not None:
            code = _close_code(error)
        reason = str(error or ("the server stops" if stopping else "")).encode()[:_MAX_REASON_BYTES]
        try:
            await asyncio.wait_for(self._send_and_close(last, code, reason.decode(errors="ignore")), _END_SECONDS)
        except (OSError, asyncio.TimeoutError):
            self._abort()

    async def _send_and_close(self, last: str, code: int, reason: str) -> None:
        if last and not self.response.closed:
            await self.send(last)
        await self.response.close(code=code, message=reason.encode())

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


Talk = Callable[[Socket, Conversation[Frame]], Awaitable[None]]


async def serve_socket(
    request: web.Request, talk: Talk, describe: Callable[[EdgespeechError], str], protocols: Collection[str] = ()
) -> web.WebSocketResponse:
    """Accept the websocket of a request, talk with the client, and close.

    Args:
        request: The request of the client.
        talk: Takes the messages and replies to them; what it raises ends the connection.
        describe: Makes the last message to the client of the error that ends the connection.
        protocols: Subprotocols to choose from, if the client names some.

    Raises:
        UsageError: The request is not one for a websocket.
    """
    hub, socket = request.app[HUB], await _open(request, protocols)
    conversation = Conversation[Frame](socket.receive, hub.request.limits.idle_seconds)
    async with hub.hold(conversation, request.path):
        await talk(socket, conversation)
    failure = conversation.failure
    await socket.end(failure, describe(failure) if failure else "", conversation.is_stopped)
    return socket.response


async def _open(request: web.Request, protocols: Collection[str]) -> Socket:
    response = web.WebSocketResponse(
        max_msg_size=request.app[HUB].request.limits.message_bytes, compress=False, autoping=True, protocols=protocols
    )
    try:
        if not response.can_prepare(request).ok:
            raise UsageError(f"{request.path} is a websocket; connect with a websocket client")
        await response.prepare(request)
    except ValueError as error:  # aiohttp decodes headers that need not be text
        raise UsageError(f"{request.path} is a websocket; a header of the request is not valid: {error}") from None
    return Socket(request, response)


def _close_code(error: EdgespeechError) -> int:
    if isinstance(error, BusyError):
        return WSCloseCode.TRY_AGAIN_LATER
    return WSCloseCode.POLICY_VIOLATION if isinstance(error, UsageError) else WSCloseCode.INTERNAL_ERROR
