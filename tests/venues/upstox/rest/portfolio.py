"""Positions and holdings."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.venues.upstox.core import Core
from tests.venues.upstox.errors import refusal
from tests.venues.upstox.gateway import Caller, Route
from tests.venues.upstox.positions import Position


def _positions(core: Core, caller: Caller) -> dict[str, Any]:
    positions = core.desk.book(caller.account.user_id).positions.values()
    return {"status": "success", "data": [_row(core, position) for position in positions]}


def _mtf_positions(core: Core, caller: Caller) -> dict[str, Any]:
    positions = core.desk.book(caller.account.user_id).positions.values()
    return {"status": "success", "data": [_row(core, position) for position in positions if position.product == "MTF"]}


def _holdings(core: Core, caller: Caller) -> dict[str, Any]:
    """None: the venue lists derivatives only, which never become holdings."""
    return {"status": "success", "data": []}


def _convert(core: Core, caller: Caller) -> dict[str, Any]:
    """Move units of a position to another product at their average price."""
    fields = caller.fields
    book = core.desk.book(caller.account.user_id)
    key, old, new = str(fields.get("instrument_token")), str(fields.get("old_product")), str(fields.get("new_product"))
    position, quantity = book.positions.get((key, old)), fields.get("quantity")
    if position is None or not isinstance(quantity, int) or not 0 < quantity <= abs(position.quantity) or new not in ("I", "D"):
        raise refusal("UDAPI100036", "No such position to convert", value=key)
    target = book.positions.setdefault((key, new), Position(listed=position.listed, product=new))
    out, back = ("SELL", "BUY") if position.quantity > 0 else ("BUY", "SELL")
    price = position.average_price
    position.apply(out, quantity, price)
    target.apply(back, quantity, price)
    return {"status": "success", "data": {"status": "complete"}}


def _row(core: Core, position: Position) -> dict[str, Any]:
    quote = core.market.quote(position.listed, core.clock.now)
    last = Decimal(repr(quote.price)) if quote is not None else position.average_price
    previous = core.market.previous_close(position.listed, core.clock.now)
    return position.row(last, previous or float(last))


ROUTES = (
    Route(operation="positions", method="GET", path="/v2/portfolio/short-term-positions", handler=_positions),
    Route(operation="mtf_positions", method="GET", path="/v3/portfolio/mtf-positions", handler=_mtf_positions),
    Route(operation="holdings", method="GET", path="/v2/portfolio/long-term-holdings", handler=_holdings),
    Route(operation="convert_position", method="PUT", path="/v2/portfolio/convert-position", handler=_convert),
)
