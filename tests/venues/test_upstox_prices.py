"""The venue's prices are those of the simulated market, frame by frame and candle by candle."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
import websockets
from google.protobuf import json_format

from adapters.simulated import FreePacer, SimulatedFeed, SimulatedMarket
from runtime.market import Tick, Timeframe
from tests.venues.customer import Customer
from tests.venues.process import venue_process
from tests.venues.upstox import UpstoxVenue, VenueSettings, faults, frames, simple

INDEX, FUTURE, CALL = "NSE:BANKNIFTY", "NSE:BANKNIFTY26NOVFUT", "NSE:BANKNIFTY26NOV52000CE"


def oracle(settings: VenueSettings) -> SimulatedFeed:
    return SimulatedFeed(SimulatedMarket(settings.simulations[0]), FreePacer())


async def test_live_frames_carry_the_simulated_markets_ticks(http: httpx.AsyncClient) -> None:
    settings = simple(11)
    feed = oracle(settings)
    end = feed.now() + timedelta(seconds=60)
    await feed.subscribe([INDEX, FUTURE, CALL])
    expected = set()
    async for batch in feed.stream():
        expected |= {(tick.instrument, tick.ts.timestamp() * 1000, tick.price) for tick in batch if isinstance(tick, Tick)}
        if feed.now() == end:
            break

    seen = set()
    async with UpstoxVenue(settings) as venue:
        names = {venue.core.listing.of(each).key: each for each in (INDEX, FUTURE, CALL)}
        async with websockets.connect(venue.urls.feed, additional_headers=Customer(venue, http).headers, max_queue=None) as socket:
            await socket.recv()
            await socket.send(json.dumps({"method": "sub", "data": {"mode": "ltpc", "instrumentKeys": list(names)}}).encode())
            await socket.recv()
            await venue.advance(60)
            for _ in range(120):
                frame = frames.proto().FeedResponse.FromString(await socket.recv())
                seen |= {(names[key], message.ltpc.ltt, message.ltpc.ltp) for key, message in frame.feeds.items()}
    assert len(expected) == 120 + 60 + 60
    assert seen == expected


@pytest.mark.parametrize("instrument", [INDEX, FUTURE, CALL])
async def test_candles_are_the_simulated_markets(client: Customer, instrument: str) -> None:
    key = client.venue.core.listing.of(instrument).key.replace("|", "%7C")
    rows = (await client.get(f"/v3/historical-candle/{key}/minutes/5/2026-11-19/2026-11-18"))["candles"]

    market = client.venue.core.market.markets[0]
    feed = SimulatedFeed(market, FreePacer(), client.venue.clock.now)
    start = datetime.fromisoformat("2026-11-18T00:00:00+05:30")
    expected = await feed.history(instrument, Timeframe.M5, start, start + timedelta(days=2))
    assert [(datetime.fromisoformat(row[0]), *row[1:6]) for row in reversed(rows)] == [
        (candle.opened_at, candle.open, candle.high, candle.low, candle.close, candle.volume or 0) for candle in expected
    ]


async def test_the_open_minute_is_shown_last_and_only_if_asked_for(http: httpx.AsyncClient) -> None:
    for shown, expected in ((True, ["09:16", "09:15"]), (False, ["09:15"])):
        settings = VenueSettings(intraday_shows_forming=shown)
        async with UpstoxVenue(settings) as venue:
            await venue.advance(90)
            rows = (await Customer(venue, http).get("/v3/historical-candle/intraday/NSE_INDEX%7CNifty%20Bank/minutes/1"))["candles"]
            assert [row[0][11:16] for row in rows] == expected


async def test_the_feed_tells_when_the_segments_close_and_open(client: Customer) -> None:
    venue = client.venue
    await venue.advance_to(venue.clock.local.replace(hour=15, minute=29, second=59))
    async with websockets.connect(venue.urls.feed, additional_headers=client.headers) as socket:
        told = [json_format.MessageToDict(frames.proto().FeedResponse.FromString(await socket.recv()))]
        for moment in (venue.clock.local.replace(hour=15, minute=31), venue.clock.local.replace(day=23, hour=9, minute=16)):
            await venue.advance_to(moment)
            told.append(json_format.MessageToDict(frames.proto().FeedResponse.FromString(await socket.recv())))
    assert [frame["marketInfo"]["segmentStatus"]["NSE_FO"] for frame in told] == ["NORMAL_OPEN", "NORMAL_CLOSE", "NORMAL_OPEN"]


async def test_a_faulty_script_ends_the_program_with_a_sentence(tmp_path: Path) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text("- {fault: earthquake}\n", encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.venues.upstox", "--script", str(script), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert "earthquake" in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_it_runs_as_a_program_at_its_own_speed(tmp_path: Path, http: httpx.AsyncClient) -> None:
    script = "- {fault: answer, operation: profile, status: 503}"
    async with venue_process(tmp_path, "--seed", "3", "--speed", "600", script=script) as urls:
        (first, *_) = accounts = (await http.get(f"{urls['control']}/accounts")).json()
        headers = {"Authorization": f"Bearer {first['access_token']}"}
        assert len(accounts) == 10
        assert (await http.get(f"{urls['rest']}/v2/user/profile", headers=headers)).status_code == 503
        assert (await http.get(f"{urls['rest']}/v2/user/profile", headers=headers)).json()["data"]["user_id"] == "U1"
        async with websockets.connect(urls["feed"], additional_headers=headers, max_queue=None) as socket:
            await socket.recv()
            await socket.send(json.dumps({"method": "sub", "data": {"mode": "full", "instrumentKeys": ["NSE_INDEX|Nifty Bank"]}}).encode())
            times = [frames.proto().FeedResponse.FromString(await socket.recv()).currentTs for _ in range(50)]
        assert times == sorted(times)
        assert times[-1] - times[1] >= 24_000


SCRIPT = """
- {fault: drop_before_commit, operation: place, nth: 2}
- {fault: drop_after_commit, operation: place, user: U1}
- {fault: delay, operation: place, seconds: 2}
- {fault: hang, operation: place, taken: false}
- {fault: answer, operation: place, status: 400, code: UDAPI100036, taken: true}
- {fault: too_many_requests, operation: place, retry_after: 3}
- {fault: rewrite, operation: order_book, fields: {"data.*.status": half done}}
- {fault: wrong_date, seconds: 60}
- {fault: late_acceptance, seconds: 90}
- {fault: reject_later}
- {fault: partial_fills, quantities: [30, 30]}
- {fault: lagging_book, seconds: 60, at: "2026-11-20T10:15:00"}
- {fault: expire_tokens, user: U3}
- {fault: refuse_address, user: U4}
- {fault: feed_silence, seconds: 60, at: "2026-11-20T10:15:00"}
- {fault: feed_close, code: 1000, stream: portfolio}
- {fault: feed_refusal, status: 503, stream: portfolio}
- {fault: malformed_frame}
- {fault: feed_ticks, how: sparse}
- {fault: stream_updates, how: drop}
- {fault: spike, instrument_token: NSE_FO|1, price: 500, at: "2026-11-20T10:15:00"}
- {fault: manual_order, user: U1, at: "2026-11-20T11:00:00", order: {instrument_token: NSE_FO|1, quantity: 30, transaction_type: BUY}}
- {fault: manual_cancel, at: "2026-11-20T11:00:00"}
"""


async def test_every_fault_can_be_written_in_the_programs_script(tmp_path: Path, http: httpx.AsyncClient) -> None:
    """Those of calls wait for theirs; those that were to happen at once have happened."""
    written = faults.parse(SCRIPT)
    assert {type(fault) for fault in written} == {*faults.CallFault.__subclasses__(), *faults.Fault.__subclasses__()} - {faults.CallFault}
    async with venue_process(tmp_path, script=SCRIPT) as urls:
        assert set(urls) == {"rest", "orders", "feed", "portfolio", "instruments", "control"}
        waiting = (await http.get(f"{urls['control']}/faults")).json()
        assert [fault["fault"] for fault in waiting] == [
            fault.__struct_config__.tag for fault in written if isinstance(fault, faults.CallFault)
        ]
        tokens = {row["user_id"]: row["access_token"] for row in (await http.get(f"{urls['control']}/accounts")).json()}
        assert (bool(tokens["U3"]), bool(tokens["U2"])) == (False, True)
