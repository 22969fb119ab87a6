"""How far one signal has come: decided, on the stream, followed by which hosts, answered by whose traders, and who is missing."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.streams import is_after
from runtime import channels
from runtime.errors import InvalidInput
from runtime.ports import Bus, Store
from runtime.session import SessionConfig

_decode_config = msgspec.json.Decoder(SessionConfig).decode


class FanOut(msgspec.Struct, frozen=True, kw_only=True):
    """`state` as in `executions`. A host is done when its cursor has passed the signal. `missing` want it and have no decision yet."""

    signal_id: str
    state: str
    entry_id: str | None
    hosts: dict[str, bool]
    served: int
    missing: list[str]


async def fan_out(bus: Bus, store: Store, signal_id: str) -> FanOut:
    """The completion ledger of one signal, from what is stored anyway: hosts' cursors and the users' execution logs.

    Who subscribes is read from the sessions as they are now.

    Raises:
        InvalidInput: no such signal was decided; names the newest ones.
    """
    execution = await store.get("executions", signal_id)
    if execution is None:
        newest = [str(each["_id"]) for each in await store.find("executions", {}, sort="ts", descending=True, limit=5)]
        raise InvalidInput("SIGNAL_ID", signal_id, f"was not decided here; the newest are {', '.join(newest) or 'none'}")
    wanted = {str(session["_id"]): str(session["host"]) for session in await _subscribers(store, str(execution["strategy_key"]))}
    served = {str(log["user_id"]) for log in await store.find("execution_logs", {"signal_id": signal_id})}
    entry_id = execution.get("entry_id")
    return FanOut(
        signal_id=signal_id,
        state=str(execution["state"]),
        entry_id=entry_id,
        hosts={host: await _has_passed(bus, host, entry_id) for host in sorted(set(wanted.values()))},
        served=len(served),
        missing=sorted(wanted.keys() - served),
    )


async def _subscribers(store: Store, strategy_key: str) -> list[dict[str, Any]]:
    sessions = await store.find("sessions", {"active": True})
    return [
        session
        for session in sessions
        if "config" in session and any(each.key == strategy_key for each in _decode_config(str(session["config"])).subscriptions)
    ]


async def _has_passed(bus: Bus, host: str, entry_id: str | None) -> bool:
    cursor = (await bus.get_key(channels.signals_cursor(host)) or b"0").decode()
    return entry_id is not None and not is_after(entry_id, cursor)
