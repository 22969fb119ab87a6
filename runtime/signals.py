"""A strategy's opinion (`Target`), and the same opinion addressed to every subscriber (`Signal`)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from runtime.market import Instrument, InstrumentId, Timeframe

EXTERNAL = "external"
"""Name of the strategy whose signals another program publishes."""


class Side(StrEnum):
    """Exposure to the underlying: a bought put is SHORT."""

    LONG = "LONG"
    SHORT = "SHORT"
    FLAT = "FLAT"


class OrderSide(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> OrderSide:
        return OrderSide.SELL if self is OrderSide.BUY else OrderSide.BUY


class Target(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a strategy wants after a candle. A target, not an order: it says where to be, never how to get there.

    `direction` is the strategy's own word (`BUY_CALL`, `BUY_PUT`, `LONG`, …); `price` the underlying's price it looked at.
    `instrument` is the contract to trade (None: the candle's own instrument). `stop`/`target` are prices of that contract.
    `atr` is the average true range of the traded contract, in its price, for sizes that follow volatility; None: that of the
    candles, see `ranges`.
    `context` holds every indicator value that led to the decision; None where an indicator is not warmed up.
    """

    side: Side
    rule: str
    reason: str
    direction: str = ""
    price: float
    instrument: Instrument | None = None
    contract_price: float | None = None
    contract_bid: float | None = None
    contract_ask: float | None = None
    stop: float | None = None
    target: float | None = None
    atr: float | None = None
    context: dict[str, float | str | None] = {}


class Signal(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True, gc=False):
    """A target as published to every subscriber of `strategy_key`.

    `signal_id` derives from strategy key and candle time, so that the same decision found twice is one signal.
    `strategy_key` names strategy, parameters, underlying and timeframe (see `strategy.strategy_key`). `ts` is the
    venue time of the decision (the candle's close). `entry_side` is the order side that opens the exposure:
    BUY for options bought and for LONG, SELL for SHORT in an instrument that can be sold short.
    """

    signal_id: str
    strategy_key: str
    strategy: str
    underlying: InstrumentId
    timeframe: Timeframe
    side: Side
    direction: str
    rule: str
    reason: str
    price: float
    instrument: Instrument
    entry_side: OrderSide
    contract_price: float | None = None
    contract_bid: float | None = None
    contract_ask: float | None = None
    stop: float | None = None
    target: float | None = None
    atr: float | None = None
    candle_time: datetime
    ts: datetime
    context: dict[str, float | str | None] = {}
