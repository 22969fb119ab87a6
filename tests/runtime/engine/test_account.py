"""What the broker says the account holds, against what the trader believes."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from runtime.accounts import AccountPosition, AccountReport
from runtime.engine import TradingEngine
from runtime.engine.account import differences
from runtime.events import CancelOrder, Effect, PauseSession, PriceTouched, SuspendSession, Watch
from runtime.market import Right, Timeframe
from runtime.orders import OrderUnknown
from runtime.session import ExternalPositions, Mode, RiskLimits, Subscription
from tests.builders import ONE_LOT, arrive, at, config, data_of, engine, fill, option, orders, said, signal

CALL = option()
LIVE = config(mode=Mode.LIVE, broker="upstox", credentials="c", live_confirmed=True)
PROTECT = msgspec.structs.replace(LIVE, risk=RiskLimits(external_positions=ExternalPositions.PROTECT))


def holding(quantity: int, *, average: str | None = None, last: str | None = None) -> AccountPosition:
    return AccountPosition(
        instrument=CALL,
        quantity=Decimal(quantity),
        average_price=None if average is None else Decimal(average),
        last_price=None if last is None else Decimal(last),
    )


def report(trader: TradingEngine, *positions: AccountPosition) -> list[Effect]:
    return trader.process(AccountReport(ts=at("10:05"), positions=positions))


def live_trader(settings: object = LIVE) -> TradingEngine:
    """Holds 30 bought at 100."""
    trader = engine(settings)  # type: ignore[arg-type]
    (entry,) = orders(arrive(trader, signal()))
    fill(trader, entry, "100")
    return trader


def test_an_account_that_holds_what_we_believe_differs_in_nothing() -> None:
    assert differences(live_trader().state, [holding(30)]) == []


def test_a_position_that_the_broker_does_not_mention_is_held_no_more() -> None:
    (missing,) = differences(live_trader().state, [])
    assert (missing.instrument.id, missing.quantity) == (CALL.id, 0)


def test_paper_positions_are_no_business_of_the_broker() -> None:
    trader = engine()
    (entry,) = orders(arrive(trader, signal()))
    fill(trader, entry, "100")
    assert differences(trader.state, []) == []


def test_a_contract_with_an_order_under_way_is_left_out() -> None:
    trader = engine(LIVE)
    (entry,) = orders(arrive(trader, signal()))
    fill(trader, entry, "100", quantity=10)
    assert differences(trader.state, [holding(30)]) == []


def test_a_position_closed_by_hand_is_closed_at_the_last_price() -> None:
    """Bought 30 at 100, gone at 110: 300 earned."""
    trader = live_trader()
    effects = report(trader, holding(0, last="110"))
    assert said(effects) == ["POSITION_CLOSED"]
    closed = data_of(effects, "POSITION_CLOSED")
    assert (closed["exit_reason"], closed["exit_price"], closed["realised_pnl"]) == ("EXTERNAL", "110", "300")
    assert orders(effects) == []
    assert trader.state.open_positions == []
    assert trader.state.realised_today == 300


def test_a_position_reduced_by_hand_is_reduced_here() -> None:
    trader = live_trader()
    report(trader, holding(10, last="90"))
    (position,) = trader.state.open_positions
    assert position.quantity == 10
    assert trader.state.realised_today == -200
    assert differences(trader.state, [holding(10)]) == []


def test_a_position_opened_by_hand_is_told_once_and_left_alone() -> None:
    trader = engine(LIVE)
    effects = report(trader, holding(-30, average="50"))
    alert = data_of(effects, "EXIT_ALERT")
    assert (alert["rule"], alert["priority"], alert["action"], alert["price"]) == ("EXTERNAL", "CRITICAL", "REVIEW", "50")
    assert trader.state.open_positions == []
    assert differences(trader.state, [holding(-30)]) == []
    assert said(report(trader, holding(0))) == ["EXIT_ALERT"]  # closed by hand again
    assert trader.state.external == {}


@pytest.mark.parametrize(("quantity", "stop"), [(30, "40.00"), (-30, "60.00")])
def test_where_the_user_wants_it_a_position_opened_by_hand_gets_a_stop(quantity: int, stop: str) -> None:
    """20 % of 50 is 10: below for what was bought, above for what was sold."""
    trader = engine(PROTECT)
    effects = report(trader, holding(quantity, average="50"))
    assert said(effects) == ["EXIT_ALERT", "POSITION_OPENED"]
    assert data_of(effects, "POSITION_OPENED")["stop"] == stop
    (position,) = trader.state.open_positions
    assert position.mode is Mode.LIVE
    assert differences(trader.state, [holding(quantity)]) == []


def test_more_than_ours_of_the_same_contract_leaves_our_own_position_as_it_was() -> None:
    trader = live_trader(PROTECT)
    report(trader, holding(60, average="80"))
    mine, external = trader.state.open_positions
    assert (mine.quantity, external.quantity) == (30, 30)
    assert differences(trader.state, [holding(60)]) == []


def test_what_was_turned_round_by_hand_is_closed_here_and_the_rest_is_external() -> None:
    """Ours: 30 bought. The account: 30 sold. So 60 were sold by hand."""
    trader = live_trader()
    effects = report(trader, holding(-30, last="100", average="100"))
    assert said(effects) == ["POSITION_CLOSED", "EXIT_ALERT"]
    assert trader.state.external == {CALL.id: Decimal(-30)}


def test_an_order_that_began_between_the_look_and_the_report_makes_the_report_void() -> None:
    trader = live_trader()
    exits = orders(arrive(trader, signal(clock="10:04", side=signal().side.FLAT)))
    assert [order.reduce_only for order in exits] == [True]
    assert said(report(trader, holding(0, last="110"))) == []
    assert not [effect for effect in report(trader, holding(0)) if isinstance(effect, CancelOrder)]


def test_an_account_that_is_cut_off_pauses_the_session_and_tells_each_live_position_as_critical() -> None:
    trader = live_trader()
    (held,) = trader.state.open_positions
    effects = trader.process(SuspendSession(ts=at("10:05"), reason="log in again", cut_off=True))
    assert said(effects) == ["SESSION_PAUSED", "EXIT_ALERT"]
    alert = data_of(effects, "EXIT_ALERT")
    assert (alert["priority"], alert["action"], alert["price"]) == ("CRITICAL", "BY_HAND", str(held.stop))


def test_a_paused_session_is_told_of_its_positions_too_when_it_is_cut_off_and_of_none_when_it_is_not() -> None:
    trader = live_trader()
    trader.process(PauseSession(ts=at("10:04"), command_id="pause"))
    assert said(trader.process(SuspendSession(ts=at("10:05"), reason="internal error"))) == []
    assert said(trader.process(SuspendSession(ts=at("10:06"), reason="log in again", cut_off=True))) == ["EXIT_ALERT"]


FIRST = Subscription(sizing=ONE_LOT)
SECOND = Subscription(sizing=ONE_LOT, timeframe=Timeframe.M5)


def test_what_is_gone_of_two_books_is_taken_out_of_the_older_first() -> None:
    """30 at 100 and 30 at 110 are held, 20 are left: 40 gone at 120, all of the first and 10 of the second."""
    trader = engine(msgspec.structs.replace(LIVE, subscriptions=(FIRST, SECOND)))
    for key, clock, price in ((FIRST.key, "10:00", "100"), (SECOND.key, "10:01", "110")):
        (entry,) = orders(arrive(trader, signal(clock=clock, strategy_key=key)))
        fill(trader, entry, price, clock)

    effects = report(trader, holding(20, last="120"))

    assert said(effects) == ["POSITION_CLOSED", "POSITION_CHANGED"]
    (left,) = trader.state.open_positions
    assert (left.entry_price, left.quantity) == (110, 20)
    assert {slot.key: slot.realised_today for slot in trader.state.slots.values()} == {FIRST.key: 600, SECOND.key: 100}
    assert differences(trader.state, [holding(20)]) == []


def test_what_is_gone_without_a_price_is_closed_at_the_entrys() -> None:
    trader = live_trader()
    assert data_of(report(trader, holding(0)), "POSITION_CLOSED")["exit_price"] == "100"
    assert trader.state.realised_today == 0


def test_a_protected_position_that_grows_by_hand_is_averaged_and_its_stop_follows() -> None:
    """30 at 50 and 30 at 60 are 60 at 55, with the stop a fifth below."""
    trader = engine(PROTECT)
    report(trader, holding(30, average="50"))
    effects = report(trader, holding(60, average="60"))
    changed = data_of(effects, "POSITION_CHANGED")
    assert (changed["quantity"], changed["entry_price"], changed["stop"]) == ("60", "55", "44.00")
    (position,) = trader.state.open_positions
    assert position.cost == 3300


def test_a_protected_position_leaves_at_its_stop() -> None:
    trader = engine(PROTECT)
    effects = report(trader, holding(30, average="50"))
    (watch,) = [effect for effect in effects if isinstance(effect, Watch)]
    assert (watch.instrument, watch.low, watch.high) == (CALL.id, 40.0, None)
    touched = PriceTouched(ts=at("10:06"), slot=watch.slot, instrument=CALL.id, price=39.0)
    (close,) = orders(trader.process(touched))
    assert (close.mode, close.side, close.quantity, close.reduce_only) == (Mode.LIVE, "SELL", 30, True)


@pytest.mark.parametrize(
    ("right", "quantity", "side"), [("CE", 30, "LONG"), ("CE", -30, "SHORT"), ("PE", 30, "SHORT"), ("PE", -30, "LONG")]
)
def test_a_bought_put_and_a_sold_call_are_short_of_the_underlying(right: str, quantity: int, side: str) -> None:
    trader = engine(PROTECT)
    found = AccountPosition(instrument=option(right=Right(right)), quantity=Decimal(quantity), average_price=Decimal(50))
    assert data_of(report(trader, found), "POSITION_OPENED")["side"] == side


def test_without_any_price_there_is_nothing_to_put_a_stop_at() -> None:
    trader = engine(PROTECT)
    assert data_of(report(trader, holding(30)), "EXIT_ALERT")["action"] == "REVIEW"
    assert trader.state.external == {CALL.id: Decimal(30)}


def test_a_contract_with_an_order_of_unknown_fate_is_left_out_and_another_is_not() -> None:
    trader = engine(LIVE)
    (entry,) = orders(arrive(trader, signal()))
    trader.process(OrderUnknown(ts=at("10:01"), order_id=entry.order_id, reason="answer lost"))
    other = AccountPosition(instrument=option(51000), quantity=Decimal(30))
    assert differences(trader.state, [holding(30), other]) == [other]
    assert report(trader, holding(30)) == []
