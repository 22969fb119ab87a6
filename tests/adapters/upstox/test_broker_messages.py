"""What the client tells of each request that changes something: all of it, but for whose it is and by which right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from adapters.upstox import AccessToken, UpstoxClient
from runtime.accounts import BrokerMessage
from runtime.errors import BrokerError

TOKEN, CUSTOMER = "canary-token-3f9d41", "7QCANARY"
BODY = {"tag": "ORDER", "instrument_token": "NSE_FO|1", "quantity": 30}


@asynccontextmanager
async def broker(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """A server whose every route answers so; its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def exchanged(url: str, *, seconds: float = 5.0) -> BrokerMessage:
    """What was told of one place request."""
    told: list[BrokerMessage] = []
    token = AccessToken(TOKEN)
    token.customer = CUSTOMER
    client = UpstoxClient(token, answer_seconds=seconds, on_message=told.append)
    try:
        await client.change("POST", f"{url}/v3/order/place", json=BODY, order_id="ORDER")
    except BrokerError:
        pass
    finally:
        await client.close()
    (message,) = told
    assert TOKEN not in repr(message)
    assert CUSTOMER not in repr(message)
    return message


async def test_an_answer_is_told_with_its_request_status_and_time() -> None:
    async def takes(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        return web.json_response({"status": "success", "data": {"order_ids": ["b1"]}})

    async with broker(takes) as url:
        message = await exchanged(url)

    assert (message.operation, message.order_id, message.request) == ("POST 3/order/place", "ORDER", BODY)
    assert (message.http_status, message.failure) == (200, None)
    assert msgspec.json.decode(message.answer or b"") == {"status": "success", "data": {"order_ids": ["b1"]}}
    assert message.duration_ms > 0


@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
async def test_a_refusal_that_repeats_token_and_customer_is_told_without_them(content_type: str) -> None:
    text = f'{{"errors": [{{"errorCode": "X", "message": "{CUSTOMER} with {TOKEN}"}}]}}'

    async def refuses(_: web.Request) -> web.Response:
        return web.Response(status=400, text=text, content_type=content_type)

    async with broker(refuses) as url:
        message = await exchanged(url)

    assert message.http_status == 400
    assert message.answer == text.replace(TOKEN, "***").replace(CUSTOMER, "***").encode()


async def test_a_request_that_is_never_answered_is_told_as_sent() -> None:
    async def waits(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with broker(waits) as url:
        message = await exchanged(url, seconds=0.2)

    assert (message.http_status, message.answer, message.failure) == (None, None, "POST 3/order/place: ReadTimeout after it was sent")
    assert message.duration_ms >= 200


async def test_a_request_that_found_nobody_is_told_as_not_sent() -> None:
    async def never(_: web.Request) -> web.Response:
        raise AssertionError

    async with broker(never) as url:
        pass
    message = await exchanged(url)
    assert (message.http_status, message.failure) == (None, "POST 3/order/place: not sent, ConnectError")
