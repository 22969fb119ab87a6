"""A hand-made result: seeded candles, a trade every so often, and an equity curve that is their sum."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import BacktestResult, BacktestSpec, EquityCurve, TradeTable
from runtime.market import IST, Instrument, InstrumentKind, Timeframe
from runtime.metrics import Metrics
from runtime.session import SessionConfig, Subscription

SESSION_MINUTES = 375
CAPITAL = 500_000.0
FUTURE = Instrument(id="NSE:BANKNIFTY-FUT", kind=InstrumentKind.FUTURE, lot_size=Decimal(15))


def candles(bars: int, seed: int = 7) -> CandleArray:
    """Weekday sessions of one-minute candles from 2024-01-01 on."""
    random = np.random.default_rng(seed)
    days = -(-bars // SESSION_MINUTES)
    dates = np.busday_offset("2024-01-01", np.arange(days), roll="forward").astype("datetime64[s]").astype(np.int64)
    opened_at = (dates[:, None] + 9 * 3600 + 15 * 60 - 19_800 + 60 * np.arange(SESSION_MINUTES)).ravel()[:bars]
    close = np.round(48_000 * np.exp(np.cumsum(random.normal(0, 0.0004, bars))) * 20) / 20
    opens = np.concatenate([[48_000.0], close[:-1]])
    reach = np.round(np.abs(random.normal(0, 8, (2, bars))) * 20) / 20
    prices = np.column_stack([opens, np.maximum(opens, close) + reach[0], np.minimum(opens, close) - reach[1], close]).round(2)
    return CandleArray.of(FUTURE.id, Timeframe.M1, IST, opened_at, prices)


def result(array: CandleArray, *, trades: int, synthetic: bool = False, instrument: str = FUTURE.id, **spec: Any) -> BacktestResult:
    """`trades` positions of equal length, long and short in turn, one after the other."""
    entry = np.linspace(0, len(array) - 2, trades + 1).astype(np.int64)[:-1]
    leave = np.minimum(entry + np.maximum(1, len(array) // (2 * max(1, trades))), len(array) - 1)
    side = np.where(np.arange(trades) % 2, -1, 1).astype(np.int8)
    gross = (array.close[leave] - array.open[entry]) * side * 30
    fees = np.full(trades, 86.5)
    net = gross - fees
    table = TradeTable(
        entry_time=array.opened_at[entry].astype("datetime64[s]"),
        exit_time=array.opened_at[leave].astype("datetime64[s]"),
        entry_bar=entry,
        exit_bar=leave,
        side=side,
        direction=side,
        quantity=np.full(trades, 30.0),
        entry_price=array.open[entry],
        exit_price=array.close[leave],
        rule=(np.arange(trades) % 3).astype(np.int16),
        exit_reason=(np.arange(trades) % 2).astype(np.int16),
        instrument=np.zeros(trades, np.int32),
        gross=gross,
        fees=fees,
        entry_fees=fees / 2,
        net=net,
        mae=np.minimum(gross, 0) - 300.0,
        mfe=np.maximum(gross, 0) + 300.0,
        rules=("orb", "inside_bar", "momentum"),
        exit_reasons=("STOP_LOSS", "TARGET"),
        instruments=(instrument,),
    )
    last = np.flatnonzero(np.append(np.diff(array.day) > 0, True))
    equity = CAPITAL + np.array([net[leave <= bar].sum() for bar in last])
    curve = EquityCurve(
        day=array.day[last].astype("datetime64[D]"), time=(array.opened_at[last] + 60).astype("datetime64[s]"), bar=last, equity=equity
    )
    session = SessionConfig(
        capital=Decimal(500_000), fees="flat:0.0003", subscriptions=(Subscription(strategy="ema_cross", instrument=FUTURE.id),)
    )
    return BacktestResult(
        spec=BacktestSpec(session=session, instrument=FUTURE, **spec),
        trades=table,
        equity=curve,
        metrics=_metrics(net, curve),
        assumptions=("An order decided at a candle's close fills at the next candle's open.", "A stop that gaps fills at the open."),
        synthetic=synthetic,
        quality=(),
        fingerprint="0123456789abcdef",
        bars=len(array),
        bars_woken=2 * trades,
        orders=2 * trades,
        signals=trades,
        skipped={"already in position": 3},
    )


def _metrics(net: np.ndarray, curve: EquityCurve) -> Metrics:
    peaks = np.maximum.accumulate(np.append(CAPITAL, curve.equity))[1:]
    wins, losses = net[net > 0], net[net < 0]
    return Metrics(
        trades=len(net),
        wins=len(wins),
        losses=len(losses),
        win_rate=len(wins) / len(net) if len(net) else None,
        gross_profit=float(net.sum() + 86.5 * len(net)),
        fees=86.5 * len(net),
        net_profit=float(net.sum()),
        average_win=float(wins.mean()) if len(wins) else None,
        average_loss=float(losses.mean()) if len(losses) else None,
        largest_win=float(wins.max()) if len(wins) else None,
        largest_loss=float(losses.min()) if len(losses) else None,
        profit_factor=float(wins.sum() / -losses.sum()) if len(losses) else None,
        expectancy=float(net.mean()) if len(net) else None,
        sharpe=0.83,
        sortino=1.21,
        volatility=0.22,
        cagr=0.114,
        total_return=float(net.sum() / CAPITAL),
        max_drawdown=float((curve.equity - peaks).min()),
        max_drawdown_percent=float((curve.equity / peaks - 1).min()),
        max_drawdown_days=41,
        calmar=0.9,
        exposure=0.5,
        average_bars_held=12.5,
        average_seconds_held=750.0,
        days=len(curve.day),
        days_per_year=252,
        final_equity=float(curve.equity[-1]),
    )
