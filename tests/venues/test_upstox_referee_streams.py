"""The official SDK's streamers, and its protobuf module, as referees of the venue's sockets."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
import websockets
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as sdk_proto

from runtime.market import IST
from tests.venues.customer import call_52000, until
from tests.venues.official_sdk import Sdk, market_data, place, portfolio
from tests.venues.upstox import faults, frames

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the SDK's sockets, see `Listener`

BANKNIFTY = "NSE_INDEX|Nifty Bank"


async def test_the_feed_sends_status_then_a_snapshot_without_type_then_live_frames(sdk: Sdk) -> None:
    key = call_52000(sdk.venue)
    async with market_data(sdk, [key, BANKNIFTY], "full") as feed:
        status = await feed.next()
        assert (status["type"], status["marketInfo"]["segmentStatus"]["NSE_FO"]) == ("market_info", "NORMAL_OPEN")
        snapshot = await feed.next()
        assert "type" not in snapshot
        assert set(snapshot["feeds"]) == {key, BANKNIFTY}
        await sdk.venue.advance(1)
        live = await feed.next()
        assert live["type"] == "live_feed"
        contract = live["feeds"].get(key) or (await feed.next())["feeds"][key]

    full = contract["fullFeed"]["marketFF"]
    assert len(full["marketLevel"]["bidAskQuote"]) == 5
    assert [bar["interval"] for bar in full["marketOHLC"]["ohlc"]] == ["1d", "I1"]
    day, minute = full["marketOHLC"]["ohlc"]
    assert full["ltpc"]["ltp"] == day["close"]
    assert datetime.fromtimestamp(int(minute["ts"]) / 1000, IST).strftime("%H:%M") == "09:19"
    assert isinstance(full["vtt"], str)
    assert set(snapshot["feeds"][BANKNIFTY]["fullFeed"]) == {"indexFF"}


@pytest.mark.parametrize(
    ("mode", "kind", "request_mode"),
    [("ltpc", "ltpc", None), ("option_greeks", "firstLevelWithGreeks", "option_greeks"), ("full_d30", "fullFeed", "full_d30")],
)
async def test_every_mode_has_its_own_form(sdk: Sdk, mode: str, kind: str, request_mode: str | None) -> None:
    async with market_data(sdk, [call_52000(sdk.venue)], mode) as feed:
        await feed.next()
        (message,) = (await feed.next())["feeds"].values()

    assert kind in message
    assert message.get("requestMode") == request_mode
    if mode == "full_d30":
        assert len(message["fullFeed"]["marketFF"]["marketLevel"]["bidAskQuote"]) == 30


async def test_the_sdk_reconnects_after_an_abnormal_close_and_stays_away_after_1000(sdk: Sdk) -> None:
    async with market_data(sdk, [BANKNIFTY], "ltpc") as feed:
        await feed.next()
        await feed.next()
        sdk.venue.faults.add(faults.FeedClose(code=1011))
        await feed.next("open")
        assert (await feed.next())["type"] == "market_info"
        assert set((await feed.next())["feeds"]) == {BANKNIFTY}

        sdk.venue.faults.add(faults.FeedClose(code=1000))
        assert await feed.next("close") == 1000


async def test_a_subscription_can_be_changed_and_ended(sdk: Sdk) -> None:
    key = call_52000(sdk.venue)
    async with market_data(sdk, [key], "ltpc") as feed:
        await feed.next()
        await feed.next()
        feed.streamer.change_mode([key], "full")
        assert "fullFeed" in (await feed.next())["feeds"][key]
        feed.streamer.subscribe([BANKNIFTY], "ltpc")
        assert set((await feed.next())["feeds"]) == {BANKNIFTY}
        feed.streamer.unsubscribe([key])
        await until(lambda: sdk.venue.core.feed.subscriptions("U1") == {BANKNIFTY: "ltpc"})
        await sdk.venue.advance(1)
        assert set((await feed.next())["feeds"]) == {BANKNIFTY}


async def test_a_bad_token_ends_the_feed_with_401(sdk: Sdk) -> None:
    sdk.client.configuration.access_token = "stale"
    feed = market_data(sdk, [BANKNIFTY], "ltpc")
    feed.streamer.connect()
    assert "401" in str(await feed.next("error"))
    await feed.next("close")
    await feed.ended()


async def test_the_portfolio_stream_tells_orders_and_positions(sdk: Sdk) -> None:
    async with portfolio(sdk, position_update=True) as stream:
        (order_id,) = await place(sdk)
        updates = [json.loads(await stream.next()) for _ in range(6)]

    assert [update.get("status") for update in updates] == [
        "put order req received",
        "validation pending",
        "open pending",
        "open",
        "complete",
        None,
    ]
    assert {update["order_id"] for update in updates[:5]} == {order_id}
    assert (updates[5]["update_type"], updates[5]["quantity"]) == ("position", 30)


async def test_the_websocket_address_of_the_authorise_calls_opens_once(sdk: Sdk) -> None:
    for method, arguments in (("get_market_data_feed_authorize_v3", ()), ("get_portfolio_stream_feed_authorize", ("2.0",))):
        address = (await sdk.call("WebsocketApi", method, *arguments)).data.authorized_redirect_uri
        async with websockets.connect(address):
            pass
        with pytest.raises(websockets.InvalidStatus) as failure:
            await websockets.connect(address)
        assert failure.value.response.status_code == 401


FIELDS = {
    "FeedResponse": "type=1 feeds=2 currentTs=3 marketInfo=4",
    "Feed": "ltpc=1 fullFeed=2 firstLevelWithGreeks=3 requestMode=4",
    "FullFeed": "marketFF=1 indexFF=2",
    "LTPC": "ltp=1 ltt=2 ltq=3 cp=4 iep=5",
    "MarketFullFeed": "ltpc=1 marketLevel=2 optionGreeks=3 marketOHLC=4 atp=5 vtt=6 oi=7 iv=8 tbq=9 tsq=10 iep=11 rp=12 ieq=13 "
    "iiqTotal=14 iiqM=15 casEligible=16",
    "IndexFullFeed": "ltpc=1 marketOHLC=2",
    "MarketLevel": "bidAskQuote=1",
    "Quote": "bidQ=1 bidP=2 askQ=3 askP=4",
    "MarketOHLC": "ohlc=1",
    "OHLC": "interval=1 open=2 high=3 low=4 close=5 vol=6 ts=7",
    "OptionGreeks": "delta=1 theta=2 gamma=3 vega=4 rho=5",
    "FirstLevelWithGreeks": "ltpc=1 firstDepth=2 optionGreeks=3 vtt=4 oi=5 iv=6",
    "MarketInfo": "segmentStatus=1 casMarketStatus=2 preOpenSessionStatus=3",
    "StatusInfo": "status=1 updatedTime=2",
}
ENUMS = {
    "Type": "initial_feed=0 live_feed=1 market_info=2",
    "RequestMode": "ltpc=0 full_d5=1 option_greeks=2 full_d30=3",
    "MarketStatus": "PRE_OPEN_START=0 PRE_OPEN_END=1 NORMAL_OPEN=2 NORMAL_CLOSE=3 CLOSING_START=4 CLOSING_END=5",
}


def test_the_sdk_still_has_the_fields_the_adapters_read() -> None:
    file = sdk_proto.DESCRIPTOR
    found = {
        name: " ".join(f"{field.name}={field.number}" for field in message.fields) for name, message in file.message_types_by_name.items()
    }
    enums = {name: " ".join(f"{value.name}={value.number}" for value in enum.values) for name, enum in file.enum_types_by_name.items()}
    assert found == FIELDS
    assert enums == ENUMS
    assert file.package == "com.upstox.marketdatafeederv3udapi.rpc.proto"


def test_the_venue_writes_the_messages_that_the_sdk_reads() -> None:
    assert frames.proto().FeedResponse is sdk_proto.FeedResponse
