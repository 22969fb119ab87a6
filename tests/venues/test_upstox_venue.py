"""The venue by itself, spoken to as any HTTP client would."""

from __future__ import annotations

import asyncio
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from runtime.market import IST
from tests.venues.customer import LOT, Customer, call_52000, code, order
from tests.venues.upstox import AccountSettings, StaticAddresses, TokenKind, UpstoxVenue, VenueSettings, simple
from tests.venues.upstox.ledger import Happened

BANKNIFTY = "NSE_INDEX|Nifty Bank"


async def test_a_market_order_goes_through_every_state_and_fills_at_the_ask(client: Customer) -> None:
    quotes = await client.get("/v3/market-quote/quotes", instrument_key=call_52000(client.venue))
    (quote,) = quotes.values()

    await client.placed(tag="first")

    trail = [row["status"] for row in await client.get("/v2/order/history", tag="first")]
    assert trail == ["put order req received", "validation pending", "open pending", "open", "complete"]
    (fill,) = client.venue.ledger.entries(Happened.FILLED)
    assert fill.price == Decimal(str(quote["depth"]["sell"][0]["price"]))
    (position,) = await client.get("/v2/portfolio/short-term-positions")
    assert (position["quantity"], position["average_price"]) == (LOT, float(fill.price))


async def test_the_same_tag_twice_is_two_orders(client: Customer) -> None:
    first, second = await client.placed(tag="same"), await client.placed(tag="same")

    assert first != second
    assert {row["order_id"] for row in await client.get("/v2/order/history", tag="same")} == {first, second}


async def test_a_limit_order_rests_until_the_market_comes_to_it(client: Customer) -> None:
    order_id = await client.placed(order_type="LIMIT", price=300)
    assert await client.status(order_id) == "open"

    while await client.status(order_id) != "complete":
        await client.venue.advance(60)

    (fill,) = client.venue.ledger.entries(Happened.FILLED)
    assert fill.price is not None
    assert fill.price <= 300


async def test_a_stop_waits_for_its_trigger_and_then_sells(client: Customer) -> None:
    await client.placed()
    stop = await client.placed(order_type="SL-M", transaction_type="SELL", trigger_price=350)
    assert await client.status(stop) == "trigger pending"

    while await client.status(stop) != "complete":
        await client.venue.advance(10)

    assert [entry.what for entry in client.venue.ledger.entries() if entry.order_id == stop] == [
        Happened.PLACED,
        Happened.ACCEPTED,
        Happened.TRIGGERED,
        Happened.FILLED,
    ]
    assert client.venue.ledger.net("U1") == {}


async def test_too_little_money_shows_in_the_order_and_not_in_the_answer(client: Customer) -> None:
    response = await client.place(quantity=6000, slice=True)

    assert response.status_code == 200
    assert len(response.json()["data"]["order_ids"]) == 10
    book = await client.get("/v2/order/retrieve-all")
    assert book[0]["status"] == "rejected"
    assert "Margin Exceeds" in book[0]["status_message"]


async def test_an_order_above_the_freeze_quantity_is_sliced_or_rejected(client: Customer) -> None:
    whole = await client.placed(quantity=630)
    sliced = (await client.place(quantity=630, slice=True)).json()["data"]["order_ids"]

    assert await client.status(whole) == "rejected"
    assert [(await client.get("/v2/order/details", order_id=each))["quantity"] for each in sliced] == [600, 30]


async def test_a_cancelled_order_can_be_cancelled_only_once(client: Customer) -> None:
    order_id = await client.placed(order_type="LIMIT", price=1)

    assert (await client.cancel(order_id)).json()["data"] == {"order_id": order_id}
    assert code(await client.cancel(order_id)) == (400, "UDAPI100040")
    assert code(await client.modify(order_id, price=2)) == (400, "UDAPI100041")
    assert code(await client.cancel("261120999999999")) == (400, "UDAPI100010")


async def test_a_modified_order_fills_at_its_new_price(client: Customer) -> None:
    order_id = await client.placed(order_type="LIMIT", price=1)

    await client.modify(order_id, price=900)

    assert await client.status(order_id) == "complete"
    assert [entry.what for entry in client.venue.ledger.entries()][-2:] == [Happened.MODIFIED, Happened.FILLED]


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"quantity": 0}, "UDAPI1052"),
        ({"product": "X"}, "UDAPI1054"),
        ({"validity": "GTC"}, "UDAPI1055"),
        ({"validity": None}, "UDAPI1007"),
        ({"order_type": "ICEBERG"}, "UDAPI1056"),
        ({"order_type": None}, "UDAPI1004"),
        ({"order_type": "LIMIT"}, "UDAPI1008"),
        ({"order_type": "SL-M"}, "UDAPI1036"),
        ({"instrument_token": None}, "UDAPI1026"),
        ({"instrument_token": "NSE_FO|1"}, "UDAPI100011"),
        ({"tag": "t" * 41}, "UDAPI1119"),
        ({"market_protection": 26}, "UDAPI1159"),
        ({"quantity": 26 * 600, "slice": True}, "UDAPI1118"),
    ],
)
async def test_a_malformed_order_is_refused_with_the_documented_code(client: Customer, changes: dict[str, Any], refused: str) -> None:
    assert code(await client.place(**changes)) == (400, refused)
    assert client.venue.ledger.entries() == []


async def test_the_eleventh_order_of_a_second_is_refused_and_the_next_second_is_free(client: Customer) -> None:
    answers = [(await client.place(order_type="LIMIT", price=1)).status_code for _ in range(11)]
    assert answers == [200] * 10 + [429]
    rates = (await client.http.get(f"{client.venue.urls.control}/rates")).json()
    assert rates == {"busiest_second": {"U1": {"order": 10}}, "refused": 1}

    await client.venue.advance(1)

    assert (await client.place(order_type="LIMIT", price=1)).status_code == 200
    assert len(client.venue.ledger.entries(Happened.PLACED)) == 11


async def test_a_token_dies_the_next_morning(client: Customer) -> None:
    headers = client.headers
    await client.venue.advance_to(client.venue.clock.local.replace(hour=23, minute=59))
    profile = f"{client.venue.urls.rest}/v2/user/profile"
    assert (await client.http.get(profile, headers=headers)).status_code == 200

    await client.venue.advance(3.6 * 3600)

    assert code(await client.http.get(profile, headers=headers)) == (401, "UDAPI100050")


async def test_an_analytics_token_reads_the_market_and_nothing_else(client: Customer) -> None:
    headers = {"Authorization": f"Bearer {client.venue.token(kind=TokenKind.ANALYTICS)}"}
    rest = client.venue.urls.rest

    chain = await client.http.get(
        f"{rest}/v2/option/chain", params={"instrument_key": BANKNIFTY, "expiry_date": "2026-11-24"}, headers=headers
    )
    assert len(chain.json()["data"]) == 61
    assert (await client.http.get(f"{rest}/v2/order/retrieve-all", headers=headers)).status_code == 401
    placed = await client.http.post(f"{client.venue.urls.orders}/v3/order/place", json=order(client.venue), headers=headers)
    assert placed.status_code == 401
    assert client.venue.ledger.entries() == []


async def test_an_extended_token_reads_the_account_but_does_not_trade(client: Customer) -> None:
    headers = {"Authorization": f"Bearer {client.venue.token(kind=TokenKind.EXTENDED)}"}

    assert (await client.http.get(f"{client.venue.urls.rest}/v2/order/retrieve-all", headers=headers)).status_code == 200
    placed = await client.http.post(f"{client.venue.urls.orders}/v3/order/place", json=order(client.venue), headers=headers)
    assert code(placed) == (401, "UDAPI100067")


async def test_the_login_dialog_sends_back_a_code_for_a_token(client: Customer) -> None:
    account, rest = client.venue.core.accounts.by_id["U1"], client.venue.urls.rest
    query = {"client_id": account.client_id, "redirect_uri": "https://app.example.test/back", "state": "s", "response_type": "code"}
    location = (await client.http.get(f"{rest}/v2/login/authorization/dialog", params=query)).headers["Location"]
    url = httpx.URL(location)
    assert (url.host, url.params["state"]) == ("app.example.test", "s")
    form = {"code": url.params["code"], "client_id": account.client_id, "client_secret": account.client_secret}
    form |= {"redirect_uri": query["redirect_uri"], "grant_type": "authorization_code"}

    token = (await client.http.post(f"{rest}/v2/login/authorization/token", data=form)).json()["access_token"]

    assert token == client.venue.token("U1")
    wrong = await client.http.post(f"{rest}/v2/login/authorization/token", data=form | {"client_secret": "guess"})
    assert code(wrong) == (401, "UDAPI100016")


async def test_orders_are_taken_from_the_registered_address_only(http: httpx.AsyncClient) -> None:
    far_away = AccountSettings(user_id="U1", static_addresses=StaticAddresses(primary="203.0.113.7"))
    async with UpstoxVenue(VenueSettings(accounts=(far_away,))) as venue:
        client = Customer(venue, http)

        assert code(await client.place()) == (403, "UDAPI1154")
        assert await client.get("/v2/order/retrieve-all") == []


async def test_an_order_sent_to_the_wrong_host_is_not_taken(client: Customer) -> None:
    response = await client.http.post(f"{client.venue.urls.rest}/v3/order/place", json=order(client.venue), headers=client.headers)

    assert response.status_code == 404
    assert client.venue.ledger.entries() == []


async def test_a_registered_algorithm_has_a_higher_limit_and_an_unknown_one_is_refused(http: httpx.AsyncClient) -> None:
    registered = AccountSettings(user_id="U1", algo_names=("shoal-1",))
    async with UpstoxVenue(VenueSettings(accounts=(registered,))) as venue:
        place, headers = f"{venue.urls.orders}/v3/order/place", Customer(venue, http).headers
        body = order(venue, order_type="LIMIT", price=1)

        named = [(await http.post(place, json=body, headers=headers | {"X-Algo-Name": "shoal-1"})).status_code for _ in range(51)]
        assert named == [200] * 50 + [429]
        assert code(await http.post(place, json=body, headers=headers | {"X-Algo-Name": "other"})) == (403, "UDAPI1156")


async def test_every_slice_counts_against_the_order_limit(client: Customer) -> None:
    assert (await client.place(quantity=11 * 600, slice=True, order_type="LIMIT", price=1)).status_code == 429
    assert (await client.place(quantity=9 * 600, slice=True, order_type="LIMIT", price=1)).status_code == 200
    assert len(client.venue.ledger.entries(Happened.PLACED)) == 9


async def test_market_orders_are_protected_plain_or_refused(http: httpx.AsyncClient) -> None:
    statuses = {}
    for kind in ("plain", "protected", "refused"):
        async with UpstoxVenue(VenueSettings(market_orders=kind)) as venue:
            await venue.advance(300)
            statuses[kind] = (await Customer(venue, http).place()).status_code
            protected = await Customer(venue, http).place(market_protection=5)
            assert protected.status_code == 200
    assert statuses == {"plain": 200, "protected": 200, "refused": 400}


async def test_a_stop_whose_trigger_is_already_passed_is_rejected(client: Customer) -> None:
    order_id = await client.placed(order_type="SL-M", transaction_type="SELL", trigger_price=5000)
    assert await client.status(order_id) == "rejected"


async def test_a_slow_cancellation_can_lose_against_a_fill(http: httpx.AsyncClient) -> None:
    async with UpstoxVenue(VenueSettings(cancel_seconds=7200)) as venue:
        await venue.advance(300)
        client = Customer(venue, http)
        order_id = await client.placed(order_type="LIMIT", price=380)
        await client.cancel(order_id)
        assert await client.status(order_id) == "cancel pending"

        await venue.advance(7200)

        assert await client.status(order_id) == "complete"
        assert venue.ledger.entries(Happened.CANCELLED) == []


async def test_the_broker_squares_off_intraday_positions_and_leaves_the_others(http: httpx.AsyncClient) -> None:
    start = datetime(2026, 11, 20, 15, 15, tzinfo=IST)
    async with UpstoxVenue(VenueSettings(square_off=time(15, 20), start=start)) as venue:
        client = Customer(venue, http)
        await client.placed(product="I")
        await client.placed(product="D")
        waiting = await client.placed(product="I", order_type="LIMIT", price=1)

        await venue.advance_to(venue.clock.local.replace(hour=15, minute=21))

        assert {row["product"]: row["quantity"] for row in await client.get("/v2/portfolio/short-term-positions")} == {"I": 0, "D": LOT}
        assert await client.status(waiting) == "cancelled"
        assert [entry.source for entry in venue.ledger.entries(Happened.FILLED)] == ["api", "api", "rms"]


async def test_the_kill_switch_needs_flat_positions_and_stays_on_for_twelve_hours(client: Customer) -> None:
    async def switch(action: str) -> httpx.Response:
        url = f"{client.venue.urls.rest}/v2/user/kill-switch"
        return await client.http.post(url, json=[{"segment": "NSE_FO", "action": action}], headers=client.headers)

    await client.placed()
    assert code(await switch("ENABLE")) == (400, "UDAPI1184")
    await client.placed(transaction_type="SELL")
    resting = await client.placed(order_type="LIMIT", price=1)
    assert (await switch("ENABLE")).status_code == 200
    assert await client.status(resting) == "cancelled"
    assert code(await switch("DISABLE")) == (400, "UDAPI1185")
    await client.venue.advance(12 * 3600)
    assert (await switch("DISABLE")).status_code == 200


async def test_customers_do_not_see_each_other(client: Customer) -> None:
    await client.placed()
    other = Customer(client.venue, client.http, "U2")

    assert await other.get("/v2/order/retrieve-all") == []
    assert await other.get("/v2/portfolio/short-term-positions") == []


async def test_the_same_seed_makes_the_same_prices(http: httpx.AsyncClient) -> None:
    chains = []
    for seed in (5, 5, 6):
        async with UpstoxVenue(simple(seed)) as venue:
            await venue.advance(900)
            chains.append(await Customer(venue, http).get("/v2/option/chain", instrument_key=BANKNIFTY, expiry_date="2026-11-24"))
    assert chains[0] == chains[1]
    assert chains[0] != chains[2]


async def test_the_journal_of_requests_has_no_secret(client: Customer) -> None:
    form = {"code": "secret-code", "client_id": "client-U1", "client_secret": "canary", "grant_type": "authorization_code"}
    await client.http.post(f"{client.venue.urls.rest}/v2/login/authorization/token", data=form)
    await client.placed()

    text = (await client.http.get(f"{client.venue.urls.control}/requests")).text
    assert "canary" not in text
    assert "secret-code" not in text
    assert client.venue.token() not in text
    assert '"operation":"place"' in text


async def test_a_clock_that_runs_by_itself_can_be_held_to_real_time_and_stops_where_it_is_to() -> None:
    until = datetime(2026, 11, 20, 9, 45, tzinfo=IST)
    async with UpstoxVenue(msgspec.structs.replace(simple(speed=3600.0), hold=True, until=until)) as venue, httpx.AsyncClient() as client:
        opened = venue.clock.now
        await client.get(f"{venue.urls.rest}/v2/market/status/NSE")
        await venue.clock.sleep(0.5)
        assert venue.clock.now - opened < timedelta(minutes=1)  # by its speed it would be hours
        (await client.post(f"{venue.urls.control}/begin")).raise_for_status()
        await venue.clock.sleep((until - venue.clock.now).total_seconds())
        await asyncio.sleep(0.1)
        assert venue.clock.now == until
