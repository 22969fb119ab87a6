from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from runtime.risk import OrderWindow
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
