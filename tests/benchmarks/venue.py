"""How fast the simulated venue streams and the paper exchange fills. Run: `python -m tests.benchmarks.venue`.

Nothing here waits for anything, so processor time is what a quiet machine's wall clock shows.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from time import process_time

from adapters.simulated import FreePacer, SimulatedFeed, SimulatedMarket, SimulationConfig
from runtime.market import Quote
from runtime.orders import Leg, Order, OrderType
from runtime.paper import PaperExchange
from runtime.signals import OrderSide
from tests.benchmarks.report import figure, publish

DAY = date(2026, 11, 20)
OPTIONS = [f"NSE:BANKNIFTY26NOV{strike}{right}" for strike in (51900, 52000, 52100) for right in ("CE", "PE")]
USERS = 10_000
RUNS = 3
GOAL_SECONDS = {"p50": 0.4}


async def stream_a_day() -> tuple[float, int]:
    """Processor seconds and events of a whole session, everything computed anew: index 2/s, future 1/s, six options 1/s."""
    started = process_time()
    feed = SimulatedFeed(SimulatedMarket(SimulationConfig(sessions=(DAY,))), FreePacer())
    await feed.subscribe(["NSE:BANKNIFTY", "NSE:BANKNIFTY26NOVFUT", *OPTIONS])
    events = 0
    async for batch in feed.stream():
        events += len(batch)
    return process_time() - started, events


def fill_orders() -> dict[str, float]:
    """Processor microseconds per market order submitted and filled, per quote nobody waits for, and per resting order looked at."""
    contract = SimulatedMarket(SimulationConfig()).contracts.instrument(OPTIONS[2])
    now = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
    quote = Quote(contract.id, 430.0, 429.7, 430.3)

    def orders(kind: OrderType) -> list[Order]:
        return [
            Order(
                order_id=f"{kind}{user}",
                user_id=f"u{user}",
                slot="s",
                signal_id="g",
                leg=Leg.ENTRY,
                instrument=contract,
                side=OrderSide.BUY,
                quantity=Decimal(30),
                type=kind,
                limit_price=Decimal(400),
                created_at=now,
            )
            for user in range(USERS)
        ]

    exchange = PaperExchange()
    figures: dict[str, float] = {}
    market_orders, limit_orders = orders(OrderType.MARKET), orders(OrderType.LIMIT)
    started = process_time()
    for order in market_orders:
        exchange.submit(order, quote, now)
    figures["market order, submit and fill"] = (process_time() - started) / USERS * 1e6
    started = process_time()
    for _ in range(USERS):
        exchange.on_quote(quote, now)
    figures["quote without resting orders"] = (process_time() - started) / USERS * 1e6
    for order in limit_orders:
        exchange.submit(order, None, now)
    started = process_time()
    exchange.on_quotes([quote], now)
    figures["resting order, per quote"] = (process_time() - started) / USERS * 1e6
    return figures


def main() -> None:
    days = [asyncio.run(stream_a_day()) for _ in range(RUNS)]
    orders = [fill_orders() for _ in range(RUNS)]
    figures = [
        figure("a day of 8 instruments, streamed", "s", [seconds for seconds, _ in days], goal=GOAL_SECONDS),
        *(figure(name, "µs", [run[name] for run in orders]) for name in orders[0]),
    ]
    publish("venue", {"events_of_the_day": days[0][1], "orders": USERS, "runs": RUNS}, figures)


if __name__ == "__main__":
    main()
