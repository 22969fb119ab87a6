"""A journal with everything in it that a trader can hold, played again: the same state byte for byte."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from actors.replay import replay_user
from actors.user_trader import UserTrader
from adapters.memory import MemoryJournal
from runtime.accounts import AccountPosition, AccountReport
from runtime.events import (
    EngineInput,
    HaltTrading,
    JournalRecord,
    PauseSubscription,
    PriceTouched,
    SessionRecovered,
    SignalArrived,
    StartSession,
    Subscribe,
)
from runtime.halts import HaltScope, HaltTarget
from runtime.market import Timeframe
from runtime.orders import Leg, Order, OrderAccepted, OrderCancelled, OrderFilled, OrderUnknown
from runtime.session import Mode, Protection, RiskLimits, SessionConfig, Sizing, SizingMethod, Subscription
from runtime.signals import Side
from runtime.state import EngineState, decode_state
from tests.builders import ONE_LOT, at, option, orders, points, signal

TWO_LOTS = Sizing(method=SizingMethod.FIXED, quantity=Decimal(60))
LIVE = Subscription(sizing=TWO_LOTS, mode=Mode.LIVE, protection=Protection(at_broker=True, trail=points("10")))
PAPER = Subscription(sizing=ONE_LOT, timeframe=Timeframe.M5, mode=Mode.PAPER)
LATER = Subscription(sizing=ONE_LOT, timeframe=Timeframe.M15)
CALL = option(freeze=30)


class Life:
    """One trader through a restart; `records` are its journal."""

    def __init__(self) -> None:
        self.records: list[JournalRecord] = []
        self.orders: list[Order] = []
        self.trader = UserTrader("u", state=EngineState(user_id="u"), number=0, epoch=1)

    def lives(self, *inputs: EngineInput) -> None:
        for event in inputs:
            record, effects = self.trader.take(event)
            self.records.append(record)
            self.orders += orders(effects)

    def restarts(self, clock: str) -> None:
        state = decode_state(self.trader.snapshot())
        self.trader = UserTrader("u", state=state, number=self.trader.number, epoch=2)
        self.lives(SessionRecovered(ts=at(clock), epoch=2))

    def fills(self, order: Order, price: int, clock: str, quantity: int | None = None) -> None:
        done = order.quantity if quantity is None else Decimal(quantity)
        fill_id = f"f{len(self.records)}"
        self.lives(OrderFilled(ts=at(clock), order_id=order.order_id, fill_id=fill_id, quantity=done, price=Decimal(price)))

    def newest(self, leg: Leg) -> Order:
        return [order for order in self.orders if order.leg is leg][-1]


@pytest.fixture(scope="module")
def life() -> Life:
    whole = Life()
    risk = RiskLimits(max_orders_per_second=3, max_daily_loss=Decimal(10_000))
    config = SessionConfig(subscriptions=(LIVE, PAPER), risk=risk, broker="upstox", credentials="u/upstox", live_confirmed=True)
    whole.lives(StartSession(ts=at("09:15"), command_id="c1", config=config))
    long = signal(Side.LONG, "10:00", instrument=CALL)
    whole.lives(SignalArrived(ts=long.ts, signal=long))
    for entry in list(whole.orders):  # two slices
        whole.lives(OrderAccepted(ts=at("10:00:01"), order_id=entry.order_id, broker_order_id=f"b-{entry.order_id}"))
        whole.fills(entry, 100, "10:00:02")
    whole.lives(PriceTouched(ts=at("10:00:05"), slot=LIVE.key, instrument=CALL.id, price=112.0))  # the stop trails
    other = signal(Side.SHORT, "10:01", strategy_key=PAPER.key)
    whole.lives(SignalArrived(ts=other.ts, signal=other))
    whole.lives(OrderCancelled(ts=at("10:01:01"), order_id=whole.newest(Leg.ENTRY).order_id))
    again = signal(Side.SHORT, "10:02", strategy_key=PAPER.key)
    whole.lives(SignalArrived(ts=again.ts, signal=again))
    whole.fills(whole.newest(Leg.ENTRY), 90, "10:02:01", quantity=10)
    flat = signal(Side.FLAT, "10:03", strategy_key=PAPER.key)
    whole.lives(SignalArrived(ts=flat.ts, signal=flat))  # waits for the entry
    whole.lives(Subscribe(ts=at("10:04"), command_id="c2", subscription=LATER))
    whole.lives(PauseSubscription(ts=at("10:04"), command_id="c3", key=LATER.key))
    mine = HaltTarget(scope=HaltScope.SUBSCRIPTION, user_id="u", strategy=LATER.key)
    whole.lives(HaltTrading(ts=at("10:05"), command_id="c4", reason="drill", target=mine))
    whole.restarts("10:06")
    put = AccountPosition(instrument=option(51000), quantity=Decimal(-30), average_price=Decimal(5))
    whole.lives(AccountReport(ts=at("10:07"), positions=(put,)))
    whole.lives(OrderUnknown(ts=at("10:08"), order_id=whole.newest(Leg.TARGET).order_id, reason="answer lost"))
    whole.lives(PriceTouched(ts=at("10:08:01"), slot=LIVE.key, instrument=CALL.id, price=125.0))
    return whole


def test_the_life_holds_all_that_a_state_can(life: Life) -> None:
    """What the test below compares is there, and not empty."""
    state = life.trader.state
    live = [order for order in state.orders.values() if order.order.mode is Mode.LIVE]
    assert {order.order.leg for order in live} == {Leg.STOP, Leg.TARGET}
    assert {order.status for order in live} >= {"UNKNOWN", "SUBMITTED"}
    assert any(order.cancel_sent for order in live)
    assert {order.order.mode for order in state.orders.values()} == {Mode.LIVE, Mode.PAPER}
    assert state.slots[PAPER.key].pending is not None
    assert state.slots[PAPER.key].waits
    assert [subscription.paused for subscription in state.config.subscriptions] == [False, False, True]
    assert len(state.window.recent) > 0
    assert state.window.today == len(life.orders) + sum(order.cancel_sent for order in live)
    assert (len(state.halts), len(state.unfilled), list(state.external.values())) == (1, 1, [Decimal(-30)])
    assert (state.epoch, len(state.recent_commands)) == (2, 3)


async def journal_of(records: list[JournalRecord], snapshot: tuple[int, bytes]) -> MemoryJournal:
    journal = MemoryJournal()
    await journal.append(records)
    await journal.save_snapshots({"u": snapshot})
    return journal


async def test_played_again_it_is_the_same_to_the_last_byte(life: Life) -> None:
    kept = (life.trader.number, life.trader.snapshot())
    found = await replay_user(await journal_of(life.records, kept), "u")
    assert found.difference is None
    assert (found.records, found.snapshot, found.state_bytes) == (len(life.records), kept[0], len(kept[1]))


@pytest.mark.parametrize(
    "field",
    ["window.recent", "window.today", "orders", "slots", "halts", "unfilled", "external", "config.subscriptions", "recent_commands"],
)
async def test_a_state_that_differs_in_any_of_it_is_found_there(life: Life, field: str) -> None:
    state = msgspec.json.decode(life.trader.snapshot())
    *path, last = field.split(".")
    place = state
    for name in path:
        place = place[name]
    found = place[last]
    place[last] = (
        found + 1 if isinstance(found, int) else type(found)(list(found)[:-1] if isinstance(found, list) else list(found.items())[:-1])
    )
    lie = (life.trader.number, msgspec.json.encode(state))

    replayed = await replay_user(await journal_of(life.records, lie), "u")

    assert replayed.difference is not None
    assert replayed.difference.field.startswith(f"state.{field}")
