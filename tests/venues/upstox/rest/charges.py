"""Margin of planned orders and charges of one trade."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from runtime.market import InstrumentKind
from tests.venues.upstox import risk
from tests.venues.upstox.core import Core
from tests.venues.upstox.errors import refusal
from tests.venues.upstox.gateway import Caller, Route
from tests.venues.upstox.requests import number, tradable, whole

_INSTRUMENTS_MAX = 20
_BROKERAGE = 20.0  # rupees an order
_GST, _STAMP, _STT, _TRANSACTION, _SEBI = 0.18, 0.00003, 0.001, 0.00035, 0.000001  # shares of turnover; GST of the fees


def _margin(core: Core, caller: Caller) -> dict[str, Any]:
    instruments = caller.fields.get("instruments") or []
    if not 0 < len(instruments) <= _INSTRUMENTS_MAX:
        raise refusal("UDAPI100036", f"1 to {_INSTRUMENTS_MAX} instruments are allowed", path="instruments")
    rows = [_margin_row(core, each) for each in instruments]
    total = round(sum(row["total_margin"] for row in rows), 2)
    return {"status": "success", "data": {"margins": rows, "required_margin": total, "final_margin": total}}


def _margin_row(core: Core, wanted: dict[str, Any]) -> dict[str, float]:
    listed = tradable(wanted.get("instrument_key"), core.listing)
    quantity = whole(wanted.get("quantity"), "UDAPI1052", "quantity")
    quote = core.market.quote(listed, core.clock.now)
    price = number(wanted, "price") or Decimal(repr(quote.price if quote else 0.0))
    signed = quantity if wanted.get("transaction_type") == "BUY" else -quantity
    needed = float(risk.margin(listed.instrument, signed, price, core.settings))
    premium = needed if listed.instrument.kind is InstrumentKind.OPTION and signed > 0 else 0.0
    return {
        "span_margin": round((needed - premium) * 0.8, 2),
        "exposure_margin": round((needed - premium) * 0.2, 2),
        "equity_margin": 0.0,
        "net_buy_premium": round(premium, 2),
        "additional_margin": 0.0,
        "total_margin": round(needed, 2),
        "tender_margin": 0.0,
    }


def _brokerage(core: Core, caller: Caller) -> dict[str, Any]:
    """A rough sum of the usual rates: the venue's own, not a tariff."""
    tradable(caller.query("instrument_token"), core.listing)
    query = caller.request.query
    turnover = float(number(query, "quantity") * number(query, "price"))
    sells = caller.query("transaction_type") == "SELL"
    transaction, sebi = turnover * _TRANSACTION, turnover * _SEBI
    taxes = {
        "gst": round((_BROKERAGE + transaction + sebi) * _GST, 2),
        "stt": round(turnover * _STT, 2) if sells else 0.0,
        "stamp_duty": 0.0 if sells else round(turnover * _STAMP, 2),
    }
    other = {"transaction": round(transaction, 2), "clearing": 0.0, "ipft": 0.0, "sebi_turnover": round(sebi, 2)}
    charges = {
        "total": round(_BROKERAGE + sum(taxes.values()) + sum(other.values()), 2),
        "brokerage": _BROKERAGE,
        "taxes": taxes,
        "otherTaxes": other,
        "dpPlan": {"name": "NA", "min_expense": 0.0},
    }
    return {"status": "success", "data": {"charges": charges}}


ROUTES = (
    Route(operation="margin", method="POST", path="/v2/charges/margin", handler=_margin, access="market"),
    Route(operation="brokerage", method="GET", path="/v2/charges/brokerage", handler=_brokerage, access="market"),
)
