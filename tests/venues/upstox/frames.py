"""Protobuf frames of the market data feed V3, built with the official SDK's own module."""

from __future__ import annotations

import sys
from datetime import datetime
from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from tests.venues.upstox.market import Bar, Market, Snapshot

_PROTO = "upstox_client.feeder.proto.MarketDataFeedV3_pb2"
_DEPTH = {"full": 5, "full_d30": 30}


@lru_cache(maxsize=1)
def proto() -> Any:
    """The SDK's generated module, without importing the SDK around it: that alone takes half a second."""
    if _PROTO in sys.modules:
        return sys.modules[_PROTO]
    package = find_spec("upstox_client")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the venue builds its frames with upstox-python-sdk: pip install 'shoal[upstox]'")
    path = Path(package.submodule_search_locations[0]) / "feeder" / "proto" / "MarketDataFeedV3_pb2.py"
    spec = spec_from_file_location("upstox_market_data_feed_v3_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def milliseconds(ts: datetime) -> int:
    return int(ts.timestamp() * 1000)


def feed(snapshot: Snapshot, mode: str) -> Any:
    """One instrument's `Feed` in a subscription mode: ltpc, option_greeks, full or full_d30."""
    pb2 = proto()
    message = pb2.Feed()
    is_index = snapshot.bid is None
    if mode == "ltpc":
        _ltpc(message.ltpc, snapshot)
    elif mode == "option_greeks" and not is_index:
        _first_level(message.firstLevelWithGreeks, snapshot)
        message.requestMode = pb2.RequestMode.Value("option_greeks")
    else:
        message.requestMode = pb2.RequestMode.Value("full_d30" if mode == "full_d30" else "full_d5")
        if is_index:
            _ltpc(message.fullFeed.indexFF.ltpc, snapshot)
            _ohlc(message.fullFeed.indexFF.marketOHLC, snapshot)
        else:
            _full(message.fullFeed.marketFF, snapshot, _DEPTH.get(mode, 5))
    return message


def response(kind: str, feeds: dict[str, Any], now: datetime) -> bytes:
    """A frame of these feeds by instrument key; `kind` is initial_feed or live_feed."""
    pb2 = proto()
    frame = pb2.FeedResponse(type=pb2.Type.Value(kind), currentTs=milliseconds(now))
    for key, message in feeds.items():
        frame.feeds[key].CopyFrom(message)
    return frame.SerializeToString()


def sparse(frame: bytes) -> bytes:
    """The frame without what some recorded ones lack: of `ltpc` the price alone is left, and no bars."""
    response = proto().FeedResponse.FromString(frame)
    for message in response.feeds.values():
        holder = _holder(message)
        for name in ("ltt", "ltq", "cp"):
            holder.ltpc.ClearField(name)
        if message.HasField("fullFeed"):
            holder.ClearField("marketOHLC")
    return response.SerializeToString()


def market_info(market: Market, now: datetime) -> bytes:
    """The first frame of a connection: the state of every segment."""
    pb2 = proto()
    frame = pb2.FeedResponse(type=pb2.Type.Value("market_info"), currentTs=milliseconds(now))
    status = pb2.MarketStatus.Value(market_status(market, now))
    for segment in ("NSE_EQ", "NSE_FO", "NSE_INDEX", "NSE_COM", "NCD_FO", "BSE_EQ", "BSE_FO", "BSE_INDEX", "BCD_FO", "MCX_FO", "MCX_INDEX"):
        frame.marketInfo.segmentStatus[segment] = status
    return frame.SerializeToString()


def market_status(market: Market, now: datetime) -> str:
    return "NORMAL_OPEN" if market.in_session(now) else "NORMAL_CLOSE"


def _holder(message: Any) -> Any:
    """The part of a feed that has its `ltpc`."""
    kind = message.WhichOneof("FeedUnion")
    if kind == "fullFeed":
        full = message.fullFeed
        return getattr(full, full.WhichOneof("FullFeedUnion"))
    return message if kind == "ltpc" else message.firstLevelWithGreeks


def _ltpc(message: Any, snapshot: Snapshot) -> None:
    message.ltp, message.ltt = snapshot.price, milliseconds(snapshot.traded_at)
    message.ltq, message.cp = snapshot.last_quantity, snapshot.previous_close


def _first_level(message: Any, snapshot: Snapshot) -> None:
    _ltpc(message.ltpc, snapshot)
    _levels([message.firstDepth], snapshot, 1)
    _greeks(message.optionGreeks, snapshot)
    message.vtt, message.oi, message.iv = snapshot.volume, snapshot.interest, snapshot.volatility


def _full(message: Any, snapshot: Snapshot, depth: int) -> None:
    _ltpc(message.ltpc, snapshot)
    levels = [message.marketLevel.bidAskQuote.add() for _ in range(depth)]
    _levels(levels, snapshot, depth)
    _greeks(message.optionGreeks, snapshot)
    _ohlc(message.marketOHLC, snapshot)
    message.atp, message.vtt = snapshot.average, snapshot.volume
    message.oi, message.iv = snapshot.interest, snapshot.volatility
    message.tbq = float(sum(level.bidQ for level in levels))
    message.tsq = float(sum(level.askQ for level in levels))


def _levels(messages: list[Any], snapshot: Snapshot, depth: int) -> None:
    for message, level in zip(messages, snapshot.levels(depth), strict=True):
        message.bidQ, message.bidP = level.bid_quantity, level.bid
        message.askQ, message.askP = level.ask_quantity, level.ask


def _greeks(message: Any, snapshot: Snapshot) -> None:
    greeks = snapshot.greeks
    if greeks is not None:
        message.delta, message.theta, message.gamma = greeks.delta, greeks.theta, greeks.gamma
        message.vega, message.rho = greeks.vega, greeks.rho


def _ohlc(message: Any, snapshot: Snapshot) -> None:
    """The day so far and the last minute that is closed, as recorded frames have them."""
    for interval, bar in (("1d", snapshot.day), ("I1", snapshot.closed_minute)):
        if bar is not None:
            _bar(message.ohlc.add(), interval, bar)


def _bar(message: Any, interval: str, bar: Bar) -> None:
    message.interval, message.open, message.high, message.low, message.close = interval, bar.open, bar.high, bar.low, bar.close
    message.vol, message.ts = bar.volume, milliseconds(bar.opened_at)
