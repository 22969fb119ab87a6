"""Signals of other programs on their way to the hosts: given an instrument, a price and a time, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from loguru import logger

from actors.wire import InboundSignal, decode_inbound_signal
from runtime import channels
from runtime.errors import InvalidInput, ServerUnavailable
from runtime.market import Instrument, InstrumentId, InstrumentKind, Quote, Timeframe
from runtime.ports import Bus, Clock, Feed, InstrumentMaster, Store
from runtime.signals import EXTERNAL, OrderSide, Side, Signal

CURSOR = "shoal:cursor:signals:inbound"
QUOTE_SECONDS_MAX = 10.0
"""How long a signal waits for the first quote of what it is about: after a restart, or when nobody followed it before."""
_LOOK_AGAIN_SECONDS = 0.1
_AFTER = timedelta(milliseconds=1)


class InboundSignals:
    """Runs beside the market, whose newest quotes are `quotes`.

    What is decided here (time, price, contract) is kept with the signal before it is sent: sent again after a crash it is the
    same signal. A signal on an index means its near-month future, since an index cannot be bought.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        store: Store,
        clock: Clock,
        feed: Feed,
        master: InstrumentMaster,
        quotes: Mapping[InstrumentId, Quote],
    ) -> None:
        self._bus, self._store, self._clock, self._feed, self._master = bus, store, clock, feed, master
        self._quotes = quotes
        self._newest: dict[str, datetime] = {}
        """strategy key -> time of the newest signal on it."""

    async def run(self, now: Callable[[], datetime | None], send: Callable[[Signal], Awaitable[None]]) -> None:
        """`send` takes each signal out to the hosts, in the order they came."""
        cursor = (await self._bus.get_key(CURSOR) or b"0").decode()
        while True:
            try:
                for entry_id, payload in await self._bus.read(channels.INBOUND_SIGNALS, cursor, block_seconds=5.0):
                    signal = await self._signal_of(decode_inbound_signal(payload), now)
                    if signal is not None:
                        await send(signal)
                    cursor = entry_id
                    await self._bus.set_key(CURSOR, entry_id.encode())
            except ServerUnavailable as error:
                logger.warning("signals of other programs wait for a server: {}", error)

    async def _signal_of(self, inbound: InboundSignal, now: Callable[[], datetime | None]) -> Signal | None:
        """None for one that leads nowhere: nobody can trade what it names."""
        kept = await self._store.get("signals", inbound.signal_id) or {}
        if "sent" in kept:
            return msgspec.json.decode(kept["sent"], type=Signal)
        try:
            signal = await self._priced(inbound, now)
        except InvalidInput as error:
            logger.warning("signal {} of {} leads nowhere: {}", inbound.signal_id, inbound.source, error)
            await self._store.upsert("signals", {inbound.signal_id: {"refused": str(error)}})
            return None
        document: dict[str, Any] = msgspec.to_builtins(signal, builtin_types=(datetime,))
        await self._store.upsert("signals", {inbound.signal_id: document | {"sent": msgspec.json.encode(signal).decode()}})
        return signal

    async def _priced(self, inbound: InboundSignal, now: Callable[[], datetime | None]) -> Signal:
        instrument = await self._contract(inbound.symbol)
        await self._feed.subscribe([instrument.id])
        quote, ts, waited = self._quotes.get(instrument.id), now(), 0.0
        while (quote is None or ts is None) and waited < QUOTE_SECONDS_MAX:
            await self._clock.sleep(_LOOK_AGAIN_SECONDS)
            waited += _LOOK_AGAIN_SECONDS
            quote, ts = self._quotes.get(instrument.id), now()
        if ts is not None:
            ts = await self._not_before_the_last(inbound.strategy_key, ts)
        spot = self._quotes.get(inbound.symbol)
        price = inbound.price or (None if spot is None else spot.price)
        contract_price = inbound.price if quote is None else quote.price
        if price is None or contract_price is None or ts is None:
            raise InvalidInput("price", None, f"no quote of {inbound.symbol} yet: send the price with the signal")
        sold = inbound.side is Side.SHORT and instrument.kind is not InstrumentKind.OPTION
        return Signal(
            signal_id=inbound.signal_id,
            strategy_key=inbound.strategy_key,
            strategy=EXTERNAL,
            underlying=inbound.symbol,
            timeframe=Timeframe.M1,
            side=inbound.side,
            direction=inbound.side.value,
            rule=EXTERNAL,
            reason=f"published by {inbound.source}",
            price=price,
            instrument=instrument,
            entry_side=OrderSide.SELL if sold else OrderSide.BUY,
            contract_price=contract_price,
            contract_bid=None if quote is None else quote.bid,
            contract_ask=None if quote is None else quote.ask,
            stop=inbound.stop,
            target=inbound.target,
            candle_time=inbound.timestamp or ts,
            ts=ts,
            context={"source": inbound.source, "sender_price": inbound.price},
        )

    async def _not_before_the_last(self, strategy_key: str, ts: datetime) -> datetime:
        """A made-up market goes on from its last full minute after a restart; a signal older than the last one would count as overtaken."""
        if strategy_key not in self._newest:
            earlier = await self._store.find(
                "signals", {"strategy_key": strategy_key, "ts": {"$ne": None}}, sort="ts", descending=True, limit=1
            )
            self._newest[strategy_key] = earlier[0]["ts"] + _AFTER if earlier else ts
        ts = max(ts, self._newest[strategy_key])
        self._newest[strategy_key] = ts + _AFTER
        return ts

    async def _contract(self, symbol: InstrumentId) -> Instrument:
        instrument = await self._master.instrument(symbol)
        if instrument.kind is not InstrumentKind.INDEX:
            return instrument
        future = await self._master.near_month_future(symbol)
        if future is None:
            raise InvalidInput("symbol", symbol, "is an index without a future here: name a contract")
        return future
