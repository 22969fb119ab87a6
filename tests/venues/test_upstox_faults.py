"""Every fault does to a client what it says, and the ledger tells what was really done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import websockets
from google.protobuf.message import DecodeError

from tests.venues.customer import LOT, Customer, call_52000, code, until
from tests.venues.upstox import UpstoxVenue, faults, frames
from tests.venues.upstox.ledger import Happened

BANKNIFTY = "NSE_INDEX|Nifty Bank"


def placed(venue: UpstoxVenue) -> int:
    return len(venue.ledger.entries(Happened.PLACED))


@pytest.mark.parametrize(
    ("fault", "done"), [(faults.DropBeforeCommit(operation="place"), 0), (faults.DropAfterCommit(operation="place"), 1)]
)
async def test_a_cut_connection_tells_nothing_about_the_order(client: Customer, fault: faults.CallFault, done: int) -> None:
    client.venue.faults.add(fault)

    with pytest.raises(httpx.RemoteProtocolError):
        await client.place()

    assert placed(client.venue) == done
    assert (await client.place()).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "done"),
    [
        (faults.Answer(operation="place", status=503), 503, 0),
        (faults.Answer(operation="place", status=504, taken=True), 504, 1),
        (faults.Answer(operation="place", status=400, code="UDAPI100036", taken=True), 400, 1),
        (faults.Answer(operation="place", status=200, body="<html>maintenance</html>", taken=True), 200, 1),
        (faults.TooManyRequests(operation="place", retry_after=2), 429, 0),
        (faults.Rewrite(operation="place", fields={"data.order_ids": []}), 200, 1),
    ],
)
async def test_a_scripted_answer_comes_whether_or_not_the_order_was_taken(
    client: Customer, fault: faults.CallFault, status: int, done: int
) -> None:
    client.venue.faults.add(fault)

    assert (await client.place()).status_code == status
    assert placed(client.venue) == done
    assert client.venue.faults.waiting == []


async def test_an_order_hangs_until_the_client_gives_up(client: Customer) -> None:
    client.venue.faults.add(faults.Hang(operation="place"))

    call = asyncio.create_task(client.place())
    await until(lambda: placed(client.venue) == 1)
    call.cancel()

    assert len(await client.get("/v2/order/retrieve-all")) == 1


async def test_a_delayed_answer_waits_for_the_venues_clock(client: Customer) -> None:
    client.venue.faults.add(faults.Delay(operation="place", seconds=30))
    call = asyncio.create_task(client.place())
    await until(lambda: placed(client.venue) == 1)

    await client.venue.advance(29)
    assert not call.done()
    await client.venue.advance(1)

    assert (await call).status_code == 200


async def test_only_the_nth_call_of_one_customer_is_struck(client: Customer) -> None:
    other = Customer(client.venue, client.http, "U2")
    client.venue.faults.add(faults.Answer(operation="place", status=500, user="U1", nth=2, times=2))

    assert [(await each.place()).status_code for each in (client, other, client, other, client, client)] == [200, 200, 500, 200, 500, 200]


async def test_a_late_acceptance_is_nowhere_to_be_seen_before_it_happens(client: Customer) -> None:
    client.venue.faults.add(faults.LateAcceptance(seconds=120), faults.DropAfterCommit(operation="place"))
    with pytest.raises(httpx.RemoteProtocolError):
        await client.place(tag="late")

    await client.venue.advance(119)
    assert await client.get("/v2/order/history", tag="late") == []
    assert await client.get("/v2/order/retrieve-all") == []
    await client.venue.advance(1)

    assert [row["status"] for row in await client.get("/v2/order/retrieve-all")] == ["complete"]
    assert client.venue.ledger.net("U1") == {call_52000(client.venue): LOT}


async def test_an_order_is_rejected_after_it_was_accepted(client: Customer) -> None:
    client.venue.faults.add(faults.RejectLater(reason="RMS:Blocked", seconds=5))
    order_id = await client.placed()
    assert await client.status(order_id) == "put order req received"

    await client.venue.advance(5)

    (row,) = await client.get("/v2/order/retrieve-all")
    assert (row["status"], row["status_message"]) == ("rejected", "RMS:Blocked")


async def test_an_order_is_filled_in_scripted_parts_and_the_rest_can_be_cancelled(client: Customer) -> None:
    client.venue.faults.add(faults.PartialFills(quantities=(LOT, 2 * LOT), every=10))
    order_id = await client.placed(quantity=5 * LOT)

    async def state() -> tuple[str, int]:
        row = await client.get("/v2/order/details", order_id=order_id)
        return row["status"], row["filled_quantity"]

    assert await state() == ("open", LOT)
    await client.venue.advance(10)
    assert await state() == ("open", 3 * LOT)
    await client.cancel(order_id)
    await client.venue.advance(60)
    assert await state() == ("cancelled", 3 * LOT)
    assert client.venue.ledger.net("U1") == {call_52000(client.venue): 3 * LOT}


async def test_an_order_that_never_fills_stays_open(client: Customer) -> None:
    client.venue.faults.add(faults.PartialFills())
    order_id = await client.placed()
    await client.venue.advance(600)
    assert await client.status(order_id) == "open"


async def test_a_lagging_book_shows_the_past(client: Customer) -> None:
    client.venue.faults.add(faults.LaggingBook(seconds=30, minutes=5))
    await client.placed(tag="t")

    assert await client.get("/v2/order/retrieve-all") == []
    assert await client.get("/v2/order/trades/get-trades-for-day") == []
    await client.venue.advance(31)
    assert [row["status"] for row in await client.get("/v2/order/retrieve-all")] == ["complete"]


async def test_expired_tokens_are_refused_until_the_next_login(client: Customer) -> None:
    headers = client.headers
    client.venue.faults.add(faults.ExpireTokens(user="U1"))

    profile = f"{client.venue.urls.rest}/v2/user/profile"
    assert code(await client.http.get(profile, headers=headers)) == (401, "UDAPI100050")
    await client.http.post(f"{client.venue.urls.control}/login", json={"user_id": "U1"})
    assert (await client.http.get(profile, headers=client.headers)).status_code == 200
    assert (await client.http.get(profile, headers=headers)).status_code == 401


async def test_another_registered_address_refuses_orders_but_not_reads(client: Customer) -> None:
    client.venue.faults.add(faults.RefuseAddress())

    assert code(await client.place()) == (403, "UDAPI1154")
    assert await client.get("/v2/order/retrieve-all") == []


async def test_a_fault_waits_for_its_time(client: Customer) -> None:
    trade = {"instrument_token": call_52000(client.venue), "quantity": LOT, "transaction_type": "SELL"}
    (fault,) = faults.parse(f'- {{fault: manual_order, user: U2, at: "2026-11-20T09:30:00", order: {json.dumps(trade)}}}')
    client.venue.faults.add(fault)

    await client.venue.advance(599)
    assert client.venue.ledger.entries() == []
    await client.venue.advance(1)

    assert {(entry.user_id, entry.source) for entry in client.venue.ledger.entries()} == {("U2", "app")}
    assert client.venue.ledger.net("U2") == {call_52000(client.venue): -LOT}


async def test_open_orders_are_cancelled_in_the_brokers_own_app(client: Customer) -> None:
    order_id = await client.placed(order_type="LIMIT", price=1, tag="mine")
    client.venue.faults.add(faults.ManualCancel(user="U1", tag_of_order="other"))
    assert await client.status(order_id) == "open"

    client.venue.faults.add(faults.ManualCancel(user="U1"))

    assert await client.status(order_id) == "cancelled"


async def test_faults_arrive_over_http_and_bad_ones_are_named(client: Customer) -> None:
    control = f"{client.venue.urls.control}/faults"

    assert (await client.http.post(control, content="- {fault: answer, operation: place, status: 500}")).json()[0]["status"] == 500
    refused = await client.http.post(control, content="- {fault: answer, stats: 500}")
    assert refused.status_code == 400
    assert "stats" in refused.json()["error"]


Feed = Any  # a websockets client connection


@pytest.fixture
async def feed(client: Customer) -> AsyncIterator[Feed]:
    """A market data socket that has had its status and its first snapshot of the index."""
    async with websockets.connect(client.venue.urls.feed, additional_headers=client.headers) as socket:
        await socket.recv()
        await socket.send(json.dumps({"guid": "g", "method": "sub", "data": {"mode": "full", "instrumentKeys": [BANKNIFTY]}}).encode())
        await socket.recv()
        yield socket


def read(frame: Any) -> Any:
    return frames.proto().FeedResponse.FromString(frame)


async def test_a_silent_feed_keeps_its_socket_and_comes_back(client: Customer, feed: Feed) -> None:
    client.venue.faults.add(faults.FeedSilence(seconds=60))
    begun = client.venue.clock.now

    await client.venue.advance(61)

    first = read(await feed.recv())
    assert first.currentTs >= (begun.timestamp() + 60) * 1000


@pytest.mark.parametrize("close", [1000, 1011])
async def test_the_feed_is_closed_with_a_code(client: Customer, feed: Feed, close: int) -> None:
    client.venue.faults.add(faults.FeedClose(code=close))
    with pytest.raises(websockets.ConnectionClosed) as ended:
        await feed.recv()
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == close


async def test_the_feed_is_cut_without_a_word(client: Customer, feed: Feed) -> None:
    client.venue.faults.add(faults.FeedClose(code=1006))
    with pytest.raises(websockets.ConnectionClosedError) as ended:
        await feed.recv()
    assert ended.value.rcvd is None


async def test_a_malformed_frame_is_followed_by_good_ones(client: Customer, feed: Feed) -> None:
    client.venue.faults.add(faults.MalformedFrame())
    await client.venue.advance(1)

    with pytest.raises(DecodeError):
        read(await feed.recv())
    assert list(read(await feed.recv()).feeds) == [BANKNIFTY]


async def test_frames_come_twice_out_of_order_or_sparse(client: Customer, feed: Feed) -> None:
    client.venue.faults.add(faults.FeedTicks(how="duplicate"), faults.FeedTicks(how="reorder"), faults.FeedTicks(how="sparse"))
    await client.venue.advance(2)

    times = [(frame := read(await feed.recv())).currentTs for _ in range(3)]
    sparse, late = frame, read(await feed.recv())

    # Two frames a second: the first twice, then the third without its details, then the second.
    assert [time - times[0] for time in [*times, late.currentTs]] == [0, 0, 1000, 500]
    index = sparse.feeds[BANKNIFTY].fullFeed.indexFF
    assert (index.ltpc.ltp > 0, index.ltpc.ltt, index.ltpc.cp, len(index.marketOHLC.ohlc)) == (True, 0, 0, 0)


async def test_a_handshake_is_refused_as_often_as_asked(client: Customer) -> None:
    client.venue.faults.add(faults.FeedRefusal(status=503))
    with pytest.raises(websockets.InvalidStatus) as failure:
        await websockets.connect(client.venue.urls.feed, additional_headers=client.headers)
    assert failure.value.response.status_code == 503
    async with websockets.connect(client.venue.urls.feed, additional_headers=client.headers):
        pass


async def test_a_portfolio_message_has_a_status_nobody_knows(client: Customer) -> None:
    async with websockets.connect(client.venue.urls.portfolio, additional_headers=client.headers) as stream:
        client.venue.faults.add(faults.StreamUpdates(how="rewrite", fields={"status": "half done"}))
        await client.placed()
        assert [json.loads(await stream.recv())["status"] for _ in range(2)] == ["half done", "validation pending"]


@pytest.mark.parametrize(
    ("how", "statuses"),
    [
        ("duplicate", ["put order req received", "put order req received", "validation pending"]),
        ("reorder", ["validation pending", "put order req received", "open pending"]),
        ("drop", ["validation pending", "open pending", "open"]),
    ],
)
async def test_portfolio_messages_come_twice_out_of_order_or_never(client: Customer, how: str, statuses: list[str]) -> None:
    async with websockets.connect(client.venue.urls.portfolio, additional_headers=client.headers) as stream:
        client.venue.faults.add(faults.StreamUpdates(how=how, user="U1"))
        await client.placed()
        assert [json.loads(await stream.recv())["status"] for _ in range(3)] == statuses
