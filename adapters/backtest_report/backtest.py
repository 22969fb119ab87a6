"""The page of one backtest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.backtest_report.breakdown import breakdowns, histogram, monthly_returns
from adapters.backtest_report.packing import decimals_of, differences
from adapters.backtest_report.page import (
    Badge,
    Bars,
    Card,
    Curve,
    DataQuality,
    Figure,
    Page,
    Section,
    TradeColumn,
    Trades,
    figures,
)
from runtime.backtest.candle_array import CandleArray, utc_offsets
from runtime.backtest.result import BacktestResult, EquityCurve, FillModel, TradeTable
from runtime.metrics import Metrics

SYNTHETIC = (
    "SYNTHETIC PRICES: what was traded has no recorded prices here; they were computed by a model. Read the figures as a rough guide."
)
_SIDES = ("LONG", "SHORT")


def backtest_page(
    result: BacktestResult,
    candles: CandleArray,
    quality: DataQuality,
    *,
    settings: Mapping[str, Any] | None = None,
    sections: Sequence[Section] = (),
) -> Page:
    """Everything a result says, with the candles it was made of.

    Args:
        result: of the run.
        candles: those it ran over; the ones before the reported dates are left out.
        quality: what was wrong with them.
        settings: how it was asked for, shown under the parameters; by default the strategy's parameters.
        sections: more tables and heat maps, after the breakdown.
    """
    spec, trades, metrics = result.spec, result.trades, result.metrics
    subscription = spec.subscription
    shown = _reported(candles, result)
    local = _local(candles, trades.entry_time), _local(candles, trades.exit_time)
    digits = decimals_of(np.concatenate([shown.close, trades.entry_price, trades.exit_price]), most=6)
    first, last = (f"{_wall_clock(shown.local[at])}"[:10] for at in (0, -1))
    return Page(
        kind="backtest",
        title=subscription.strategy,
        subtitle=f"{subscription.instrument} · {subscription.timeframe} · {first} to {last} · {result.bars:,} candles · times in {candles.zone}",
        currency=spec.instrument.currency,
        digits=digits,
        badges=_badges(result),
        synthetic=SYNTHETIC if result.synthetic else None,
        cards=_cards(metrics),
        statistics=_statistics(result),
        assumptions=result.assumptions,
        parameters=figures(settings if settings is not None else msgspec.to_builtins(subscription.parameters)),
        quality=quality,
        equity=_curve(candles, result.equity, float(spec.session.capital)),
        bars=pack_bars(shown),
        trades=_trades(trades, local, spec.instrument.id, candles.seconds),
        months=monthly_returns(result.equity, float(spec.session.capital)),
        distribution=histogram(trades.net),
        breakdown=breakdowns(trades, local[0]),
        sections=sections,
    )


def pack_bars(candles: CandleArray) -> Bars:
    """Prices as whole numbers of their smallest decimal, each as a distance to its neighbour."""
    digits = decimals_of(np.concatenate([candles.open, candles.high, candles.low, candles.close]))
    opens, high, low, close = (
        np.rint(prices * 10**digits).astype(np.int64) for prices in (candles.open, candles.high, candles.low, candles.close)
    )
    return Bars(
        seconds=candles.seconds,
        scale=10**digits,
        digits=digits,
        time=differences(candles.local),
        open=opens - np.concatenate([[0], close[:-1]]),
        high=high - np.maximum(opens, close),
        low=np.minimum(opens, close) - low,
        close=differences(close),
    )


def _reported(candles: CandleArray, result: BacktestResult) -> CandleArray:
    spec = result.spec
    rows = np.ones(len(candles), dtype=bool)
    if spec.start is not None:
        rows &= candles.day >= np.datetime64(spec.start).astype("datetime64[D]").astype(np.int64)
    if spec.end is not None:
        rows &= candles.day <= np.datetime64(spec.end).astype("datetime64[D]").astype(np.int64)
    if rows.all():
        return candles
    prices = np.column_stack([candles.open, candles.high, candles.low, candles.close])[rows]
    return CandleArray.of(candles.instrument, candles.timeframe, candles.zone, candles.opened_at[rows], prices)


def _local(candles: CandleArray, times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    seconds = times.astype("datetime64[s]").astype(np.int64)
    return seconds + utc_offsets(seconds, candles.zone) if len(seconds) else seconds


def _wall_clock(seconds: int) -> np.datetime64:
    return np.datetime64(int(seconds), "s")


def _badges(result: BacktestResult) -> list[Badge]:
    spec = result.spec
    badges = [Badge(f"{spec.lane} lane"), Badge(f"fees {spec.session.fees}"), Badge(f"seed {spec.seed}")]
    if spec.fill is FillModel.CLOSE:
        badges.insert(0, Badge("OPTIMISTIC: fills at the close that was decided on", warning=True))
    if result.synthetic:
        badges.insert(0, Badge("SYNTHETIC PRICES", warning=True))
    return badges


def _cards(metrics: Metrics) -> list[Card]:
    days = metrics.max_drawdown_days
    return [
        Card(label="Net profit", value=metrics.net_profit, kind="amount", note="after all fees", signed=True),
        Card(label="Total return", value=metrics.total_return, kind="percent", signed=True),
        Card(label="Growth a year", value=metrics.cagr, kind="percent", note="compound (CAGR)", signed=True),
        Card(label="Largest drawdown", value=metrics.max_drawdown_percent, kind="percent", note=f"longest {days:,} days", signed=True),
        Card(label="Sharpe", value=metrics.sharpe, kind="ratio", note=f"daily, √{metrics.days_per_year}"),
        Card(label="Sortino", value=metrics.sortino, kind="ratio"),
        Card(label="Trades", value=metrics.trades, kind="integer", note=f"{metrics.wins:,} won, {metrics.losses:,} lost"),
        Card(label="Win rate", value=metrics.win_rate, kind="percent"),
        Card(label="Profit factor", value=metrics.profit_factor, kind="ratio"),
        Card(label="Expectancy", value=metrics.expectancy, kind="money", note="a trade, net", signed=True),
    ]


def _statistics(result: BacktestResult) -> list[Figure]:
    metrics = result.metrics
    rows = [
        Figure("Final equity", metrics.final_equity, "money"),
        Figure("Profit before fees", metrics.gross_profit, "money"),
        Figure("Fees", metrics.fees, "money"),
        Figure("Net profit", metrics.net_profit, "money"),
        Figure("Average win", metrics.average_win, "money"),
        Figure("Average loss", metrics.average_loss, "money"),
        Figure("Largest win", metrics.largest_win, "money"),
        Figure("Largest loss", metrics.largest_loss, "money"),
        Figure("Largest drawdown", metrics.max_drawdown, "money"),
        Figure("Longest drawdown, days", metrics.max_drawdown_days, "integer"),
        Figure("Calmar ratio", metrics.calmar, "ratio"),
        Figure("Volatility a year", metrics.volatility, "percent"),
        Figure("Time in the market", metrics.exposure, "percent"),
        Figure("Average candles held", metrics.average_bars_held, "ratio"),
        Figure("Average time held", metrics.average_seconds_held, "duration"),
        Figure("Trading days", metrics.days, "integer"),
        Figure("Orders", result.orders, "integer"),
        Figure("Signals", result.signals, "integer"),
        *(Figure(f"Signals without an entry: {reason}", count, "integer") for reason, count in sorted(result.skipped.items())),
        Figure("Candles", result.bars, "integer"),
        Figure("Candles the engine was woken for", result.bars_woken, "integer"),
        Figure("Fingerprint", result.fingerprint),
    ]
    return [row for row in rows if row.value is not None]


def _curve(candles: CandleArray, equity: EquityCurve, capital: float) -> Curve | None:
    if not len(equity.equity):
        return None
    peaks = np.maximum(np.maximum.accumulate(equity.equity), capital)
    return Curve(time=_local(candles, equity.time), value=equity.equity, drawdown=equity.equity / peaks - 1.0)


def _trades(table: TradeTable, local: tuple[NDArray[np.int64], NDArray[np.int64]], instrument: str, seconds: int) -> Trades:
    entry, leave = local

    def column(key: str, label: str, kind: Any, values: NDArray[Any], *, signed: bool = False) -> TradeColumn:
        return TradeColumn(key=key, label=label, kind=kind, values=values, signed=signed)

    def named(key: str, label: str, codes: NDArray[Any], names: Sequence[str]) -> TradeColumn:
        return TradeColumn(key=key, label=label, kind="text", values=codes.astype(np.int64), names=names)

    columns = [
        column("number", "#", "integer", np.arange(1, len(table) + 1)),
        column("entry_time", "Entry", "time", entry),
        column("exit_time", "Exit", "time", leave),
        named("side", "Side", table.side < 0, _SIDES),
        named("instrument", "Instrument", table.instrument, table.instruments),
        column("quantity", "Quantity", "number", table.quantity),
        column("entry_price", "Entry price", "price", table.entry_price),
        column("exit_price", "Exit price", "price", table.exit_price),
        named("rule", "Rule", table.rule, table.rules),
        named("exit_reason", "Exit reason", table.exit_reason, table.exit_reasons),
        column("gross", "Gross", "money", table.gross, signed=True),
        column("fees", "Fees", "money", table.fees),
        column("net", "Net", "money", table.net, signed=True),
        column("mae", "Worst while open", "money", table.mae, signed=True),
        column("mfe", "Best while open", "money", table.mfe, signed=True),
        column("held", "Held", "duration", table.bars_held * seconds),
    ]
    on_chart = set(table.instruments) <= {instrument}
    if on_chart:
        columns = [column for column in columns if column.key != "instrument"]
    return Trades(count=len(table), on_chart=on_chart, columns=columns)
