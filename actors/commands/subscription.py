"""Commands for one subscription of a running session."""

from __future__ import annotations

from typing import Annotated

import typer

from actors.commands.session import DataOption, merged, send
from actors.commands.shared import ChannelFlag, JsonFlag, SettingsOption, StateOption, TimeoutOption, UserArgument

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="Strategy key, as `shoal subscribe` and `shoal status USER` print it.")]


def subscribe(
    user: UserArgument,
    data: DataOption = None,
    settings: SettingsOption = None,
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Let a running session follow one more strategy, or restate the settings of one it follows.

    Examples:
    - `shoal subscribe 123 --set strategy=ema_cross --set parameters.fast_period=5 --set timeframe=5m`

    - `shoal subscribe 123 --set strategy=external --set parameters.source=my-alerts`
    """
    send("SUBSCRIBE", user, merged(data, settings), pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def unsubscribe(
    user: UserArgument,
    key: KeyArgument,
    close: Annotated[bool, typer.Option("--close", help="Close its position; without it the position keeps its exits.")] = False,
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Follow a strategy no longer.

    Example: `shoal unsubscribe 123 ema_cross:NSE:BANKNIFTY:5m:0e8c9e7d --close`
    """
    data = {"subscription": key, "positions": "close" if close else "keep"}
    send("UNSUBSCRIBE", user, data, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def pause_subscription(
    user: UserArgument,
    key: KeyArgument,
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Take no new entries of one subscription; its exits go on.

    Example: `shoal pause-subscription 123 ema_cross:NSE:BANKNIFTY:5m:0e8c9e7d`
    """
    send("PAUSE_SUBSCRIPTION", user, {"subscription": key}, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def resume_subscription(
    user: UserArgument,
    key: KeyArgument,
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Take entries of a paused subscription again.

    Example: `shoal resume-subscription 123 ema_cross:NSE:BANKNIFTY:5m:0e8c9e7d`
    """
    send("RESUME_SUBSCRIPTION", user, {"subscription": key}, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)
