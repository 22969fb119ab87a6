"""One wake-up per trader, the earliest first."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from actors.wake_ups import WakeUps
from tests.builders import at

OPEN = at("09:15")


def after(seconds: int) -> datetime:
    return OPEN + timedelta(seconds=seconds)


def test_whose_time_has_come_is_woken_once_the_earliest_first() -> None:
    wakes = WakeUps()
    wakes.set("late", after(30))
    wakes.set("early", after(10))
    wakes.set("never", after(99))
    assert wakes.due(after(9)) == []
    assert wakes.due(after(30)) == ["early", "late"]
    assert wakes.due(after(30)) == []


def test_a_later_wish_replaces_the_earlier_one_and_a_cancelled_one_is_forgotten() -> None:
    wakes = WakeUps()
    wakes.set("moved", after(10))
    wakes.set("moved", after(20))
    wakes.set("cancelled", after(10))
    wakes.cancel("cancelled")
    wakes.cancel("unknown")
    assert wakes.due(after(15)) == []
    assert wakes.due(after(20)) == ["moved"]


def test_wishes_that_were_replaced_do_not_pile_up() -> None:
    wakes = WakeUps()
    for second in range(100_000):
        wakes.set("restless", after(second))
    assert len(wakes._heap) <= 1_002
    assert wakes.due(after(100_000)) == ["restless"]


WISHES = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 20) | st.none()), max_size=40)


@given(wishes=WISHES, now=st.integers(0, 20))
def test_it_is_the_last_wish_of_each_that_counts(wishes: list[tuple[str, int | None]], now: int) -> None:
    wakes, last = WakeUps(), dict[str, int]()
    for user, second in wishes:
        if second is None:
            wakes.cancel(user)
            last.pop(user, None)
        else:
            wakes.set(user, after(second))
            last[user] = second
    expected = sorted((second, user) for user, second in last.items() if second <= now)
    assert [(last[user], user) for user in wakes.due(after(now))] == expected
