"""Stop and target that rest at the broker (`at_broker`): they work while nobody here does, and never sell a position twice.

The oracle is the venue's ledger. `Spike` lets the market trade once at a price of the test's choice.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec
import pytest

pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")
pytest.importorskip("aiohttp", reason="the venue needs aiohttp")

from runtime.events import ExitReason
from runtime.exits import effective_stop, to_tick
from runtime.market import Quote
from runtime.session import Level, LevelUnit, Protection
from runtime.state import Position
from tests.faults.live_stage import LiveStage
from tests.venues.upstox import faults
from tests.venues.upstox.core import closing
from tests.venues.upstox.ledger import Happened
from tests.venues.upstox.orders import Order, Status

pytestmark = pytest.mark.slow

BRACKET = Protection(
    stop=Level(value=Decimal(30), unit=LevelUnit.PERCENT), target=Level(value=Decimal(60), unit=LevelUnit.PERCENT), at_broker=True
)
TRAILING = Protection(
    stop=Level(value=Decimal(40), unit=LevelUnit.PERCENT), trail=Level(value=Decimal(60), unit=LevelUnit.POINTS), at_broker=True
)


def resting(stage: LiveStage) -> dict[str, Order]:
    """The user's open orders at the venue: `stop` and `target`."""
    working = [order for order in stage.venue.core.desk.book("U1").orders.values() if not order.is_final]
    return {"stop" if order.terms.trigger_price else "target": order for order in working}


def spike(stage: LiveStage, price: Decimal) -> faults.Spike:
    (key,) = {entry.instrument_key for entry in stage.fills("U1")}
    return faults.Spike(instrument_token=key, price=float(price))


def position(stage: LiveStage) -> Position:
    assert stage.host is not None
    (held,) = stage.host.floor.traders["U1"].state.open_positions
    return held


async def hedged(stage: LiveStage) -> None:
    """In, with both legs at the exchange."""
    await stage.start_host()
    await stage.start_sessions()
    await stage.signal()

    async def both_rest() -> bool:
        statuses = {name: order.status for name, order in resting(stage).items()}
        return statuses == {"stop": Status.TRIGGER_PENDING, "target": Status.OPEN}

    await stage.until(both_rest, play=True)


async def flat(stage: LiveStage) -> bool:
    assert stage.host is not None
    state = stage.host.floor.traders["U1"].state
    return not state.orders and not state.open_positions and stage.venue.ledger.net("U1") == {} and not resting(stage)


def sells(stage: LiveStage) -> int:
    """Units sold."""
    return sum(entry.quantity for entry in stage.fills("U1") if entry.side == "SELL")


async def test_stop_and_target_rest_at_the_exchange_on_the_users_levels() -> None:
    async with LiveStage(protection=BRACKET) as stage:
        await hedged(stage)
        legs, held = resting(stage), position(stage)
        assert (legs["stop"].terms.trigger_price, legs["target"].terms.price) == (held.stop, held.target)
        assert {(leg.side, leg.remaining) for leg in legs.values()} == {("SELL", 30)}


async def test_the_stop_sells_while_the_host_is_dead_and_its_successor_books_it_and_calls_the_target_off() -> None:
    async with LiveStage(protection=BRACKET, real_time=True) as stage:
        await hedged(stage)
        await stage.kill()
        await stage.play(6)
        stage.venue.faults.add(spike(stage, resting(stage)["stop"].terms.trigger_price))
        assert stage.venue.ledger.net("U1") == {}
        await stage.start_host()
        await stage.until(lambda: flat(stage))
        (closed,) = await stage.said("POSITION_CLOSED")
        assert closed.data["exit_reason"] == ExitReason.SL
        assert sells(stage) == 30
        assert stage.exposure.at_most(5.0), stage.exposure.longest


async def test_the_stop_stands_while_the_token_has_expired_and_the_address_is_refused() -> None:
    async with LiveStage(protection=BRACKET, real_time=True) as stage:
        await hedged(stage)
        stage.venue.faults.add(faults.RefuseAddress(), faults.ExpireTokens())
        await stage.until(lambda: stage.said_by_all("SESSION_PAUSED"))
        await stage.square_off()  # cannot leave
        await stage.play(6)
        assert set(resting(stage)) == {"stop", "target"}
        assert stage.exposure.at_most(5.0), stage.exposure.longest


async def test_a_target_that_the_risk_desk_wants_margin_for_is_told_and_watched_here_while_the_stop_rests() -> None:
    async with LiveStage(protection=BRACKET, funds=Decimal(50_000)) as stage:  # the premium, but not what a sold option asks for
        await stage.start_host()
        await stage.start_sessions()
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("EXIT_ALERT"), play=True)
        (rejected,) = await stage.said("ORDER_REJECTED")
        assert (rejected.data["leg"], str(rejected.data["reason"]).split(":")[0]) == ("TARGET", "insufficient_funds")
        (alert,) = await stage.said("EXIT_ALERT")
        assert (alert.data["rule"], alert.data["action"]) == (ExitReason.TP, "WATCH")
        assert set(resting(stage)) == {"stop"}
        await stage.square_off()
        await stage.until(lambda: flat(stage), play=True)
        assert sells(stage) == 30


async def test_a_cancel_that_loses_the_race_against_the_stop_sells_once() -> None:
    async with LiveStage(protection=BRACKET) as stage:
        stage.venue.core.desk._settings = msgspec.structs.replace(stage.venue.core.desk._settings, cancel_seconds=3.0)
        await hedged(stage)
        stop = resting(stage)["stop"]
        await stage.square_off()
        await stage.until(lambda: _is(stop, Status.CANCEL_PENDING))
        stage.venue.faults.add(spike(stage, stop.terms.trigger_price))
        await stage.until(lambda: flat(stage), play=True)
        assert stop.status is Status.COMPLETE
        assert sells(stage) == 30


async def test_a_stop_and_a_target_that_both_fill_leave_nothing_behind() -> None:
    async with LiveStage(protection=BRACKET) as stage:
        await hedged(stage)
        legs = resting(stage)
        stage.venue.faults.add(spike(stage, legs["stop"].terms.trigger_price), spike(stage, legs["target"].terms.price))
        assert sells(stage) == 60
        await stage.until(lambda: flat(stage), play=True)
        assert [alert.data["rule"] for alert in await stage.said("EXIT_ALERT")] == [ExitReason.SURPLUS]
        assert [entry.side for entry in stage.fills("U1")] == ["BUY", "SELL", "SELL", "BUY"]


async def test_the_stop_at_the_venue_follows_the_trailing_stop_and_never_asks_for_more_than_is_held() -> None:
    async with LiveStage(protection=TRAILING) as stage:
        await hedged_without_target(stage)
        held = position(stage)
        higher = float(held.best_price) + 30
        raised = to_tick(Decimal(repr(higher)) - 60, held.instrument)
        await stage.publish_quotes(Quote(held.instrument.id, higher, higher, higher))

        async def moved() -> bool:
            stop = resting(stage).get("stop")
            return (
                stop is not None
                and stop.terms.trigger_price == to_tick(effective_stop(position(stage))[0] or Decimal(1), held.instrument) >= raised
            )

        await stage.until(moved, play=True)
        stops = {order.order_id for order in stage.venue.core.desk.book("U1").orders.values() if order.terms.trigger_price}
        told = [entry.what for entry in stage.venue.ledger.entries() if entry.order_id in stops and entry.what is not Happened.ACCEPTED]
        assert len(stops) >= 2
        assert told == [Happened.PLACED, *[Happened.CANCELLED, Happened.PLACED] * (len(stops) - 1)]  # one at a time


async def hedged_without_target(stage: LiveStage) -> None:
    await stage.start_host()
    await stage.start_sessions()
    await stage.signal()
    await stage.until(lambda: _rests(stage, "stop"), play=True)


async def test_a_stop_whose_answer_is_lost_is_found_and_a_lost_request_is_made_up_for() -> None:
    for fault in (faults.DropAfterCommit(operation="place", nth=2), faults.DropBeforeCommit(operation="place", nth=2)):
        async with LiveStage(protection=BRACKET, real_time=True) as stage:
            stage.venue.faults.add(fault)
            await hedged(stage)
            assert stage.exposure.at_most(5.0), stage.exposure.longest
            await stage.square_off()
            await stage.until(lambda stage=stage: flat(stage))
            assert sells(stage) == 30


async def test_a_position_sold_by_hand_takes_its_stop_and_target_with_it() -> None:
    async with LiveStage(protection=BRACKET) as stage:
        await hedged(stage)
        ((key, quantity),) = stage.venue.ledger.net("U1").items()
        stage.venue.faults.add(faults.ManualOrder(user="U1", order=closing(key, "I", quantity)))
        await stage.until(lambda: flat(stage), play=True)
        (closed,) = await stage.said("POSITION_CLOSED")
        assert closed.data["exit_reason"] == ExitReason.EXTERNAL
        assert sells(stage) == 30


async def test_a_stop_cancelled_by_hand_is_told_and_the_runtime_watches_its_level_alone() -> None:
    async with LiveStage(protection=BRACKET) as stage:
        await hedged(stage)
        stage.venue.faults.add(faults.ManualCancel(user="U1", tag_of_order=resting(stage)["stop"].tag))
        await stage.until(lambda: stage.said_by_all("EXIT_ALERT"), play=True)
        (alert,) = await stage.said("EXIT_ALERT")
        assert (alert.data["rule"], alert.data["action"]) == (ExitReason.SL, "WATCH")
        await asyncio.sleep(0.2)
        assert set(resting(stage)) == {"target"}
        (key,) = stage.venue.ledger.net("U1")
        assert stage.watched("U1", key) == 30


async def _is(order: Order, status: Status) -> bool:
    return order.status is status


async def _rests(stage: LiveStage, name: str) -> bool:
    return name in resting(stage)
