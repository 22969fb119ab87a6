from hypothesis import given
from hypothesis import strategies as st

from runtime.triggers import TriggerBook

LEVELS = st.none() | st.integers(90, 110).map(float)
PRICES = st.integers(85, 115).map(float)


def test_a_watch_fires_once_at_its_level_and_is_gone() -> None:
    book = TriggerBook()
    book.watch(("u", "s"), "X", low=95.0, high=105.0)
    assert book.touched("X", 96.0) == []
    assert book.touched("X", 95.0) == [("u", "s")]
    assert book.touched("X", 90.0) == []
    assert len(book) == 0


def test_a_new_watch_replaces_the_owners_earlier_one() -> None:
    book = TriggerBook()
    book.watch(("u", "s"), "X", low=95.0, high=None)
    book.watch(("u", "s"), "X", low=90.0, high=None)
    assert book.touched("X", 94.0) == []
    assert book.touched("X", 89.0) == [("u", "s")]


def test_other_instruments_are_not_looked_at() -> None:
    book = TriggerBook()
    book.watch(("u", "s"), "X", low=95.0, high=None)
    assert book.touched("Y", 1.0) == []
    assert book.instruments() == {"X"}


def test_watches_without_a_level_never_fire_and_leave_in_any_order() -> None:
    book = TriggerBook()
    for user in ("a", "b", "c"):
        book.watch((user, "s"), "X", low=95.0 if user == "c" else None, high=None)
    assert book.touched("X", 90.0) == [("c", "s")]
    assert book.instruments() == {"X"}
    book.unwatch(("a", "s"))
    book.unwatch(("b", "s"))
    assert (len(book), book.instruments()) == (0, set())


@given(st.dictionaries(st.integers(0, 30).map(lambda n: (f"u{n}", "s")), st.tuples(LEVELS, LEVELS)), st.lists(PRICES, max_size=10))
def test_the_book_fires_exactly_whom_a_full_scan_would_fire(watches, prices) -> None:
    book = TriggerBook()
    for owner, (low, high) in watches.items():
        book.watch(owner, "X", low=low, high=high)
    waiting = dict(watches)
    for price in prices:
        expected = {
            owner for owner, (low, high) in waiting.items() if (low is not None and price <= low) or (high is not None and price >= high)
        }
        fired = book.touched("X", price)
        assert set(fired) == expected
        assert len(fired) == len(expected)
        for owner in expected:
            del waiting[owner]
    assert len(book) == len(waiting)
