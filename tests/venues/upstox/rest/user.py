"""The customer: profile, funds, static addresses, kill switch."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from aiohttp import web

from tests.venues.upstox.accounts import COOLING, SEGMENTS
from tests.venues.upstox.core import Core
from tests.venues.upstox.errors import refusal
from tests.venues.upstox.gateway import Caller, Route
from tests.venues.upstox.orders import naive
from tests.venues.upstox.rest.login import profile
from tests.venues.upstox.settings import StaticAddresses

_ZERO = Decimal(0)


def _profile(core: Core, caller: Caller) -> dict[str, Any]:
    return {"status": "success", "data": profile(caller.account)}


def _funds(core: Core, caller: Caller) -> dict[str, Any]:
    _in_service(core)
    equity = _flat(core.desk.used(caller.account.user_id), core.desk.available(caller.account))
    return {"status": "success", "data": {"equity": equity, "commodity": _flat(_ZERO, _ZERO)}}


def _funds_v3(core: Core, caller: Caller) -> dict[str, Any]:
    _in_service(core)
    user_id, account = caller.account.user_id, caller.account
    used, realised = float(core.desk.used(user_id)), float(core.desk.realised(user_id))
    cash = {
        "total": float(account.cash),
        "opening_balance": float(account.cash),
        "added_today": 0.0,
        "withdrawn_today": 0.0,
        "amount_from_stock_sale": 0.0,
        "unpaid_charges": 0.0,
    }
    margin_used = {
        "total": used,
        "mtf": 0.0,
        "loss": {"total": min(realised, 0.0), "realised": min(realised, 0.0), "unrealised": 0.0},
        "span_exposure": 0.0,
        "cash_margin_var_elm": 0.0,
        "premium_present": used,
        "delivery_margin": {"total": 0.0, "equity": 0.0, "fo_settlement": 0.0},
    }
    available = float(core.desk.available(account))
    return {
        "status": "success",
        "data": {
            "available_to_trade": {
                "total": available,
                "cash_available_to_trade": {"total": available, "cash": cash, "margin_used": margin_used},
                "pledge_available_to_trade": {
                    "margin_from_pledge": {"total": 0.0, "equity": 0.0, "mutual_funds": 0.0},
                    "margin_used": {name: value for name, value in margin_used.items() if name != "loss"} | {"total": 0.0},
                },
            },
            "unavailable_to_trade": {
                "cash_unavailable_to_trade": {"unsettled_profit": {"todays_profit": max(realised, 0.0), "previous_days": 0.0}},
                "pledge_unavailable_to_trade": {"equity": 0.0, "mutual_funds": 0.0},
            },
        },
    }


def _addresses(core: Core, caller: Caller) -> dict[str, Any]:
    return {"status": "success", "data": _address_row(core, caller, invalidated=False)}


def _change_addresses(core: Core, caller: Caller) -> dict[str, Any]:
    wanted = StaticAddresses(primary=caller.fields.get("primary_ip"), secondary=caller.fields.get("secondary_ip"))
    core.accounts.change_addresses(caller.account, wanted, core.clock.now)
    return {"status": "success", "data": _address_row(core, caller, invalidated=True)}


def _kill_switch(core: Core, caller: Caller) -> dict[str, Any]:
    off = caller.account.switched_off
    return {"status": "success", "data": [_segment_row(segment, segment in off) for segment in SEGMENTS]}


def _change_kill_switch(core: Core, caller: Caller) -> dict[str, Any] | web.Response:
    """All or nothing. ENABLE switches trading of a segment off; it can be switched on again after twelve hours."""
    now, account = core.clock.now, caller.account
    if not isinstance(caller.body, list):
        raise refusal("UDAPI100036")
    for change in caller.body:
        segment, action = change.get("segment"), change.get("action")
        if segment not in SEGMENTS:
            raise refusal("UDAPI1186", path="segment", value=segment)
        if action not in ("ENABLE", "DISABLE"):
            raise refusal("UDAPI1188", path="action", value=action)
        if action == "ENABLE" and any(
            position.quantity and position.listed.segment == segment for position in core.desk.book(account.user_id).positions.values()
        ):
            raise refusal("UDAPI1184", path="segment", value=segment)
        if action == "DISABLE" and segment in account.switched_off and now < account.switched_off[segment] + COOLING:
            raise refusal("UDAPI1185", path="segment", value=segment)
    for change in caller.body:
        if change["action"] == "ENABLE":
            account.switched_off[change["segment"]] = now
            _cancel_all(core, account.user_id, change["segment"])
        else:
            account.switched_off.pop(change["segment"], None)
    return _kill_switch(core, caller)


def _cancel_all(core: Core, user_id: str, segment: str) -> None:
    for order in list(core.desk.book(user_id).orders.values()):
        if order.listed.segment == segment and not order.is_final and order.visible_from is not None:
            core.desk.cancel(user_id, order.order_id)


def _segment_row(segment: str, off: bool) -> dict[str, Any]:
    return {"segment": segment, "segment_status": "ACTIVE", "kill_switch_enabled": off}


def _address_row(core: Core, caller: Caller, *, invalidated: bool) -> dict[str, Any]:
    addresses = caller.account.addresses
    return {
        "primary_ip": addresses.primary,
        "secondary_ip": addresses.secondary,
        "primary_ip_updated_at": naive(core.clock.now) if addresses.primary else None,
        "secondary_ip_updated_at": naive(core.clock.now) if addresses.secondary else None,
        "access_tokens_invalidated": invalidated,
    }


def _flat(used: Decimal, available: Decimal) -> dict[str, float]:
    nothing = dict.fromkeys(("payin_amount", "span_margin", "adhoc_margin", "notional_cash", "exposure_margin"), 0.0)
    return {"used_margin": round(float(used), 2), "available_margin": round(float(available), 2), **nothing}


def _in_service(core: Core) -> None:
    hours = core.settings.service_hours
    if hours is not None and not hours[0] <= core.clock.local.time() <= hours[1]:
        raise refusal("UDAPI100072")


ROUTES = (
    Route(operation="profile", method="GET", path="/v2/user/profile", handler=_profile),
    Route(operation="funds", method="GET", path="/v2/user/get-funds-and-margin", handler=_funds),
    Route(operation="funds_v3", method="GET", path="/v3/user/get-funds-and-margin", handler=_funds_v3),
    Route(operation="addresses", method="GET", path="/v2/user/ip", handler=_addresses),
    Route(operation="change_addresses", method="PUT", path="/v2/user/ip", handler=_change_addresses),
    Route(operation="kill_switch", method="GET", path="/v2/user/kill-switch", handler=_kill_switch),
    Route(operation="change_kill_switch", method="POST", path="/v2/user/kill-switch", handler=_change_kill_switch),
)
