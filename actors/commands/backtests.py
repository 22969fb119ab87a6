"""`shoal backtests`: results kept in the database, listed, shown and compared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer

from actors.commands.shared import DATABASE, PATIENCE_SECONDS, JsonFlag, StateOption, console, mongodb_url

if TYPE_CHECKING:
    from rich.table import Table

    from actors.backtest import Backtest
    from actors.stored_results import StoredResult
    from runtime.ports import Store

T = TypeVar("T")
_LISTED_COLUMNS = ("net_profit", "total_return", "max_drawdown_percent", "sharpe", "trades")


def backtests(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="One to show, several to compare; the beginning of an id is enough.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many of the newest to list.")] = 20,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the named ones.")] = False,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List, show or compare results that `shoal backtest`, `sweep` and `walk-forward` have kept.

    Works also when the runtime is stopped: it then starts the state folder's own database for the moment.

    Examples: `shoal backtests`, `shoal backtests 5f0c`, `shoal backtests 5f0c 91ab --json`, `shoal backtests 5f0c --delete`
    """
    from runtime.errors import InvalidInput

    if delete and not ids:
        raise InvalidInput("--delete", None, "name the results to delete")
    found = with_store(state, lambda store: _find(store, ids, limit, delete=delete))
    if as_json:
        typer.echo(json.dumps([_as_json(result) for result in found], indent=2))
    elif delete:
        typer.echo(f"deleted {', '.join(result.id for result in found)}")
    else:
        console().print(_list(found) if not ids else _compare(found))


def keep(run: Backtest, state: Path | None, save: bool | None) -> str | None:
    """Store a result: always, never, or where a database is running. Returns its id."""
    from actors.stored_results import keep_backtest

    return keep_with(state, save, lambda store: keep_backtest(store, run, datetime.now(UTC)))


def keep_with(state: Path | None, save: bool | None, work: Callable[[Store], Awaitable[str]]) -> str | None:
    from runtime.errors import ServerUnavailable

    if save is False:
        return None
    try:
        return with_store(state, work, at_rest=bool(save), create=bool(save))
    except ServerUnavailable:
        if save:
            raise
        return None


def with_store(state: Path | None, work: Callable[[Store], Awaitable[T]], *, at_rest: bool = True, create: bool = False) -> T:
    """`work` on the running system's database, else (`at_rest`) on that of its state folder, else (`create`) on a new one there."""
    from adapters.mongo import MongoStore

    async def run(url: str) -> T:
        store = MongoStore(url, DATABASE, patience_seconds=PATIENCE_SECONDS)
        try:
            return await work(store)
        finally:
            await store.close()

    with ExitStack() as stack:
        return asyncio.run(run(mongodb_url(state, stack, at_rest=at_rest, create=create)))


async def _find(store: Store, ids: list[str] | None, limit: int, *, delete: bool) -> list[StoredResult]:
    from actors import stored_results

    if not ids:
        return await stored_results.listed(store, limit)
    found = [await stored_results.find(store, name) for name in ids]
    if delete:
        for result in found:
            await stored_results.delete(store, result)
    return found


def _as_json(result: StoredResult) -> dict[str, Any]:
    import msgspec

    return msgspec.to_builtins(result)


def _list(results: list[StoredResult]) -> Table:
    from rich import box
    from rich.table import Column, Table

    from actors.commands.figures import FIGURES, figure

    shown = [found for name in _LISTED_COLUMNS for found in FIGURES if found.name == name]
    columns = [Column(found.label, justify="right") for found in shown]
    table = Table("id", "kept", "kind", "strategy", "instrument", "parameters", *columns, box=box.SIMPLE)
    for result in results:
        values = [figure(result.metrics.get(found.name), found.kind) for found in shown]
        parameters = " ".join(f"{name}={value}" for name, value in result.parameters.items()) or "defaults"
        table.add_row(
            result.id,
            f"{result.ts:%Y-%m-%d %H:%M}",
            result.kind,
            result.strategy,
            f"{result.instrument} {result.timeframe}",
            parameters,
            *values,
        )
    table.caption = f"{len(results)} results"
    return table


def _compare(results: list[StoredResult]) -> Table:
    """Settings that differ first, then every figure; one column each."""
    from rich import box
    from rich.table import Column, Table

    from actors.commands.figures import FIGURES, figure

    table = Table("", *(Column(result.id, justify="right") for result in results), box=box.SIMPLE)
    settings = [_flat(result.configuration) | {"fingerprint": result.fingerprint} for result in results]
    for name in dict.fromkeys(name for one in settings for name in one):
        values = [str(one.get(name, "–")) for one in settings]
        if len(results) == 1 or len(set(values)) > 1:
            table.add_row(name, *values)
    table.add_section()
    for name, label, kind in FIGURES:
        table.add_row(label, *(figure(result.metrics.get(name), kind) for result in results))
    return table


def _flat(settings: Any, path: str = "") -> dict[str, Any]:
    """Nested settings with dots in their names."""
    if isinstance(settings, dict):
        items = list(cast("dict[str, Any]", settings).items())
    elif isinstance(settings, list):
        items = [(str(at), inner) for at, inner in enumerate(cast("list[Any]", settings))]
    else:
        return {path: settings}
    return {name: value for key, inner in items for name, value in _flat(inner, f"{path}.{key}" if path else key).items()}
