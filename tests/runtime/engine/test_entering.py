from datetime import time, timedelta
from decimal import Decimal

import pytest

from runtime.events import HaltTrading, PauseSession, SignalArrived
from runtime.market import Instrument, InstrumentKind
from runtime.outages import FeedChanged
from runtime.session import Protection, RiskLimits, Sizing
from runtime.signals import OrderSide, Side
from runtime.state import SlotPhase
from tests.builders import SUBSCRIPTION, arrive, at, config, data_of, engine, fill, in_trade, orders, said, signal


def test_a_signal_enters_with_a_market_order_of_the_sized_quantity() -> None:
    trader = engine()
    effects = arrive(trader, signal(Side.LONG))
    (order,) = orders(effects)
    assert said(effects) == ["SIGNAL", "ORDER_SUBMITTED"]
    assert (order.side, order.quantity, order.instrument.id, order.reduce_only) == (
        OrderSide.BUY,
        Decimal(30),
        "NSE:BANKNIFTY26NOV52000CE",
        False,
    )
    assert trader.state.slots[SUBSCRIPTION.key].phase is SlotPhase.ENTERING


def test_the_same_signal_delivered_twice_changes_nothing() -> None:
    trader = engine()
    first = signal(Side.LONG)
    arrive(trader, first)
    before = trader.state.seq
    assert arrive(trader, first) == []
    assert trader.state.seq == before


def test_an_older_signal_than_the_last_one_is_ignored() -> None:
    trader = engine()
    arrive(trader, signal(Side.LONG, "10:05"))
    assert arrive(trader, signal(Side.SHORT, "10:04")) == []


def test_a_signal_for_the_same_side_is_skipped() -> None:
    trader = in_trade()
    effects = arrive(trader, signal(Side.LONG, "10:10"))
    assert said(effects) == ["SIGNAL", "SIGNAL_SKIPPED"]
    assert data_of(effects, "SIGNAL_SKIPPED")["reason"] == "same_side"


def test_a_reversal_enters_only_after_the_close_is_filled() -> None:
    trader = in_trade(side=Side.LONG)
    effects = arrive(trader, signal(Side.SHORT, "10:10"))
    (close,) = orders(effects)
    assert (close.side, close.reduce_only, close.instrument.id) == (OrderSide.SELL, True, "NSE:BANKNIFTY26NOV52000CE")
    effects = fill(trader, close, "110", "10:10")
    (entry,) = orders(effects)
    assert said(effects) == ["ORDER_FILLED", "POSITION_CLOSED", "ORDER_SUBMITTED"]
    assert (entry.side, entry.instrument.id) == (OrderSide.BUY, "NSE:BANKNIFTY26NOV52000PE")
    assert data_of(effects, "POSITION_CLOSED")["exit_reason"] == "REVERSAL"


def test_a_partly_filled_close_does_not_enter_yet() -> None:
    trader = in_trade(side=Side.LONG)
    (close,) = orders(arrive(trader, signal(Side.SHORT, "10:10")))
    assert orders(fill(trader, close, "110", "10:10", quantity=15)) == []
    (entry,) = orders(fill(trader, close, "111", "10:10", quantity=15, fill_id="f2"))
    assert entry.instrument.id.endswith("PE")


def test_of_two_targets_that_arrive_while_an_order_is_in_flight_the_newest_wins() -> None:
    trader = engine()
    (entry,) = orders(arrive(trader, signal(Side.LONG, "10:00")))
    arrive(trader, signal(Side.SHORT, "10:01"))
    effects = arrive(trader, signal(Side.LONG, "10:02"))
    assert data_of(effects, "SIGNAL_SKIPPED") == {
        "signal_id": "s-100100-SHORT",
        "strategy": "index_options_scalper",
        "strategy_key": SUBSCRIPTION.key,
        "current": "FLAT",
        "side": "SHORT",
        "latency_ms": 60_000.0,  # its candle closed at 10:01
        "reason": "superseded",
        "detail": "by s-100200-LONG",
    }
    effects = fill(trader, entry, "100", "10:02")
    assert data_of(effects, "SIGNAL_SKIPPED")["reason"] == "same_side"


def test_a_flat_signal_closes_and_a_flat_trader_ignores_it() -> None:
    trader = in_trade()
    (close,) = orders(arrive(trader, signal(Side.FLAT, "10:10")))
    assert close.reduce_only
    closed = data_of(fill(trader, close, "105", "10:10"), "POSITION_CLOSED")
    assert (closed["exit_reason"], closed["realised_pnl"]) == ("SIGNAL", "150")
    assert data_of(arrive(trader, signal(Side.FLAT, "10:20")), "SIGNAL_SKIPPED")["reason"] == "flat"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (config(protection=Protection(square_off=time(9, 59))), "market_closed"),
        (config(risk=RiskLimits(max_notional=Decimal(2999))), "risk_limit"),
        (config(risk=RiskLimits(max_orders_per_day=0)), "risk_limit"),
        (config(risk=RiskLimits(max_open_positions=0)), "risk_limit"),
        (config(protection=Protection(max_trades_per_day=0)), "risk_limit"),
        (config(sizing=Sizing(risk_per_trade=Decimal("0.001")), capital=Decimal(100000)), "size_zero"),
    ],
)
def test_guard_rails_refuse_with_their_reason(settings, reason: str) -> None:
    effects = arrive(engine(settings), signal(Side.LONG))
    assert orders(effects) == []
    assert data_of(effects, "SIGNAL_SKIPPED")["reason"] == reason


def test_without_a_cooldown_a_clock_that_has_gone_back_refuses_nothing() -> None:
    trader = in_trade()
    (close,) = orders(arrive(trader, signal(Side.FLAT, "10:01")))
    fill(trader, close, "100", "10:01")
    again = SignalArrived(ts=at("09:59:30"), signal=signal(Side.LONG, "10:01:01"))
    assert len(orders(trader.process(again))) == 1


def test_the_cooldown_counts_from_the_last_entry() -> None:
    trader = in_trade(config(cooldown=timedelta(minutes=15)))
    (close,) = orders(arrive(trader, signal(Side.FLAT, "10:05")))
    fill(trader, close, "100", "10:05")
    assert data_of(arrive(trader, signal(Side.LONG, "10:14")), "SIGNAL_SKIPPED")["reason"] == "cooldown"
    assert len(orders(arrive(trader, signal(Side.LONG, "10:15")))) == 1


def test_a_stale_signal_is_not_traded() -> None:
    trader = engine()
    old = signal(Side.LONG, "10:00")
    effects = trader.process(SignalArrived(ts=at("10:01:31"), signal=old))
    assert data_of(effects, "SIGNAL_SKIPPED")["reason"] == "stale"


def test_an_index_itself_is_not_tradable() -> None:
    index = Instrument(id="NSE:BANKNIFTY", kind=InstrumentKind.INDEX)
    effects = arrive(engine(), signal(Side.LONG, instrument=index, contract_price=None, contract_ask=None, contract_bid=None))
    assert data_of(effects, "SIGNAL_SKIPPED")["reason"] == "invalid"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (PauseSession(ts=at("09:59"), command_id="p"), "paused"),
        (HaltTrading(ts=at("09:59"), command_id="h", reason="operator"), "halted"),
        (FeedChanged(ts=at("09:59"), up=False), "stale"),
    ],
)
def test_no_entry_while_paused_halted_or_blind(event, reason: str) -> None:
    trader = engine()
    trader.process(event)
    assert data_of(arrive(trader, signal(Side.LONG)), "SIGNAL_SKIPPED")["reason"] == reason


def test_an_entry_beyond_the_order_rate_is_refused_until_the_window_has_moved_on() -> None:
    trader = engine(config(risk=RiskLimits(max_orders_per_second=2)))
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    fill(trader, entry, "100")
    (close,) = orders(arrive(trader, signal(Side.FLAT, ts=at("10:00:00.2"))))
    fill(trader, close, "100", "10:00:00.3")
    assert data_of(arrive(trader, signal(Side.LONG, ts=at("10:00:00.9"))), "SIGNAL_SKIPPED")["detail"] == "max_orders_per_second 2"
    assert len(orders(arrive(trader, signal(Side.LONG, ts=at("10:00:01.0"))))) == 1
