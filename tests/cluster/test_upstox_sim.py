"""A whole day at a local Upstox on real processes: ten users trade live, and at the end its ledger equals the journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")

from actors.commands.demo import run_spec
from actors.commands.up import venue_of
from actors.services import RunSpec, Servers
from actors.system import System
from actors.upstox_sim import LocalVenue, begin, refused
from actors.user_trader import public_events, replay
from actors.wire import decode_input
from runtime.events import EventType
from runtime.orders import OrderFilled

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(900)]

SESSION_SECONDS_MAX = 600.0
LAST_REPORTS_SECONDS = 30.0

Order = tuple[str, str, Decimal]
"""Order id, side, units."""
Fill = tuple[str, Decimal, Decimal]
"""Order id, units, price."""


class Book(NamedTuple):
    """One user's day. `cash`: rupees from selling less rupees for buying, `held`: units that are left of each contract.

    `working`: ids of orders that may still do something.
    """

    orders: list[Order]
    fills: list[Fill]
    cash: Decimal
    held: dict[str, Decimal]
    working: list[str]


def of_the_ledger(entries: Iterable[dict[str, Any]]) -> Book:
    """What the venue did for one user, whoever wanted it."""
    orders, fills, cash, held, open_units = [], [], Decimal(0), dict[str, Decimal](), dict[str, Decimal]()
    for entry in entries:
        quantity = Decimal(entry["quantity"])
        if entry["what"] == "PLACED":
            orders.append((entry["tag"], entry["side"], quantity))
            open_units[entry["tag"]] = quantity
        elif entry["what"] == "FILLED":
            price, direction = Decimal(str(entry["price"])), 1 if entry["side"] == "BUY" else -1
            fills.append((entry["tag"], quantity, price))
            open_units[entry["tag"]] -= quantity
            cash -= direction * quantity * price
            held[entry["instrument_key"]] = held.get(entry["instrument_key"], Decimal(0)) + direction * quantity
        elif entry["what"] in {"CANCELLED", "REJECTED"}:
            open_units[entry["tag"]] = Decimal(0)
    working = sorted(tag for tag, left in open_units.items() if left)
    return Book(sorted(orders), sorted(fills), cash, {key: quantity for key, quantity in held.items() if quantity}, working)


async def of_the_journal(servers: Servers, user: str) -> Book:
    """What the user's own journal says; an order that was called off before it was sent is not at the venue."""
    orders, fills = dict[str, Order](), list[Fill]()
    async for record in servers.journal.read(user):
        event = decode_input(record.input)
        if isinstance(event, OrderFilled):
            fills.append((event.order_id, event.quantity, event.price))
        for said in public_events(record):
            order_id = str(said.data.get("order_id"))
            if said.type is EventType.ORDER_SUBMITTED:
                orders[order_id] = (order_id, str(said.data["side"]), Decimal(str(said.data["quantity"])))
            elif said.type is EventType.ORDER_REJECTED and str(said.data["reason"]).startswith("not sent"):
                del orders[order_id]
    state, _, _ = await replay(servers.journal, user)
    held = {position.instrument.id: position.quantity * position.direction for position in state.open_positions}
    return Book(sorted(orders.values()), sorted(fills), state.realised_total, held, sorted(state.orders))


async def journaled(spec: RunSpec, users: list[str]) -> dict[str, Book]:
    servers = Servers(spec)
    try:
        return {user: await of_the_journal(servers, user) for user in users}
    finally:
        await servers.close()


def at_the_venue(venue: LocalVenue, users: list[str]) -> dict[str, Book]:
    ledger = venue.ledger()
    return {user: of_the_ledger(entry for entry in ledger if entry["user_id"] == user) for user in users}


def test_after_a_whole_live_day_the_venues_ledger_equals_the_journal(tmp_path: Path) -> None:
    spec = run_spec("upstox-sim", state=tmp_path, candles=None, session=None, seed=7, speed="150", wait_for_begin=False)
    with venue_of(spec) as venue, System(spec):
        assert venue is not None
        users = [customer.user_id for customer in venue.customers()]
        assert refused(asyncio.run(begin(spec, venue.customers()))) == []
        venue.begin()
        started = time.monotonic()
        while venue.is_open():
            assert time.monotonic() - started < SESSION_SECONDS_MAX
            time.sleep(2.0)
        theirs = at_the_venue(venue, users)
        closed = time.monotonic()
        while (ours := asyncio.run(journaled(spec, users))) != theirs and time.monotonic() - closed < LAST_REPORTS_SECONDS:
            time.sleep(1.0)

        assert ours == theirs
        assert len(theirs) == 10
        assert all(book.held == {} and book.working == [] for book in theirs.values())
        assert all(len(book.fills) >= 2 for book in theirs.values())  # 28 on a quiet machine; a busy one is late for most signals
