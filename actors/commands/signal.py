"""`shoal signal`: publish another program's signal to everybody who follows it."""

from __future__ import annotations

from typing import Annotated

import typer

from actors.commands.session import send
from actors.commands.shared import ChannelFlag, JsonFlag, StateOption, TimeoutOption


def signal(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The strategyId its followers name as parameter `source`.")],
    symbol: Annotated[str, typer.Argument(help="Instrument, such as NSE:BANKNIFTY.")],
    side: Annotated[str, typer.Argument(metavar="SIGNAL", help="buy, sell, flat; also long, short, exit, 1, -1, 0.")],
    signal_id: Annotated[str | None, typer.Option("--id", help="The signal's own id; a repeat of it sends nothing.")] = None,
    price: Annotated[float | None, typer.Option(help="What the sender saw.")] = None,
    stop: Annotated[float | None, typer.Option(help="Price of the instrument traded.")] = None,
    target: Annotated[float | None, typer.Option(help="Price of the instrument traded.")] = None,
    timestamp: Annotated[str | None, typer.Option(metavar="TIME", help="The sender's time, with zone.")] = None,
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Publish a signal to all sessions that follow SOURCE on this instrument by the strategy `external`.

    Examples:
    - `shoal start 123 --set strategy=external --set parameters.source=my-alerts`

    - `shoal signal my-alerts NSE:BANKNIFTY buy --id bar-0931`

    - `shoal signal my-alerts NSE:BANKNIFTY flat`
    """
    options = {"signalId": signal_id, "price": price, "stop": stop, "target": target, "timestamp": timestamp}
    data = {"strategyId": source, "symbol": symbol, "signal": side} | {name: value for name, value in options.items() if value is not None}
    send("PUBLISH_SIGNAL", None, data, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)
