"""The market of a measurement: one strategy over candles, one contract, prices as they are asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from actors.bench.stage import OPEN, Stage
from actors.wire import SignalMessage, encode
from runtime import channels
from runtime.market import Candle, Instrument, InstrumentKind, Prices, Quote, Right, Timeframe
from runtime.session import Protection, RiskLimits, SessionConfig, Subscription
from runtime.signal_engine import SignalEngine, StrategySpec
from runtime.signals import Side, Signal, Target
from runtime.strategy import MarketContext, ParameterValue

UNDERLYING = Instrument(id="NSE:BANKNIFTY", kind=InstrumentKind.INDEX)
CONTRACT = Instrument(
    id="NSE:BANKNIFTY26NOV52000CE",
    kind=InstrumentKind.OPTION,
    lot_size=Decimal(30),
    underlying=UNDERLYING.id,
    expiry=date(2026, 11, 24),
    strike=52_000.0,
    right=Right.CALL,
)
STRATEGY = "bench"
PRICE = 100.0
"""At which the contract is entered; the signal's stop lies 20 below, its target 30 above."""
SIGNALS_KEPT = 100_000


def session(number: int, protection: Protection | None = None) -> SessionConfig:
    """Users differ in capital, and so in the size of their orders; nothing but the signal decides whether they trade."""
    subscription = Subscription(strategy=STRATEGY, instrument=UNDERLYING.id, protection=protection or Protection(square_off=None))
    return SessionConfig(
        capital=Decimal(300_000 + 100_000 * (number % 8)),
        subscriptions=(subscription,),
        risk=RiskLimits(max_daily_loss=None, max_orders_per_day=1_000_000),
    )


class Alternating:
    """Long on one candle, out on the next."""

    name: ClassVar[str] = STRATEGY

    def __init__(self) -> None:
        self._side = Side.FLAT

    def on_candle(self, candle: Candle, context: MarketContext) -> Target:
        self._side = Side.LONG if self._side is Side.FLAT else Side.FLAT
        return Target(
            side=self._side,
            rule="alternating",
            reason="every other candle",
            price=candle.close,
            instrument=CONTRACT,
            contract_price=PRICE,
            contract_bid=PRICE - 0.05,
            contract_ask=PRICE,
            stop=PRICE - 20,
            target=PRICE + 30,
            context={"volume": context.volume, **{f"indicator_{number}": candle.close + number for number in range(12)}},
        )

    def describe(self) -> dict[str, float | str | None]:
        return {}


def _create(name: str, parameters: Mapping[str, ParameterValue]) -> Alternating:
    del name, parameters
    return Alternating()


class Market:
    """What the market-data actor does: every candle goes through the strategies its subscribers want, each once."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._engine = SignalEngine(_create, {UNDERLYING.id: UNDERLYING})
        self._opened_at = OPEN
        self._seq = 0
        self._signals_id = "0"

    @property
    def evaluations(self) -> int:
        return self._engine.evaluations

    def want(self, settings: SessionConfig) -> None:
        """As the supervisor asks for the strategies of a session; equal ones run once."""
        for wanted in settings.subscriptions:
            self._engine.add(
                StrategySpec(
                    strategy=wanted.strategy, parameters=wanted.parameters, instrument=wanted.instrument, timeframe=wanted.timeframe
                )
            )

    async def candle(self) -> int:
        """Close one candle: strategy, signal, announcement. Returns the moment of its close, in nanoseconds since 1970."""
        candle = Candle(
            instrument=UNDERLYING.id,
            timeframe=Timeframe.M1,
            opened_at=self._opened_at,
            open=52_000.0,
            high=52_010.0,
            low=51_990.0,
            close=52_005.0,
        )
        self._opened_at += Timeframe.M1.duration
        closed_at_ns = time.time_ns()
        context = MarketContext(session_open=OPEN, session_close=OPEN + timedelta(hours=6, minutes=15))
        signals = [outcome for outcome in self._engine.on_candle(candle, context) if isinstance(outcome, Signal)]
        for signal in signals:
            document: dict[str, Any] = msgspec.to_builtins(signal, builtin_types=(datetime,))
            await self._stage.store.insert_once("signals", signal.signal_id, document)
            message = encode(SignalMessage(signal=signal, closed_at_ns=closed_at_ns))
            self._signals_id = await self._stage.bus.append(channels.SIGNALS, message, max_length=SIGNALS_KEPT)
        await self.quote(PRICE)
        return closed_at_ns

    async def quote(self, price: float) -> None:
        self._seq += 1
        quote = Quote(CONTRACT.id, price, price - 0.05, price)
        prices = Prices(seq=self._seq, ts=self._opened_at, quotes=(quote,), signals_id=self._signals_id)
        await self._stage.bus.set_key(channels.PRICES_LATEST, encode(prices))
        await self._stage.bus.publish(channels.PRICES, encode(prices))
