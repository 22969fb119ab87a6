"""Positions that are opened and closed in the broker's own app, while a host trades the same account."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")
pytest.importorskip("aiohttp", reason="the venue needs aiohttp")

from runtime.session import ExternalPositions, RiskLimits, Sizing, SizingMethod
from tests.faults.live_stage import LiveStage
from tests.venues.upstox import faults
from tests.venues.upstox.core import closing

pytestmark = pytest.mark.slow

TWO_LOTS = Sizing(method=SizingMethod.FIXED, quantity=Decimal(60))


async def test_a_position_closed_by_hand_is_closed_here_too_and_not_sold_again() -> None:
    async with LiveStage() as stage:
        await stage.start_host()
        await stage.start_sessions()
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)
        ((key, quantity),) = stage.venue.ledger.net("U1").items()
        stage.venue.faults.add(faults.ManualOrder(user="U1", order=closing(key, "I", quantity)))
        await stage.until(lambda: stage.said_by_all("POSITION_CLOSED"), play=True)
        (closed,) = await stage.said("POSITION_CLOSED")
        assert closed.data["exit_reason"] == "EXTERNAL"
        assert await stage.books_agree()
        assert [entry.side for entry in stage.placed()] == ["BUY"]


async def test_a_position_opened_by_hand_is_told_and_protected_within_five_seconds_where_the_user_wants_it() -> None:
    async with LiveStage(real_time=True) as stage:
        await stage.start_host()
        await stage.start_sessions()
        listed = stage.venue.core.listing.of(stage.contract().id)
        order = {"instrument_token": listed.key, "quantity": 30, "transaction_type": "BUY"}
        stage.venue.faults.add(faults.ManualOrder(user="U1", order=order))
        await stage.until(lambda: stage.said_by_all("EXIT_ALERT"))
        assert stage.exposure.at_most(5.0), stage.exposure.longest
        (found,) = stage.exposure.longest.values()
        assert found > timedelta(0)  # the meter saw it
        (alert,) = await stage.said("EXIT_ALERT")
        assert (alert.data["rule"], alert.data["priority"], alert.data["action"]) == ("EXTERNAL", "CRITICAL", "PROTECT")
        (opened,) = await stage.said("POSITION_OPENED")
        fill = stage.fills("U1")[0]
        assert fill.price is not None
        assert Decimal(str(opened.data["stop"])) == pytest.approx(fill.price * Decimal("0.8"), abs=Decimal("0.05"))
        assert await stage.books_agree()


async def test_a_position_opened_by_hand_is_only_told_where_the_user_leaves_it_to_himself() -> None:
    risk = RiskLimits(max_notional=Decimal(10_000_000), external_positions=ExternalPositions.LEAVE)
    async with LiveStage(risk=risk) as stage:
        await stage.start_host()
        await stage.start_sessions()
        listed = stage.venue.core.listing.of(stage.contract().id)
        order = {"instrument_token": listed.key, "quantity": 30, "transaction_type": "BUY"}
        stage.venue.faults.add(faults.ManualOrder(user="U1", order=order))
        await stage.until(lambda: stage.said_by_all("EXIT_ALERT"), play=True)
        await asyncio.sleep(5.0)  # two more comparisons say nothing new
        (alert,) = await stage.said("EXIT_ALERT")
        assert alert.data["action"] == "REVIEW"
        assert await stage.said("POSITION_OPENED") == []
        assert stage.placed() == []


async def test_a_part_sold_by_hand_is_taken_out_and_only_the_rest_is_sold() -> None:
    async with LiveStage(sizing=TWO_LOTS) as stage:
        await stage.start_host()
        await stage.start_sessions()
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)
        (key,) = stage.venue.ledger.net("U1")
        stage.venue.faults.add(faults.ManualOrder(user="U1", order=closing(key, "I", 30)))
        await stage.until(lambda: stage.said_by_all("POSITION_CHANGED"), play=True)
        (changed,) = await stage.said("POSITION_CHANGED")
        assert (changed.data["quantity"], changed.data["exit_reason"]) == ("30", "EXTERNAL")
        await stage.square_off()
        await stage.until(lambda: stage.said_by_all("POSITION_CLOSED"), play=True)
        assert await stage.books_agree()
        assert [entry.quantity for entry in stage.placed() if entry.side == "SELL"] == [30]


async def test_more_bought_by_hand_is_a_position_of_its_own_and_both_are_closed() -> None:
    async with LiveStage() as stage:
        await stage.start_host()
        await stage.start_sessions()
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)
        (key,) = stage.venue.ledger.net("U1")
        order = {"instrument_token": key, "quantity": 60, "transaction_type": "BUY"}
        stage.venue.faults.add(faults.ManualOrder(user="U1", order=order))
        await stage.until(lambda: stage.said_by_all("EXIT_ALERT"), play=True)
        ours, theirs = await stage.said("POSITION_OPENED")
        assert (ours.data["quantity"], theirs.data["quantity"]) == ("30", "60")
        assert ours.data["slot"] != theirs.data["slot"]
        await stage.square_off()
        await stage.until(stage.settled, play=True)
        assert stage.venue.ledger.net("U1") == {}
        assert sorted(entry.quantity for entry in stage.placed() if entry.side == "SELL") == [30, 60]
