"""`shoal explain`: the chain of one signal, as a tree."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors.commands.shared import DATABASE, PATIENCE_SECONDS, JsonFlag, StateOption, UserArgument, console, mongodb_url

if TYPE_CHECKING:
    from rich.tree import Tree

    from actors.explain import Explanation


_SHOWN = {
    "order": {"order_id", "type", "reason"},
    "fill": {"fees"},
    "exit": {"priority", "action"},
    "position": {"stop", "target", "best_price", "exit_reason", "exit_price", "realised_pnl", "fees"},
}
"""Details that the titles of these stages do not say; --json has all."""


def explain(
    user: UserArgument,
    signal_id: Annotated[str, typer.Argument(metavar="SIGNAL_ID", help="The signal, or a part of its id that fits only it.")],
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the chain of one signal: candle, rule values, guards, size, order, fills, position, exits.

    Works also when the runtime is stopped: it then starts the state folder's own database for the moment.

    Examples: `shoal explain 123 index_options_scalper:NSE:BANKNIFTY:1m:5f0c2a9b:20261120T0401`, `shoal explain 123 T0401 --json`
    """
    with ExitStack() as stack:
        found = asyncio.run(_explain(mongodb_url(state, stack), user, signal_id))
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(found).decode())
        return
    console().print(_tree(found))


async def _explain(mongodb_url: str, user: str, signal_id: str) -> Explanation:
    from actors.explain import explain as run
    from adapters.mongo import MongoJournal, MongoStore

    journal = MongoJournal(mongodb_url, DATABASE, patience_seconds=PATIENCE_SECONDS)
    store = MongoStore(mongodb_url, DATABASE, patience_seconds=PATIENCE_SECONDS)
    try:
        return await run(journal, store, user, signal_id)
    finally:
        await journal.close()
        await store.close()


def _tree(explanation: Explanation) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    from runtime.market import IST

    root = Tree(Text(f"{explanation.signal_id} for user {explanation.user_id}", style="bold"))
    for step in explanation.steps:
        numbers = f"  #{step.seq}" if step.seq is not None else ""
        when = f"{step.ts.astimezone(IST):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        branch = root.add(Text.assemble((f"{step.stage:<9}", "cyan"), (when, "dim"), f"  {step.title}", (numbers, "dim")))
        shown = _SHOWN.get(step.stage, step.details)
        for name, value in step.details.items():
            if name in shown and value not in (None, ""):
                branch.add(Text.assemble((f"{name} ", "dim"), _text(value)))
    return root


def _text(value: Any) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
