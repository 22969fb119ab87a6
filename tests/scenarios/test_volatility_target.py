"""Users who size by volatility are given the range of what they trade by the market data."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from actors.local_system import LocalSystem
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import decode_input
from adapters.simulated import SimulatedMarket, SimulationConfig
from runtime.events import SignalArrived
from runtime.market import IST, InstrumentKind
from runtime.signals import Signal

SESSION = date(2026, 11, 20)
BY_RANGE = {"sizing": {"method": "volatility_target", "risk_per_trade": 0.02}, "capital": 1_000_000, "risk": {"max_daily_loss": None}}


def traded(user_data: dict[str, Any]) -> list[tuple[Signal, Decimal]]:
    """The signals that led to an entry in an hour of a simulated day, each with what was ordered for it."""
    market = SimulatedMarket(SimulationConfig(sessions=(SESSION,), seed=7, ticks_per_second=1, seconds_per_tick=4))

    async def run() -> list[tuple[Signal, Decimal]]:
        async with LocalSystem(market, VirtualClock(datetime.combine(SESSION, time(9, 14), IST))) as system:
            await system.send("START_TRADING", "u", user_data)
            await system.settle()
            await system.begin()
            await system.clock.sleep(3600)
            quantities: defaultdict[str, Decimal] = defaultdict(Decimal)
            for event in await system.events():
                if event.type == "ORDER_SUBMITTED" and event.data["leg"] == "ENTRY":
                    quantities[str(event.data["signal_id"])] += Decimal(str(event.data["quantity"]))
            inputs = [decode_input(record.input) async for record in system.journal.read("u")]
        signals = [each.signal for each in inputs if isinstance(each, SignalArrived)]
        return [(each, quantities[each.signal_id]) for each in signals if each.signal_id in quantities]

    return run_virtual(run())


def sized(signal: Signal) -> Decimal:
    """20,000 at risk over two ranges, in whole lots."""
    lot = signal.instrument.lot_size
    return Decimal(20_000) / (Decimal(repr(signal.atr)) * 2) // lot * lot


def test_options_of_the_scalper_are_sized_by_their_premiums_range() -> None:
    found = traded(BY_RANGE)
    assert found
    for signal, quantity in found:
        assert signal.instrument.kind is InstrumentKind.OPTION
        assert signal.atr is not None
        assert signal.contract_price is not None
        assert signal.atr < signal.contract_price
        assert quantity == min(sized(signal), Decimal(1_000_000) // Decimal(repr(signal.contract_ask)) // 30 * 30)
