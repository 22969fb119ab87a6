from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.risk import Exposure, OrderWindow, entry_denied, loss_at_stop, loss_limit_reached, outside_collar
from runtime.session import RiskLimits
from tests.builders import at


@given(st.lists(st.integers(0, 400), min_size=1, max_size=200), st.integers(1, 8))
def test_no_sliding_second_ever_holds_more_messages_than_the_limit(pauses_ms: list[int], limit: int) -> None:
    window, now, sent = OrderWindow(), at("10:00"), []
    for pause in pauses_ms:
        now += timedelta(milliseconds=pause)
        now = max(now, window.room_at(now, limit))
        window.record(now)
        sent.append(now)
    for first, beyond in zip(sent, sent[limit:], strict=False):
        assert beyond - first >= timedelta(seconds=1)
    assert window.today == len(pauses_ms)


@given(st.lists(st.integers(0, 400), max_size=50), st.integers(1, 8))
def test_the_window_never_makes_one_wait_longer_than_needed(pauses_ms: list[int], limit: int) -> None:
    window, now, sent = OrderWindow(), at("10:00"), []
    for pause in pauses_ms:
        now += timedelta(milliseconds=pause)
        room_at = window.room_at(now, limit)
        recent = [ts for ts in sent if ts > now - timedelta(seconds=1)]
        assert (room_at == now) == (len(recent) < limit)
        if room_at == now:
            window.record(now)
            sent.append(now)


def test_a_message_counts_for_one_second_and_not_a_moment_longer() -> None:
    window = OrderWindow()
    window.record(at("10:00"))
    assert window.room_at(at("10:00:00.999"), 1) == at("10:00:01")
    assert window.room_at(at("10:00:01"), 1) == at("10:00:01")


def test_a_limit_that_was_lowered_waits_for_the_messages_that_were_allowed_before() -> None:
    """Three left at 10:00:00.0, .1 and .2; with one a second the next may leave a second after the last of them."""
    window = OrderWindow()
    for tenth in range(3):
        window.record(at(f"10:00:00.{tenth}"))
    assert window.room_at(at("10:00:00.5"), 1) == at("10:00:01.2")
    assert window.room_at(at("10:00:00.5"), 3) == at("10:00:01")
    assert window.room_at(at("10:00:00.5"), 4) == at("10:00:00.5")


def test_a_clock_that_goes_back_makes_no_room() -> None:
    window = OrderWindow()
    window.record(at("10:00:05"))
    window.record(at("10:00:04"))
    assert window.recent == [at("10:00:05"), at("10:00:05")]


def test_the_window_remembers_a_second_and_no_more() -> None:
    window = OrderWindow()
    for second in range(60):
        window.record(at(f"10:00:{second:02}"))
    assert window.recent == [at("10:00:59")]
    assert window.today == 60


@pytest.mark.parametrize(
    ("price", "stop", "direction", "loss"),
    [(100, 80, 1, 600), (100, 120, -1, 600), (100, 120, 1, 0), (100, 80, -1, 0), (100, 100, 1, 0), (100, None, 1, 3000)],
)
def test_thirty_units_lose_so_much_at_the_stop(price: int, stop: int | None, direction: int, loss: int) -> None:
    level = None if stop is None else Decimal(stop)
    assert loss_at_stop(price=Decimal(price), stop=level, quantity=Decimal(30), direction=direction) == loss


def denied(limits: dict[str, Any], *, sent: int = 0, messages: int = 1) -> str | None:
    """One position of 3,000 with 600 at its stop is held; another like it is wanted. Capital 100,000."""
    one = Exposure(positions=1, notional=Decimal(3000), heat=Decimal(600))
    window, now = OrderWindow(today=sent), at("10:00")
    return entry_denied(RiskLimits(**limits), held=one, added=one, messages=messages, capital=Decimal(100_000), orders=window, now=now)


@pytest.mark.parametrize(
    ("limits", "more", "is_denied"),
    [
        ({"max_open_positions": 2}, {}, False),
        ({"max_open_positions": 1}, {}, True),
        ({"max_open_positions": None}, {}, False),
        ({"max_orders_per_day": 10}, {"sent": 9}, False),
        ({"max_orders_per_day": 10}, {"sent": 10}, True),
        ({"max_orders_per_day": 10}, {"sent": 7, "messages": 3}, False),
        ({"max_orders_per_day": 10}, {"sent": 8, "messages": 3}, True),
        ({"max_notional": Decimal(6000)}, {}, False),
        ({"max_notional": Decimal(5999)}, {}, True),
        ({"max_portfolio_heat": Decimal("0.012")}, {}, False),
        ({"max_portfolio_heat": Decimal("0.0119")}, {}, True),
    ],
)
def test_a_limit_may_be_used_up_and_not_passed(limits: dict[str, Any], more: dict[str, Any], is_denied: bool) -> None:
    found = denied(limits, **more)
    assert (found is not None) == is_denied
    assert found is None or found.startswith(next(iter(limits)))


@pytest.mark.parametrize(("price", "is_outside"), [("120", False), ("120.05", True), ("80", False), ("79.95", True), ("100", False)])
def test_the_collar_is_twenty_percent_of_the_last_trade_on_both_sides(price: str, is_outside: bool) -> None:
    found = outside_collar(RiskLimits(), price=Decimal(price), last=Decimal(100))
    assert (found is not None) == is_outside
    assert outside_collar(RiskLimits(price_collar_percent=None), price=Decimal(price), last=Decimal(100)) is None


@pytest.mark.parametrize(
    ("realised", "open_pnl", "reached"), [(-600, -399, False), (-600, -400, True), (-1000, 0, True), (-2000, 1500, False)]
)
def test_the_daily_loss_is_what_is_realised_and_what_is_open_together(realised: int, open_pnl: int, reached: bool) -> None:
    limits = RiskLimits(max_daily_loss=Decimal(1000))
    assert loss_limit_reached(limits, realised=Decimal(realised), open_pnl=Decimal(open_pnl)) is reached
    assert not loss_limit_reached(RiskLimits(max_daily_loss=None), realised=Decimal(realised), open_pnl=Decimal(open_pnl))
