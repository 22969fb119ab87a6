"""Orders: place, modify, cancel, many at once, books, history and trades."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.venues.upstox.core import Core, closing
from tests.venues.upstox.errors import ApiError, refusal
from tests.venues.upstox.gateway import Caller, Route
from tests.venues.upstox.orders import Order, details_row, history_row
from tests.venues.upstox.requests import parse_place

_LATENCY = {"latency": 3}
_MULTI_MAX = 25


def _place(core: Core, caller: Caller) -> dict[str, Any]:
    _in_service(core)
    request = parse_place(caller.fields, core.listing, core.settings)
    if request.quantities[1:]:
        caller.spend(len(request.quantities) - 1)  # every slice is an order to the exchange's limit
    order_ids = core.desk.place(caller.account, request, script=caller.script)
    return {"status": "success", "data": {"order_ids": order_ids}, "metadata": _LATENCY}


def _place_v2(core: Core, caller: Caller) -> dict[str, Any]:
    """The older call: no slicing, one id, no latency."""
    fields = {name: value for name, value in caller.fields.items() if name != "slice"}
    (order_id,) = core.desk.place(caller.account, parse_place(fields, core.listing, core.settings), script=caller.script)
    return {"status": "success", "data": {"order_id": order_id}}


def _modify(core: Core, caller: Caller) -> dict[str, Any]:
    _in_service(core)
    return _one(core.desk.modify(caller.account.user_id, caller.fields).order_id)


def _modify_v2(core: Core, caller: Caller) -> dict[str, Any]:
    return {"status": "success", "data": {"order_id": core.desk.modify(caller.account.user_id, caller.fields).order_id}}


def _cancel(core: Core, caller: Caller) -> dict[str, Any]:
    return _one(core.desk.cancel(caller.account.user_id, caller.query("order_id")).order_id)


def _cancel_v2(core: Core, caller: Caller) -> dict[str, Any]:
    return {"status": "success", "data": {"order_id": core.desk.cancel(caller.account.user_id, caller.query("order_id")).order_id}}


def _place_many(core: Core, caller: Caller) -> dict[str, Any]:
    """Each order by itself; a faulty payload of one stops nothing of the others [U]."""
    if not isinstance(caller.body, list) or not 0 < len(caller.body) <= _MULTI_MAX:
        raise refusal("UDAPI100036", f"1 to {_MULTI_MAX} orders are allowed")
    names = [each.get("correlation_id") for each in caller.body]
    if None in names or len(set(names)) != len(names):
        raise refusal("UDAPI100036", "Every order needs a correlation_id of its own", path="correlationId", value=names)
    placed: list[dict[str, str]] = []
    errors: list[dict[str, Any]] = []
    for each in caller.body:
        try:
            request = parse_place(each, core.listing, core.settings)
        except ApiError as error:
            errors.append({"correlation_id": each["correlation_id"], **_plain(error)})
            continue
        order_ids = core.desk.place(caller.account, request, script=caller.script)
        placed += [{"correlation_id": each["correlation_id"], "order_id": order_id} for order_id in order_ids]
    done = len(caller.body) - len(errors)
    summary = {"total": len(caller.body), "payload_error": len(errors), "success": done, "error": 0}
    answer = {"status": _status(done, len(errors)), "data": placed, "errors": errors, "summary": summary}
    return {name: value for name, value in answer.items() if value not in ([], None)}


def _cancel_many(core: Core, caller: Caller) -> dict[str, Any]:
    open_orders = [order for order in _chosen(core, caller) if not order.is_final]
    for order in open_orders:
        core.desk.cancel(order.user_id, order.order_id)
    return _batch([order.order_id for order in open_orders], [])


def _exit_positions(core: Core, caller: Caller) -> dict[str, Any]:
    if not core.market.in_session(core.clock.now):
        raise refusal("UDAPI1113")
    user_id, segment = caller.account.user_id, caller.query("segment")
    order_ids: list[str] = []
    for (key, product), position in list(core.desk.book(user_id).positions.items()):
        if position.quantity and segment in (None, position.listed.segment):
            order_ids += core.trade_by_hand(user_id, closing(key, product, position.quantity), source="api")
    return _batch(order_ids, [])


def _book(core: Core, caller: Caller) -> dict[str, Any]:
    """Today's orders, newest first."""
    rows = [order.row_at(core.book_time()) for order in core.desk.book(caller.account.user_id).orders.values()]
    return {"status": "success", "data": [row for row in reversed(rows) if row is not None]}


def _details(core: Core, caller: Caller) -> dict[str, Any]:
    order = core.desk.find(caller.account.user_id, caller.query("order_id"), "UDAPI1023")
    row = order.row_at(core.book_time())
    if row is None:
        raise refusal("UDAPI100010", path="orderId", value=order.order_id)
    return {"status": "success", "data": details_row(row)}


def _history(core: Core, caller: Caller) -> dict[str, Any]:
    """Every state of one order, or of all orders with a tag, oldest first."""
    order_id, tag = caller.query("order_id"), caller.query("tag")
    if not order_id and not tag:
        raise refusal("UDAPI1023")
    orders = core.desk.book(caller.account.user_id).orders.values()
    until = core.book_time()
    rows = [
        history_row(row)
        for order in orders
        if (not order_id or order.order_id == order_id) and (not tag or order.tag == tag) and order.row_at(until) is not None
        for seen_at, row in order.trail
        if seen_at <= until
    ]
    if order_id and not rows:
        raise refusal("UDAPI100010", path="orderId", value=order_id)
    return {"status": "success", "data": rows}


def _trades(core: Core, caller: Caller) -> dict[str, Any]:
    return {"status": "success", "data": _trade_rows(core, core.desk.book(caller.account.user_id).orders.values())}


def _order_trades(core: Core, caller: Caller) -> dict[str, Any]:
    order = core.desk.find(caller.account.user_id, caller.query("order_id"), "UDAPI1023")
    return {"status": "success", "data": _trade_rows(core, [order])}


def _trade_rows(core: Core, orders: Iterable[Order]) -> list[dict[str, Any]]:
    until = core.book_time()
    return [row for order in orders if order.row_at(until) is not None for row in order.trade_rows(until)]


def _chosen(core: Core, caller: Caller) -> list[Order]:
    tag, segment = caller.query("tag"), caller.query("segment")
    return [
        order
        for order in core.desk.book(caller.account.user_id).orders.values()
        if tag in (None, order.tag) and segment in (None, order.listed.segment) and order.visible_from is not None
    ]


def _one(order_id: str) -> dict[str, Any]:
    return {"status": "success", "data": {"order_id": order_id}, "metadata": _LATENCY}


def _batch(order_ids: list[str], errors: list[dict[str, Any]]) -> dict[str, Any]:
    summary = {"total": len(order_ids) + len(errors), "success": len(order_ids), "error": len(errors)}
    return {
        "status": _status(len(order_ids), len(errors)),
        "data": {"order_ids": order_ids},
        "errors": errors or None,
        "summary": summary,
    }


def _status(done: int, failed: int) -> str:
    if not failed:
        return "success"
    return "partial_success" if done else "error"


def _plain(error: ApiError) -> dict[str, Any]:
    """An error of one order among many, without the camelCase twins, as documented."""
    return {"error_code": error.code, "message": error.message, "property_path": error.path, "invalid_value": error.value}


def _in_service(core: Core) -> None:
    hours = core.settings.service_hours
    if hours is not None and not hours[0] <= core.clock.local.time() <= hours[1]:
        raise refusal("UDAPI100074")


ROUTES = (
    Route(operation="place", method="POST", path="/v3/order/place", handler=_place, access="trade", rate="order", hft=True),
    Route(operation="modify", method="PUT", path="/v3/order/modify", handler=_modify, access="trade", rate="order", hft=True),
    Route(operation="cancel", method="DELETE", path="/v3/order/cancel", handler=_cancel, access="trade", rate="order", hft=True),
    Route(operation="place_v2", method="POST", path="/v2/order/place", handler=_place_v2, access="trade", rate="order", hft=True),
    Route(operation="modify_v2", method="PUT", path="/v2/order/modify", handler=_modify_v2, access="trade", rate="order", hft=True),
    Route(operation="cancel_v2", method="DELETE", path="/v2/order/cancel", handler=_cancel_v2, access="trade", rate="order", hft=True),
    Route(operation="place_many", method="POST", path="/v2/order/multi/place", handler=_place_many, access="trade", rate="multi"),
    Route(operation="cancel_many", method="DELETE", path="/v2/order/multi/cancel", handler=_cancel_many, access="trade", rate="multi"),
    Route(
        operation="exit_positions", method="POST", path="/v2/order/positions/exit", handler=_exit_positions, access="trade", rate="multi"
    ),
    Route(operation="order_book", method="GET", path="/v2/order/retrieve-all", handler=_book),
    Route(operation="order_details", method="GET", path="/v2/order/details", handler=_details),
    Route(operation="order_history", method="GET", path="/v2/order/history", handler=_history),
    Route(operation="trades", method="GET", path="/v2/order/trades/get-trades-for-day", handler=_trades),
    Route(operation="order_trades", method="GET", path="/v2/order/trades", handler=_order_trades),
)
