"""Positions as they close, kept as columns."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.backtest.candle_array import CandleArray
from runtime.backtest.prices import PriceSource
from runtime.backtest.result import ZERO, TradeTable
from runtime.backtest.scan import extremes
from runtime.backtest.trade_columns import BLOCK_TRADES, Columns, TradeColumns, TradesInMemory
from runtime.compiled import compiled
from runtime.orders import Leg, Order, OrderFilled
from runtime.state import Position


class _Open(msgspec.Struct, gc=False):
    """A position that is open, the engine's own object of it, and what it needs besides."""

    position: Position
    row: int
    at_close: bool
    rule: str
    quantity: Decimal
    entry_price: Decimal
    entry_fees: Decimal
    exit_quantity: Decimal = ZERO
    exit_cost: Decimal = ZERO


class _Names:
    """Texts numbered in order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(self._numbers)


class TradeBook:
    """Of one slot: at most one position is open at a time."""

    def __init__(self, candles: CandleArray, prices: PriceSource, day_ends: NDArray[np.int64], kept: TradeColumns | None = None) -> None:
        """`day_ends`: row of each day's last candle, on which an open position is marked. `kept`: where closed trades go."""
        self._candles, self._prices, self._day_ends = candles, prices, day_ends
        self._open: _Open | None = None
        self._rows: list[tuple[float, ...]] = []  # those of the newest block
        self._kept = kept or TradesInMemory()
        self._marks: list[tuple[int, float]] = []
        self._rules, self._reasons, self._instruments = _Names(), _Names(), _Names()
        self._day = 0  # the first day whose end no closed position has passed
        self._extremes = compiled(extremes)

    def on_fill(self, fill: OrderFilled, order: Order, position: Position, rule: str, row: int, *, at_close: bool) -> None:
        """A fill as the engine has applied it. `position` is its object, `at_close` whether the fill was at the candle's close."""
        opened = self._open
        if opened is None or opened.position is not position:
            opened = self._open = _Open(position, row, at_close, rule, ZERO, position.entry_price, ZERO)
        if order.leg is Leg.ENTRY:
            opened.quantity += fill.quantity
            opened.entry_price, opened.entry_fees = position.entry_price, position.fees
        else:
            opened.exit_quantity += fill.quantity
            opened.exit_cost += fill.quantity * fill.price

    def on_close(self, reason: str, row: int, *, at_close: bool) -> None:
        """The open position has ended on `row`."""
        opened, self._open = self._open, None
        if opened is None:
            return
        position, direction = opened.position, opened.position.direction
        exit_price = opened.exit_cost / opened.exit_quantity
        self._mark(opened, row)
        worst, best = self._excursions(opened, row + at_close, float(exit_price))
        gross, fees = position.realised, position.fees
        size = float(opened.quantity)
        self._rows.append(
            (
                opened.row,
                row,
                1 if position.side == "LONG" else -1,
                direction,
                size,
                float(opened.entry_price),
                float(exit_price),
                self._rules.number(opened.rule),
                self._reasons.number(reason),
                self._instruments.number(position.instrument.id),
                float(gross),
                float(fees),
                float(opened.entry_fees),
                float(gross - fees),
                worst * size,
                best * size,
                opened.at_close,
                at_close,
            )
        )
        if len(self._rows) == BLOCK_TRADES:
            self._keep()

    def _excursions(self, opened: _Open, until: int, exit_price: float) -> tuple[float, float]:
        """Largest loss and gain per unit over the whole candles held, up to before the row `until`, and at the exit."""
        position, direction = opened.position, opened.position.direction
        entry = float(opened.entry_price)
        leaving = (exit_price - entry) * direction
        worst, best = min(0.0, leaving), max(0.0, leaving)
        row = opened.row + opened.at_close
        while row < until:
            columns = self._prices.columns(position.instrument, row)
            end = min(until, columns.last)
            worst, best = self._extremes(columns.low, columns.high, row - columns.first, end - columns.first, entry, direction, worst, best)
            row = end
        return worst, best

    def _mark(self, opened: _Open, until: int) -> None:
        """Note what the position was worth at the days' ends before the row `until`."""
        position, size, fees = opened.position, float(opened.quantity), float(opened.entry_fees)
        while self._day < len(self._day_ends) and (end := int(self._day_ends[self._day])) < until:
            self._day += 1
            if end >= opened.row:
                columns = self._prices.columns(position.instrument, end)
                move = float(columns.close[end - columns.first]) - float(opened.entry_price)
                self._marks.append((end, move * position.direction * size - fees))

    def marks(self, until: int) -> Sequence[tuple[int, float]]:
        """(row of a day's last candle, open profit after the entry's fees) of every day before `until` at whose end a position was open."""
        if self._open is not None:
            self._mark(self._open, until)
        return self._marks

    def table(self) -> TradeTable:
        self._keep()
        return TradeTable(**self._kept.whole(), rules=self._rules.all, exit_reasons=self._reasons.all, instruments=self._instruments.all)

    def _keep(self) -> None:
        width = 18
        columns = np.array(self._rows, dtype=np.float64).reshape(-1, width).T
        self._rows.clear()
        whole = columns.astype(np.int64)
        entry_bar, exit_bar = whole[0], whole[1]
        opened_at, seconds = self._candles.opened_at, self._candles.seconds
        block: Columns = {
            "entry_time": (opened_at[entry_bar] + whole[16] * seconds).astype("datetime64[s]"),
            "exit_time": (opened_at[exit_bar] + whole[17] * seconds).astype("datetime64[s]"),
            "entry_bar": entry_bar,
            "exit_bar": exit_bar,
            "side": whole[2].astype(np.int8),
            "direction": whole[3].astype(np.int8),
            "quantity": columns[4],
            "entry_price": columns[5],
            "exit_price": columns[6],
            "rule": whole[7].astype(np.int16),
            "exit_reason": whole[8].astype(np.int16),
            "instrument": whole[9].astype(np.int32),
            "gross": columns[10],
            "fees": columns[11],
            "entry_fees": columns[12],
            "net": columns[13],
            "mae": columns[14],
            "mfe": columns[15],
        }
        self._kept.append(block)
