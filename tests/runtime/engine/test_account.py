"""What the broker says the account holds, against what the trader believes."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from runtime.accounts import AccountPosition, AccountReport
from runtime.engine import TradingEngine
from runtime.engine.account import differences
from runtime.events import CancelOrder, Effect, PauseSession, SuspendSession
from runtime.session import ExternalPositions, Mode, RiskLimits
from tests.builders import arrive, at, config, data_of, engine, fill, option, orders, said, signal

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
