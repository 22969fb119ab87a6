"""Payloads as documented and as recorded, what of the official SDK reads them, and a comparison of their form."""

from __future__ import annotations

import gzip
import json
from typing import Any

from tests.shared_data import shared

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
    return payload.get("response", payload) if isinstance(payload, dict) else payload


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
