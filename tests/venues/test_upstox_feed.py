"""Subscriptions of the market data feed: limits, plans, and requests that are ignored."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import websockets

from tests.venues.customer import Customer, call_52000
from tests.venues.upstox import UpstoxVenue, VenueSettings, frames

INDEX = "NSE_INDEX|Nifty Bank"
SMALL = {"ltpc": (3, 2), "option_greeks": (3, 2), "full": (2, 1), "full_d30": (1, 1)}


async def subscribe(socket: Any, mode: str, *keys: str, method: str = "sub") -> None:
    await socket.send(json.dumps({"guid": "g", "method": method, "data": {"mode": mode, "instrumentKeys": keys}}).encode())


async def snapshot(socket: Any) -> set[str]:
    return set(frames.proto().FeedResponse.FromString(await socket.recv()).feeds)


def contracts(venue: UpstoxVenue, count: int) -> list[str]:
    return [row.key for row in venue.core.listing.rows if row.instrument.right is not None][:count]


async def test_keys_beyond_the_limit_of_a_mode_are_left_out(http: httpx.AsyncClient) -> None:
    async with UpstoxVenue(VenueSettings(subscription_limits=SMALL)) as venue:
        await venue.advance(60)
        keys = contracts(venue, 5)
        async with websockets.connect(venue.urls.feed, additional_headers=Customer(venue, http).headers) as socket:
            await socket.recv()
            await subscribe(socket, "ltpc", *keys)
            assert await snapshot(socket) == set(keys[:3])
            # A second mode on the same socket lowers the limit of both: two keys of `ltpc` would be the most, one of `full`.
            await subscribe(socket, "full", keys[3], keys[4])
            assert await snapshot(socket) == {keys[3]}


async def test_what_cannot_be_read_or_is_not_listed_is_ignored(client: Customer) -> None:
    key = call_52000(client.venue)
    async with websockets.connect(client.venue.urls.feed, additional_headers=client.headers) as socket:
        await socket.recv()
        await socket.send(b"not json")
        await socket.send(json.dumps({"method": "sub", "data": {"mode": "ltpc", "instrumentKeys": [INDEX]}}))  # a text frame
        await subscribe(socket, "ltp", INDEX)
        await subscribe(socket, "ltpc", INDEX, method="subscribe")
        await subscribe(socket, "full", key, method="change_mode")
        await subscribe(socket, "ltpc", "NSE_FO|1", key)
        assert await snapshot(socket) == {key}
    assert INDEX not in client.venue.core.feed.subscriptions("U1")


async def test_deep_depth_belongs_to_another_plan(http: httpx.AsyncClient) -> None:
    async with UpstoxVenue(VenueSettings(plus_plan=False)) as venue:
        await venue.advance(60)
        async with websockets.connect(venue.urls.feed, additional_headers=Customer(venue, http).headers) as socket:
            await socket.recv()
            await subscribe(socket, "full_d30", INDEX)
            await subscribe(socket, "full", call_52000(venue))
            assert await snapshot(socket) == {call_52000(venue)}


async def test_one_customer_has_so_many_sockets_and_another_his_own(client: Customer) -> None:
    other = Customer(client.venue, client.http, "U2")
    url = client.venue.urls.feed
    async with (
        websockets.connect(url, additional_headers=client.headers),
        websockets.connect(url, additional_headers=client.headers),
        websockets.connect(url, additional_headers=other.headers),
    ):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(url, additional_headers=client.headers)
    assert refused.value.response.status_code == 403


async def test_only_the_customers_own_messages_are_on_his_stream(client: Customer) -> None:
    other = Customer(client.venue, client.http, "U2")
    async with websockets.connect(client.venue.urls.portfolio, additional_headers=client.headers) as stream:
        await other.placed()
        await client.placed()
        assert {json.loads(await stream.recv())["user_id"] for _ in range(5)} == {"U1"}


async def test_reads_are_limited_per_api(http: httpx.AsyncClient) -> None:
    async with UpstoxVenue(VenueSettings()) as venue:
        client = Customer(venue, http)
        profile = f"{venue.urls.rest}/v2/user/profile"
        statuses = [(await http.get(profile, headers=client.headers)).status_code for _ in range(51)]
        assert statuses == [200] * 50 + [429]
        assert await client.get("/v2/order/retrieve-all") == []
