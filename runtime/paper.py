"""A paper exchange: fills orders against quotes. Deterministic; every order trades as if it were alone in the market."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec

from runtime.exits import decimal_price
from runtime.market import Instrument, InstrumentId, InstrumentKind, Quote
from runtime.orders import Order, OrderAccepted, OrderCancelled, OrderEvent, OrderFilled, OrderRejected, OrderType
from runtime.signals import OrderSide
from runtime.sizing import round_down

FINISHED_ORDERS_MAX = 50_000

_ZERO = Decimal(0)
_HUNDRED = Decimal(100)


class PaperExchange:
    """Orders of all users of a process.

    - MARKET buys at the ask and sells at the bid of the newest quote; where the quote lacks that side, at the last price
      moved by the order's slippage against the trader and rounded away from him to a tick. Without a quote it waits for one.
    - LIMIT fills only when the side it trades against touches it, at the touching price: its limit, or better if the
      market jumped past it.
    - STOP_MARKET is triggered by the last price, then fills like MARKET: beyond a gap, worse than its stop.

    `max_fill_quantity` limits what one order may fill on one quote (whole lots, at least one): the rest waits for the next.

    An order id is taken once: submitting it again places nothing and repeats what was reported of it. To that end the
    newest `finished_orders_max` finished orders are remembered.
    """

    def __init__(self, *, max_fill_quantity: Decimal | None = None, finished_orders_max: int = FINISHED_ORDERS_MAX) -> None:
        self._max_fill_quantity = max_fill_quantity
        self._finished_orders_max = finished_orders_max
        self._open: dict[str, _Entry] = {}
        self._resting: dict[InstrumentId, dict[str, _Entry]] = {}
        self._finished: OrderedDict[str, list[OrderEvent]] = OrderedDict()

    @property
    def open_orders(self) -> Mapping[str, Order]:
        """By order id, oldest first."""
        return {order_id: entry.order for order_id, entry in self._open.items()}

    def knows(self, order_id: str) -> bool:
        return order_id in self._open or order_id in self._finished

    def submit(self, order: Order, quote: Quote | None, ts: datetime, *, slippage_percent: Decimal = _ZERO) -> list[OrderEvent]:
        """Take `order` once and try it against `quote`, the newest one of its instrument. Returns all that is known of it."""
        order_id = order.order_id
        if (known := self._open.get(order_id)) is not None:
            return list(known.events)
        if order_id in self._finished:
            return list(self._finished[order_id])
        fault = _fault(order)
        if fault is not None:
            rejected = OrderRejected(ts=ts, order_id=order_id, reason=fault)
            self._remember(order_id, [rejected])
            return [rejected]
        accepted = OrderAccepted(ts=ts, order_id=order_id, broker_order_id=f"paper-{order_id}")
        entry = _Entry(order=order, slippage_percent=slippage_percent, events=[accepted])
        if quote is not None:
            self._match(entry, _Prices.of(quote, order.instrument), ts)
        if entry.filled == order.quantity:
            self._remember(order_id, entry.events)
        else:
            self._open[order_id] = entry
            self._resting.setdefault(order.instrument.id, {})[order_id] = entry
        return list(entry.events)

    def cancel(self, order_id: str, ts: datetime) -> list[OrderEvent]:
        """Take an open order out of the book; what is filled stays filled. Of a finished order there is no news.

        An order never seen here is reported cancelled too, and is not placed if it arrives later.
        """
        if order_id in self._finished:
            return []
        entry = self._open.get(order_id)
        if entry is None:
            absent = OrderCancelled(ts=ts, order_id=order_id, reason="not in the book")
            self._remember(order_id, [absent])
            return [absent]
        cancelled = OrderCancelled(ts=ts, order_id=order_id)
        entry.events.append(cancelled)
        self._finish(entry)
        return [cancelled]

    def modify(self, order_id: str, *, limit_price: Decimal | None = None, stop_price: Decimal | None = None) -> bool:
        """Move the prices of an open order, from the next quote on; a price left None stays. False when it is not in the book."""
        entry = self._open.get(order_id)
        if entry is None:
            return False
        order = entry.order
        entry.order = msgspec.structs.replace(
            order, limit_price=limit_price or order.limit_price, stop_price=stop_price or order.stop_price
        )
        return True

    def forget(self, order_id: str) -> None:
        """As if it had never been here: its user has moved to another exchange, where it is placed again."""
        entry = self._open.get(order_id)
        if entry is not None:
            self._finish(entry)
        self._finished.pop(order_id, None)

    def on_quote(self, quote: Quote, ts: datetime) -> list[OrderEvent]:
        """Fills of this instrument's resting orders, oldest order first. Costs one lookup when there are none."""
        return [event for _, event in self.on_quotes((quote,), ts)]

    def on_quotes(self, quotes: Iterable[Quote], ts: datetime) -> list[tuple[str, OrderEvent]]:
        """Like `on_quote` for each of them, every event with the id of its user."""
        events: list[tuple[str, OrderEvent]] = []
        for quote in quotes:
            resting = self._resting.get(quote.instrument)
            if resting is None:
                continue
            entries = list(resting.values())
            prices = _Prices.of(quote, entries[0].order.instrument)
            for entry in entries:
                fill = self._match(entry, prices, ts)
                if fill is not None:
                    events.append((entry.order.user_id, fill))
                    if entry.filled == entry.order.quantity:
                        self._finish(entry)
        return events

    def _match(self, entry: _Entry, prices: _Prices, ts: datetime) -> OrderFilled | None:
        price = _fill_price(entry, prices)
        if price is None:
            return None
        order = entry.order
        quantity = order.quantity - entry.filled
        if self._max_fill_quantity is not None:
            lot = order.instrument.lot_size
            quantity = min(quantity, max(lot, round_down(self._max_fill_quantity, lot)))
        entry.filled += quantity
        # Numbered by the quantity done so far: an exchange that has lost its memory fills the same order again under ids
        # that a trader who remembers the first fills counts towards the same total, never beyond it.
        fill_id = f"{order.order_id}-{entry.filled.normalize():f}"
        price = price.quantize(order.instrument.tick_size)
        fill = OrderFilled(ts=ts, order_id=order.order_id, fill_id=fill_id, quantity=quantity, price=price)
        entry.events.append(fill)
        return fill

    def _finish(self, entry: _Entry) -> None:
        order_id, instrument = entry.order.order_id, entry.order.instrument.id
        del self._open[order_id]
        resting = self._resting[instrument]
        del resting[order_id]
        if not resting:
            del self._resting[instrument]
        self._remember(order_id, entry.events)

    def _remember(self, order_id: str, events: list[OrderEvent]) -> None:
        self._finished[order_id] = events
        if len(self._finished) > self._finished_orders_max:
            self._finished.popitem(last=False)


class _Entry(msgspec.Struct, kw_only=True, gc=False):
    """An order in the book and all that was reported of it. `triggered`: a stop that has become a market order."""

    order: Order
    slippage_percent: Decimal
    events: list[OrderEvent]
    filled: Decimal = _ZERO
    triggered: bool = False


class _Prices(msgspec.Struct, frozen=True, gc=False):
    """A quote on the instrument's tick: the last price, and what a buyer pays and a seller gets where the quote shows it."""

    last: Decimal
    buy: Decimal | None
    sell: Decimal | None

    @classmethod
    def of(cls, quote: Quote, instrument: Instrument) -> _Prices:
        return cls(
            decimal_price(quote.price, instrument),
            None if quote.ask is None else decimal_price(quote.ask, instrument),
            None if quote.bid is None else decimal_price(quote.bid, instrument),
        )


def _fault(order: Order) -> str | None:
    """Why the order cannot be taken."""
    if not order.quantity > 0:
        return f"quantity {order.quantity} must be positive"
    if order.instrument.kind is InstrumentKind.INDEX:
        return f"the index {order.instrument.id} cannot be traded, only its contracts"
    if order.type is OrderType.LIMIT and not (order.limit_price or _ZERO) > 0:
        return f"a LIMIT order needs a positive limit_price, not {order.limit_price}"
    if order.type is OrderType.STOP_MARKET and not (order.stop_price or _ZERO) > 0:
        return f"a STOP_MARKET order needs a positive stop_price, not {order.stop_price}"
    return None


def _fill_price(entry: _Entry, prices: _Prices) -> Decimal | None:
    """At what the order fills now, None if it does not."""
    order = entry.order
    buys = order.side is OrderSide.BUY
    shown = prices.buy if buys else prices.sell
    if order.limit_price is not None and order.type is OrderType.LIMIT:
        price = prices.last if shown is None else shown
        return price if (price <= order.limit_price if buys else price >= order.limit_price) else None
    if order.stop_price is not None and order.type is OrderType.STOP_MARKET and not entry.triggered:
        entry.triggered = prices.last >= order.stop_price if buys else prices.last <= order.stop_price
        if not entry.triggered:
            return None
    return shown if shown is not None else _slipped(prices.last, entry)


def _slipped(last: Decimal, entry: _Entry) -> Decimal:
    """`last` moved against the trader, on the tick further from him, never below one tick."""
    if not entry.slippage_percent:
        return last
    buys, tick = entry.order.side is OrderSide.BUY, entry.order.instrument.tick_size
    slippage = last * entry.slippage_percent / _HUNDRED
    ticks = (last + slippage if buys else last - slippage) / tick
    return max(tick, ticks.to_integral_value(rounding=ROUND_CEILING if buys else ROUND_FLOOR) * tick)
