"""The queue between the socket and a slow reader."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from adapters.feeds.upstox.backlog import Backlog
from runtime.market import FeedClock, FeedGap, FeedStatus, Tick
from tests.builders import at


def tick(name: str, price: float, volume: float | None = 1.0) -> Tick:
    return Tick(instrument=name, ts=at("10:00"), price=price, volume=volume)


async def test_a_reader_that_keeps_up_gets_everything_in_order() -> None:
    backlog = Backlog(10)
    events = [tick("A", 1.0), tick("B", 2.0), tick("A", 3.0), FeedClock(ts=at("10:00"))]
    backlog.put(events)
    assert await backlog.take() == events
    assert backlog.dropped == 0


async def test_beyond_the_bound_the_newest_tick_of_each_instrument_stays_with_the_volume_of_those_dropped() -> None:
    backlog = Backlog(3)
    backlog.put([tick("A", 1.0, 10.0), tick("B", 2.0, 1.0), tick("A", 3.0, 5.0), tick("C", 4.0, None)])
    assert await backlog.take() == [tick("B", 2.0, 1.0), tick("A", 3.0, 15.0), tick("C", 4.0, None)]
    assert backlog.dropped == 1


async def test_gaps_and_changes_of_state_are_never_dropped() -> None:
    backlog = Backlog(2)
    down = FeedStatus(ts=at("10:00"), up=False, reason="x")
    gap = FeedGap(start=at("10:00"), end=at("10:01"), reason="x")
    backlog.put([down, tick("A", 1.0), gap, tick("A", 2.0), FeedClock(ts=at("10:00")), FeedClock(ts=at("10:01"))])
    assert await backlog.take() == [down, gap, tick("A", 2.0, 2.0), FeedClock(ts=at("10:01"))]


async def test_what_waits_can_still_be_read_after_the_end() -> None:
    backlog = Backlog()
    backlog.put([tick("A", 1.0)])
    backlog.end()
    assert await backlog.take() == [tick("A", 1.0)]
    assert await backlog.take() is None


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 9)), min_size=1, max_size=60))
def test_no_volume_is_lost_and_memory_is_bounded_by_instruments(ticks: list[tuple[str, int]]) -> None:
    backlog = Backlog(5)
    for number, (name, volume) in enumerate(ticks):
        backlog.put([Tick(instrument=name, ts=at("10:00") + timedelta(seconds=number), price=float(number + 1), volume=float(volume))])
        assert len(backlog) <= 5 + 1
    kept = backlog._events
    for name in {name for name, _ in ticks}:
        mine = [event for event in kept if isinstance(event, Tick) and event.instrument == name]
        assert sum(event.volume or 0 for event in mine) == sum(volume for other, volume in ticks if other == name)
        assert mine[-1].price == max(number + 1 for number, (other, _) in enumerate(ticks) if other == name)
    assert backlog.dropped == len(ticks) - len(kept)
