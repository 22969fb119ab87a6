"""A network that can be cut: a TCP proxy before a server, which the test holds, opens again or cuts."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit

CHUNK = 65_536


class Proxy:
    """`async with Proxy(url) as proxy`: `proxy.url` leads to the same server. In this loop.

    `hold`: nothing gets through in either direction, and nobody is told, as when cables are pulled. `open`: what was held
    arrives. `cut`: connections are reset, and new ones too.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = url

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        login, _, _ = self._parts.netloc.rpartition("@")
        self.url = urlunsplit(self._parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self) -> None:
        self._flows.clear()

    def open(self) -> None:
        self._refuses = False
        self._flows.set()

    def cut(self) -> None:
        self._refuses = True
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if not self._refuses:
                await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # cut by the test, or left by an end
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        pumps = [asyncio.create_task(self._pump(reader, inner_writer)), asyncio.create_task(self._pump(inner_reader, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await asyncio.gather(*pumps)
            inner_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._flows.wait()
            writer.write(data)
            await writer.drain()
