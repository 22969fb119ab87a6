"""Where a new session's trader goes."""

from __future__ import annotations

from actors.placement import IMBALANCE_MAX, Placement, PlacementKind, place

LOAD = {"packed-0": 40, "packed-1": 40 + IMBALANCE_MAX}
BY_PLATFORM = {"dedicated_now": 2, "dedicated_max": 2, "packed_load": LOAD}


def packed(number: int) -> Placement:
    return Placement(f"packed-{number}", PlacementKind.PACKED)


def test_the_users_own_wish_comes_first() -> None:
    assert place("u", asked="dedicated", **BY_PLATFORM) == Placement("user-u", PlacementKind.DEDICATED)
    assert place("u", asked="packed", dedicated_now=0, dedicated_max=2, packed_load=LOAD) == packed(0)


def test_the_first_users_get_a_process_each_and_later_ones_the_emptiest_host() -> None:
    assert place("u", asked=None, dedicated_now=1, dedicated_max=2, packed_load=LOAD) == Placement("user-u", PlacementKind.DEDICATED)
    assert place("u", asked=None, **BY_PLATFORM) == packed(0)


def test_a_user_stays_with_the_host_that_took_its_commands_until_that_is_too_full() -> None:
    fuller = LOAD | {"packed-1": LOAD["packed-1"] + 1}
    assert place("u", asked=None, **BY_PLATFORM, served_by="packed-1") == packed(1)
    assert place("u", asked=None, dedicated_now=2, dedicated_max=2, packed_load=fuller, served_by="packed-1") == packed(0)
    assert place("u", asked=None, **BY_PLATFORM, served_by="drained") == packed(0)
