"""What the HTTP client promises beyond the contract suites: the way through a proxy, and answers that lead elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.upstox import AccessToken, Egress, Endpoints, UpstoxClient
from runtime.errors import BrokerUnavailable, OutcomeUnknown

TOKEN = "canary-5b1e"


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers everything with `answer`: its address, and the first line of what came."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0])
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", came


@pytest.mark.parametrize("status", [b"403 Forbidden", b"407 Proxy Authentication Required", b"502 Bad Gateway"])
async def test_a_proxy_that_opens_no_tunnel_has_let_nothing_through(status: bytes) -> None:
    async with answering(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n") as (address, came):
        client = UpstoxClient(AccessToken(TOKEN), egress=Egress(proxy=f"http://{address}"))
        with pytest.raises(BrokerUnavailable, match="not sent, ProxyError") as error:
            await client.change("POST", f"{client.endpoints.orders}/v3/order/place", json={"quantity": 30})
        await client.close()
    assert came == [b"CONNECT api-hft.upstox.com:443 HTTP/1.1"]
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize("status", [b"301 Moved Permanently", b"302 Found", b"307 Temporary Redirect", b"308 Permanent Redirect"])
async def test_an_order_that_is_sent_elsewhere_does_not_go_there_and_its_outcome_is_unknown(status: bytes) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (elsewhere, arrived):
        location = f"Location: http://{elsewhere}/v3/order/place\r\n".encode()
        async with answering(b"HTTP/1.1 " + status + b"\r\n" + location + b"Content-Length: 0\r\n\r\n") as (address, came):
            client = UpstoxClient(AccessToken(TOKEN), Endpoints(orders=f"http://{address}"))
            with pytest.raises(OutcomeUnknown):
                await client.change("POST", f"{client.endpoints.orders}/v3/order/place", json={"quantity": 30})
            await client.close()
    assert (came, arrived) == ([b"POST /v3/order/place HTTP/1.1"], [])


async def test_the_environments_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account leaves by its own way or not at all."""
    async with answering(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n") as (proxy, came):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{proxy}")
            monkeypatch.setenv(name.lower(), f"http://{proxy}")
        client = UpstoxClient(AccessToken(TOKEN), Endpoints(orders="http://127.0.0.1:9"))
        with pytest.raises(BrokerUnavailable, match="ConnectError"):
            await client.change("POST", f"{client.endpoints.orders}/v3/order/place", json={})
        await client.close()
    assert came == []
