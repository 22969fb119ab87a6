"""The venue's answers, frames and messages have the form of the documented ones: the same fields of the same types."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, time
from typing import Any, TypeAlias

import httpx
import pytest
import websockets
from google.protobuf import json_format

from adapters.simulated import SimulationConfig
from tests.venues.documents import FEED_PAGE, RESPONSES, differences, recorded, samples
from tests.venues.upstox import UpstoxVenue, VenueSettings, frames

BANKNIFTY, EXPIRY = "NSE_INDEX|Nifty Bank", "2026-11-24"

Ask: TypeAlias = Callable[["Asker"], Awaitable[Any]]


class Asker:
    """Brings the venue into the state a sample shows, and asks."""

    def __init__(self, venue: UpstoxVenue, http: httpx.AsyncClient) -> None:
        self.venue = venue
        self.http = http
        self.call, self.put = (venue.core.listing.of(f"NSE:BANKNIFTY26NOV52000{right}").key for right in ("CE", "PE"))

    async def send(self, method: str, path: str, host: str | None = None, **named: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.venue.token()}"}
        return (await self.http.request(method, (host or self.venue.urls.rest) + path, headers=headers, **named)).json()

    async def get(self, path: str, **query: str) -> Any:
        return await self.send("GET", path, params=query)

    def fields(self, **changes: Any) -> dict[str, Any]:
        (sample,) = samples("v3/place-order", requests=True)
        return sample.payload | {"instrument_token": self.call, "quantity": 30, "product": "I"} | changes

    async def place(self, path: str = "/v3/order/place", **changes: Any) -> Any:
        return await self.send("POST", path, self.venue.urls.orders, json=self.fields(**changes))

    async def resting(self) -> str:
        return (await self.place(order_type="LIMIT", price=1.0))["data"]["order_ids"][0]

    async def modify(self, path: str) -> Any:
        change = {
            "order_id": await self.resting(),
            "order_type": "LIMIT",
            "price": 2.0,
            "validity": "DAY",
            "trigger_price": 0,
            "quantity": 30,
        }
        return await self.send("PUT", path, self.venue.urls.orders, json=change)

    async def cancel(self, path: str) -> Any:
        return await self.send("DELETE", path, self.venue.urls.orders, params={"order_id": await self.resting()})

    async def after_a_trade(self, path: str, **query: str) -> Any:
        await self.place(tag="t")
        return await self.get(path, **query)

    async def many(self, *bad: str) -> Any:
        orders = [self.fields(order_type="LIMIT", price=1.0, correlation_id=each) for each in "12"]
        faulty = [order | ({"product": "X"} if order["correlation_id"] in bad else {}) for order in orders]
        return await self.send("POST", "/v2/order/multi/place", json=faulty)

    async def gtt(self, method: str, path: str) -> Any:
        rules = [{"strategy": "ENTRY", "trigger_type": "ABOVE", "trigger_price": 5000}]
        fields = {
            "type": "SINGLE",
            "quantity": 30,
            "product": "I",
            "rules": rules,
            "instrument_token": self.call,
            "transaction_type": "BUY",
        }
        placed = await self.send("POST", "/v3/order/gtt/place", json=fields)
        return (
            placed
            if method == "POST"
            else await self.send(method, path, json=fields | {"gtt_order_id": placed["data"]["gtt_order_ids"][0]})
        )

    async def convert(self) -> Any:
        await self.place()
        fields = {"instrument_token": self.call, "old_product": "I", "new_product": "D", "quantity": 30, "transaction_type": "BUY"}
        return await self.send("PUT", "/v2/portfolio/convert-position", json=fields)

    async def cancel_many(self) -> Any:
        await self.resting()
        return await self.send("DELETE", "/v2/order/multi/cancel")

    async def exit_all(self) -> Any:
        await self.place()
        return await self.send("POST", "/v2/order/positions/exit")

    async def order_details(self) -> Any:
        order_id = (await self.place())["data"]["order_ids"][0]
        return await self.get("/v2/order/details", order_id=order_id)

    async def order_trades(self) -> Any:
        order_id = (await self.place())["data"]["order_ids"][0]
        return await self.get("/v2/order/trades", order_id=order_id)

    async def quotes(self, path: str, **query: str) -> Any:
        return await self.get(path, instrument_key=f"{self.call},{self.put}", **query)

    async def candles(self, path: str) -> Any:
        return await self.get(f"/v3/historical-candle/{path}".replace("KEY", self.call.replace("|", "%7C")))


ASK: dict[str, Ask] = {
    "response-structure": lambda c: c.place(quantity=0),
    "get-profile": lambda c: c.get("/v2/user/profile"),
    "get-user-fund-margin": lambda c: c.get("/v2/user/get-funds-and-margin"),
    "v3/place-order": lambda c: c.place(),
    "v3/modify-order": lambda c: c.modify("/v3/order/modify"),
    "v3/cancel-order": lambda c: c.cancel("/v3/order/cancel"),
    "place-order": lambda c: c.place("/v2/order/place"),
    "modify-order": lambda c: c.modify("/v2/order/modify"),
    "cancel-order": lambda c: c.cancel("/v2/order/cancel"),
    "place-multi-order": lambda c: c.many(),
    "cancel-multi-order": lambda c: c.cancel_many(),
    "exit-all-positions": lambda c: c.exit_all(),
    "get-order-details": lambda c: c.order_details(),
    "get-order-history": lambda c: c.after_a_trade("/v2/order/history", tag="t"),
    "get-order-book": lambda c: c.after_a_trade("/v2/order/retrieve-all"),
    "get-trade-history": lambda c: c.after_a_trade("/v2/order/trades/get-trades-for-day"),
    "get-trades-by-order": lambda c: c.order_trades(),
    "place-gtt-order": lambda c: c.gtt("POST", ""),
    "modify-gtt-order": lambda c: c.gtt("PUT", "/v3/order/gtt/modify"),
    "cancel-gtt-order": lambda c: c.gtt("DELETE", "/v3/order/gtt/cancel"),
    "get-positions": lambda c: c.after_a_trade("/v2/portfolio/short-term-positions"),
    "convert-positions": lambda c: c.convert(),
    "v3/get-historical-candle-data": lambda c: c.candles("KEY/minutes/1/2026-11-19/2026-11-19"),
    "v3/get-intra-day-candle-data": lambda c: c.candles("intraday/KEY/minutes/1"),
    "get-full-market-quote": lambda c: c.quotes("/v2/market-quote/quotes"),
    "get-market-quote-ohlc-v3": lambda c: c.quotes("/v3/market-quote/ohlc", interval="I1"),
    "ltp-v3": lambda c: c.quotes("/v3/market-quote/ltp"),
    "option-greek": lambda c: c.quotes("/v3/market-quote/option-greek"),
    "ltp": lambda c: c.quotes("/v2/market-quote/ltp"),
    "get-market-timings": lambda c: c.get("/v2/market/timings/2026-11-20"),
    "get-market-status": lambda c: c.get("/v2/market/status/NSE"),
    "get-option-contracts": lambda c: c.get("/v2/option/contract", instrument_key=BANKNIFTY),
    "get-pc-option-chain": lambda c: c.get("/v2/option/chain", instrument_key=BANKNIFTY, expiry_date=EXPIRY),
    "get-portfolio-stream-feed-authorize": lambda c: c.get("/v2/feed/portfolio-stream-feed/authorize"),
    "get-market-data-feed-authorize": lambda c: c.get("/v3/feed/market-data-feed/authorize"),
}
"""Page -> how to get the same answer from the venue. Pages that are left out are not served by it."""

NOT_SERVED = {
    "get-expiries": "expired contracts need another plan; no adapter asks for them",
    "get-expired-option-contracts": "as above",
    "get-expired-future-contracts": "as above",
    "get-expired-historical-candle-data": "as above",
    "get-mtf-positions": "margin trading is for equities, the venue lists derivatives: always empty",
    "get-holdings": "derivatives never become holdings: always empty",
    "get-report-meta-data": "reports of past years",
    "get-profit-and-loss-report": "reports of past years",
    "get-trade-charges": "reports of past years",
    "get-historical-candle-data": "V2, superseded by V3",
    "get-intra-day-candle-data": "V2, superseded by V3",
    "get-market-quote-ohlc": "V2, superseded by V3",
    "get-market-holidays": "compared in a test of its own: the venue has holidays only where it is given some",
}

DIFFERENT = {
    "response-structure": {
        "errors[].errorCode: not in the sample": "recorded answers have the deprecated camelCase twins",
        "errors[].propertyPath: not in the sample": "as above",
        "errors[].invalidValue: not in the sample": "as above",
    },
}
"""Page -> where the venue's answer differs, and why."""


@pytest.fixture
async def customer(venue: UpstoxVenue) -> AsyncIterator[Asker]:
    async with httpx.AsyncClient(timeout=10) as http:
        yield Asker(venue, http)


def test_every_documented_answer_is_served_or_named() -> None:
    assert set(ASK) | set(NOT_SERVED) == set(RESPONSES)


@pytest.mark.parametrize("page", ASK)
async def test_the_venue_answers_in_the_documented_form(customer: Asker, page: str) -> None:
    sample = samples(page)[0].payload
    answer = await ASK[page](customer)
    found = differences(sample, answer["data"] if isinstance(sample, list) else answer)
    assert found == set(DIFFERENT.get(page, {}))


async def test_partly_placed_and_wholly_faulty_orders_have_the_documented_form(customer: Asker) -> None:
    _, some, none = samples("place-multi-order")
    assert differences(some.payload, await customer.many("2")) == set()
    await customer.venue.advance(1)
    assert differences(none.payload, await customer.many("1", "2")) == set()


async def test_holidays_have_the_documented_form(http: httpx.AsyncClient) -> None:
    closed, evening = date(2026, 11, 23), date(2026, 11, 8)
    simulation = SimulationConfig(special_sessions={closed: (), evening: ((time(18, 15), time(19, 15)),)})
    async with UpstoxVenue(VenueSettings(simulations=(simulation,), holidays={closed: "Gurpurab"})) as venue:
        answer = (await http.get(f"{venue.urls.rest}/v2/market/holidays")).json()
        one = (await http.get(f"{venue.urls.rest}/v2/market/holidays/2026-11-23")).json()["data"]

    assert differences(samples("get-market-holidays")[0].payload, answer) == set()
    assert [(row["date"], row["holiday_type"]) for row in answer["data"]] == [
        ("2026-11-08", "SPECIAL_TIMING"),
        ("2026-11-23", "TRADING_HOLIDAY"),
    ]
    assert [(row["description"], row["open_exchanges"]) for row in one] == [("Gurpurab", [])]


async def test_rows_of_the_instrument_file_have_the_documented_form(customer: Asker) -> None:
    rows = json.loads(gzip.decompress((await customer.http.get(customer.venue.urls.instruments)).content))
    by_type = {row["instrument_type"]: row for row in rows}
    documented = {sample.payload["instrument_type"]: sample.payload for sample in samples("instruments")}
    for kind in ("INDEX", "FUT", "CE"):
        assert differences(documented[kind], by_type[kind]) <= {
            # Newer files have these four besides: see the recorded one.
            "asset_symbol: not in the sample",
            "asset_key: not in the sample",
            "asset_type: not in the sample",
            "qty_multiplier: not in the sample",
        }
    recorded_file = recorded("instruments_NSE_INDEX_and_BANKNIFTY_NIFTY_FO.json.gz")
    assert differences([row for row in recorded_file if row["instrument_type"] == "CE"], [by_type["CE"]]) == set()


@pytest.mark.parametrize("name", ["rest_nifty_chain_2026-04-07.json", "rest_nifty_option_contracts.json.gz"])
async def test_recorded_answers_have_the_venues_form(customer: Asker, name: str) -> None:
    ask = "get-pc-option-chain" if "chain" in name else "get-option-contracts"
    assert differences(recorded(name), await ASK[ask](customer)) == set()


@pytest.mark.parametrize(("number", "mode"), [(1, "ltpc"), (3, "option_greeks"), (4, "full"), (5, "full_d30")])
async def test_frames_have_the_documented_form(customer: Asker, number: int, mode: str) -> None:
    (documented,) = _straightened(samples(FEED_PAGE)[number].payload)["feeds"].values()
    headers = {"Authorization": f"Bearer {customer.venue.token()}"}
    async with websockets.connect(customer.venue.urls.feed, additional_headers=headers) as feed:
        await feed.recv()
        await feed.send(json.dumps({"method": "sub", "data": {"mode": mode, "instrumentKeys": [customer.call]}}).encode())
        frame = frames.proto().FeedResponse.FromString(await feed.recv())
    (answer,) = json_format.MessageToDict(frame)["feeds"].values()
    # Documented before the field existed; the SDK's schema and recorded frames have it.
    assert differences(documented, answer) - {"requestMode: not in the sample"} == set()


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_messages_of_the_portfolio_stream_have_the_documented_form(customer: Asker, number: int) -> None:
    documented = samples("get-portfolio-stream-feed")[number].payload
    headers = {"Authorization": f"Bearer {customer.venue.token()}"}
    async with websockets.connect(
        f"{customer.venue.urls.portfolio}?update_types=order%2Cposition%2Cgtt_order", additional_headers=headers
    ) as stream:
        await customer.place()
        await customer.gtt("POST", "")
        while (message := json.loads(await stream.recv()))["update_type"] != documented["update_type"]:
            pass
    assert differences(documented, message) == set()


def _straightened(frame: dict[str, Any]) -> dict[str, Any]:
    """Without the two fields that the page prints one level too deep."""
    feeds = {key: feed for key, feed in frame["feeds"].items() if key != "currentTs"}
    for feed in feeds.values():
        feed.get("fullFeed", {}).pop("requestMode", None)
    return frame | {"feeds": feeds}


@pytest.mark.parametrize(
    ("sample", "answer", "found"),
    [
        ({"a": 1, "b": None}, {"a": 2.5, "b": "text"}, set()),
        ({"a": 1}, {"a": "1"}, {"a: str instead of number"}),
        ({"a": 1, "b": 1}, {"a": 1, "c": 1}, {"b: missing", "c: not in the sample"}),
        ({"a": [{"b": 1}, {"c": True}]}, {"a": [{"b": 1, "c": 0}]}, {"a[].c: number instead of boolean"}),
        ({"NSE_FO:X": {"b": 1}}, {"NSE_FO:Y": {}}, {"[].b: missing"}),
    ],
)
def test_a_difference_of_form_is_found(sample: Any, answer: Any, found: set[str]) -> None:
    assert differences(sample, answer) == found
