"""Brackets kept at the broker: Upstox's good-till-triggered orders with an entry, a stop and a target."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from adapters.upstox import UpstoxClient
from adapters.upstox.client import parse
from adapters.upstox.instruments import InstrumentTable
from adapters.upstox.limiter import SlidingWindow
from runtime.errors import BrokerRefused, OutcomeUnknown, RefusalReason
from runtime.market import InstrumentId
from runtime.signals import OrderSide


class Bracket(msgspec.Struct, frozen=True, kw_only=True):
    """An entry at the market and the exits of what it buys or sells. Prices of the contract; `trail` is the gap of a trailing stop."""

    instrument: InstrumentId
    side: OrderSide
    quantity: int
    entry: Decimal
    stop: Decimal
    target: Decimal | None = None
    trail: Decimal | None = None


class BracketRule(msgspec.Struct, frozen=True, kw_only=True):
    strategy: str
    status: str = ""
    trigger_price: Decimal | None = None
    order_id: str | None = None
    message: str | None = None


class BracketState(msgspec.Struct, frozen=True, kw_only=True):
    gtt_order_id: str
    rules: list[BracketRule] = []


class _Placed(msgspec.Struct, frozen=True):
    gtt_order_ids: list[str]


class Brackets:
    """GTT requests of one account, each counted by the order limiter. They are served by the ordinary host, not the order host."""

    def __init__(self, client: UpstoxClient, table: InstrumentTable, limiter: SlidingWindow, *, product: str) -> None:
        self._client, self._table, self._limiter, self._product = client, table, limiter, product
        self._url = f"{client.endpoints.api}/v3/order/gtt"

    async def place(self, bracket: Bracket) -> str:
        """The GTT id. Raises like `Broker.submit`, and `BrokerRefused` for levels on the wrong side of the entry."""
        _check(bracket)
        body = {
            "type": "MULTIPLE",
            "quantity": bracket.quantity,
            "product": self._product,
            "instrument_token": self._table.key(bracket.instrument),
            "transaction_type": str(bracket.side),
            "rules": _rules(bracket),
        }
        await self._limiter.acquire()
        return _id_of(await self._client.change("POST", f"{self._url}/place", json=body))

    async def modify(self, gtt_order_id: str, bracket: Bracket) -> None:
        """Give the bracket these levels. The same request twice is harmless."""
        _check(bracket)
        body = {"type": "MULTIPLE", "quantity": bracket.quantity, "gtt_order_id": gtt_order_id, "rules": _rules(bracket)}
        await self._limiter.acquire()
        await self._client.change("PUT", f"{self._url}/modify", json=body)

    async def cancel(self, gtt_order_id: str) -> None:
        await self._limiter.acquire()
        await self._client.change("DELETE", f"{self._url}/cancel", json={"gtt_order_id": gtt_order_id})

    async def all(self) -> Sequence[BracketState]:
        """Those that the broker keeps, with what has become of each rule."""
        return parse(await self._client.read("/v3/order/gtt"), list[BracketState] | None) or []


def _rules(bracket: Bracket) -> list[dict[str, Any]]:
    stop: dict[str, Any] = {"strategy": "STOPLOSS", "trigger_type": "IMMEDIATE", "trigger_price": float(bracket.stop)}
    if bracket.trail is not None:
        stop["trailing_gap"] = float(bracket.trail)
    rules = [{"strategy": "ENTRY", "trigger_type": "IMMEDIATE", "trigger_price": float(bracket.entry)}, stop]
    if bracket.target is not None:
        rules.append({"strategy": "TARGET", "trigger_type": "IMMEDIATE", "trigger_price": float(bracket.target)})
    return rules


def _check(bracket: Bracket) -> None:
    direction = 1 if bracket.side is OrderSide.BUY else -1
    stop_is_right = (bracket.entry - bracket.stop) * direction > 0
    target_is_right = bracket.target is None or (bracket.target - bracket.entry) * direction > 0
    if not (stop_is_right and target_is_right and bracket.stop > 0):
        text = f"stop {bracket.stop} and target {bracket.target} are not on both sides of the entry {bracket.entry} of a {bracket.side}"
        raise BrokerRefused(text, RefusalReason.INVALID)


def _id_of(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=_Placed).gtt_order_ids[0]
    except (msgspec.MsgspecError, IndexError):
        raise OutcomeUnknown("placing a bracket was answered without an id") from None
