"""The HTML report of many users: what all of them made together, and everybody's own curve."""

from __future__ import annotations

import msgspec
import numpy as np

from actors.backtest import data_quality
from actors.backtest_setup import BacktestRequest
from actors.fleet import drawdowns, rows
from adapters.backtest_report import SYNTHETIC, Badge, Card, Column, Curve, Curves, Page, Section, Table, figures
from adapters.candle_files import CandleFile
from runtime.backtest.fleet import FleetResult

_COLUMNS = (
    Column("User"),
    Column("Trades", "integer"),
    Column("Gross", "amount", signed=True),
    Column("Fees", "amount"),
    Column("Net", "amount", signed=True),
    Column("Drawdown", "percent"),
    Column("Final equity", "amount"),
)


def fleet_page(request: BacktestRequest, result: FleetResult, file: CandleFile) -> Page:
    """`result` of the candles of `file`; users stand in order of their net profit, the best first."""
    spec, table = result.spec, rows(result)
    order: list[int] = np.argsort(-result.net, kind="stable").tolist()
    days = result.day.astype("datetime64[s]").astype(np.int64)
    together = result.equity.sum(axis=0)
    peaks = np.maximum(np.maximum.accumulate(together), result.capital.sum())
    subscription = spec.subscription
    settings = {"strategy": request.strategy, **msgspec.to_builtins(subscription.parameters), "fill": spec.fill, "seed": spec.seed}
    personal = Curves(
        names=[result.users[at] for at in order],
        time=days,
        values=[result.equity[at] for at in order],
        capital=result.capital[order],
        median=np.median(result.equity / result.capital[:, None], axis=0),
    )
    return Page(
        kind="users",
        title=subscription.strategy,
        subtitle=f"{subscription.instrument} · {subscription.timeframe} · {result.day[0]} to {result.day[-1]} · {len(result.users):,} users",
        currency=spec.instrument.currency,
        digits=2,
        cards=_cards(result),
        badges=[Badge("SYNTHETIC PRICES", warning=True)] if result.synthetic else [],
        synthetic=SYNTHETIC if result.synthetic else None,
        assumptions=result.assumptions,
        parameters=figures(settings),
        quality=data_quality(file.report),
        equity=Curve(time=days, value=together, drawdown=together / peaks - 1.0),
        sections=[
            Section(
                title="Everybody's own curve",
                note="The thin line is what the capital would have become at the median user.",
                curves=personal,
            ),
            Section(title="Users", table=Table(columns=_COLUMNS, rows=[list(table[at].values()) for at in order])),
        ],
    )


def _cards(result: FleetResult) -> list[Card]:
    net, falls = result.net, drawdowns(result).min(axis=1)
    return [
        Card(label="Users", value=len(net), kind="integer"),
        Card(label="Net profit", value=float(net.sum()), kind="amount", note="of all, after fees", signed=True),
        Card(label="Fees", value=float(result.fees.sum()), kind="amount", note="of all"),
        Card(label="Median user", value=float(np.median(net)), kind="amount", note="net", signed=True),
        Card(label="Users in profit", value=float((net > 0).mean()), kind="percent"),
        Card(label="Best user", value=float(net.max()), kind="amount", signed=True),
        Card(label="Worst user", value=float(net.min()), kind="amount", signed=True),
        Card(label="Largest drawdown", value=float(falls.min()), kind="percent", note="of any user", signed=True),
    ]
