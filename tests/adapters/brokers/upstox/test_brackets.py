"""Good-till-triggered brackets through the adapter at the local Upstox; the vendor's SDK reads what the venue then has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")
pytest.importorskip("aiohttp", reason="the venue needs aiohttp")

from adapters.brokers.upstox import UpstoxBroker
from adapters.brokers.upstox.gtt import Bracket
from runtime.errors import BrokerRefused, BrokerUnavailable, OrderNotFound, OutcomeUnknown
from runtime.signals import OrderSide
from tests.contracts.upstox_rig import UpstoxRig
from tests.venues.official_sdk import Sdk
from tests.venues.upstox import faults

FAR = {"stop": Decimal(50), "target": Decimal(5000)}


class Desk(NamedTuple):
    rig: UpstoxRig
    broker: UpstoxBroker
    sdk: Sdk

    def bracket(self, **changes: Any) -> Bracket:
        """Buy a lot at the market; exits far away."""
        fields: dict[str, Any] = {"instrument": self.rig.instrument.id, "side": OrderSide.BUY, "quantity": 30, "entry": self.rig.price()}
        return Bracket(**(fields | FAR | changes))

    async def rules(self, gtt_order_id: str) -> dict[str, tuple[str, float]]:
        """Status and trigger price of each rule, as the SDK reads them."""
        (details,) = (await self.sdk.call("OrderApiV3", "get_gtt_order_details", gtt_order_id=gtt_order_id)).data
        return {rule.strategy: (rule.status, rule.trigger_price) for rule in details.rules}

    def net(self) -> dict[str, int]:
        return self.rig.venue.ledger.net("U1")


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with UpstoxRig() as rig:
        broker = await rig.broker()
        assert isinstance(broker, UpstoxBroker)
        with Sdk(rig.venue) as sdk:
            yield Desk(rig, broker, sdk)


async def test_a_bracket_enters_at_once_and_keeps_stop_and_target(desk: Desk) -> None:
    bracket = desk.bracket()
    gtt_order_id = await desk.broker.brackets.place(bracket)
    assert await desk.rules(gtt_order_id) == {
        "ENTRY": ("COMPLETED", float(bracket.entry)),
        "STOPLOSS": ("SCHEDULED", 50.0),
        "TARGET": ("SCHEDULED", 5000.0),
    }
    assert list(desk.net().values()) == [30]


async def test_levels_that_are_moved_are_moved_at_the_venue_and_the_stop_sells_what_was_bought(desk: Desk) -> None:
    gtt_order_id = await desk.broker.brackets.place(desk.bracket())
    await desk.broker.brackets.modify(gtt_order_id, desk.bracket(stop=Decimal(60), target=Decimal(4000)))
    rules = await desk.rules(gtt_order_id)
    assert (rules["STOPLOSS"], rules["TARGET"]) == (("SCHEDULED", 60.0), ("SCHEDULED", 4000.0))

    near = desk.rig.price()
    await desk.broker.brackets.modify(gtt_order_id, desk.bracket(entry=near + 2, stop=near + 1))  # above the market: it is reached
    (state,) = await desk.broker.brackets.all()
    assert {rule.strategy: rule.status for rule in state.rules} == {"ENTRY": "COMPLETED", "STOPLOSS": "COMPLETED", "TARGET": "CANCELLED"}
    assert desk.net() == {}


async def test_a_bracket_that_is_cancelled_leaves_the_position_without_exits(desk: Desk) -> None:
    gtt_order_id = await desk.broker.brackets.place(desk.bracket())
    await desk.broker.brackets.cancel(gtt_order_id)
    assert {name: status for name, (status, _) in (await desk.rules(gtt_order_id)).items()} == {
        "ENTRY": "COMPLETED",
        "STOPLOSS": "CANCELLED",
        "TARGET": "CANCELLED",
    }
    assert list(desk.net().values()) == [30]


async def test_a_trailing_stop_of_the_venue_keeps_its_gap(desk: Desk) -> None:
    gtt_order_id = await desk.broker.brackets.place(desk.bracket(target=None, trail=Decimal(20)))
    await desk.rig.venue.advance(30)
    status, level = (await desk.rules(gtt_order_id))["STOPLOSS"]
    assert status == "SCHEDULED"
    assert level >= float(desk.rig.price()) - 20 > 50


@pytest.mark.parametrize(
    "levels",
    [{"stop": Decimal(5000)}, {"target": Decimal(50)}, {"stop": Decimal(0)}, {"side": OrderSide.SELL}],
    ids=["stop above a purchase", "target below it", "no stop", "both the wrong way round for a sale"],
)
async def test_levels_on_the_wrong_side_are_refused_before_anything_is_sent(desk: Desk, levels: dict[str, Any]) -> None:
    with pytest.raises(BrokerRefused, match="both sides"):
        await desk.broker.brackets.place(desk.bracket(**levels))
    assert desk.rig.calls("gtt_place") == 0


async def test_a_bracket_whose_answer_is_lost_is_unknown_and_stands_in_the_list(desk: Desk) -> None:
    desk.rig.venue.faults.add(faults.DropAfterCommit(operation="gtt_place"))
    with pytest.raises(OutcomeUnknown):
        await desk.broker.brackets.place(desk.bracket())
    assert desk.rig.calls("gtt_place") == 1
    assert len(await desk.broker.brackets.all()) == 1


async def test_too_many_requests_and_an_unknown_bracket_are_told_apart(desk: Desk) -> None:
    desk.rig.venue.faults.add(faults.TooManyRequests(operation="gtt_place"))
    with pytest.raises(BrokerUnavailable):
        await desk.broker.brackets.place(desk.bracket())
    with pytest.raises(OrderNotFound):
        await desk.broker.brackets.cancel("GTT-none")
    assert desk.net() == {}
