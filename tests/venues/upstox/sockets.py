"""Server side of one websocket: a bounded queue of frames and the task that writes them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress

from aiohttp import WSCloseCode, WSMsgType, web

from tests.venues.upstox.errors import refusal

FRAMES_MAX = 4096
_ABNORMAL = 1006
_LAST_WORDS_SECONDS = 1.0


class Connection:
    """One client. `send` never waits: a client that lets `FRAMES_MAX` frames pile up is cut off, as a real server would."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.socket = web.WebSocketResponse(heartbeat=None, autoping=True)
        self.frames: asyncio.Queue[bytes | str] = asyncio.Queue(FRAMES_MAX)
        self.closed_with: int | None = None
        self._end = asyncio.Event()
        self._transport: asyncio.BaseTransport | None = None

    def send(self, frame: bytes | str) -> None:
        if self.closed_with is None:
            try:
                self.frames.put_nowait(frame)
            except asyncio.QueueFull:
                self.close(WSCloseCode.TRY_AGAIN_LATER)

    def close(self, code: int) -> None:
        """End the connection after what was sent before; 1006 cuts it without a closing handshake."""
        if self.closed_with is None:
            self.closed_with = code
            self._end.set()

    async def prepare(self, request: web.Request) -> None:
        """Shake hands."""
        await self.socket.prepare(request)
        self._transport = request.transport

    async def serve(self, on_message: Callable[[bytes | str], None]) -> web.WebSocketResponse:
        """Until either side ends it; `on_message` gets every frame of the client."""
        tasks = [asyncio.create_task(each) for each in (self._read(on_message), self._end.wait(), self._write())]
        try:
            await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
            await self._finish()
        finally:
            self.closed_with = self.closed_with or WSCloseCode.OK
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self.socket

    async def drained(self) -> None:
        """Until everything sent so far has been handed to the network."""
        if self.closed_with is None:
            await self.frames.join()

    async def _write(self) -> None:
        while True:
            frame = await self.frames.get()
            with suppress(ConnectionError):  # the client has gone: the reader notices
                if isinstance(frame, bytes):
                    await self.socket.send_bytes(frame)
                else:
                    await self.socket.send_str(frame)
            self.frames.task_done()

    async def _read(self, on_message: Callable[[bytes | str], None]) -> None:
        async for message in self.socket:
            if message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
                on_message(message.data)

    async def _finish(self) -> None:
        if self.closed_with == _ABNORMAL:
            if isinstance(self._transport, asyncio.Transport):
                self._transport.abort()
        elif self.closed_with is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.frames.join(), _LAST_WORDS_SECONDS)
            await self.socket.close(code=self.closed_with)


class OneTimeCodes:
    """Authorised websocket addresses: each code opens one socket, once."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, str]] = {}
        self.issued = 0

    def issue(self, path: str, what: str) -> str:
        code = secrets.token_urlsafe(16)
        self._open[code] = (path, what)
        self.issued += 1
        return code

    def redeem(self, path: str, code: str | None) -> str:
        """What the code stands for. Raises ApiError 401 [U] if it was never issued for this path, or has been used."""
        expected, what = self._open.pop(code or "", ("", ""))
        if expected != path:
            raise refusal("UDAPI100050", "The address has been used or was never issued")
        return what
