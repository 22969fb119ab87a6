"""Signals of other programs are given the market's time, which a made-up market takes up again a little earlier after a restart."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import date, datetime, time, timedelta

from actors.inbound_signals import InboundSignals
from actors.wire import InboundSignal, encode
from adapters.clock import WallClock
from adapters.memory import MemoryBus, MemoryStore
from adapters.simulated import FreePacer, SimulatedFeed, SimulatedInstrumentMaster, SimulatedMarket, SimulationConfig, as_venue
from runtime import channels
from runtime.market import IST, Quote
from runtime.signals import Side, Signal
from runtime.strategy import strategy_key

SESSION = date(2026, 11, 20)
FUTURE = "NSE:BANKNIFTY26NOVFUT"
KEY = strategy_key("external", {"source": "alerts"}, FUTURE, "1m")  # pyright: ignore[reportArgumentType]
OPEN = datetime.combine(SESSION, time(9, 15), IST)


class Market:
    """Servers that outlive a market-data process, and the signals that each of its incarnations sends."""

    def __init__(self) -> None:
        self.bus, self.store = MemoryBus(), MemoryStore()

    async def sent(self, *signal_ids: str, now: datetime) -> list[Signal]:
        """A process of its own takes these signals in at `now`."""
        venue = as_venue(SimulatedMarket(SimulationConfig(sessions=(SESSION,), seed=7)))
        inbound = InboundSignals(
            bus=self.bus,
            store=self.store,
            clock=WallClock(),
            feed=SimulatedFeed(venue, FreePacer()),
            master=SimulatedInstrumentMaster(venue),
            quotes={FUTURE: Quote(FUTURE, 52_000.0)},
        )
        signals: list[Signal] = []
        all_sent = asyncio.Event()

        async def send(signal: Signal) -> None:
            signals.append(signal)
            if len(signals) == len(signal_ids):
                all_sent.set()

        for signal_id in signal_ids:
            message = InboundSignal(signal_id=signal_id, strategy_key=KEY, source="alerts", symbol=FUTURE, side=Side.LONG)
            await self.bus.append(channels.INBOUND_SIGNALS, encode(message), max_length=100)
        running = asyncio.create_task(inbound.run(lambda: now, send))
        await asyncio.wait_for(all_sent.wait(), 10)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return signals


async def test_signals_of_one_moment_follow_each_other() -> None:
    first, second = await Market().sent("1", "2", now=OPEN)
    assert (first.ts, second.ts) == (OPEN, OPEN + timedelta(milliseconds=1))


async def test_after_a_restart_no_signal_is_older_than_the_last_one_before() -> None:
    """Older than the last would mean overtaken by it: the traders would leave it out."""
    market = Market()
    [before] = await market.sent("1", now=OPEN + timedelta(seconds=41))
    first, second = await market.sent("2", "3", now=OPEN + timedelta(seconds=3))
    [later] = await market.sent("4", now=OPEN + timedelta(seconds=60))
    assert [each.ts - OPEN for each in (before, first, second, later)] == [
        timedelta(seconds=41),
        timedelta(seconds=41, milliseconds=1),
        timedelta(seconds=41, milliseconds=2),
        timedelta(seconds=60),
    ]
