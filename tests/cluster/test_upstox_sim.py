"""A whole day at a local Upstox on real processes: ten users trade live, and at the end its ledger equals the journal."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")

from actors.commands.demo import run_spec
from actors.commands.up import venue_of
from actors.services import RunSpec, Servers
from actors.system import System
from actors.upstox_sim import begin, refused

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

SESSION_SECONDS_MAX = 1200.0
Fills = dict[str, list[tuple[str, Decimal, Decimal]]]


async def journaled(spec: RunSpec, users: list[str]) -> Fills:
    """(order id, units, price) of every fill in each user's journal."""
    servers, found = Servers(spec), {}
    for user in users:
        inputs = [json.loads(record.input) async for record in servers.journal.read(user)]
        found[user] = sorted(
            (each["order_id"], Decimal(each["quantity"]), Decimal(each["price"])) for each in inputs if each["type"] == "OrderFilled"
        )
    await servers.close()
    return found


def test_after_a_whole_live_day_the_venues_ledger_equals_the_journal(tmp_path: Path) -> None:
    spec = run_spec("upstox-sim", state=tmp_path, candles=None, session=None, seed=7, speed="150", wait_for_begin=False)
    with venue_of(spec) as venue, System(spec):
        assert venue is not None
        customers = venue.customers()
        assert refused(asyncio.run(begin(spec, customers))) == []
        started = time.monotonic()
        while venue.is_open():
            time.sleep(2.0)
            assert time.monotonic() - started < SESSION_SECONDS_MAX
        time.sleep(5.0)  # the last reports come in

        ours = asyncio.run(journaled(spec, [customer.user_id for customer in customers]))
        theirs: Fills = defaultdict(list)
        for fill in venue.fills():
            theirs[fill["user_id"]].append((fill["tag"], Decimal(fill["quantity"]), Decimal(str(fill["price"]))))
        assert len(theirs) == len(customers) == 10
        assert sum(len(fills) for fills in theirs.values()) > 100
        assert ours == {user: sorted(fills) for user, fills in theirs.items()}
