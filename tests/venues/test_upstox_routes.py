"""Every address of the venue is one that the official client calls, and the older ones and the reads of settings work with it, too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import upstox_client
from upstox_client import api as sdk_api

from tests.command_line import REPOSITORY
from tests.venues.customer import call_52000
from tests.venues.official_sdk import Sdk, place
from tests.venues.upstox import faults
from tests.venues.upstox.rest import ROUTES
from tests.venues.upstox.rest.streams import FEED, PORTFOLIO

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the SDK's sockets, see `Listener`

NOT_OF_THE_CLIENT = {
    "instruments": "a file on another host",
    "portfolio_authorize": "the client writes the kinds of messages into the path",
    "feed_socket": FEED,
    "portfolio_socket": PORTFOLIO,
}


def called_by_the_client() -> set[tuple[str, str]]:
    """(method, path with its parameters left blank), read off the client's source."""
    folder = Path(sdk_api.__file__).parent
    found = (re.findall(r"call_api\(\s*'([^']+)', '(\w+)'", file.read_text(encoding="utf-8")) for file in folder.glob("*.py"))
    return {(method, blank(path)) for calls in found for path, method in calls}


def blank(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_the_venue_has_no_address_that_the_official_client_does_not_call() -> None:
    known = called_by_the_client()
    assert len(known) > 60
    strange = {route.operation for route in ROUTES if (route.method, blank(route.path)) not in known}
    assert strange == set(NOT_OF_THE_CLIENT)


def test_every_fault_and_every_operation_is_on_the_page_of_the_venue() -> None:
    page = (REPOSITORY / "docs" / "upstox-venue.md").read_text(encoding="utf-8")
    named = {name for line in page.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    tags = {kind.__struct_config__.tag for kind in faults.CallFault.__subclasses__() + faults.Fault.__subclasses__()} - {"CallFault"}
    assert tags - named == set()
    operations = page.partition("Operations: ")[2].partition("\n\n")[0]
    unnamed = {route.operation for route in ROUTES if f"`{route.operation}`" not in operations} - {
        "feed_socket",
        "portfolio_socket",
        "login_dialog",
    }
    assert {name for name in unnamed if f"`{name.removesuffix('_v2')}`" not in operations} == set()


async def test_the_state_of_the_kill_switch_and_the_registered_addresses_can_be_read(sdk: Sdk) -> None:
    segments = {row["segment"]: row["kill_switch_enabled"] for row in (await sdk.call("UserApi", "get_kill_switch")).data}
    assert segments["NSE_FO"] is False
    assert (await sdk.call("UserApi", "get_user_ips")).data.primary_ip is None
    sdk.venue.faults.add(faults.RefuseAddress(registered="203.0.113.9"))
    assert (await sdk.call("UserApi", "get_user_ips")).data.primary_ip == "203.0.113.9"


async def test_an_order_is_modified_by_the_older_call(sdk: Sdk) -> None:
    (order_id,) = await place(sdk, order_type="LIMIT", price=1.0)
    request = upstox_client.ModifyOrderRequest(order_id=order_id, validity="DAY", price=2.0, order_type="LIMIT", trigger_price=0.0)
    assert (await sdk.call("OrderApi", "modify_order", request, "2.0")).data.order_id == order_id
    assert (await sdk.call("OrderApi", "get_order_status", order_id=order_id)).data.price == 2.0


async def test_the_older_quotes_have_the_newer_ones_prices(sdk: Sdk) -> None:
    key = call_52000(sdk.venue)
    (newer,) = (await sdk.call("MarketQuoteV3Api", "get_ltp", instrument_key=key)).data.values()
    for method in ("ltp", "get_full_market_quote"):
        (older,) = (await sdk.call("MarketQuoteApi", method, key, "2.0")).data.values()
        assert (older.instrument_token, older.last_price) == (key, newer.last_price)
