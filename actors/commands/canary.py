"""`shoal canary`: a candidate for a share of a strategy's followers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors.commands.session import send
from actors.commands.shared import Connection, JsonFlag, StateOption, TimeoutOption, call, parse_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(name="canary", help="Roll a strategy's new version out to a share of its followers.", no_args_is_help=True)

StrategyOption = Annotated[str, typer.Option("--strategy", metavar="KEY", help="Key of the strategy they follow: the baseline.")]


@app.command()
def start(
    strategy: StrategyOption,
    parameters: Annotated[
        list[str] | None, typer.Option("--parameters", metavar="NAME=VALUE", help="Of the candidate; repeatable.")
    ] = None,
    candidate: Annotated[str | None, typer.Option("--candidate", help="The candidate's strategy (default: the baseline's).")] = None,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the followers.")] = 0.1,
    rollback_if: Annotated[
        list[str] | None,
        typer.Option(
            "--rollback-if", metavar="NAME=VALUE", help="pnl_worse_by, min_trades, skip_rate, reject_rate, min_signals; repeatable."
        ),
    ] = None,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Let a share of the baseline's followers hear the candidate, taken back by itself when a condition holds.

    Example: `shoal canary start --strategy ema_cross:NSE:BANKNIFTY:1m:0e8c9e7d --parameters fast_period=5 --share 0.1
    --rollback-if pnl_worse_by=500 --rollback-if min_trades=30`
    """
    data: dict[str, Any] = {"strategy": strategy, "parameters": parse_settings(parameters), "share": share}
    data |= {} if candidate is None else {"candidate": candidate}
    data["rollback_if"] = parse_settings(rollback_if)
    send("START_CANARY", None, data, pubsub=False, timeout=timeout, state=state, as_json=as_json)


@app.command()
def promote(strategy: StrategyOption, timeout: TimeoutOption = 15.0, state: StateOption = None, as_json: JsonFlag = False) -> None:
    """Let all followers hear the candidate.

    Example: `shoal canary promote --strategy ema_cross:NSE:BANKNIFTY:1m:0e8c9e7d`
    """
    send("PROMOTE_CANARY", None, {"strategy": strategy}, pubsub=False, timeout=timeout, state=state, as_json=as_json)


@app.command()
def abort(strategy: StrategyOption, timeout: TimeoutOption = 15.0, state: StateOption = None, as_json: JsonFlag = False) -> None:
    """Let all followers hear the baseline again.

    Example: `shoal canary abort --strategy ema_cross:NSE:BANKNIFTY:1m:0e8c9e7d`
    """
    send("ABORT_CANARY", None, {"strategy": strategy}, pubsub=False, timeout=timeout, state=state, as_json=as_json)


@app.command()
def status(state: StateOption = None, as_json: JsonFlag = False) -> None:
    """Roll-outs, running and ended, and how both sides have done so far.

    Example: `shoal canary status`
    """

    async def read(connection: Connection) -> list[dict[str, Any]]:
        return await connection.store.find("rollouts", {}, sort="started_at", descending=True)

    rollouts = call(state, read)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(rollouts).decode())
        return
    if not rollouts:
        typer.echo("no roll-outs")
    for rollout in rollouts:
        typer.echo(f"{rollout['_id']} -> {rollout['candidate']}: {rollout['state']}, {rollout['reason']}")
        for side, group in rollout.get("groups", {}).items():
            typer.echo(f"  {side:9} {_figures(group)}")


def _figures(group: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in group.items())
