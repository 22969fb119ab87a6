"""Live days of random faults: whatever order things go wrong in, books and venue come together, and nothing is sent twice.

Plans are drawn by hypothesis with a fixed seed. The oracle is the venue's ledger.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")
pytest.importorskip("aiohttp", reason="the venue needs aiohttp")

from runtime.events import ResumeSession
from runtime.market import Right
from runtime.session import Protection, Sizing, SizingMethod
from runtime.signals import Side
from tests.faults.live_stage import LiveStage
from tests.venues.upstox import faults
from tests.venues.upstox.core import closing
from tests.venues.upstox.settings import StaticAddresses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

OPERATIONS = st.sampled_from(["place", "place", "place", "modify", "cancel", "order_book", "order_history", "order_trades", "positions"])
SECONDS = st.sampled_from([0.5, 2.0, 6.0])
FAULTS: st.SearchStrategy[faults.AnyFault] = st.one_of(
    st.builds(faults.DropAfterCommit, operation=OPERATIONS),
    st.builds(faults.DropBeforeCommit, operation=OPERATIONS),
    st.builds(faults.Answer, operation=OPERATIONS, status=st.sampled_from([400, 500, 503]), taken=st.booleans()),
    st.builds(faults.Answer, operation=OPERATIONS, status=st.just(200), body=st.just("<html>"), taken=st.booleans()),
    st.builds(faults.Hang, operation=OPERATIONS, taken=st.booleans()),
    st.builds(faults.TooManyRequests, operation=OPERATIONS, times=st.integers(1, 3)),
    st.builds(faults.LateAcceptance, seconds=SECONDS),
    st.builds(faults.RejectLater, seconds=SECONDS),
    st.builds(faults.PartialFills, quantities=st.sampled_from([(), (30,)]), every=SECONDS),
    st.builds(faults.LaggingBook, seconds=SECONDS, minutes=st.sampled_from([0.05, 0.1])),
    st.builds(faults.StreamUpdates, how=st.sampled_from(["duplicate", "reorder", "drop"]), times=st.integers(1, 10)),
    st.builds(faults.FeedClose, code=st.sampled_from([1000, 1006, 1011]), stream=st.just("portfolio")),
    st.just(faults.ExpireTokens()),
    st.just(faults.RefuseAddress()),
)
ACTIONS = st.sampled_from(["long", "long", "short", "square off", "sell by hand", "buy by hand", "wait", "wait", "restart", "mend"])
STEPS = st.tuples(st.booleans(), FAULTS, ACTIONS)
"""(whether the fault is put in the way, the fault, what is done then)."""
TWO_LOTS = Sizing(method=SizingMethod.FIXED, quantity=Decimal(60))
FILLS_LEAST = 30
"""In all days together: fewer would mean that nothing was tried."""


class Day:
    """One plan, played at the pace of real time."""

    def __init__(self, stage: LiveStage) -> None:
        self.stage = stage
        self._commands = 0
        self._starts: list[int] = []
        """Calls that the venue had answered when each host began."""

    async def play(self, plan: list[Any]) -> None:
        await self._start_host()
        await self.stage.start_sessions()
        for is_disturbed, fault, action in [(False, None, "long"), *plan]:
            if is_disturbed:
                self.stage.venue.faults.add(fault)
            match action:
                case "long":
                    await self.stage.signal(Side.LONG, Right.CALL)
                case "short":
                    await self.stage.signal(Side.SHORT, Right.PUT)
                case "square off":
                    await self.stage.square_off()
                case "sell by hand":
                    self.sell_by_hand()
                case "buy by hand":
                    self.buy_by_hand()
                case "restart":
                    await self.stage.kill()
                    await self._start_host()
                case "mend":
                    await self.mend()
                case _:
                    await self.stage.play(1.0)
            await self.stage.play(0.3)

    async def _start_host(self) -> None:
        self._starts.append(len(self.stage.venue.core.journal.calls))
        await self.stage.start_host()

    def looked_before_placing(self) -> bool:
        """Whether each host has read the order book before its first order left."""
        operations = [call.operation for call in self.stage.venue.core.journal.calls]
        lives = [operations[start:end] for start, end in pairwise([*self._starts, len(operations)])]
        return all("order_book" in life[: life.index("place")] for life in lives if "place" in life)

    async def end(self) -> None:
        """Nothing goes wrong any more: everything is closed, and both sides say so."""
        core = self.stage.venue.core
        core.planned.clear()
        core.book_lag = timedelta(0)
        await self.mend()
        await self.stage.until(self.agreed)
        await self.stage.square_off()
        await self.stage.until(self.flat)

    async def mend(self) -> None:
        """The user logs in again, and his address is registered."""
        core = self.stage.venue.core
        account = core.accounts.by_id["U1"]
        account.addresses = StaticAddresses()
        core.accounts.log_in(account, core.clock.now)
        await self.stage.vault.put("U1", "upstox", self.stage.venue.token("U1"))
        await self.stage.command("U1", ResumeSession(ts=core.clock.now, command_id=self._command()))

    def sell_by_hand(self) -> None:
        for key, quantity in self.stage.venue.ledger.net("U1").items():
            self.stage.venue.faults.add(faults.ManualOrder(user="U1", order=closing(key, "I", quantity)))

    def buy_by_hand(self) -> None:
        key = self.stage.venue.core.listing.of(self.stage.contract().id).key
        order = {"instrument_token": key, "quantity": 30, "transaction_type": "BUY"}
        self.stage.venue.faults.add(faults.ManualOrder(user="U1", order=order))

    async def agreed(self) -> bool:
        """Both know the same orders, nothing is to be tried again, and both count the same positions."""
        host = self.stage.host
        assert host is not None
        state = host.floor.traders["U1"].state
        if any(slot.retry_at is not None for slot in state.slots.values()):
            return False
        working = {order.tag for order in self.stage.venue.core.desk.book("U1").orders.values() if not order.is_final}
        return working == set(state.orders) and await self.stage.books_agree()

    async def flat(self) -> bool:
        host = self.stage.host
        assert host is not None
        return not host.floor.traders["U1"].state.orders and self.stage.venue.ledger.net("U1") == {} and await self.agreed()

    def _command(self) -> str:
        self._commands += 1
        return f"c{self._commands}"


@pytest.mark.parametrize("at_broker", [False, True], ids=["watched here", "resting at the broker"])
def test_after_any_faults_both_sides_agree_nothing_is_left_over_and_no_order_was_placed_twice(at_broker: bool) -> None:
    @settings(
        max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(STEPS, min_size=4, max_size=10))
    def survives(plan: list[Any]) -> None:
        fills.append(asyncio.run(_survive(plan, at_broker=at_broker)))

    fills: list[int] = []
    survives()
    assert sum(fills) >= FILLS_LEAST


async def _survive(plan: list[Any], *, at_broker: bool) -> int:
    """How many fills there were."""
    protection = Protection(at_broker=at_broker)
    async with LiveStage(real_time=True, protection=protection, sizing=TWO_LOTS) as stage:
        day = Day(stage)
        await day.play(plan)
        await day.end()
        placed = Counter(entry.tag for entry in stage.placed())
        assert [tag for tag, count in placed.items() if count > 1] == []
        assert day.looked_before_placing()
        return len(stage.fills("U1"))
