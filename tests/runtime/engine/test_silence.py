"""What a silent instrument means to a trader who follows it."""

from __future__ import annotations

import pytest

from runtime.events import SessionRecovered
from runtime.orders import Leg
from runtime.outages import FeedChanged, StoreChanged
from runtime.session import OnBreach, RiskLimits
from runtime.signals import OrderSide, Side
from tests.builders import arrive, at, config, data_of, engine, in_trade, orders, said, signal

MINE, OTHER = "NSE:BANKNIFTY", "NSE:NIFTY"


def test_entries_on_a_silent_instrument_are_refused_until_it_speaks() -> None:
    trader = engine()
    assert said(trader.process(FeedChanged(ts=at("09:59"), up=True, silent=(MINE, OTHER)))) == ["FEED_DOWN"]
    skipped = data_of(arrive(trader, signal(Side.LONG)), "SIGNAL_SKIPPED")
    assert (skipped["reason"], skipped["detail"]) == ("stale", "NSE:BANKNIFTY is silent")
    assert said(trader.process(FeedChanged(ts=at("10:01"), up=True, silent=(OTHER,)))) == ["FEED_UP"]
    assert len(orders(arrive(trader, signal(Side.LONG, "10:02")))) == 1


def test_the_silence_of_another_instrument_is_none_of_its_business() -> None:
    trader = engine()
    assert trader.process(FeedChanged(ts=at("09:59"), up=True, silent=(OTHER,))) == []
    assert len(orders(arrive(trader, signal(Side.LONG)))) == 1


@pytest.mark.parametrize(("policy", "leaves"), [(OnBreach.KEEP, 0), (OnBreach.CLOSE, 1)])
def test_a_position_on_a_silent_instrument_is_kept_or_closed_as_the_user_wants_it(policy: OnBreach, leaves: int) -> None:
    trader = in_trade(config(risk=RiskLimits(on_silence=policy)))
    exits = orders(trader.process(FeedChanged(ts=at("10:05"), up=True, silent=(MINE,))))
    assert len(exits) == leaves
    assert all(order.reduce_only for order in exits)


def test_while_there_is_no_market_data_at_all_silence_is_no_news() -> None:
    trader = engine()
    trader.process(FeedChanged(ts=at("09:58"), up=True, silent=(MINE,)))
    assert said(trader.process(FeedChanged(ts=at("09:59"), up=False))) == ["FEED_DOWN"]
    assert said(trader.process(FeedChanged(ts=at("10:00"), up=True, silent=(MINE,)))) == ["FEED_UP"]
    assert data_of(arrive(trader, signal(Side.LONG)), "SIGNAL_SKIPPED")["reason"] == "stale"


def test_while_the_store_is_away_a_reversal_waits_and_exits_go_on() -> None:
    trader = in_trade()
    assert said(trader.process(StoreChanged(ts=at("10:01"), up=False))) == ["STORE_DOWN"]
    assert trader.process(StoreChanged(ts=at("10:01"), up=False)) == []
    assert said(arrive(trader, signal(Side.SHORT, "10:02"))) == ["SIGNAL"]
    assert said(arrive(trader, signal(Side.FLAT, "10:03")))[:2] == ["SIGNAL", "SIGNAL_SKIPPED"]
    (leaving,) = trader.state.orders.values()
    assert leaving.order.reduce_only


@pytest.mark.parametrize("back", [StoreChanged(ts=at("10:01"), up=True), SessionRecovered(ts=at("10:01"), epoch=2)])
def test_an_entry_that_waited_for_the_store_leaves_once_when_it_is_back(back: StoreChanged | SessionRecovered) -> None:
    trader = engine()
    trader.process(StoreChanged(ts=at("10:00"), up=False))
    assert orders(arrive(trader, signal(Side.LONG))) == []
    (entry,) = orders(trader.process(back))
    assert (entry.leg, entry.side) == (Leg.ENTRY, OrderSide.BUY)
    assert orders(trader.process(StoreChanged(ts=at("10:01"), up=True))) == []
    assert orders(arrive(trader, signal(Side.LONG))) == []


@pytest.mark.parametrize("held", [True, False])
def test_a_target_that_has_grown_old_while_the_store_was_away_is_skipped(held: bool) -> None:
    trader = in_trade() if held else engine()
    trader.process(StoreChanged(ts=at("10:05"), up=False))
    arrive(trader, signal(Side.SHORT, "10:06"))
    effects = trader.process(StoreChanged(ts=at("10:09"), up=True))
    assert said(effects) == ["STORE_UP", "SIGNAL_SKIPPED"]
    assert data_of(effects, "SIGNAL_SKIPPED")["reason"] == "stale"
    assert orders(effects) == []


def test_an_entry_that_may_not_be_is_refused_at_once_also_while_the_store_is_away() -> None:
    trader = engine()
    trader.process(FeedChanged(ts=at("09:59"), up=False))
    trader.process(StoreChanged(ts=at("10:00"), up=False))
    assert data_of(arrive(trader, signal(Side.LONG)), "SIGNAL_SKIPPED")["reason"] == "stale"
    assert orders(trader.process(StoreChanged(ts=at("10:01"), up=True))) == []
