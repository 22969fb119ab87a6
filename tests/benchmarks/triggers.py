"""From a tick to the stop order in one process, with many open positions of which few are touched.

Run: `python -m tests.benchmarks.triggers`. Every trader holds one position with a stop of its own; a tick of one instrument
falls just far enough to reach the next few. The clock runs from the tick's arrival at the floor to each stop order at the
broker's desk, the journal record of the touch in between; "a tick, everything settled" includes the fills and their records.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from actors.desk import PaperDesk
from actors.outbox import Outbox
from actors.trading_floor import TradingFloor
from actors.turned import Stopwatch
from actors.user_trader import UserTrader
from adapters.clock import WallClock
from adapters.embedded import EmbeddedServers
from adapters.memory import MemoryBus, MemoryJournal, MemoryStore
from adapters.mongo import MongoJournal
from runtime.events import SignalArrived, StartSession
from runtime.market import Instrument, InstrumentId, Prices, Quote
from runtime.orders import OrderFilled
from runtime.ports import Journal
from runtime.session import Protection, RiskLimits
from runtime.signals import Side
from runtime.state import EngineState
from tests.benchmarks.report import Figure, figure, publish
from tests.builders import at, config, option, orders, signal

POSITIONS = (1_000, 10_000, 100_000)
REAL_JOURNAL_POSITIONS = 10_000
INSTRUMENTS = 50
TOUCHED_PER_TICK = 2
TICKS = 300
WARM_UP = 20
ENTRY = Decimal(20_000)
STOP_STEP = Decimal("0.05")
GOAL_MS = {"p99": 5.0}
SETTINGS = config(protection=Protection(square_off=None), risk=RiskLimits(max_daily_loss=None), capital=100_000_000)


class ListeningOutbox(Outbox):
    """Keeps the floor's own measurements. Never run: what is published is not part of this figure."""

    def __init__(self) -> None:
        super().__init__(MemoryBus(), MemoryStore(), WallClock(), MemoryJournal())
        self.milliseconds: list[float] = []

    def sample(self, kind: str, milliseconds: float) -> None:
        assert kind == "tick_to_exit_order"
        self.milliseconds.append(milliseconds)


class Floor:
    """A floor full of open positions, spread evenly over the instruments; the k-th stop of each lies k steps below the first."""

    def __init__(self, positions: int, journal: Journal) -> None:
        self.outbox = ListeningOutbox()
        self.floor = TradingFloor(journal=journal, outbox=self.outbox, desk=PaperDesk())
        self.instruments = [msgspec.structs.replace(option(), id=f"NSE:BANKNIFTY26NOV{50_000 + 100 * n}CE") for n in range(INSTRUMENTS)]
        self._touched = dict.fromkeys((instrument.id for instrument in self.instruments), 0)
        self._now = at("10:00")
        for number in range(positions):
            self._open(number, self.instruments[number % INSTRUMENTS], number // INSTRUMENTS)

    def _open(self, number: int, instrument: Instrument, level: int) -> None:
        user, entry = f"user-{number}", float(ENTRY)
        trader = UserTrader(user, state=EngineState(user_id=user), number=0, epoch=1)
        trader.take(StartSession(ts=at("09:15"), command_id="c", config=SETTINGS))
        stop = float(ENTRY - 1_000 - STOP_STEP * level)
        long = signal(
            Side.LONG, instrument=instrument, contract_price=entry, contract_bid=entry, contract_ask=entry, stop=stop, target=None
        )
        (order,) = orders(trader.take(SignalArrived(ts=self._now, signal=long))[1])
        trader.take(OrderFilled(ts=self._now, order_id=order.order_id, fill_id="1", quantity=order.quantity, price=ENTRY))
        self.floor.admit(trader)

    def _tick(self, instrument: InstrumentId, price: float) -> Prices:
        self._now += timedelta(milliseconds=1)
        return Prices(seq=1, ts=self._now, quotes=(Quote(instrument, price, price, price),))

    async def tick(self, number: int) -> float:
        """Milliseconds until a tick that reaches `TOUCHED_PER_TICK` stops is settled."""
        instrument = self.instruments[number % INSTRUMENTS].id
        self._touched[instrument] += TOUCHED_PER_TICK
        price = float(ENTRY - 1_000 - STOP_STEP * (self._touched[instrument] - 1))
        prices, sent = self._tick(instrument, price), len(self.outbox.milliseconds)
        stopwatch, begun = Stopwatch(tick_received_at_ns=time.time_ns()), time.perf_counter()
        assert await self.floor.on_prices(prices, stopwatch)
        taken = 1000 * (time.perf_counter() - begun)
        assert len(self.outbox.milliseconds) == sent + TOUCHED_PER_TICK
        return taken

    async def untouched_tick(self, number: int) -> float:
        """Milliseconds of a tick that reaches nobody."""
        prices = self._tick(self.instruments[number % INSTRUMENTS].id, float(ENTRY))
        begun = time.perf_counter()
        assert not await self.floor.on_prices(prices)
        return 1000 * (time.perf_counter() - begun)

    def look_at_everybody(self, number: int) -> float:
        """Milliseconds of comparing one price with the stop of every position: what a tick costs without a trigger book."""
        instrument, price = self.instruments[number % INSTRUMENTS].id, float(ENTRY)
        begun = time.perf_counter()
        for trader in self.floor.traders.values():
            for position in trader.state.open_positions:
                assert position.instrument.id != instrument or position.stop is None or position.stop < price
        return 1000 * (time.perf_counter() - begun)


async def repeated(work: Callable[[int], Awaitable[float]]) -> list[float]:
    return [await work(number) for number in range(WARM_UP + TICKS)][WARM_UP:]


async def measure(positions: int, journal: Journal, where: str) -> list[Figure]:
    floor = Floor(positions, journal)
    everybody = ("a look at every position", [floor.look_at_everybody(number) for number in range(5)])
    untouched = await repeated(floor.untouched_tick)
    ticks = await repeated(floor.tick)
    of = f"{positions:,} positions, {where}"
    return [
        figure(
            f"tick to stop order, {of}", "ms", floor.outbox.milliseconds[WARM_UP * TOUCHED_PER_TICK :], goal=GOAL_MS, baseline=everybody
        ),
        figure(f"a tick, everything settled, {of}", "ms", ticks),
        figure(f"a tick that touches nobody, {of}", "ms", untouched, baseline=everybody),
    ]


async def measure_on_disk() -> list[Figure]:
    with tempfile.TemporaryDirectory() as state, EmbeddedServers(Path(state), redis_url="redis://not-needed") as servers:
        journal = MongoJournal(servers.urls.mongodb, "triggers")
        await journal.prepare()
        figures = await measure(REAL_JOURNAL_POSITIONS, journal, "journal on disk")
        await journal.close()
    return figures


async def measure_all() -> list[Figure]:
    figures = [each for positions in POSITIONS for each in await measure(positions, MemoryJournal(), "journal in memory")]
    return figures + await measure_on_disk()


def main() -> None:
    figures = asyncio.run(measure_all())
    sizes = {"positions": POSITIONS, "instruments": INSTRUMENTS, "stops_touched_per_tick": TOUCHED_PER_TICK, "ticks": TICKS}
    publish("triggers", sizes, figures)


if __name__ == "__main__":
    main()
