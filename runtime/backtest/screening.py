"""The screening lane: the trade list of the exact lane from one compiled loop, for strategies and settings that are simple enough."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from math import nan

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.backtest import screen_kernels as kernels
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.days import curve_of, day_ends, traded_rows
from runtime.backtest.result import BacktestSpec, EquityCurve, FillModel, TradeTable
from runtime.backtest.screen_rules import USE_EXACT, level_numbers, sizing_numbers
from runtime.backtest.ticks import in_ticks
from runtime.calendar import ExchangeCalendar
from runtime.compiled import compiled
from runtime.engine.limits import SIGNAL_TIME_TO_LIVE
from runtime.errors import InvalidConfig
from runtime.fees import fee_schedule
from runtime.kernel_strategy import KernelStrategy
from runtime.market import Segment
from runtime.metrics import CALENDAR_DAYS, TRADING_DAYS, daily_returns, max_drawdown_percent, sharpe_ratio
from runtime.session import ExitMode

CENTS = Decimal("0.01")
_REASONS = ("SIGNAL", "REVERSAL", "SL", "TP", "END_OF_DATA")
_END_OF_DATA = 4
_LARGEST = 2**62


class SweepTable(msgspec.Struct, frozen=True, kw_only=True):
    """One row per strategy, in the order given; money in the instrument's currency, `sharpe` NaN where not defined."""

    trades: NDArray[np.int64]
    wins: NDArray[np.int64]
    gross: NDArray[np.float64]
    fees: NDArray[np.float64]
    net: NDArray[np.float64]
    sharpe: NDArray[np.float64]
    max_drawdown_percent: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.trades)


class Screen:
    """Candles and settings made ready once, then any number of strategies over them, from any number of threads."""

    def __init__(self, spec: BacktestSpec, candles: CandleArray, *, calendar: ExchangeCalendar | None = None) -> None:
        self.spec, self._candles = spec, candles
        self.first, self.last = traded_rows(spec, candles)
        self.ends = day_ends(candles, self.first, self.last)
        rows = slice(0, self.last)
        volume = np.full(self.last, nan) if candles.volume is None else candles.volume[rows]
        prices = (candles.open[rows], candles.high[rows], candles.low[rows], candles.close[rows])
        waits = np.append(candles.opened_at[1 : self.last] - candles.decided_at(calendar)[: self.last - 1], 0)
        stale = (waits > SIGNAL_TIME_TO_LIVE.total_seconds()).astype(np.int8)
        tick, lot = spec.instrument.tick_size, spec.instrument.lot_size
        ticks = in_ticks(prices[0], tick), in_ticks(prices[3], tick)
        starts = (candles.session(calendar)[rows], candles.minute[rows], candles.opened_at[rows])
        self._columns = kernels.Columns(*starts, *prices, volume, stale, *ticks)
        self.at_close = int(spec.fill is FillModel.CLOSE)
        self._price, self._last_close = ticks[self.at_close], int(ticks[1][-1])
        self._places = places = decimals(lot)
        self._units, self._money = in_units(lot, places), tick.scaleb(-places)
        protection = spec.subscription.protection
        guarded = protection.exit_mode is not ExitMode.SIGNAL_ONLY
        stop, target = (level_numbers(level if guarded else None, tick) for level in (protection.stop, protection.target))
        self._rules = kernels.Rules(
            first=self.first,
            at_close=self.at_close,
            slip=spec.slippage.ticks,
            tick=(in_units(tick, decimals(tick)), 10.0 ** decimals(tick)),
            stop=stop,
            target=target,
            sizing=sizing_numbers(spec),
        )
        # A fee in cents is ticks × units × money × rate / 0.01, in whole numbers: × multiplier / divisor.
        numerator, divisor = (self._money * fee_schedule(spec.session.fees).commission / CENTS).as_integer_ratio()
        self._fee = (numerator, divisor)
        fixed, *_, most, _ = self._rules.sizing
        notional = max(fixed * int(ticks[0].max()), most) * 2  # in ticks × lots; twice, as prices may be met beyond all opens
        if 2 * notional * self._units * max(numerator, 1) + divisor > _LARGEST:
            raise InvalidConfig("sizing", spec.subscription.sizing.method, f"is too large for whole-number arithmetic: {USE_EXACT}")

    def trades(self, strategy: KernelStrategy, room: Room | None = None) -> tuple[int, Room]:
        """Run one strategy; its trades are the first so many rows of the room returned, one that is open at the end included."""
        room = room or Room(self.last, len(strategy.columns))
        count = compiled(kernels.screen, step=type(strategy).step)(
            np.zeros(strategy.state_size),
            strategy.parameters,
            room.values,
            self._columns,
            self._rules,
            kernels.Trades(room.entry, room.leave, room.side, room.code, room.turned, room.size, room.left_at),
        )
        money = (room.entry_ticks, room.exit_ticks, room.gross, room.entry_fee, room.exit_fee)
        compiled(kernels.settle)(
            room.entry,
            room.leave,
            room.side,
            room.size,
            room.left_at,
            count,
            self._price,
            self._last_close,
            self.spec.slippage.ticks,
            self._units,
            *self._fee,
            *money,
        )
        return count, room

    def closed(self, room: Room, count: int) -> int:
        """How many of the trades count: one that is open at the end does only if it is to be sold there."""
        still_open = count > 0 and room.leave[count - 1] == self.last and not self.spec.close_at_end
        return count - still_open

    def amounts(self, room: Room, count: int) -> tuple[NDArray[np.float64], ...]:
        """(entry price, exit price, gross, entry fees, fees, net) as the nearest float64 of each exact amount."""
        tick, money = self.spec.instrument.tick_size, self._money
        fees = room.entry_fee[:count] + room.exit_fee[:count]
        # Net in a unit that both gross and cents are whole multiples of.
        unit = min(Decimal(1).scaleb(-decimals(money)), CENTS)
        net = room.gross[:count] * int(money / unit) - fees * int(CENTS / unit)
        return (
            scaled(room.entry_ticks[:count], tick),
            scaled(room.exit_ticks[:count], tick),
            scaled(room.gross[:count], money),
            scaled(room.entry_fee[:count], CENTS),
            scaled(fees, CENTS),
            scaled(net, unit),
        )

    def mark(
        self,
        room: Room,
        count: int,
        entry_price: NDArray[np.float64],
        entry_fees: NDArray[np.float64],
        net: NDArray[np.float64],
        quantity: NDArray[np.float64],
        capital: float,
        equity: NDArray[np.float64],
    ) -> None:
        """Write the equity at each day's end into `equity`."""
        compiled(kernels.mark_days)(
            *(room.entry, room.leave, room.side, net, entry_fees, entry_price, count, self.ends, self._candles.close[: self.last]),
            *(quantity, int(self.spec.close_at_end), capital, equity),
        )

    def quantity(self, room: Room, count: int) -> NDArray[np.float64]:
        """Units of each trade."""
        return room.size[:count] * self._units / 10.0**self._places

    def equity(self, room: Room, count: int, amounts: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
        entry_price, _, _, entry_fees, _, net = amounts
        equity = np.empty(len(self.ends))
        self.mark(room, count, entry_price, entry_fees, net, self.quantity(room, count), float(self.spec.session.capital), equity)
        return equity

    def measure_excursions(
        self,
        room: Room,
        count: int,
        entry_price: NDArray[np.float64],
        exit_price: NDArray[np.float64],
        worst: NDArray[np.float64],
        best: NDArray[np.float64],
    ) -> None:
        """Write the largest loss and gain per unit of each trade into `worst` and `best`."""
        low, high = self._candles.low[: self.last], self._candles.high[: self.last]
        compiled(kernels.excursions)(
            room.entry, room.leave, room.side, entry_price, exit_price, count, low, high, self.at_close, room.left_at, worst, best
        )

    def table(self, strategy: KernelStrategy) -> tuple[TradeTable, EquityCurve]:
        count, room = self.trades(strategy)
        amounts = self.amounts(room, count)
        equity = self.equity(room, count, amounts)
        entry_price, exit_price, gross, entry_fees, fees, net = amounts
        count = self.closed(room, count)
        worst, best = np.empty(count), np.empty(count)
        self.measure_excursions(room, count, entry_price, exit_price, worst, best)
        entry, side, quantity = room.entry[:count].copy(), room.side[:count].copy(), self.quantity(room, count)
        at_end = room.leave[:count] == self.last
        leave = np.minimum(room.leave[:count], self.last - 1)
        by_level = room.left_at[:count] != kernels.UNPRICED
        turned = np.abs(room.turned[:count]).astype(np.int16)  # 0, 1 by a reversal, 2 and 3 by a level
        left_by = np.where(at_end, _END_OF_DATA, turned)
        opened_at, seconds = self._candles.opened_at, self._candles.seconds
        spoken, rule = np.unique(np.abs(room.code[:count]), return_inverse=True)
        trades = TradeTable(
            entry_time=(opened_at[entry] + self.at_close * seconds).astype("datetime64[s]"),
            exit_time=(opened_at[leave] + ((self.at_close & ~by_level) | at_end) * seconds).astype("datetime64[s]"),
            entry_bar=entry,
            exit_bar=leave,
            side=side,
            direction=side.copy(),
            quantity=quantity,
            entry_price=entry_price[:count],
            exit_price=exit_price[:count],
            rule=rule.astype(np.int16),
            exit_reason=left_by,
            instrument=np.zeros(count, dtype=np.int32),
            gross=gross[:count],
            fees=fees[:count],
            entry_fees=entry_fees[:count],
            net=net[:count],
            mae=worst * quantity,
            mfe=best * quantity,
            rules=tuple(strategy.rules[int(number) - 1] for number in spoken),
            exit_reasons=_REASONS,
            instruments=(self.spec.instrument.id,),
        )
        return trades, curve_of(self._candles, self.ends, equity)

    def sweep(self, strategies: Sequence[KernelStrategy], *, threads: int = 2) -> SweepTable:
        """All of them, in parallel; the compiled loops let go of the interpreter."""
        days = CALENDAR_DAYS if self.spec.instrument.segment is Segment.CRYPTO else TRADING_DAYS
        table = SweepTable(
            trades=np.zeros(len(strategies), dtype=np.int64),
            wins=np.zeros(len(strategies), dtype=np.int64),
            **{name: np.zeros(len(strategies)) for name in ("gross", "fees", "net", "sharpe", "max_drawdown_percent")},
        )

        def work(numbers: range) -> None:
            room: Room | None = None
            for number in numbers:
                count, room = self.trades(strategies[number], room)
                self._measure(number, count, room, table, days)

        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work, range(thread, len(strategies), threads)) for thread in range(threads)]:
                done.result()
        return table

    def _measure(self, number: int, count: int, room: Room, table: SweepTable, days: int) -> None:
        amounts = self.amounts(room, count)
        equity = self.equity(room, count, amounts)
        _, _, gross, _, fees, net = amounts
        capital = float(self.spec.session.capital)
        sharpe = sharpe_ratio(daily_returns(equity, capital), days)
        count = self.closed(room, count)
        gross, fees, net = gross[:count], fees[:count], net[:count]
        table.trades[number], table.wins[number] = count, int((net > 0.0).sum())
        table.gross[number], table.fees[number], table.net[number] = gross.sum(), fees.sum(), net.sum()
        table.sharpe[number] = nan if sharpe is None else sharpe
        table.max_drawdown_percent[number] = max_drawdown_percent(equity, capital)


class Room:
    """Columns that a run writes its trades into, as long as there could ever be; a sweep uses them again and again."""

    def __init__(self, rows: int, values: int) -> None:
        size = rows + 1
        self.values = np.zeros(values)
        self.entry, self.leave, self.size, self.left_at = (np.zeros(size, dtype=np.int64) for _ in range(4))
        self.side, self.code, self.turned = (np.zeros(size, dtype=np.int8) for _ in range(3))
        self.entry_ticks, self.exit_ticks, self.gross, self.entry_fee, self.exit_fee = (np.zeros(size, dtype=np.int64) for _ in range(5))


def scaled(whole: NDArray[np.int64], unit: Decimal) -> NDArray[np.float64]:
    """`whole` × `unit`, rounded once: as float(Decimal) would."""
    places = decimals(unit)
    return whole * in_units(unit, places) / 10.0**places


def decimals(value: Decimal) -> int:
    """How many places after the point it needs."""
    return max(-int(value.normalize().as_tuple().exponent), 0)


def in_units(value: Decimal, places: int) -> int:
    """As a whole number of 10^-places."""
    return int(value.scaleb(places))
