"""What Upstox's refusals mean: its error codes and the texts of rejected orders, in the runtime's own vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from runtime.errors import (
    BrokerError,
    BrokerRefused,
    EgressNotAllowed,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    RefusalReason,
    SessionExpired,
)


class Fault(msgspec.Struct, frozen=True):
    """One entry of the `errors` list. The vendor sends each name twice, in snake case and (deprecated) in camel case."""

    error_code: str | None = None
    message: str | None = None
    property_path: str | None = None
    errorCode: str | None = None  # noqa: N815 - the vendor's spelling

    @property
    def code(self) -> str:
        return self.error_code or self.errorCode or ""


_SESSION_CODES = frozenset({"UDAPI100050", "UDAPI100016", "UDAPI100067", "UDAPI100073"})
"""Token invalid, credentials invalid, not allowed with this kind of token, client inactive: all end with a person's login."""

_EGRESS_CODES = frozenset({"UDAPI1154"})
"""Static address restriction. A 403 without a code that says otherwise counts as one of these, too."""

_RATE_CODES = frozenset({"UDAPI10005"})
_NOT_FOUND_CODES = frozenset({"UDAPI100010", "UDAPI100060"})
_UNKNOWN_CODES = frozenset({"UDAPI100500"})

_REASONS: Mapping[str, RefusalReason] = {
    "UDAPI100011": RefusalReason.INSTRUMENT,
    "UDAPI100036": RefusalReason.INVALID,
    "UDAPI100038": RefusalReason.INVALID,
    "UDAPI100039": RefusalReason.ALREADY_DONE,
    "UDAPI100040": RefusalReason.ALREADY_DONE,
    "UDAPI100041": RefusalReason.ALREADY_DONE,
    "UDAPI1009": RefusalReason.INSTRUMENT,
    "UDAPI1087": RefusalReason.INSTRUMENT,
    "UDAPI1113": RefusalReason.MARKET_CLOSED,
    "UDAPI100072": RefusalReason.MARKET_CLOSED,
    "UDAPI100074": RefusalReason.MARKET_CLOSED,
    "UDAPI1118": RefusalReason.FREEZE_QUANTITY,
    "UDAPI1149": RefusalReason.PERMISSION,
    "UDAPI1156": RefusalReason.PERMISSION,
    "UDAPI1158": RefusalReason.UNSUPPORTED,
}

_TEXTS: tuple[tuple[str, RefusalReason], ...] = (
    ("static ip", RefusalReason.EGRESS),
    ("ip address", RefusalReason.EGRESS),
    ("insufficient", RefusalReason.FUNDS),
    ("margin", RefusalReason.FUNDS),
    ("fund", RefusalReason.FUNDS),
    ("freeze", RefusalReason.FREEZE_QUANTITY),
    ("lot", RefusalReason.LOT_SIZE),
    ("circuit", RefusalReason.PRICE_BAND),
    ("price band", RefusalReason.PRICE_BAND),
    ("price range", RefusalReason.PRICE_BAND),
    ("tick", RefusalReason.PRICE_BAND),
    ("market is closed", RefusalReason.MARKET_CLOSED),
    ("market hours", RefusalReason.MARKET_CLOSED),
    ("market closed", RefusalReason.MARKET_CLOSED),
    ("already", RefusalReason.ALREADY_DONE),
    ("not found", RefusalReason.NOT_FOUND),
    ("rms", RefusalReason.RISK),
)


def reason_of(text: str, code: str = "") -> RefusalReason:
    """The reason behind a code or, failing that, behind the words: an exchange's refusal comes as the order's status message."""
    known = _REASONS.get(code)
    if known is not None:
        return known
    lowered = text.lower()
    found = next((reason for words, reason in _TEXTS if words in lowered), None)
    if found is not None:
        return found
    return RefusalReason.INVALID if code.startswith("UDAPI1") else RefusalReason.OTHER


def classify_change(status: int, fault: Fault | None, operation: str, *, retry_after: float | None = None) -> BrokerError:
    """The error for an answer to a request that changes something: definite only where the broker was definite.

    Without an error code of Upstox's own a 4xx came from something in between, which may have passed the request on.
    """
    code = "" if fault is None else fault.code
    text = f"{operation}: HTTP {status} {code} {'' if fault is None else fault.message or ''}".rstrip()
    if status == HTTPStatus.TOO_MANY_REQUESTS or code in _RATE_CODES:
        return RateLimited(text, 1.0 if retry_after is None else retry_after)
    in_doubt = status in _IN_DOUBT and code not in _REASONS
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or in_doubt or code in _UNKNOWN_CODES:
        return OutcomeUnknown(text)
    if status == HTTPStatus.UNAUTHORIZED or code in _SESSION_CODES:
        return SessionExpired(text, code)
    reason = reason_of("" if fault is None else fault.message or "", code)
    if code in _REASONS:
        return BrokerRefused(text, reason, code)
    if code in _EGRESS_CODES or status == HTTPStatus.FORBIDDEN or reason is RefusalReason.EGRESS:
        return EgressNotAllowed(f"{text}: register the address that this account's orders leave by with Upstox", code)
    if fault is None or not code:
        return OutcomeUnknown(text)
    if status == HTTPStatus.NOT_FOUND or code in _NOT_FOUND_CODES or reason is RefusalReason.NOT_FOUND:
        return OrderNotFound(text, code)
    return BrokerRefused(text, reason, code)


_IN_DOUBT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.LOCKED})
