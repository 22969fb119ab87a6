"""The exact lane: the live engine and paper exchange, moved through candles by a simulated clock.

Within a candle the price is taken to go open, then the extreme that is worse for the position held, then the other one,
then close; between them it passes through every price on the tick, but from one candle to the next it jumps. Where finer
candles tell what was inside one, it goes through each of them so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from math import ceil
from typing import TypeAlias

from runtime.backtest.book import TradeBook
from runtime.backtest.candle_array import SECONDS_A_DAY, CandleArray
from runtime.backtest.inside import Inside
from runtime.backtest.prices import PriceSource
from runtime.backtest.result import BacktestSpec, FillModel
from runtime.backtest.scan import SIGNALS_IGNORED, next_wake
from runtime.backtest.signals import Codes, SignalSource
from runtime.backtest.venue import Slipping, first_price_above, first_price_below
from runtime.compiled import compiled
from runtime.engine import TradingEngine
from runtime.engine.booking import closing_rule
from runtime.events import (
    CancelOrder,
    Effect,
    EventType,
    PriceTouched,
    PublicEvent,
    SignalArrived,
    SquareOff,
    StartSession,
    SubmitOrder,
    TimeAdvanced,
    Unwatch,
    WakeAt,
    Watch,
)
from runtime.kernel_strategy import FLAT_CODE
from runtime.market import Instrument, InstrumentId, Quote
from runtime.orders import Order, OrderEvent, OrderFilled
from runtime.paper import PaperExchange
from runtime.reconcile import SkipReason
from runtime.signals import Side
from runtime.state import EngineState, Slot

END_OF_DATA = "END_OF_DATA"
_INFINITY = float("inf")
_SIDES = {Side.LONG: 1, Side.SHORT: -1, Side.FLAT: 0}
_IST_SECONDS = 19_800
_FINISHED_ORDERS_MAX = 64
"""Nothing is ever submitted twice here, so that the exchange need not remember long."""
_TOLD = frozenset({EventType.SIGNAL_SKIPPED})

OnFill: TypeAlias = Callable[[OrderFilled, Order], None]


class _Stage(Enum):
    """What price an order that leaves now meets."""

    UNSEEN = 0
    """None before the next open."""
    OPEN = 1
    TOUCH = 2
    """A level inside the candle."""
    CLOSE = 3
    PREVIOUS_CLOSE = 4


class ExactLane:
    """One user's session over one array of candles. `skip`: pass over candles that can wake nothing (never changes a result)."""

    def __init__(
        self,
        spec: BacktestSpec,
        candles: CandleArray,
        source: SignalSource,
        prices: PriceSource,
        book: TradeBook,
        *,
        skip: bool = True,
        on_fill: OnFill | None = None,
        inside: Inside | None = None,
    ) -> None:
        self._inside = inside
        self._candles, self._source, self._prices, self.book = candles, source, prices, book
        self._seconds = candles.seconds
        self._skip, self._on_fill = skip, on_fill
        self._slipping = Slipping(spec.slippage, spec.seed)
        self._slippage_percent = spec.session.slippage_percent
        optimistic = spec.fill is FillModel.CLOSE
        self._before_open = _Stage.PREVIOUS_CLOSE if optimistic else _Stage.UNSEEN
        self._at_close = _Stage.CLOSE if optimistic else _Stage.UNSEEN
        self._exchange = PaperExchange(finished_orders_max=_FINISHED_ORDERS_MAX)
        self.engine = TradingEngine(EngineState(user_id=spec.user_id), told=_TOLD)
        self._config, self._key, self._instrument = spec.session, spec.subscription.key, spec.instrument
        self._below, self._above = -_INFINITY, _INFINITY
        self._watched: Instrument | None = None
        self._wake: float | None = None
        self._row = 0
        self._stage = _Stage.UNSEEN
        self._touched: tuple[InstrumentId, float] = ("", 0.0)
        self._ending = False
        self._next_wake = compiled(next_wake)
        self.woken = self.orders = 0
        self.skipped: Counter[str] = Counter()

    # --- the way through the candles ---

    def begin(self, row: int) -> None:
        """Start the session at the open of `row`."""
        ts = self._opened_at(row)
        self._settle(self.engine.process(StartSession(ts=ts, command_id="start", config=self._config)), ts)

    def follow(self, codes: Codes, row: int, start: int, stop: int) -> None:
        """Trade the rows [row, stop) of a stretch [start, stop) whose `codes` the source gave last."""
        while (row := self._next(row, stop, codes, start)) < stop:
            self._candle(row, codes.item(row - start))
            row += 1

    def end(self, row: int) -> None:
        """Cancel the entries that rest and sell what is open at the close of `row`."""
        self._row, self._stage, self._ending = row, _Stage.CLOSE, True
        ts = self._closed_at(row)
        self._settle(self.engine.process(SquareOff(ts=ts, command_id="end")), ts)
        self._fill_resting(ts)

    def _next(self, row: int, stop: int, codes: Codes, start: int) -> int:
        """The next row, `row` or later, on which anything can happen; `stop` if none before it."""
        slot = self._slot
        if not self._skip or slot is None or slot.order_ids:
            return row
        due = stop if self._wake is None else max(row, self._row_closing_at(self._wake))
        side = _SIDES[slot.side]
        if side == 0 and self._done_for_today(slot) and row < (resumes := self._next_day()):
            side, due = SIGNALS_IGNORED, min(due, resumes)
        until = min(due, stop)
        while row < until:
            columns = self._prices.columns(self._watched or self._instrument, row)
            end = min(until, columns.last)
            row = self._next_wake(codes, start, columns.low, columns.high, columns.first, row, end, side, self._below, self._above)
            if row < end:
                return row
        return until

    def _done_for_today(self, slot: Slot) -> bool:
        """Whether the engine refuses every entry until its next day."""
        state, limit = self.engine.state, self._config.subscriptions[0].protection.max_trades_per_day
        spent = state.window.today >= self._config.risk.max_orders_per_day
        return state.halted is not None or spent or (limit is not None and slot.trades_today >= limit)

    def _candle(self, row: int, code: int) -> None:
        """Everything that happens on one candle, in order."""
        self.woken += 1
        self._row = row
        orders = self.engine.state.orders
        if orders or self._wake is not None or self._has_levels:
            opens = self._candles.opened_at.item(row)
            opened_at = datetime.fromtimestamp(opens, UTC)
            if self._wake is not None:
                self._stage = self._before_open
                self._serve_timers(opens)
            self._stage = _Stage.OPEN
            if orders:
                self._fill_resting(opened_at)
            if self._has_levels:
                self._walk(opened_at)
            if self._wake is not None:
                self._stage = self._at_close
                self._serve_timers(opens + self._seconds)
        if code and self._is_news(code) and (signal := self._source.signal(row)) is not None:
            self._stage = self._at_close
            self._settle(self.engine.process(SignalArrived(ts=signal.ts, signal=signal)), signal.ts)

    def _is_news(self, code: int) -> bool:
        """Whether a signal can change anything now: by the rule of `next_wake`."""
        slot = self._slot
        if not self._skip or slot is None or slot.order_ids:
            return True
        return (0 if code == FLAT_CODE else 1 if code > 0 else -1) != _SIDES[slot.side]

    def _walk(self, ts: datetime) -> None:
        """From the open to the extremes and the close, as far as anybody watches."""
        if self._watched is None:
            return
        if self._inside is not None and (parts := self._inside.candles_of(self._row)):
            for opens, high, low, close in parts:
                self._pass(opens, high, low, close, ts)
            return
        columns = self._prices.columns(self._watched, self._row)
        at = self._row - columns.first
        self._pass(columns.open.item(at), columns.high.item(at), columns.low.item(at), columns.close.item(at), ts)

    def _pass(self, opens: float, high: float, low: float, close: float, ts: datetime) -> None:
        """From the open to the extremes and the close of a candle, or of one inside it."""
        if opens <= self._below or opens >= self._above:
            self._touch(opens, ts)
        position = None if self._slot is None else self._slot.position
        rises = position is None or position.direction > 0
        for price in (low, high, close) if rises else (high, low, close):
            self._move(price, ts)

    def _move(self, price: float, ts: datetime) -> None:
        """Pass through every price up to `price` that is watched."""
        seen: tuple[float, float] | None = None
        while self._watched is not None and (self._below, self._above) != seen:
            seen = self._below, self._above
            if price <= self._below:
                self._touch(max(price, first_price_below(self._below, self._watched)), ts)
            elif price >= self._above:
                self._touch(min(price, first_price_above(self._above, self._watched)), ts)

    def _touch(self, price: float, ts: datetime) -> None:
        instrument = self._watched
        if instrument is None:
            return
        self._stage, self._touched = _Stage.TOUCH, (instrument.id, price)
        if self.engine.state.orders:  # what waits at the venue is met before the runtime's own watch of the level, as live
            self._fill_resting(ts)
        self._settle(self.engine.process(PriceTouched(ts=ts, slot=self._key, instrument=instrument.id, price=price)), ts)

    def _serve_timers(self, until: float) -> None:
        while self._wake is not None and self._wake <= until:
            ts = datetime.fromtimestamp(self._wake, UTC)
            self._wake = None
            self._settle(self.engine.process(TimeAdvanced(ts=ts)), ts)

    def _fill_resting(self, ts: datetime) -> None:
        instruments = {live.order.instrument.id: live.order.instrument for live in self.engine.state.orders.values()}
        for instrument in instruments.values():
            quote = self._quote(instrument)
            if quote is not None:
                for event in self._exchange.on_quote(quote, ts):
                    self._settle(self._apply(event), ts)

    # --- effects ---

    def _settle(self, effects: Sequence[Effect], ts: datetime) -> None:
        """Act on effects, and go on with what the exchange answers until all is quiet: as the live trading floor does."""
        while effects:
            answers: list[OrderEvent] = []
            for effect in effects:
                if isinstance(effect, SubmitOrder):
                    self.orders += 1
                    order = effect.order
                    answers += self._exchange.submit(order, self._quote(order.instrument), ts, slippage_percent=self._slippage_percent)
                elif isinstance(effect, Watch):
                    self._watch(effect)
                elif isinstance(effect, Unwatch):
                    self._watched, self._below, self._above = None, -_INFINITY, _INFINITY
                elif isinstance(effect, WakeAt):
                    self._wake = None if effect.ts is None else effect.ts.timestamp()
                elif isinstance(effect, CancelOrder):
                    answers += self._exchange.cancel(effect.order_id, ts)
                else:
                    self._note(effect.event)
            effects = []
            for event in answers:
                effects += self._apply(event)

    def _note(self, event: PublicEvent) -> None:
        if event.data["reason"] != SkipReason.SAME_SIDE:
            self.skipped[str(event.data["reason"])] += 1

    def _watch(self, watch: Watch) -> None:
        slot = self._slot
        if slot is None or slot.position is None:
            return
        self._watched = slot.position.instrument
        self._below = -_INFINITY if watch.low is None else watch.low
        self._above = _INFINITY if watch.high is None else watch.high

    def _apply(self, event: OrderEvent) -> list[Effect]:
        """Give an order event to the engine, and note what it has done to the position."""
        if not isinstance(event, OrderFilled):
            return self.engine.process(event)
        state = self.engine.state
        order = state.orders[event.order_id].order
        slot = state.slots[order.slot]
        before = slot.position
        reason = None if before is None else closing_rule(slot, before, order)
        rule = slot.entry.signal.rule if slot.entry is not None else ""
        effects = self.engine.process(event)
        position = before or slot.position
        row, at_close = self._row, self._stage is _Stage.CLOSE
        if self._stage is _Stage.PREVIOUS_CLOSE:
            row, at_close = row - 1, True
        if position is not None:
            self.book.on_fill(event, order, position, rule, row, at_close=at_close)
        if before is not None and slot.position is None:
            self.book.on_close(END_OF_DATA if self._ending else str(reason), row, at_close=at_close)
        if self._on_fill is not None:
            self._on_fill(event, order)
        return effects

    def _quote(self, instrument: Instrument) -> Quote | None:
        """The newest price of the instrument, None while only the next open can show it."""
        stage, row = self._stage, self._row
        if stage is _Stage.UNSEEN:
            return None
        if stage is _Stage.TOUCH:
            return self._slipping.quote(instrument, self._touched[1], row) if instrument.id == self._touched[0] else None
        if stage is _Stage.PREVIOUS_CLOSE:
            row -= 1
            if row < 0:
                return None
        columns = self._prices.columns(instrument, row)
        values = columns.open if stage is _Stage.OPEN else columns.close
        return self._slipping.quote(instrument, values.item(row - columns.first), row)

    # --- lookups ---

    @property
    def _has_levels(self) -> bool:
        return self._below != -_INFINITY or self._above != _INFINITY

    @property
    def _slot(self) -> Slot | None:
        return self.engine.state.slots.get(self._key)

    def _opened_at(self, row: int) -> datetime:
        return datetime.fromtimestamp(self._candles.opened_at.item(row), UTC)

    def _closed_at(self, row: int) -> datetime:
        return datetime.fromtimestamp(self._candles.opened_at.item(row) + self._seconds, UTC)

    def _row_closing_at(self, time: float) -> int:
        """The first row that closes at `time` or later."""
        return int(self._candles.opened_at.searchsorted(ceil(time) - self._candles.seconds))  # of the array's own type: no copy is made

    def _next_day(self) -> int:
        """The first row that closes on a later day than the engine's."""
        day = self.engine.state.day
        if day is None:
            return 0
        midnight = (day.toordinal() - _EPOCH_ORDINAL + 1) * SECONDS_A_DAY - _IST_SECONDS
        return self._row_closing_at(midnight)


_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
