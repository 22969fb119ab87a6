"""What an answer means for an order: definite only where the broker was definite."""

from __future__ import annotations

import pytest

from adapters.upstox.refusals import Fault, classify_change, reason_of
from runtime.errors import (
    BrokerRefused,
    EgressNotAllowed,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    RefusalReason,
    SessionExpired,
)


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "reason"),
    [
        (401, "UDAPI100050", "Invalid token used to access API", SessionExpired, RefusalReason.SESSION),
        (401, "", "", SessionExpired, RefusalReason.SESSION),
        (403, "UDAPI1154", "Access to this API is blocked due to static IP restrictions.", EgressNotAllowed, RefusalReason.EGRESS),
        (403, "", "", EgressNotAllowed, RefusalReason.EGRESS),
        (403, "UDAPI1156", "The algo name in the header is invalid", BrokerRefused, RefusalReason.PERMISSION),
        (400, "UDAPI1056", "The 'order_type' is invalid", BrokerRefused, RefusalReason.INVALID),
        (400, "UDAPI100011", "Invalid Instrument key", BrokerRefused, RefusalReason.INSTRUMENT),
        (
            400,
            "UDAPI100040",
            "Cancel of already cancelled/rejected/completed order is not allowed",
            BrokerRefused,
            RefusalReason.ALREADY_DONE,
        ),
        (400, "UDAPI100010", "Order not found", OrderNotFound, RefusalReason.NOT_FOUND),
        (423, "UDAPI100074", "The Place and Modify order API's are accessible from 5:30 AM", BrokerRefused, RefusalReason.MARKET_CLOSED),
        (400, "UDAPI1158", "Market orders are not allowed.", BrokerRefused, RefusalReason.UNSUPPORTED),
    ],
)
def test_a_definite_no_says_why(status: int, code: str, message: str, kind: type[BrokerRefused], reason: RefusalReason) -> None:
    error = classify_change(status, Fault(error_code=code or None, message=message or None), "place")
    assert type(error) is kind
    assert isinstance(error, BrokerRefused)
    assert error.reason is reason


@pytest.mark.parametrize("status", [400, 404, 408, 425, 423, 500, 502, 503, 504, 302])
def test_an_answer_without_a_code_of_the_brokers_proves_nothing(status: int) -> None:
    assert type(classify_change(status, None, "place")) is OutcomeUnknown


@pytest.mark.parametrize(("status", "code"), [(500, "UDAPI100500"), (400, "UDAPI100500"), (503, "UDAPI100036")])
def test_the_brokers_own_confusion_proves_nothing(status: int, code: str) -> None:
    assert type(classify_change(status, Fault(error_code=code, message="Something went wrong"), "place")) is OutcomeUnknown


def test_too_many_requests_were_not_executed_and_say_when_to_come_back() -> None:
    error = classify_change(429, None, "place", retry_after=7.0)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 7.0
    assert isinstance(classify_change(400, Fault(error_code="UDAPI10005"), "place"), RateLimited)


def test_the_deprecated_spelling_of_a_code_is_read_too() -> None:
    assert isinstance(classify_change(400, Fault(errorCode="UDAPI100010"), "place"), OrderNotFound)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("RMS:Margin Exceeds, Cash Available:0.00", RefusalReason.FUNDS),
        ("Insufficient funds, required margin 1000", RefusalReason.FUNDS),
        ("The price set should be within the circuit limits", RefusalReason.PRICE_BAND),
        ("RMS: Rule: Check freeze quantity", RefusalReason.FREEZE_QUANTITY),
        ("Quantity should be in multiple of lot size", RefusalReason.LOT_SIZE),
        ("Market is closed right now", RefusalReason.MARKET_CLOSED),
        ("RMS: blocked for this client", RefusalReason.RISK),
        ("nobody knows", RefusalReason.OTHER),
    ],
)
def test_the_exchanges_refusals_come_as_words(text: str, reason: RefusalReason) -> None:
    assert reason_of(text) is reason
