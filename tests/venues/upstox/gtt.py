"""Good-till-triggered orders: an entry, and a target and a stop-loss that cancel each other once the entry is filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec

from tests.venues.upstox.accounts import Account
from tests.venues.upstox.clock import VenueClock
from tests.venues.upstox.desk import Desk
from tests.venues.upstox.errors import ApiError, refusal
from tests.venues.upstox.listing import Listed
from tests.venues.upstox.market import Market
from tests.venues.upstox.orders import Order, Status, Terms
from tests.venues.upstox.requests import OrderRequest, number, tradable, whole

_VALID_FOR = timedelta(days=365)
_STRATEGIES = ("ENTRY", "TARGET", "STOPLOSS")
_TRIGGERS = ("ABOVE", "BELOW", "IMMEDIATE")
_WAITING, _OPEN, _DONE, _CANCELLED, _FAILED = "SCHEDULED", "OPEN", "COMPLETED", "CANCELLED", "FAILED"
"""States of a rule. Only FAILED and CANCELLED are documented by example, the other names are [U]."""


class Rule(msgspec.Struct, kw_only=True):
    strategy: str
    trigger_type: str
    trigger_price: Decimal
    transaction_type: str
    trailing_gap: Decimal | None = None
    status: str = _WAITING
    message: str = ""
    order_id: str | None = None

    def row(self) -> dict[str, Any]:
        return {
            "strategy": self.strategy,
            "status": self.status,
            "trigger_type": self.trigger_type,
            "trigger_price": float(self.trigger_price),
            "transaction_type": self.transaction_type,
            "message": self.message,
            "order_id": self.order_id,
            "trailing_gap": None if self.trailing_gap is None else float(self.trailing_gap),
        }

    def reached(self, last: Decimal) -> bool:
        if self.trigger_type == "IMMEDIATE" and self.strategy == "ENTRY":
            return True
        above = self.trigger_type == "ABOVE"
        if self.strategy != "ENTRY":
            above = (self.strategy == "TARGET") == (self.transaction_type == "SELL")
        return last >= self.trigger_price if above else last <= self.trigger_price


class GttOrder(msgspec.Struct, kw_only=True, eq=False):
    gtt_order_id: str
    user_id: str
    listed: Listed
    type: str
    quantity: int
    product: str
    rules: list[Rule]
    created_at: datetime

    def rule(self, strategy: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.strategy == strategy), None)

    @property
    def exits(self) -> list[Rule]:
        return [rule for rule in self.rules if rule.strategy != "ENTRY"]

    def row(self) -> dict[str, Any]:
        """As `/v3/order/gtt` answers it; times in microseconds since the epoch."""
        created = int(self.created_at.timestamp() * 1_000_000)
        return {
            "type": self.type,
            "exchange": self.listed.segment,
            "quantity": self.quantity,
            "product": self.product,
            "rules": [rule.row() for rule in self.rules],
            "trading_symbol": self.listed.symbol,
            "instrument_token": self.listed.key,
            "gtt_order_id": self.gtt_order_id,
            "expires_at": created + _VALID_FOR // timedelta(microseconds=1),
            "created_at": created,
        }

    def update(self) -> dict[str, Any]:
        """The message of the portfolio stream."""
        return {"update_type": "gtt_order", **{name: value for name, value in self.row().items() if name != "trading_symbol"}}


class GttDesk:
    """All customers' GTT orders. What they trigger are market orders of the desk, marked `gtt` in the ledger."""

    def __init__(self, clock: VenueClock, market: Market, desk: Desk, publish: Callable[[str, dict[str, Any]], None]) -> None:
        self._clock = clock
        self._market = market
        self._desk = desk
        self._publish = publish
        self._orders: dict[str, GttOrder] = {}
        self._by_order: dict[str, tuple[GttOrder, Rule]] = {}
        self._accounts: dict[str, Account] = {}
        self._ids = count(1)

    @property
    def waits(self) -> bool:
        """Whether an order waits for the market."""
        return any(rule.status == _WAITING for order in self._orders.values() for rule in order.rules)

    def of(self, user_id: str) -> list[GttOrder]:
        return [order for order in self._orders.values() if order.user_id == user_id]

    def find(self, user_id: str, gtt_order_id: object) -> GttOrder:
        order = self._orders.get(str(gtt_order_id))
        if order is None or order.user_id != user_id:
            raise refusal("UDAPI1145", path="gttOrderId", value=gtt_order_id)
        return order

    def place(self, account: Account, body: Mapping[str, Any]) -> GttOrder:
        listed = tradable(body.get("instrument_token"), self._market.listing)
        side = str(body.get("transaction_type"))
        if side not in ("BUY", "SELL"):
            raise refusal("UDAPI1057", path="transactionType", value=side)
        order = GttOrder(
            gtt_order_id=f"GTT-CU{self._clock.local:%d%y%m}{next(self._ids):08d}",
            user_id=account.user_id,
            listed=listed,
            type=str(body.get("type")),
            quantity=whole(body.get("quantity"), "UDAPI1052", "quantity"),
            product=str(body.get("product")),
            rules=_rules(body, side),
            created_at=self._clock.now,
        )
        self._accounts[account.user_id] = account
        self._orders[order.gtt_order_id] = order
        self._tell(order)
        self._check(order)
        return order

    def modify(self, user_id: str, body: Mapping[str, Any]) -> GttOrder:
        """New trigger prices and gaps for rules that still wait; the quantity only before the entry is open."""
        order = self.find(user_id, body.get("gtt_order_id"))
        entry = order.rule("ENTRY")
        assert entry is not None
        for new in _rules(body, entry.transaction_type):
            rule = order.rule(new.strategy)
            if rule is not None and rule.status == _WAITING:
                rule.trigger_price, rule.trigger_type, rule.trailing_gap = new.trigger_price, new.trigger_type, new.trailing_gap
        if entry.status == _WAITING:
            order.quantity = whole(body.get("quantity"), "UDAPI1052", "quantity")
        self._tell(order)
        self._check(order)
        return order

    def cancel(self, user_id: str, gtt_order_id: object) -> GttOrder:
        order = self.find(user_id, gtt_order_id)
        for rule in order.rules:
            if rule.status == _WAITING:
                rule.status = _CANCELLED
        self._tell(order)
        return order

    def on_step(self) -> None:
        for order in list(self._orders.values()):
            if any(rule.status == _WAITING for rule in order.rules) and self._market.traded(order.listed, self._clock.now):
                self._check(order)

    def on_order(self, order: Order) -> None:
        """An order of the desk has changed: if a rule placed it, the rule follows."""
        found = self._by_order.get(order.order_id)
        if found is None or not order.is_final:
            return
        gtt, rule = found
        rule.status = _DONE if order.status is Status.COMPLETE else _FAILED
        rule.message = order.message or ""
        if rule.strategy == "ENTRY" and rule.status == _FAILED:
            self._end(gtt.exits)
        self._tell(gtt)

    def _check(self, order: GttOrder) -> None:
        """Trigger what the last price has reached: the entry, or one of the exits once the entry is filled."""
        quote = self._market.quote(order.listed, self._clock.now)
        entry = order.rule("ENTRY")
        if quote is None or entry is None:
            return
        last = Decimal(repr(quote.price))
        if entry.status == _WAITING and entry.reached(last):
            self._trigger(order, entry)
        elif entry.status == _DONE:
            for rule in order.exits:
                _trail(rule, last)
            hit = next((rule for rule in order.exits if rule.status == _WAITING and rule.reached(last)), None)
            if hit is not None:
                self._end([rule for rule in order.exits if rule is not hit])
                self._trigger(order, hit)

    def _trigger(self, order: GttOrder, rule: Rule) -> None:
        rule.status = _OPEN
        terms = Terms(quantity=order.quantity, order_type="MARKET", validity="DAY", price=Decimal(0), trigger_price=Decimal(0))
        request = OrderRequest(
            listed=order.listed, side=rule.transaction_type, product=order.product, terms=terms, tag=None, quantities=(order.quantity,)
        )
        (rule.order_id,) = self._desk.place(self._accounts[order.user_id], request, source="gtt", order_ref_id=order.gtt_order_id)
        self._by_order[rule.order_id] = (order, rule)
        self.on_order(self._desk.book(order.user_id).orders[rule.order_id])
        self._tell(order)

    def _end(self, rules: list[Rule]) -> None:
        for rule in rules:
            if rule.status == _WAITING:
                rule.status = _CANCELLED

    def _tell(self, order: GttOrder) -> None:
        self._publish(order.user_id, order.update())


def _trail(rule: Rule, last: Decimal) -> None:
    """A trailing stop follows the price at its gap, never back [U: the vendor's step]."""
    if rule.trailing_gap is None or rule.status != _WAITING:
        return
    sells = rule.transaction_type == "SELL"
    followed = last - rule.trailing_gap if sells else last + rule.trailing_gap
    rule.trigger_price = max(rule.trigger_price, followed) if sells else min(rule.trigger_price, followed)


def _rules(body: Mapping[str, Any], side: str) -> list[Rule]:
    """Raises ApiError where the rules contradict the documented form: one ENTRY, no strategy twice, exits IMMEDIATE."""
    given = body.get("rules") or []
    strategies = [rule.get("strategy") for rule in given]
    expected = {"SINGLE": 1, "MULTIPLE": len(given)}.get(str(body.get("type")))
    if expected is None:
        raise refusal("UDAPI1126", path="type", value=body.get("type"))
    if len(given) != expected or "ENTRY" not in strategies or len(set(strategies)) != len(strategies):
        raise _invalid("one ENTRY and at most one TARGET and one STOPLOSS", strategies)
    if not set(strategies) <= set(_STRATEGIES) or any(rule.get("trigger_type") not in _TRIGGERS for rule in given):
        raise _invalid("unknown strategy or trigger type", given)
    other = "SELL" if side == "BUY" else "BUY"
    return [_rule(rule, side if rule["strategy"] == "ENTRY" else other) for rule in given]


def _rule(rule: Mapping[str, Any], side: str) -> Rule:
    if rule["strategy"] != "ENTRY" and rule["trigger_type"] != "IMMEDIATE":
        raise refusal("UDAPI1150", path="triggerType", value=rule["trigger_type"])
    price = number(rule, "trigger_price")
    if price <= 0:
        raise refusal("UDAPI1036", path="triggerPrice", value=float(price))
    gap = number(rule, "trailing_gap")
    return Rule(
        strategy=rule["strategy"],
        trigger_type=rule["trigger_type"],
        trigger_price=price,
        transaction_type=side,
        trailing_gap=gap if gap > 0 else None,
    )


def _invalid(message: str, value: object) -> ApiError:
    return refusal("UDAPI1130", message, path="rules", value=value)
