"""One order's rows and trades, in any order, doubled and late."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from adapters.brokers.upstox.rows import OrderRow, TradeRow
from adapters.brokers.upstox.track import Track
from runtime.orders import OrderCancelled, OrderRejected
from tests.adapters.brokers.upstox.test_encode import order
from tests.builders import at

NOW = at("10:00")


def row(status: str, filled: int = 0, *, average: str = "100", name: str = "1", quantity: int = 60, message: str | None = None) -> OrderRow:
    return OrderRow(
        order_id=name,
        status=status,
        quantity=Decimal(quantity),
        filled_quantity=Decimal(filled),
        average_price=Decimal(average),
        status_message=message,
    )


def trade(number: int, quantity: int, price: str, name: str = "1") -> TradeRow:
    return TradeRow(order_id=name, trade_id=f"{number:04}", quantity=Decimal(quantity), average_price=Decimal(price))


def test_an_order_that_is_filled_in_parts_is_reported_trade_by_trade_and_once() -> None:
    track = Track(order())
    track.take(row("open", 30))
    first = track.fills_from([trade(1, 30, "100.00")], NOW)
    track.take(row("complete", 60, average="100.05"))
    second = track.fills_from([trade(1, 30, "100.00"), trade(2, 30, "100.10")], NOW)

    assert [(fill.quantity, fill.price) for fill in first + second] == [(30, Decimal("100.00")), (30, Decimal("100.10"))]
    assert first[0].fill_id != second[0].fill_id
    assert track.is_over
    assert track.end(NOW) is None


def test_where_the_trade_book_lags_the_fill_is_priced_by_the_average() -> None:
    """30 at 100.00 are known; 60 at an average of 100.05 make 30 more at 100.10, and the trades that follow add nothing."""
    track = Track(order())
    track.take(row("open", 30))
    track.fills_from([trade(1, 30, "100.00")], NOW)
    track.take(row("complete", 60, average="100.05"))

    (fill,) = track.fill_at_average(NOW)
    assert (fill.quantity, fill.price) == (30, Decimal("100.10"))
    assert track.fills_from([trade(1, 30, "100.00"), trade(2, 30, "100.10")], NOW) == []


def test_a_successor_reports_only_what_its_predecessor_had_not() -> None:
    track = Track(order(), filled=Decimal(30))
    track.take(row("complete", 60, average="100.05"))
    (fill,) = track.fills_from([trade(1, 30, "100.00"), trade(2, 30, "100.10")], NOW)
    assert (fill.quantity, fill.price) == (30, Decimal("100.10"))


def test_old_news_changes_nothing() -> None:
    track = Track(order())
    assert track.take(row("complete", 60))
    assert not track.take(row("open", 30))
    assert not track.take(row("put order req received"))
    assert not track.take(row("complete", 60))
    assert track.is_over


def test_a_rejection_carries_the_brokers_words_and_our_reason() -> None:
    track = Track(order())
    track.take(row("rejected", message="RMS:Margin Exceeds, Cash Available:0.00"))
    end = track.end(NOW)
    assert end == OrderRejected(ts=NOW, order_id=track.order.order_id, reason="insufficient_funds: RMS:Margin Exceeds, Cash Available:0.00")


def test_what_is_filled_of_a_cancelled_order_stays_filled() -> None:
    track = Track(order())
    track.take(row("cancelled", 30))
    assert [fill.quantity for fill in track.fills_from([trade(1, 30, "100")], NOW)] == [30]
    assert track.end(NOW) == OrderCancelled(ts=NOW, order_id=track.order.order_id, reason="")


def test_a_state_nobody_has_heard_of_is_not_the_end() -> None:
    track = Track(order())
    track.take(row("half done, ask later"))
    assert not track.is_over
    assert track.open_ids == ["1"]


def test_slices_are_one_order_and_over_when_all_of_them_are() -> None:
    track = Track(order(quantity=Decimal(1200)))
    track.named(["1", "2"])
    track.take(row("complete", 600, name="1", quantity=600))
    assert not track.is_over
    track.take(row("rejected", name="2", quantity=600, message="circuit limit"))
    assert track.is_over
    assert [fill.quantity for fill in track.fills_from([trade(1, 600, "100")], NOW)] == [600]
    assert isinstance(track.end(NOW), OrderCancelled)


def test_of_an_order_found_by_its_tag_the_end_waits_for_all_slices() -> None:
    """One visible slice that is done says nothing of one that is not visible yet."""
    track = Track(order(quantity=Decimal(1200)))
    track.take(row("complete", 600, name="1", quantity=600))
    assert not track.is_over
    track.take(row("complete", 600, name="2", quantity=600))
    assert track.is_over


@given(st.permutations(range(6)), st.lists(st.integers(0, 5), max_size=6))
def test_any_order_of_updates_with_any_repeats_gives_the_same_fills(permutation: list[int], repeats: list[int]) -> None:
    updates = [row("put order req received"), row("open"), row("open", 15), row("open", 30), row("open", 45), row("complete", 60)]
    trades = [trade(number, 15, f"10{number}.00") for number in range(1, 5)]
    track, done = Track(order()), []
    for index in [*permutation, *repeats]:
        if track.take(updates[index]):
            known = [t for t in trades if int(t.trade_id) * 15 <= track.filled]
            done += track.fills_from(known, NOW)
    assert track.is_over
    assert sum(fill.quantity for fill in done) == 60
    assert sum(fill.quantity * fill.price for fill in done) == 15 * (101 + 102 + 103 + 104)
    assert len({fill.fill_id for fill in done}) == len(done)


def test_slices_known_by_a_cancel_of_theirs_need_not_be_all_of_the_order() -> None:
    track = Track(order())  # 60 units, in two slices; the other one is filled
    track.known_as(["1"])
    track.take(row("cancelled", name="1", quantity=30))
    assert not track.is_over
    track.take(row("complete", 30, name="2", quantity=30))
    assert track.is_over
    assert track.filled == 30
