"""Every reason there is, for a signal that was not followed and for a position that was left, has its record and its explanation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from decimal import Decimal

import msgspec
import pytest

from runtime.accounts import AccountPosition, AccountReport
from runtime.events import (
    ExitReason,
    HaltTrading,
    PauseSession,
    PauseSubscription,
    PriceTouched,
    SignalArrived,
    SquareOff,
    StopSession,
    TimeAdvanced,
    Unsubscribe,
)
from runtime.halts import HaltScope, HaltTarget
from runtime.market import Timeframe
from runtime.orders import Leg, OrderUnknown
from runtime.outages import BrokerChanged, FeedChanged
from runtime.reconcile import SkipReason
from runtime.session import Mode, OnBreach, Protection, RiskLimits, SessionConfig, Sizing, SizingMethod, Subscription
from runtime.signals import Side, Signal
from tests.actors.test_audit import FLAT, LONG, SHORT, Day, entered
from tests.builders import ONE_LOT, PLAIN, SUBSCRIPTION, USUAL_LIMITS, at, config, option, points, signal

FIRST = Subscription(sizing=ONE_LOT)
SECOND = Subscription(sizing=ONE_LOT, timeframe=Timeframe.M5)
AGAIN = signal(Side.LONG, "10:30")
NO_GUARDS = frozenset({"on_breach", "on_silence", "external_positions", "external_stop"})
"""Limits that say what to do, and refuse nothing."""

Refused = Callable[[], Awaitable[tuple[Day, Signal]]]
REFUSALS: dict[str, tuple[str, Refused]] = {}
"""reason, or reason: which of several → (what the detail says, a day that leads to it)."""


def refusal(name: str, says: str) -> Callable[[Refused], Refused]:
    def add(story: Refused) -> Refused:
        assert name not in REFUSALS
        REFUSALS[name] = says, story
        return story

    return add


async def left(settings: SessionConfig | None = None) -> Day:
    """Entered at 10:00, out at 10:10."""
    day = await entered(settings)
    await day.arrives(FLAT)
    await day.fills(day.orders[-1], 100, "10:10")
    return day


async def other_first(**limits: object) -> tuple[Day, Signal]:
    """Another subscription of the same user enters; a second later the same is wanted again."""
    day = Day(SessionConfig(subscriptions=(FIRST, SECOND), risk=RiskLimits(**limits), fees="none"))  # type: ignore[arg-type]
    await day.arrives(LONG)
    wish = signal(Side.LONG, "10:00:01", strategy_key=SECOND.key)
    return day, wish


async def plain(settings: SessionConfig, wish: Signal = LONG) -> tuple[Day, Signal]:
    return Day(settings), wish


@refusal("cooldown", "last entry 2026-11-20T10:00:00+05:30, cooldown 1:00:00")
async def _() -> tuple[Day, Signal]:
    return await left(config(cooldown=timedelta(hours=1))), AGAIN


@refusal("market_closed", "square-off time 15:15 has passed")
async def _() -> tuple[Day, Signal]:
    return await plain(config(), signal(Side.LONG, "15:15"))


@refusal("paused: session", "the session is paused")
async def _() -> tuple[Day, Signal]:
    day = Day()
    await day.lives(PauseSession(ts=at("09:50"), command_id="p"))
    return day, LONG


@refusal("paused: subscription", "the subscription is paused")
async def _() -> tuple[Day, Signal]:
    day = Day()
    await day.lives(PauseSubscription(ts=at("09:50"), command_id="p", key=SUBSCRIPTION.key))
    return day, LONG


TARGETS = {
    HaltScope.PLATFORM: HaltTarget(),
    HaltScope.STRATEGY: HaltTarget(scope=HaltScope.STRATEGY, strategy=SUBSCRIPTION.strategy),
    HaltScope.USER: HaltTarget(scope=HaltScope.USER, user_id="u1"),
    HaltScope.SUBSCRIPTION: HaltTarget(scope=HaltScope.SUBSCRIPTION, user_id="u1", strategy=SUBSCRIPTION.key),
}
for _scope, _target in TARGETS.items():

    @refusal(f"halted: {_scope}", f"drill of {_scope}")
    async def _(scope: HaltScope = _scope, target: HaltTarget = _target) -> tuple[Day, Signal]:
        day = Day()
        await day.lives(HaltTrading(ts=at("09:50"), command_id="h", reason=f"drill of {scope}", target=target))
        return day, LONG


@refusal("same_side", "already LONG")
async def _() -> tuple[Day, Signal]:
    return await entered(), AGAIN


@refusal("flat", "already FLAT")
async def _() -> tuple[Day, Signal]:
    return await plain(config(), FLAT)


@refusal("stale: feed", "the feed is down")
async def _() -> tuple[Day, Signal]:
    day = Day()
    await day.lives(FeedChanged(ts=at("09:50"), up=False))
    return day, LONG


@refusal("stale: silence", "NSE:BANKNIFTY is silent")
async def _() -> tuple[Day, Signal]:
    day = Day()
    await day.lives(FeedChanged(ts=at("09:50"), up=True, silent=("NSE:BANKNIFTY",)))
    return day, LONG


@refusal("size_zero", "capital 1, price 100.00, stop 80.00: less than one lot of 30")
async def _() -> tuple[Day, Signal]:
    return await plain(config(capital=Decimal(1), sizing=Sizing()))


@refusal("not_running: session", "the session is stopped")
async def _() -> tuple[Day, Signal]:
    day = await entered()
    await day.lives(StopSession(ts=at("10:05"), command_id="s"))
    return day, SHORT


@refusal("invalid", "no price of a tradable contract for NSE:BANKNIFTY")
async def _() -> tuple[Day, Signal]:
    return await plain(config(), signal(contract_price=None, contract_ask=None, contract_bid=None))


@refusal("expiry", "min_days_to_expiry 5, expiry 2026-11-24")
async def _() -> tuple[Day, Signal]:
    return await plain(config(protection=Protection(square_off=None, min_days_to_expiry=5)))


@refusal("no_atr", "sizing volatility_target needs the ATR of NSE:BANKNIFTY26NOV52000CE")
async def _() -> tuple[Day, Signal]:
    return await plain(config(sizing=Sizing(method=SizingMethod.VOLATILITY_TARGET)))


@refusal("duplicate: duplicate_window", f"{FIRST.key} entered the same at 2026-11-20T10:00:00+05:30, duplicate_window 0:01:00")
async def _() -> tuple[Day, Signal]:
    return await other_first(duplicate_window=timedelta(minutes=1))


@refusal("risk_limit: max_daily_loss", "daily loss limit 300 reached at 90.0 of NSE:BANKNIFTY26NOV52000CE")
async def _() -> tuple[Day, Signal]:
    """30 units from 100 to 90."""
    day = await entered(config(risk=RiskLimits(max_daily_loss=Decimal(300))))
    await day.lives(PriceTouched(ts=at("10:05"), slot=SUBSCRIPTION.key, instrument=option().id, price=90.0))
    await day.fills(day.orders[-1], 90, "10:05")
    return day, AGAIN


@refusal("risk_limit: max_open_positions", "max_open_positions 1, open 1")
async def _() -> tuple[Day, Signal]:
    return await other_first(max_open_positions=1)


@refusal("risk_limit: max_orders_per_second", "max_orders_per_second 1")
async def _() -> tuple[Day, Signal]:
    day, wish = await other_first(max_orders_per_second=1)
    return day, msgspec.structs.replace(wish, ts=LONG.ts)


@refusal("risk_limit: max_orders_per_day", "max_orders_per_day 1, sent 1, wanted 1 more")
async def _() -> tuple[Day, Signal]:
    return await other_first(max_orders_per_day=1)


@refusal("risk_limit: max_notional", "max_notional 2999, wanted 3000.00")
async def _() -> tuple[Day, Signal]:
    return await plain(config(risk=RiskLimits(max_notional=Decimal(2999))))


@refusal("risk_limit: max_portfolio_heat", "max_portfolio_heat 0.001 of 500000, wanted 600.00 at the stops")
async def _() -> tuple[Day, Signal]:
    """30 units with 20 to the stop."""
    return await plain(config(risk=RiskLimits(max_portfolio_heat=Decimal("0.001"))))


@refusal("risk_limit: price_collar_percent", "price_collar_percent 20: 121.00 against the last trade at 100.0")
async def _() -> tuple[Day, Signal]:
    return await plain(config(), signal(contract_ask=121.0))


@refusal("risk_limit: max_trades_per_day", "max_trades_per_day 1")
async def _() -> tuple[Day, Signal]:
    return await left(config(protection=Protection(max_trades_per_day=1))), AGAIN


@refusal("risk_limit: broker", "the broker is down")
async def _() -> tuple[Day, Signal]:
    day = Day()
    await day.lives(BrokerChanged(ts=at("09:50"), up=False))
    return day, LONG


@refusal("risk_limit: unknown order", f"the outcome of an earlier order of {option().id} is unknown")
async def _() -> tuple[Day, Signal]:
    day, wish = await other_first()
    await day.lives(OrderUnknown(ts=at("10:00"), order_id=day.orders[0].order_id, reason="answer lost"))
    return day, wish


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_recorded_and_explained_with_its_reason_and_values(name: str) -> None:
    says, story = REFUSALS[name]
    day, wish = await story()
    await day.arrives(wish)

    record = day.records("execution_logs")[f"u1:{wish.signal_id}"]
    last = (await day.explains(wish)).steps[-1]

    assert (record["decision"], record["reason"]) == ("SKIP", name.partition(":")[0])
    assert says in record["detail"]
    assert (last.stage, last.title, last.details["detail"]) == ("guards", f"refused: {record['reason']}", record["detail"])


WAITING = {
    "superseded: newer": (SignalArrived(ts=AGAIN.ts, signal=AGAIN), f"by {AGAIN.signal_id}"),
    "superseded: square off": (SquareOff(ts=at("10:11"), command_id="s"), "by SQUARE_OFF"),
    "not_running: subscription": (Unsubscribe(ts=at("10:11"), command_id="u", key=SUBSCRIPTION.key), "not followed any more"),
    "paused: while it waits": (PauseSession(ts=at("10:11"), command_id="p"), "PAUSE_TRADING came while it waited"),
    "stale: old": (None, "91 s old, at most 90 s"),
}


@pytest.mark.parametrize("name", WAITING)
async def test_a_target_that_waited_in_vain_is_recorded_and_explained(name: str) -> None:
    """LONG is in flight when SHORT comes at 10:10."""
    ends, says = WAITING[name]
    day = Day()
    await day.arrives(LONG)
    await day.arrives(SHORT)
    if ends is None:
        await day.fills(day.orders[0], 100, "10:11:30")
        await day.fills(day.orders[1], 100, "10:11:31")
    else:
        await day.lives(ends)

    record = day.records("execution_logs")[f"u1:{SHORT.signal_id}"]
    assert (record["decision"], record["reason"]) == ("SKIP", name.partition(":")[0])
    assert says in record["detail"]
    refused = [step for step in (await day.explains(SHORT)).steps if step.title == f"refused: {record['reason']}"]
    assert [step.details["detail"] for step in refused] == [record["detail"]]


def test_no_reason_and_no_limit_is_without_its_case() -> None:
    """Fails for a new one until it is explained above."""
    names = [*REFUSALS, *WAITING]
    assert {name.partition(":")[0] for name in names} == set(SkipReason)
    which = {name.partition(": ")[2] for name in names}
    assert which >= set(RiskLimits.__struct_fields__) - NO_GUARDS
    assert which >= set(HaltScope)


# --- why a position was left ---

Left = Callable[[], Awaitable[Day]]
EXITS: dict[ExitReason, Left] = {}


def exit_by(reason: ExitReason) -> Callable[[Left], Left]:
    def add(story: Left) -> Left:
        EXITS[reason] = story
        return story

    return add


async def touched(*prices: float, protection: Protection = PLAIN, risk: RiskLimits = USUAL_LIMITS) -> Day:
    day = await entered(config(protection=protection, risk=risk))
    for price in prices:
        await day.lives(PriceTouched(ts=at("10:05"), slot=SUBSCRIPTION.key, instrument=option().id, price=price))
    return day


@exit_by(ExitReason.SL)
async def _() -> Day:
    return await touched(79.0)


@exit_by(ExitReason.TP)
async def _() -> Day:
    return await touched(131.0)


@exit_by(ExitReason.TRAIL)
async def _() -> Day:
    return await touched(110.0, 104.0, protection=Protection(trail=points("5")))


@exit_by(ExitReason.SIGNAL)
async def _() -> Day:
    day = await entered()
    await day.arrives(FLAT)
    return day


@exit_by(ExitReason.REVERSAL)
async def _() -> Day:
    day = await entered()
    await day.arrives(SHORT)
    return day


@exit_by(ExitReason.TIME)
async def _() -> Day:
    day = await entered()
    await day.lives(TimeAdvanced(ts=at("15:15")))
    return day


@exit_by(ExitReason.EXPIRY)
async def _() -> Day:
    day = await entered(config(protection=Protection(square_off=None, min_days_to_expiry=0)))
    await day.lives(TimeAdvanced(ts=at("15:15", date(2026, 11, 24))))
    return day


@exit_by(ExitReason.RISK_HALT)
async def _() -> Day:
    return await touched(90.0, risk=RiskLimits(max_daily_loss=Decimal(300)))


@exit_by(ExitReason.MANUAL)
async def _() -> Day:
    day = await entered()
    await day.lives(StopSession(ts=at("10:05"), command_id="s", positions=OnBreach.CLOSE))
    return day


@exit_by(ExitReason.EXTERNAL)
async def _() -> Day:
    """Sold in the broker's own app."""
    day = await entered(config(mode=Mode.LIVE))
    gone = AccountPosition(instrument=option(), quantity=Decimal(0), last_price=Decimal(99))
    await day.lives(AccountReport(ts=at("10:05"), positions=(gone,)))
    return day


@exit_by(ExitReason.SURPLUS)
async def _() -> Day:
    """Stop and target at the venue are both filled."""
    day = await entered(config(protection=Protection(at_broker=True)))
    stop, target = (next(order for order in day.orders if order.leg is leg) for leg in (Leg.STOP, Leg.TARGET))
    await day.fills(stop, 80, "10:05")
    await day.fills(target, 130, "10:05")
    return day


@pytest.mark.parametrize("reason", list(ExitReason))
async def test_the_end_of_a_position_is_explained_by_what_ended_it(reason: ExitReason) -> None:
    """A reason without a case above fails here."""
    day = await EXITS[reason]()
    leaves = [order for order in day.orders if order.leg is Leg.EXIT]
    for order in leaves:
        await day.fills(order, 100, "15:16")

    closed = [step.details["exit_reason"] for step in (await day.explains(LONG)).steps if step.title.startswith("closed:")]

    assert closed[-1] == reason
    assert len(leaves) == (reason is not ExitReason.EXTERNAL)
