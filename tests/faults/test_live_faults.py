"""The fault script of a live day: what goes wrong between us and the broker, with the venue's own ledger as the oracle.

Whatever happens: no order twice, no order before the books were compared, and what we believe is what the account holds.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from loguru import logger

pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")
pytest.importorskip("aiohttp", reason="the venue needs aiohttp")

from runtime.events import PauseSession, ResumeSession
from runtime.session import Sizing, SizingMethod
from tests.faults.live_stage import LiveStage
from tests.venues.upstox import faults
from tests.venues.upstox.settings import StaticAddresses

pytestmark = pytest.mark.slow

WITHOUT_EXIT_SECONDS_MAX = 5.0
TWO_LOTS = Sizing(method=SizingMethod.FIXED, quantity=Decimal(60))

ORDER_FAULTS: dict[str, faults.AnyFault] = {
    "answer lost": faults.DropAfterCommit(operation="place"),
    "request lost": faults.DropBeforeCommit(operation="place"),
    "400 for an order that was placed": faults.Answer(operation="place", status=400, code="UDAPI100036", taken=True),
    "429": faults.TooManyRequests(operation="place"),
    "500 and placed": faults.Answer(operation="place", status=500, taken=True),
    "503 and not placed": faults.Answer(operation="place", status=503),
    "HTML with 200": faults.Answer(operation="place", status=200, body="<html>welcome</html>", taken=True),
    "never answered": faults.Hang(operation="place", taken=True),
    "unknown word in the book": faults.Rewrite(operation="order_book", fields={"data.*.status": "half done"}, times=2),
    "accepted late": faults.LateAcceptance(seconds=2.0),
    "rejected after acceptance": faults.RejectLater(seconds=0.5),
    "updates doubled": faults.StreamUpdates(how="duplicate", times=20),
    "updates out of order": faults.StreamUpdates(how="reorder", times=20),
    "updates lost": faults.StreamUpdates(how="drop", times=20),
    "stream cut": faults.FeedClose(code=1006, stream="portfolio"),
    "stream closed in good order": faults.FeedClose(code=1000, stream="portfolio"),
}


def tags_twice(stage: LiveStage) -> list[str]:
    """Of orders that are at the venue more than once."""
    return [str(tag) for tag, count in Counter(entry.tag for entry in stage.placed()).items() if count > 1]


async def exits_submitted(stage: LiveStage) -> bool:
    return any(event.data["leg"] == "EXIT" for event in await stage.said("ORDER_SUBMITTED"))


async def closed(stage: LiveStage, user: str) -> bool:
    return bool(await stage.said("POSITION_CLOSED", user))


async def test_each_request_of_an_order_is_kept_with_its_answer_and_without_the_token() -> None:
    """The entry is placed and answered with 500, the exit with 200."""
    async with LiveStage(real_time=True) as stage:
        await stage.start_host()
        await stage.start_sessions()
        stage.venue.faults.add(faults.Answer(operation="place", status=500, taken=True))
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)
        await stage.square_off()
        await stage.until(stage.settled)
        await stage.kill()

        entry, leave = stage.placed()
        found = [log for log in await stage.store.find("order_logs", {"message": "WIRE"}) if log["operation"] == "POST 3/order/place"]
        wire = {log["order_id"]: log for log in found}
        assert {order_id: log["http_status"] for order_id, log in wire.items()} == {entry.tag: 500, leave.tag: 200}
        assert all(log["request"]["tag"] == order_id and log["duration_ms"] > 0 for order_id, log in wire.items())
        assert wire[str(leave.tag)]["answer"]["data"]["order_ids"] == [leave.order_id]
        everything = repr([await stage.store.find(name, {}) for name in ("order_logs", "orders", "execution_logs", "sessions")])
        assert str(leave.tag) in everything
        assert stage.venue.token("U1") not in everything


@pytest.mark.parametrize("leg", ["entry", "exit"])
@pytest.mark.parametrize("what", sorted(ORDER_FAULTS))
async def test_an_entry_and_its_exit_survive_and_the_position_never_waits_long_for_an_exit(what: str, leg: str) -> None:
    async with LiveStage(real_time=True) as stage:
        await stage.start_host()
        await stage.start_sessions()
        if leg == "entry":
            stage.venue.faults.add(ORDER_FAULTS[what])
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("ORDER_SUBMITTED"))
        await stage.play(1)
        await stage.until(stage.settled)

        if leg == "exit":
            stage.venue.faults.add(ORDER_FAULTS[what])
        await stage.square_off()
        await stage.play(1)
        await stage.until(stage.settled)
        assert stage.venue.ledger.net("U1") == {}
        assert tags_twice(stage) == []
        assert stage.exposure.at_most(WITHOUT_EXIT_SECONDS_MAX), stage.exposure.longest


async def test_an_exit_whose_answer_is_lost_is_found_and_not_sent_twice() -> None:
    async with LiveStage() as stage:
        await stage.start_host()
        await stage.start_sessions()
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)
        stage.venue.faults.add(faults.DropAfterCommit(operation="place"))
        await stage.square_off()
        await stage.until(lambda: stage.said_by_all("POSITION_CLOSED"), play=True)
        assert await stage.books_agree()
        sides = [entry.side for entry in stage.placed()]
        assert sides == ["BUY", "SELL"]


async def test_an_exit_that_turns_up_long_after_its_replacement_is_closed_again_at_once() -> None:
    """The books do not show it, nothing can be cancelled under its tag, and yet the exchange gets it: no broker should, none promises."""
    async with LiveStage(real_time=True) as stage:
        await stage.start_host()
        await stage.start_sessions()
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"))
        stage.venue.faults.add(faults.LateAcceptance(seconds=8.0), faults.DropAfterCommit(operation="place"))
        await stage.square_off()
        await stage.until(lambda: stage.said_by_all("POSITION_CLOSED"))
        assert stage.exposure.at_most(WITHOUT_EXIT_SECONDS_MAX), stage.exposure.longest

        async def surplus() -> bool:
            return any(event.data["rule"] == "SURPLUS" for event in await stage.said("EXIT_ALERT"))

        await stage.until(surplus)
        await stage.until(stage.settled)
        assert stage.venue.ledger.net("U1") == {}
        assert [entry.side for entry in stage.fills("U1")] == ["BUY", "SELL", "SELL", "BUY"]
        assert tags_twice(stage) == []
        assert stage.exposure.at_most(WITHOUT_EXIT_SECONDS_MAX), stage.exposure.longest


async def test_a_token_that_expires_pauses_the_user_leaves_the_broker_alone_and_all_goes_on_with_a_new_one() -> None:
    async with LiveStage() as stage:
        await stage.start_host()
        await stage.start_sessions()
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)
        stage.venue.core.inject([faults.ExpireTokens()])
        await stage.until(lambda: stage.said_by_all("SESSION_PAUSED"))
        (paused,) = await stage.said("SESSION_PAUSED")
        assert "log in again" in str(paused.data["reason"])

        counts = stage.venue.core.journal.counts
        before = sum(counts.values())
        await stage.square_off()
        await stage.play(3)
        await stage.until(lambda: stage.said_by_all("ORDER_REJECTED"), play=True)
        await asyncio.sleep(0.5)
        assert sum(counts.values()) <= before + 3  # what was on its way

        core = stage.venue.core
        core.accounts.log_in(core.accounts.by_id["U1"], core.clock.now)
        await stage.vault.put("U1", "upstox", stage.venue.token("U1"))
        await stage.until(lambda: stage.said_by_all("POSITION_CLOSED"), play=True)
        assert await stage.books_agree()
        assert tags_twice(stage) == []


async def test_a_refused_address_rejects_the_order_and_pauses_with_what_to_do() -> None:
    async with LiveStage() as stage:
        await stage.start_host()
        await stage.start_sessions()
        stage.venue.core.inject([faults.RefuseAddress()])
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("SESSION_PAUSED"), play=True)
        (rejected,) = await stage.said("ORDER_REJECTED")
        assert str(rejected.data["reason"]).startswith("egress_not_allowed")
        assert "register the address" in str((await stage.said("SESSION_PAUSED"))[0].data["reason"])
        assert stage.placed() == []

        stage.venue.core.accounts.by_id["U1"].addresses = StaticAddresses()
        await stage.command("U1", ResumeSession(ts=stage.venue.clock.now, command_id="resume"))
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)


async def test_a_position_that_nothing_can_close_any_more_is_told_once_as_critical() -> None:
    async with LiveStage() as stage:
        await stage.start_host()
        await stage.start_sessions()
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)
        stage.venue.core.inject([faults.RefuseAddress()])
        await stage.square_off()

        async def rejected_twice() -> bool:
            return len(await stage.said("ORDER_REJECTED")) == 2

        await stage.until(rejected_twice, play=True)
        (by_hand,) = [event.data for event in await stage.said("EXIT_ALERT") if event.data["action"] == "BY_HAND"]
        (opened,) = await stage.said("POSITION_OPENED")
        assert (by_hand["priority"], by_hand["rule"], by_hand["position_id"]) == ("CRITICAL", "SL", opened.data["position_id"])
        assert by_hand["price"] == opened.data["stop"]


async def test_a_successor_compares_the_books_before_anything_leaves_and_takes_over_three_positions_and_one_unknown_order() -> None:
    async with LiveStage(users=4) as stage:
        await stage.start_host()
        await stage.start_sessions()
        stage.venue.faults.add(faults.LateAcceptance(seconds=900.0, user="U4"), faults.DropAfterCommit(operation="place", user="U4"))
        await stage.signal()

        async def three_are_in() -> bool:
            opened = {event.user_id for event in await stage.said("POSITION_OPENED")}
            return opened == {"U1", "U2", "U3"} and [event.user_id for event in await stage.said("ORDER_UNKNOWN")] == ["U4"]

        await stage.until(three_are_in, play=True)
        await stage.kill()
        await stage.play(900)  # the fourth is taken and filled meanwhile, and nobody has told us
        asked_before = len(stage.venue.core.journal.calls)

        started = time.monotonic()
        await stage.start_host()
        await stage.until(stage.books_agree, play=True)
        assert time.monotonic() - started < 5.0
        assert all(stage.venue.ledger.net(user) for user in stage.users)
        assert stage.host is not None
        assert set(stage.host.floor.held_instruments()) == {stage.venue_instrument(user) for user in stage.users}  # all are watched again

        for user in stage.users:
            await stage.square_off(user)
        await stage.until(lambda: stage.said_by_all("POSITION_CLOSED"), play=True)
        assert await stage.books_agree()
        assert tags_twice(stage) == []
        for user in stage.users:
            mine = [call.operation for call in list(stage.venue.core.journal.calls)[asked_before:] if call.user_id == user]
            assert "place" in mine
            assert mine.index("order_book") < mine.index("place")


async def test_one_users_broker_that_hangs_delays_nobody_else() -> None:
    async with LiveStage(users=3, answer_seconds=5.0) as stage:
        await stage.start_host()
        await stage.start_sessions()
        stage.venue.faults.add(faults.Hang(operation="place", taken=False, user="U1", times=3))
        started = time.monotonic()
        await stage.signal()

        async def others_are_in() -> bool:
            return {event.user_id for event in await stage.said("POSITION_OPENED")} == {"U2", "U3"}

        await stage.until(others_are_in, play=True)
        assert time.monotonic() - started < 4.0  # less than the hanging call takes to give up


async def test_an_order_of_an_incarnation_that_has_been_replaced_does_not_leave() -> None:
    async with LiveStage() as stage:
        await stage.start_host()
        await stage.start_sessions()
        await stage.store.increment_many("sessions", ["U1"], "epoch")
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("ORDER_SUBMITTED"))
        await stage.play(3)
        assert stage.placed() == []


# --- parts ---


async def test_an_entry_filled_in_part_and_called_off_leaves_a_position_of_that_part_under_its_stop() -> None:
    async with LiveStage(sizing=TWO_LOTS, real_time=True) as stage:
        await stage.start_host()
        await stage.start_sessions()
        stage.venue.faults.add(faults.PartialFills(quantities=(30,), every=3600.0))
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"))
        await stage.command("U1", PauseSession(ts=stage.venue.clock.now, command_id="pause"))
        await stage.until(lambda: stage.said_by_all("ORDER_CANCELLED"))
        (key,) = stage.venue.ledger.net("U1")
        assert (stage.venue.ledger.net("U1")[key], stage.watched("U1", key)) == (30, 30)
        await stage.square_off()
        await stage.until(stage.settled)
        assert stage.venue.ledger.net("U1") == {}
        assert [entry.quantity for entry in stage.placed()] == [60, 30]
        assert stage.exposure.at_most(WITHOUT_EXIT_SECONDS_MAX), stage.exposure.longest


async def test_an_exit_filled_in_part_goes_on_with_what_is_left() -> None:
    async with LiveStage(sizing=TWO_LOTS, real_time=True) as stage:
        await stage.start_host()
        await stage.start_sessions()
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"))
        stage.venue.faults.add(faults.PartialFills(quantities=(30,), every=2.0))
        await stage.square_off()
        await stage.until(stage.settled)
        assert stage.venue.ledger.net("U1") == {}
        assert [entry.quantity for entry in stage.fills("U1")] == [60, 30, 30]
        assert tags_twice(stage) == []
        assert stage.exposure.at_most(WITHOUT_EXIT_SECONDS_MAX), stage.exposure.longest


# --- restarts ---


async def test_a_host_that_dies_and_is_started_again_leaves_no_position_without_an_exit_for_long() -> None:
    async with LiveStage(users=3, real_time=True) as stage:
        await stage.start_host()
        await stage.start_sessions()
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"))
        stage.venue.faults.add(faults.DropBeforeCommit(operation="place", user="U1"))
        await stage.square_off()
        await stage.until(lambda: exits_submitted(stage))
        await stage.kill()
        await stage.start_host()
        await stage.until(lambda: closed(stage, "U1"))
        for user in ("U2", "U3"):
            await stage.square_off(user)
        await stage.until(lambda: stage.said_by_all("POSITION_CLOSED"))
        assert await stage.books_agree()
        assert tags_twice(stage) == []
        assert stage.exposure.at_most(WITHOUT_EXIT_SECONDS_MAX), stage.exposure.longest


# --- secrets ---


async def test_no_token_is_in_a_log_an_event_the_journal_or_the_store() -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level=0)
    try:
        async with LiveStage() as stage:
            tokens = [stage.venue.token("U1")]
            await stage.start_host()
            await stage.start_sessions()
            stage.venue.faults.add(faults.Answer(operation="place", status=500, taken=True))
            await stage.signal()
            await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)
            stage.venue.core.inject([faults.ExpireTokens()])
            await stage.until(lambda: stage.said_by_all("SESSION_PAUSED"))
            kept: list[Any] = [await stage.events(), lines]
            kept += [await stage.store.find(name, {}) for name in ("broker_credentials", "sessions", "orders", "commands")]
            kept.append([record async for record in stage.journal.read("U1")])
    finally:
        logger.remove(sink)
    shown = repr(kept)
    assert len(shown) > 2000
    assert not [token for token in tokens if token in shown]
