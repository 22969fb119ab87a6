"""HTML reports of sweeps and walk-forward analyses: the report of what was traded, with what the search found before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from actors.sweep_result import SweepResult, objective_label
from actors.trials import score
from actors.walk_forward import WalkResult
from adapters.backtest_report import Axis, Badge, Card, Column, Heat, Page, Section, Table

_ROWS_MAX = 200
_LABELS: Mapping[str, Column] = {
    "number": Column("#", "integer"),
    "status": Column("Status"),
    "score": Column("Score", "ratio"),
    "sharpe": Column("Sharpe", "ratio"),
    "net": Column("Net", "amount", signed=True),
    "max_drawdown_percent": Column("Drawdown", "percent"),
    "trades": Column("Trades", "integer"),
    "win_rate": Column("Win rate", "percent"),
    "out_of_sample_sharpe": Column("Sharpe out of sample", "ratio"),
    "out_of_sample_net": Column("Net out of sample", "amount", signed=True),
    "train_from": Column("Train from"),
    "train_to": Column("to"),
    "test_from": Column("Test from"),
    "test_to": Column("to"),
    "train_net": Column("Net in training", "amount", signed=True),
    "train_sharpe": Column("Sharpe in training", "ratio"),
    "test_net": Column("Net in test", "amount", signed=True),
    "test_sharpe": Column("Sharpe in test", "ratio"),
    "test_trades": Column("Trades in test", "integer"),
    "test_drawdown": Column("Drawdown in test", "percent"),
}


def sweep_page(result: SweepResult) -> Page:
    held_back = result.out_of_sample
    counts = {status: sum(trial.status == status for trial in result.trials) for status in ("complete", "pruned", "invalid")}
    sections = [
        Section(title="Can the best one be trusted?", note=result.verdict(), table=_guard(result)),
        *_heat(result),
        Section(
            title="Trials",
            note=f"{counts['complete']:,} complete, {counts['pruned']:,} pruned, {counts['invalid']:,} impossible; the best {_ROWS_MAX} are shown.",
            table=_table(result.table()[:_ROWS_MAX]),
        ),
    ]
    page = result.run.page(sections)
    best = result.best[0]
    chosen = ", ".join(f"{name} {value}" for name, value in best.parameters.items())
    badges = [
        Badge(f"chosen by {objective_label(result.request.objective)}"),
        Badge(f"{len(result.trials):,} trials, {result.request.method}"),
    ]
    if held_back is not None:
        badges.append(Badge(f"out of sample from {held_back.start}"))
    note = (
        f"All days together, those before {held_back.start} were chosen on"
        if held_back is not None
        else "OVERFITTED: every day was chosen on"
    )
    return msgspec.structs.replace(
        page, kind="sweep", title=f"{page.title}: {chosen}", badges=[*badges, *page.badges, Badge(note, warning=True)]
    )


def walk_page(result: WalkResult) -> Page:
    note = "Parameters are chosen on the training days alone; only the test days count in all the figures of this page."
    page = result.run.page([Section(title="Windows", note=note, table=_table(result.table()))])
    request = result.request
    train = f"{'anchored' if request.anchored else 'rolling'}: train {request.train}, test {request.test} days"
    card = Card(label="Walk-forward efficiency", value=result.efficiency, kind="percent", note="net a day, test over training", signed=True)
    badges = [Badge(train), Badge(f"chosen by {objective_label(request.sweep.objective)}"), *page.badges]
    return msgspec.structs.replace(page, kind="walk-forward", badges=badges, cards=[*page.cards, card])


def _guard(result: SweepResult) -> Table:
    deflated = result.deflated
    rows: list[Sequence[Any]] = []
    if deflated is not None:
        rows = [
            ["Deflated Sharpe ratio (Bailey and López de Prado 2014)", f"{deflated.probability:.2%}"],
            ["Sharpe ratio of a day, best trial", f"{deflated.sharpe:.4f}"],
            ["What the best of as many worthless trials would show", f"{deflated.expected_maximum:.4f}"],
            ["Trials compared", f"{deflated.trials:,}"],
            ["Days", f"{deflated.days:,}"],
            ["Skewness and kurtosis of daily returns", f"{deflated.skewness:.2f} and {deflated.kurtosis:.2f}"],
        ]
    rows.append(["In-sample days", f"{result.in_sample.start} to {result.in_sample.end}"])
    if result.out_of_sample is not None:
        rows.append(["Out-of-sample days", f"{result.out_of_sample.start} to {result.out_of_sample.end}"])
    return Table(columns=[Column(""), Column("")], rows=rows)


def _heat(result: SweepResult) -> list[Section]:
    """The first two varied parameters; of the others, the best."""
    names = list(result.request.ranges)
    if len(names) < 2:
        return []
    rows, columns = (list(result.request.ranges[name]) for name in names[:2])
    objective = result.request.objective
    cells: list[list[float | None]] = [[None] * len(columns) for _ in rows]
    for trial in reversed(result.best):  # the best last, so that it stays
        value = score(trial.figures, objective)
        if np.isfinite(value):
            cells[rows.index(trial.parameters[names[0]])][columns.index(trial.parameters[names[1]])] = value
    heat = Heat(x=Axis(names[1], columns), y=Axis(names[0], rows), values=cells, kind="amount" if objective == "net" else "ratio")
    note = "A good place has good neighbours: a single bright cell is luck." + (
        " Of further parameters, the best." if len(names) > 2 else ""
    )
    return [Section(title=f"{objective_label(objective).capitalize()} by {names[0]} and {names[1]}", note=note, heat=heat)]


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [_LABELS.get(name, Column(name)) for name in names]
    return Table(
        columns=columns, rows=[[_cell(row.get(name), column) for name, column in zip(names, columns, strict=True)] for row in rows]
    )


def _cell(value: Any, column: Column) -> Any:
    return "" if value is None and column.kind == "text" else str(value) if column.kind == "text" else value
