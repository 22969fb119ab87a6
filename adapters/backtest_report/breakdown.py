"""A trade list cut up: by rule, side, hour and weekday of entry, reason of exit, month; and as a histogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.backtest_report.page import Bin, Breakdown, Group, Year
from runtime.backtest.result import EquityCurve, TradeTable

_DAY = 86_400
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_BINS_MIN, _BINS_MAX = 12, 60
_SPREAD_MIN = 1e-6


def breakdowns(trades: TradeTable, entry_local: NDArray[np.int64]) -> list[Breakdown]:
    """`entry_local`: entries in wall-clock seconds of the exchange since 1970-01-01."""
    if not len(trades):
        return []
    hours = entry_local % _DAY // 3600
    weekdays = (entry_local // _DAY + 3) % 7  # 1970-01-01 was a Thursday
    return [
        _by("Rule", trades.net, trades.rule, trades.rules),
        _by("Exit", trades.net, trades.exit_reason, trades.exit_reasons),
        _by("Side", trades.net, (trades.side < 0).astype(np.int64), ("LONG", "SHORT")),
        _by("Hour", trades.net, hours, [f"{hour:02}:00" for hour in range(24)]),
        _by("Weekday", trades.net, weekdays, _WEEKDAYS),
    ]


def _by(name: str, net: NDArray[np.float64], key: NDArray[np.integer], names: Sequence[str]) -> Breakdown:
    present: list[int] = np.unique(key).tolist()
    return Breakdown(name=name, rows=[_group(names[value], net[key == value]) for value in present])


def _group(name: str, net: NDArray[np.float64]) -> Group:
    gains, losses = float(net[net > 0].sum()), float(-net[net < 0].sum())
    return Group(
        name=name,
        trades=len(net),
        win_rate=float((net > 0).mean()),
        net=float(net.sum()),
        average=float(net.mean()),
        profit_factor=gains / losses if losses else None,
    )


def histogram(net: NDArray[np.float64]) -> list[Bin]:
    """Bins of equal width with an edge at zero, so that none holds both gains and losses.

    Width: Freedman and Diaconis (1981), 2 IQR / n^(1/3), within limits on the number of bins.
    """
    if not len(net):
        return []
    low, high = min(0.0, float(net.min())), max(0.0, float(net.max()))
    spread = high - low
    if spread < _SPREAD_MIN:
        return [Bin(from_=0.0, to=1.0, count=len(net))]
    first_quartile, third_quartile = np.quantile(net, (0.25, 0.75)).tolist()
    wanted = 2.0 * (third_quartile - first_quartile) / len(net) ** (1 / 3)
    width = min(max(wanted, spread / _BINS_MAX), spread / _BINS_MIN)
    number = np.floor(net / width).astype(np.int64)
    number[net >= high] = max(0, int(np.ceil(high / width)) - 1)  # the largest is inside the last bin, not beyond it
    first = int(number.min(initial=0))
    counts = np.bincount(number - first).tolist()
    return [Bin(from_=(first + at) * width, to=(first + at + 1) * width, count=count) for at, count in enumerate(counts)]


def monthly_returns(equity: EquityCurve, capital: float) -> list[Year]:
    """Change of equity from the close of one month to that of the next; the first month's from the starting `capital`."""
    if not len(equity.equity):
        return []
    month = equity.day.astype("datetime64[M]")
    last = np.flatnonzero(np.append(month[1:] != month[:-1], True))
    closes = equity.equity[last]
    before = np.concatenate([[capital], closes[:-1]])
    years: dict[int, list[float | None]] = {}
    first_before: dict[int, float] = {}
    last_close: dict[int, float] = {}
    for at, was, close in zip(month[last].tolist(), before.tolist(), closes.tolist(), strict=True):
        years.setdefault(at.year, [None] * 12)[at.month - 1] = close / was - 1.0 if was > 0 else None
        first_before.setdefault(at.year, was)
        last_close[at.year] = close
    return [
        Year(year=year, months=months, total=last_close[year] / first_before[year] - 1.0 if first_before[year] > 0 else 0.0)
        for year, months in years.items()
    ]
