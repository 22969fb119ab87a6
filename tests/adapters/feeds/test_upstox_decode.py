"""Frames of Upstox's market data socket to ticks; numbers are read off the vendor's own samples."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from adapters.feeds.upstox.decode import MARKET_INFO, NORMAL_OPEN, SNAPSHOT, FrameDecoder
from runtime.errors import InvalidMarketData
from tests.adapters.feeds.frames import encode, feeds, full, index
from tests.shared_data import shared

KEY, CALL = "NSE_FO|45450", "NSE:NIFTY25FEB22000CE"
INDEX_KEY, INDEX = "NSE_INDEX|Nifty 50", "NSE:NIFTY"
T0 = 1_740_729_552_723


def decoder() -> FrameDecoder:
    made = FrameDecoder()
    made.follow(KEY, CALL)
    made.follow(INDEX_KEY, INDEX)
    return made


def test_the_field_numbers_are_those_the_decoder_was_written_for() -> None:
    from adapters.upstox.messages import feed_response

    package = feed_response().DESCRIPTOR.file.message_types_by_name
    numbers = {name: {field.name: field.number for field in message.fields} for name, message in package.items()}
    assert numbers["FeedResponse"] == {"type": 1, "feeds": 2, "currentTs": 3, "marketInfo": 4}
    assert numbers["Feed"] == {"ltpc": 1, "fullFeed": 2, "firstLevelWithGreeks": 3, "requestMode": 4}
    assert numbers["LTPC"] == {"ltp": 1, "ltt": 2, "ltq": 3, "cp": 4, "iep": 5}
    assert numbers["Quote"] == {"bidQ": 1, "bidP": 2, "askQ": 3, "askP": 4}
    assert (numbers["MarketFullFeed"]["ltpc"], numbers["MarketFullFeed"]["marketLevel"], numbers["MarketFullFeed"]["vtt"]) == (1, 2, 6)
    assert (numbers["FirstLevelWithGreeks"]["firstDepth"], numbers["FirstLevelWithGreeks"]["vtt"]) == (2, 4)


def documented(mode_field: str) -> dict:
    """The vendor's documented live frame of this kind."""
    for line in shared("upstox/api_doc_samples.jsonl").read_text(encoding="utf-8").splitlines():
        payload = json.loads(line)["payload"]
        if isinstance(payload, dict) and payload.get("type") == "live_feed" and mode_field in payload["feeds"].get(KEY, {}):
            return payload
    raise AssertionError(mode_field)


def test_the_documented_full_frame_is_read_field_by_field() -> None:
    frame = decoder().decode(encode(documented("fullFeed")))

    (tick,) = frame.ticks
    assert (tick.instrument, tick.price, tick.bid, tick.ask) == (CALL, 213.75, 213.45, 213.9)
    assert tick.ts == datetime(2025, 2, 28, 7, 31, 31, 235_000, tzinfo=UTC)  # 1740727891235
    assert tick.volume == 0.0  # the first total of the day tells of no trade


def test_the_documented_greeks_and_price_frames_are_read() -> None:
    (greeks,) = decoder().decode(encode(documented("firstLevelWithGreeks"))).ticks
    assert (greeks.price, greeks.bid, greeks.ask) == (225.7, 225.4, 225.7)
    (price,) = decoder().decode(encode(documented("ltpc"))).ticks
    assert (price.price, price.bid, price.ask, price.volume) == (219.3, None, None, None)
    assert price.ts == datetime(2025, 2, 28, 7, 59, 12, 723_000, tzinfo=UTC)  # 1740729552723


def test_volume_is_the_growth_of_the_days_total_and_starts_anew_when_that_falls() -> None:
    reader = decoder()
    volumes = []
    for number, total in enumerate((1000, 1075, 1300, 75)):
        data = feeds("live_feed", T0 + number, **{KEY: full(price=100.0, traded_at=T0 + number, day_volume=total)})
        volumes += [tick.volume for tick in reader.decode(data).ticks]
    assert volumes == [0.0, 75.0, 225.0, 75.0]


def test_what_traded_while_the_socket_was_down_is_not_counted_twice() -> None:
    reader = decoder()
    reader.decode(feeds("live_feed", T0, **{KEY: full(price=100.0, traded_at=T0, day_volume=1000)}))
    reader.reconnected()
    (tick,) = reader.decode(feeds("initial_feed", T0 + 60_000, **{KEY: full(price=101.0, traded_at=T0 + 50_000, day_volume=9000)})).ticks
    assert tick.volume == 0.0


def test_a_snapshot_counts_as_the_price_of_its_own_moment() -> None:
    """The last trade of a quiet contract may be hours old; its type is the enum's zero, which never is on the wire."""
    frame = decoder().decode(feeds("initial_feed", T0 + 3_600_000, **{KEY: full(price=100.0, traded_at=T0, day_volume=10)}))
    assert frame.kind == SNAPSHOT
    assert frame.ticks[0].ts == frame.ts == datetime.fromtimestamp((T0 + 3_600_000) / 1000, UTC)


def test_an_index_has_neither_volume_nor_quotes() -> None:
    (tick,) = decoder().decode(feeds("live_feed", T0, **{INDEX_KEY: index(24936.4, T0)})).ticks
    assert (tick.instrument, tick.price, tick.volume, tick.bid, tick.ask) == (INDEX, 24936.4, None, None, None)


def test_zero_means_absent() -> None:
    reader = decoder()
    (tick,) = reader.decode(
        feeds("live_feed", T0, **{KEY: full(price=100.0, traded_at=T0, day_volume=0, bid=0.0, ask=100.5, levels=1)})
    ).ticks
    assert (tick.bid, tick.ask) == (None, 100.5)
    assert reader.decode(feeds("live_feed", T0, **{KEY: full(price=0.0, traded_at=T0, day_volume=0)})).ticks == []
    assert reader.unusable == 1


@pytest.mark.parametrize("price", [float("nan"), float("inf"), -1.0])
def test_a_price_that_cannot_be_is_passed_over(price: float) -> None:
    reader = decoder()
    response = encode({"type": "live_feed", "currentTs": T0})
    assert reader.decode(response).ticks == []
    from adapters.upstox.messages import feed_response

    message = feed_response()(type=1, currentTs=T0)
    message.feeds[KEY].ltpc.ltp = price
    message.feeds[KEY].ltpc.ltt = T0
    assert reader.decode(message.SerializeToString()).ticks == []
    assert reader.unusable == 1


def test_a_repeated_tick_and_one_that_is_older_than_the_last_are_passed_over() -> None:
    reader = decoder()
    newest = feeds("live_feed", T0 + 5, **{KEY: full(price=101.0, traded_at=T0 + 5, day_volume=150)})
    older = feeds("live_feed", T0 + 6, **{KEY: full(price=100.0, traded_at=T0, day_volume=75)})
    assert [len(reader.decode(data).ticks) for data in (newest, newest, older)] == [1, 0, 0]
    assert (reader.duplicates, reader.reordered) == (1, 1)


def test_a_new_quote_without_a_trade_is_a_tick_without_volume() -> None:
    reader = decoder()
    reader.decode(feeds("live_feed", T0, **{KEY: full(price=100.0, traded_at=T0, day_volume=75, bid=99.5, ask=100.5)}))
    (tick,) = reader.decode(feeds("live_feed", T0 + 9, **{KEY: full(price=100.0, traded_at=T0, day_volume=75, bid=99.6, ask=100.5)})).ticks
    assert (tick.bid, tick.volume) == (99.6, 0.0)


def test_a_segment_that_does_not_trade_gives_no_ticks() -> None:
    reader = decoder()
    info = reader.decode(encode({"type": "market_info", "currentTs": T0, "marketInfo": {"segmentStatus": {"NSE_FO": "PRE_OPEN_START"}}}))
    assert (info.kind, info.segments) == (MARKET_INFO, {"NSE_FO": 0})
    data = feeds("live_feed", T0, **{KEY: full(price=100.0, traded_at=T0, day_volume=75)})
    assert reader.decode(data).ticks == []
    assert reader.is_open  # the index segment was not spoken of
    reader.decode(encode({"type": "market_info", "currentTs": T0, "marketInfo": {"segmentStatus": {"NSE_FO": "NORMAL_OPEN"}}}))
    assert NORMAL_OPEN == 2
    assert len(reader.decode(data).ticks) == 1


def test_bytes_that_are_no_message_are_refused() -> None:
    with pytest.raises(InvalidMarketData, match="is not a message"):
        decoder().decode(b"\xff\xff\xff not protobuf")


def test_a_contract_that_nobody_asked_for_is_counted_only() -> None:
    reader = decoder()
    assert reader.decode(feeds("live_feed", T0, **{"NSE_FO|1": full(price=100.0, traded_at=T0, day_volume=75)})).ticks == []
    assert reader.unknown == 1
