"""Good-till-triggered orders."""

from __future__ import annotations

from typing import Any

from tests.venues.upstox.core import Core
from tests.venues.upstox.gateway import Caller, Route

_LATENCY = {"latency": 3}


def _place(core: Core, caller: Caller) -> dict[str, Any]:
    return _ids(core.gtt.place(caller.account, caller.fields).gtt_order_id)


def _modify(core: Core, caller: Caller) -> dict[str, Any]:
    return _ids(core.gtt.modify(caller.account.user_id, caller.fields).gtt_order_id)


def _cancel(core: Core, caller: Caller) -> dict[str, Any]:
    return _ids(core.gtt.cancel(caller.account.user_id, caller.fields.get("gtt_order_id")).gtt_order_id)


def _get(core: Core, caller: Caller) -> dict[str, Any]:
    user_id, wanted = caller.account.user_id, caller.query("gtt_order_id")
    orders = [core.gtt.find(user_id, wanted)] if wanted else core.gtt.of(user_id)
    return {"status": "success", "data": [order.row() for order in orders], "metadata": _LATENCY}


def _ids(gtt_order_id: str) -> dict[str, Any]:
    return {"status": "success", "data": {"gtt_order_ids": [gtt_order_id]}, "metadata": _LATENCY}


ROUTES = (
    Route(operation="gtt_place", method="POST", path="/v3/order/gtt/place", handler=_place, access="trade", rate="order"),
    Route(operation="gtt_modify", method="PUT", path="/v3/order/gtt/modify", handler=_modify, access="trade", rate="order"),
    Route(operation="gtt_cancel", method="DELETE", path="/v3/order/gtt/cancel", handler=_cancel, access="trade", rate="order"),
    Route(operation="gtt_get", method="GET", path="/v3/order/gtt", handler=_get),
)
