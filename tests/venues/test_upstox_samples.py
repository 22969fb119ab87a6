"""Documented and recorded payloads: the official SDK reads every one of them, and the venue's answers have the same form."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import httpx
import pytest
import upstox_client
from google.protobuf import json_format
from upstox_client.feeder.proto import MarketDataFeedV3_pb2

from tests.shared_data import shared
from tests.venues.official_sdk import Sdk
from tests.venues.upstox import UpstoxVenue

BANKNIFTY, EXPIRY = "NSE_INDEX|Nifty Bank", "2026-11-24"

RESPONSES = {
    "response-structure": "ApiGatewayErrorResponse",
    "get-expiries": "GetExpiriesResponse",
    "get-expired-option-contracts": "GetOptionContractResponse",
    "get-expired-future-contracts": "GetExpiredFuturesContractResponse",
    "get-expired-historical-candle-data": "GetHistoricalCandleResponse",
    "get-profile": "GetProfileResponse",
    "get-user-fund-margin": "GetUserFundMarginResponse",
    "v3/place-order": "PlaceOrderV3Response",
    "place-multi-order": "MultiOrderResponse",
    "v3/modify-order": "ModifyOrderV3Response",
    "v3/cancel-order": "CancelOrderV3Response",
    "cancel-multi-order": "CancelOrExitMultiOrderResponse",
    "exit-all-positions": "CancelOrExitMultiOrderResponse",
    "get-order-details": "GetOrderDetailsResponse",
    "get-order-history": "GetOrderResponse",
    "get-order-book": "list[OrderBookData]",
    "get-trade-history": "GetTradeResponse",
    "get-trades-by-order": "GetTradeResponse",
    "place-order": "PlaceOrderResponse",
    "modify-order": "ModifyOrderResponse",
    "cancel-order": "CancelOrderResponse",
    "place-gtt-order": "GttTriggerOrderResponse",
    "modify-gtt-order": "GttTriggerOrderResponse",
    "cancel-gtt-order": "GttTriggerOrderResponse",
    "get-positions": "GetPositionResponse",
    "get-mtf-positions": "GetPositionResponse",
    "convert-positions": "ConvertPositionResponse",
    "get-holdings": "GetHoldingsResponse",
    "get-report-meta-data": "GetTradeWiseProfitAndLossMetaDataResponse",
    "get-profit-and-loss-report": "GetTradeWiseProfitAndLossDataResponse",
    "get-trade-charges": "GetProfitAndLossChargesResponse",
    "v3/get-historical-candle-data": "GetHistoricalCandleResponse",
    "v3/get-intra-day-candle-data": "GetIntraDayCandleResponse",
    "get-historical-candle-data": "GetHistoricalCandleResponse",
    "get-intra-day-candle-data": "GetIntraDayCandleResponse",
    "get-full-market-quote": "GetFullMarketQuoteResponse",
    "get-market-quote-ohlc-v3": "GetMarketQuoteOHLCResponseV3",
    "ltp-v3": "GetMarketQuoteLastTradedPriceResponseV3",
    "option-greek": "GetMarketQuoteOptionGreekResponseV3",
    "get-market-quote-ohlc": "GetMarketQuoteOHLCResponse",
    "ltp": "GetMarketQuoteLastTradedPriceResponse",
    "get-market-holidays": "GetHolidayResponse",
    "get-market-timings": "GetExchangeTimingResponse",
    "get-market-status": "GetMarketStatusResponse",
    "get-option-contracts": "GetOptionContractResponse",
    "get-pc-option-chain": "GetOptionChainResponse",
    "get-portfolio-stream-feed-authorize": "WebsocketAuthRedirectResponse",
    "get-market-data-feed-authorize": "WebsocketAuthRedirectResponse",
}
"""Page of the documentation -> the SDK's model of its answers."""

REQUESTS = {
    "v3/place-order": "PlaceOrderV3Request",
    "place-multi-order": "MultiOrderRequest",
    "v3/modify-order": "ModifyOrderRequest",
    "place-order": "PlaceOrderRequest",
    "modify-order": "ModifyOrderRequest",
}

RECORDED = {
    "rest_place_order_success.json": "PlaceOrderV3Response",
    "rest_modify_order_success.json": "ModifyOrderV3Response",
    "rest_cancel_order_success.json": "CancelOrderV3Response",
    "rest_niftybees_ltp.json": "GetMarketQuoteLastTradedPriceResponseV3",
    "rest_niftybees_daily_30d.json": "GetHistoricalCandleResponse",
    "rest_intraday_2024.json": "GetIntraDayCandleResponse",
    "rest_nifty_chain_2026-04-07.json": "GetOptionChainResponse",
    "rest_option-chain_2024.json": "GetOptionChainResponse",
    "rest_nifty_option_contracts.json.gz": "GetOptionContractResponse",
}

FEED_PAGE, PLAIN_JSON = "v3/get-market-data-feed", ("get-portfolio-stream-feed", "webhook")
NOT_READ_BY_THE_SDK = {
    "instruments": "rows of the instrument file, which the SDK has no model for: compared with the venue's file",
    "get-market-data-feed": "the feed V2, whose protobuf module the SDK no longer has; the venue does not serve it",
}


class Sample:
    """`page` of the documentation, `payload` as printed there; a request is what a client sends."""

    def __init__(self, line: str) -> None:
        fields = json.loads(line)
        self.page: str = fields["source"].split("api-documentation/")[1]
        self.is_request = fields["heading"].startswith("Request")
        self.payload: Any = fields["payload"]


def samples(page: str, *, requests: bool = False) -> list[Sample]:
    lines = shared("upstox/api_doc_samples.jsonl").read_text(encoding="utf-8").splitlines()
    return [sample for sample in map(Sample, lines) if sample.page == page and sample.is_request is requests]


def recorded(name: str) -> Any:
    content = shared(f"upstox/{name}").read_bytes()
    payload = json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
    return payload.get("response", payload)


@pytest.fixture
def sdk(venue: UpstoxVenue) -> Iterator[Sdk]:
    with Sdk(venue) as customer:
        yield customer


def test_every_documented_sample_has_its_reader() -> None:
    lines = shared("upstox/api_doc_samples.jsonl").read_text(encoding="utf-8").splitlines()
    pages = {(sample.page, sample.is_request) for sample in map(Sample, lines)}

    assert len(lines) == 85
    readers = {(page, False) for page in (*RESPONSES, *PLAIN_JSON, FEED_PAGE, *NOT_READ_BY_THE_SDK)}
    assert pages == readers | {(page, True) for page in (*REQUESTS, FEED_PAGE, "get-market-data-feed")}


@pytest.mark.parametrize("page", RESPONSES)
async def test_the_sdk_reads_the_documented_answers(sdk: Sdk, page: str) -> None:
    for sample in samples(page):
        answer = sdk.decode(sample.payload, RESPONSES[page])
        if isinstance(sample.payload, list):
            assert len(answer) == len(sample.payload)
        elif "status" in sample.payload:
            assert answer.status == sample.payload["status"]
            assert bool(answer.to_dict().get("data")) == bool(sample.payload.get("data"))


@pytest.mark.parametrize("page", REQUESTS)
def test_the_sdk_takes_the_documented_requests(page: str) -> None:
    for sample in samples(page, requests=True):
        for fields in sample.payload if isinstance(sample.payload, list) else [sample.payload]:
            assert getattr(upstox_client, REQUESTS[page])(**fields).to_dict().items() >= fields.items()


def test_the_sdk_reads_the_documented_frames() -> None:
    found = samples(FEED_PAGE)
    for sample in found:
        _straighten(sample.payload)
        frame = json_format.ParseDict(sample.payload, MarketDataFeedV3_pb2.FeedResponse())
        read = json_format.MessageToDict(MarketDataFeedV3_pb2.FeedResponse.FromString(frame.SerializeToString()))
        assert read == sample.payload
    assert len(found) == 6


def test_the_sdk_reads_recorded_frames() -> None:
    recordings = json.loads(shared("upstox/ws_feed_recorded_samples.json").read_text(encoding="utf-8"))["samples"]
    read = [each for each in recordings if "older V2 SDK shape" not in each["kind"]]
    for sample in read:
        json_format.ParseDict(sample["payload"], MarketDataFeedV3_pb2.FeedResponse())
    assert (len(recordings), len(read)) == (3, 2)


def _straighten(frame: dict[str, Any]) -> None:
    """The page prints two fields of its `full_d30` sample one level too deep for the SDK's schema."""
    feeds = frame.get("feeds", {})
    if "currentTs" in feeds:
        frame["currentTs"] = feeds.pop("currentTs")
    for feed in feeds.values():
        if "requestMode" in feed.get("fullFeed", {}):
            feed["requestMode"] = feed["fullFeed"].pop("requestMode")


@pytest.mark.parametrize("name", RECORDED)
async def test_the_sdk_reads_recorded_answers(sdk: Sdk, name: str) -> None:
    answer = sdk.decode(recorded(name), RECORDED[name])
    assert answer.status == "success"
    assert answer.data


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


def differences(sample: Any, answer: Any, path: str = "") -> set[str]:
    """Fields that only one of the two has, and those of another JSON type. null stands for any type, lists for their elements."""
    if isinstance(sample, dict) and isinstance(answer, dict):
        if _is_map(sample):
            return differences(list(sample.values()), list(answer.values()), path)
        names = {f"{path}.{name}".lstrip(".") for name in sample.keys() ^ answer.keys()}
        found = {f"{name}: {'not in the sample' if name.split('.')[-1] in answer else 'missing'}" for name in names}
        for name in sample.keys() & answer.keys():
            found |= differences(sample[name], answer[name], f"{path}.{name}".lstrip("."))
        return found
    if isinstance(sample, list) and isinstance(answer, list):
        both = [_merged(each) for each in (sample, answer) if each]
        return differences(*both, f"{path}[]") if len(both) == 2 else set()
    if sample is None or answer is None or _kind(sample) == _kind(answer):
        return set()
    return {f"{path}: {_kind(answer)} instead of {_kind(sample)}"}


def _is_map(value: dict[str, Any]) -> bool:
    """Keyed by instrument."""
    return bool(value) and all(":" in name or "|" in name for name in value)


def _merged(elements: list[Any]) -> Any:
    if not isinstance(elements[0], dict):
        return elements[0]
    merged: dict[str, Any] = {}
    for element in elements:
        merged |= {name: value for name, value in element.items() if merged.get(name) is None}
    return merged


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, (int, float)) else type(value).__name__


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
