"""Every subscription is a book of its own; the account is their sum."""

from decimal import Decimal

from runtime.engine import TradingEngine
from runtime.events import ReportStatus, Unsubscribe
from runtime.market import Timeframe
from runtime.session import SessionConfig, Sizing, SizingMethod, Subscription
from runtime.signals import OrderSide, Side
from runtime.state import net_positions
from tests.builders import FUTURE, arrive, at, data_of, engine, fill, orders, signal


def sized(timeframe: Timeframe, quantity: int) -> Subscription:
    return Subscription(timeframe=timeframe, sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(quantity)))


FAST, SLOW = sized(Timeframe.M1, 50), sized(Timeframe.M5, 30)


def two_books() -> TradingEngine:
    """Long 50 futures at 100 by one strategy, short 30 of the same at 104 by another; 0.1 % fees a side."""
    trader = engine(SessionConfig(subscriptions=(FAST, SLOW), fees="flat:0.001"))
    trade(trader, FAST, Side.LONG, "100", "10:00")
    trade(trader, SLOW, Side.SHORT, "104", "10:00:05")
    return trader


def trade(trader: TradingEngine, subscription: Subscription, side: Side, price: str, clock: str) -> None:
    entry_side = OrderSide.SELL if side is Side.SHORT else OrderSide.BUY
    (order,) = orders(
        arrive(
            trader,
            signal(side, clock, strategy_key=subscription.key, instrument=FUTURE, entry_side=entry_side, stop=None, target=None),
        )
    )
    fill(trader, order, price, clock)


def test_opposite_books_on_one_instrument_reconcile_to_the_accounts_net_position() -> None:
    trader = two_books()
    assert net_positions(trader.state) == {FUTURE.id: Decimal(20)}
    trade(trader, FAST, Side.FLAT, "101", "10:05")
    assert net_positions(trader.state) == {FUTURE.id: Decimal(-30)}


def test_books_that_cancel_out_show_a_net_of_zero() -> None:
    even = sized(Timeframe.M5, 50)
    trader = engine(SessionConfig(subscriptions=(FAST, even), fees="none"))
    trade(trader, FAST, Side.LONG, "100", "10:00")
    trade(trader, even, Side.SHORT, "104", "10:00:05")
    assert net_positions(trader.state) == {FUTURE.id: Decimal(0)}


def test_each_book_has_its_own_profit_and_fees_and_the_account_their_sum() -> None:
    """FAST: (101 - 100) × 50 = 50, fees 5.00 + 5.05. SLOW: (104 - 105) × 30 = -30, fees 3.12 + 3.15."""
    trader = two_books()
    trade(trader, FAST, Side.FLAT, "101", "10:05")
    trade(trader, SLOW, Side.FLAT, "105", "10:06")
    fast, slow = trader.state.slots[FAST.key], trader.state.slots[SLOW.key]
    assert (fast.realised_today, fast.fees_today) == (Decimal(50), Decimal("10.05"))
    assert (slow.realised_today, slow.fees_today) == (Decimal(-30), Decimal("6.27"))
    assert (trader.state.realised_today, trader.state.fees_today) == (Decimal(20), Decimal("16.32"))


def test_a_new_day_starts_the_days_figures_afresh_and_keeps_the_totals() -> None:
    trader = two_books()
    trade(trader, FAST, Side.FLAT, "101", "10:05")
    trader.process(ReportStatus(ts=at("09:15", at("10:00").date().replace(day=21)), command_id="s"))
    book = trader.state.slots[FAST.key]
    assert (book.realised_today, book.realised_total) == (Decimal(0), Decimal(50))
    assert (trader.state.realised_today, trader.state.realised_total, trader.state.fees_total) == (
        Decimal(0),
        Decimal(50),
        Decimal("13.17"),
    )


def test_the_status_lists_the_books_and_the_net_position() -> None:
    status = data_of(two_books().process(ReportStatus(ts=at("10:01"), command_id="s")), "COMMAND_ACCEPTED")
    assert status["net"] == {FUTURE.id: "20"}
    assert [(book["slot"], book["phase"], book["day"]["fees"]) for book in status["books"]] == [
        (FAST.key, "IN_TRADE", "5.00"),
        (SLOW.key, "IN_TRADE", "3.12"),
    ]


def test_a_book_that_ends_flat_leaves_its_result_in_the_accounts_total() -> None:
    trader = two_books()
    trade(trader, FAST, Side.FLAT, "101", "10:05")
    trader.process(Unsubscribe(ts=at("10:06"), command_id="u", key=FAST.key))
    assert FAST.key not in trader.state.slots
    assert trader.state.realised_total == Decimal(50)
