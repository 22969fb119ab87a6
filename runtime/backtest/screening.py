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
from runtime.backtest.ticks import in_ticks
from runtime.calendar import ExchangeCalendar
from runtime.compiled import compiled
from runtime.engine.limits import SIGNAL_TIME_TO_LIVE
from runtime.errors import InvalidConfig
from runtime.fees import fee_schedule
from runtime.kernel_strategy import KernelStrategy
from runtime.market import InstrumentKind, Segment
from runtime.metrics import CALENDAR_DAYS, TRADING_DAYS, daily_returns, max_drawdown_percent, sharpe_ratio
from runtime.session import ExitMode, SizingMethod
from runtime.sizing import round_down
from runtime.strategy import Strategy

CENTS = Decimal("0.01")
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


def why_not(spec: BacktestSpec, strategy: Strategy) -> InvalidConfig | None:
    """What the screening lane cannot do of what is asked, None if it can do it all."""
    session, subscription = spec.session, spec.subscription
    sizing, protection, risk = subscription.sizing, subscription.protection, session.risk
    schedule, freeze = fee_schedule(session.fees), spec.instrument.freeze_quantity
    obstacles: Sequence[tuple[str, object, str, bool]] = (
        ("strategy", subscription.strategy, "is no KernelStrategy", not isinstance(strategy, KernelStrategy)),
        ("instrument", spec.instrument.id, "is an index, traded through options", spec.instrument.kind is InstrumentKind.INDEX),
        ("sizing.method", sizing.method, "must be fixed", sizing.method is not SizingMethod.FIXED),
        ("protection.exit_mode", protection.exit_mode, "must be SIGNAL_ONLY", protection.exit_mode is not ExitMode.SIGNAL_ONLY),
        ("protection.square_off", protection.square_off, "must be none", protection.square_off is not None),
        ("protection.max_hold", protection.max_hold, "must be none", protection.max_hold is not None),
        ("protection.max_trades_per_day", protection.max_trades_per_day, "must be none", protection.max_trades_per_day is not None),
        ("protection.min_days_to_expiry", protection.min_days_to_expiry, "must be none", protection.min_days_to_expiry is not None),
        ("paused", subscription.paused, "must be false", subscription.paused),
        ("instrument.freeze_quantity", freeze, "must not be below the quantity", freeze is not None and (sizing.quantity or 0) > freeze),
        ("cooldown", subscription.cooldown, "must be zero", bool(subscription.cooldown)),
        ("risk.max_daily_loss", risk.max_daily_loss, "must be none", risk.max_daily_loss is not None),
        ("risk.max_notional", risk.max_notional, "must be none", risk.max_notional is not None),
        ("risk.max_portfolio_heat", risk.max_portfolio_heat, "must be none", risk.max_portfolio_heat is not None),
        ("risk.max_orders_per_second", risk.max_orders_per_second, "must be 4 or more", risk.max_orders_per_second < 4),
        ("slippage_percent", session.slippage_percent, "must be 0: use ticks", session.slippage_percent > 0),
        ("slippage.random_ticks", spec.slippage.random_ticks, "must be 0", spec.slippage.random_ticks > 0),
        ("fees", session.fees, "must be flat or none", bool(schedule.brokerage or schedule.exchange_charge)),
    )
    for field, value, what, met in obstacles:
        if met:
            return InvalidConfig(field, value, f"{what} in the screening lane; the exact lane has no such limit")
    return None


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
        self._columns = (candles.session(calendar)[rows], candles.minute[rows], candles.opened_at[rows], *prices, volume, stale)
        self.at_close = int(spec.fill is FillModel.CLOSE)
        filled_at = prices[3] if self.at_close else prices[0]
        self._price = in_ticks(filled_at, spec.instrument.tick_size)
        self._last_close = int(in_ticks(prices[3][-1:], spec.instrument.tick_size)[0])
        sizing = spec.subscription.sizing
        quantity = round_down(sizing.quantity or Decimal(0), spec.instrument.lot_size)
        if quantity <= 0:
            raise InvalidConfig("sizing.quantity", sizing.quantity, f"is less than one lot of {spec.instrument.lot_size}")
        self.quantity = float(quantity)
        places = decimals(quantity)
        self._units, self._money = in_units(quantity, places), spec.instrument.tick_size.scaleb(-places)
        # A fee in cents is ticks × units × money × rate / 0.01, in whole numbers: × multiplier / divisor.
        numerator, divisor = (self._money * fee_schedule(spec.session.fees).commission / CENTS).as_integer_ratio()
        self._fee = (numerator, divisor)
        if 2 * int(self._price.max()) * self._units * max(numerator, 1) + divisor > _LARGEST:
            raise InvalidConfig("sizing.quantity", sizing.quantity, "is too large for whole-number arithmetic: use the exact lane")

    def trades(self, strategy: KernelStrategy, room: Room | None = None) -> tuple[int, Room]:
        """Run one strategy; its trades are the first so many rows of the room returned, one that is open at the end included."""
        room = room or Room(self.last, len(strategy.columns))
        count = compiled(kernels.screen)(
            compiled(type(strategy).step),
            np.zeros(strategy.state_size),
            strategy.parameters,
            room.values,
            *self._columns,
            self.first,
            self.at_close,
            room.entry,
            room.leave,
            room.side,
            room.code,
            room.turned,
        )
        money = (room.entry_ticks, room.exit_ticks, room.gross, room.entry_fee, room.exit_fee)
        compiled(kernels.settle)(
            room.entry,
            room.leave,
            room.side,
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

    def equity(self, room: Room, count: int, amounts: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
        entry_price, _, _, entry_fees, _, net = amounts
        equity = np.empty(len(self.ends))
        quantity = np.full(count, self.quantity)
        self.mark(room, count, entry_price, entry_fees, net, quantity, float(self.spec.session.capital), equity)
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
            room.entry, room.leave, room.side, entry_price, exit_price, count, low, high, self.at_close, worst, best
        )

    def table(self, strategy: KernelStrategy) -> tuple[TradeTable, EquityCurve]:
        count, room = self.trades(strategy)
        amounts = self.amounts(room, count)
        equity = self.equity(room, count, amounts)
        entry_price, exit_price, gross, entry_fees, fees, net = amounts
        count = self.closed(room, count)
        worst, best = np.empty(count), np.empty(count)
        self.measure_excursions(room, count, entry_price, exit_price, worst, best)
        entry, side = room.entry[:count].copy(), room.side[:count].copy()
        at_end = room.leave[:count] == self.last
        leave = np.minimum(room.leave[:count], self.last - 1)
        left_by = np.where(at_end, 2, np.where(room.turned[:count] != 0, 1, 0)).astype(np.int16)
        opened_at, seconds = self._candles.opened_at, self._candles.seconds
        spoken, rule = np.unique(np.abs(room.code[:count]), return_inverse=True)
        reasons = ("SIGNAL", "REVERSAL", "END_OF_DATA")
        trades = TradeTable(
            entry_time=(opened_at[entry] + self.at_close * seconds).astype("datetime64[s]"),
            exit_time=(opened_at[leave] + (self.at_close | at_end) * seconds).astype("datetime64[s]"),
            entry_bar=entry,
            exit_bar=leave,
            side=side,
            direction=side.copy(),
            quantity=np.full(count, self.quantity),
            entry_price=entry_price[:count],
            exit_price=exit_price[:count],
            rule=rule.astype(np.int16),
            exit_reason=left_by,
            instrument=np.zeros(count, dtype=np.int32),
            gross=gross[:count],
            fees=fees[:count],
            entry_fees=entry_fees[:count],
            net=net[:count],
            mae=worst * self.quantity,
            mfe=best * self.quantity,
            rules=tuple(strategy.rules[int(number) - 1] for number in spoken),
            exit_reasons=reasons,
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
        self.entry, self.leave = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
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
