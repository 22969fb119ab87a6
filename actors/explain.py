"""Why a signal led to what it led to: the chain from candle to exit, out of the journal, every step with its time and seq."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from actors.wire import decode_input
from runtime.errors import InvalidInput
from runtime.events import EngineInput, EventType, JournalRecord, PriceTouched, PublicEvent, SignalArrived, StartSession, UpdateConfig
from runtime.market import IST, Candle
from runtime.orders import Leg
from runtime.ports import Journal, Store
from runtime.session import SessionConfig
from runtime.signals import Signal

_NEWEST_SHOWN = 10
_HALTS = frozenset({EventType.RISK_HALT, EventType.RISK_RESUMED})
_DECIDED = frozenset({EventType.SIGNAL, EventType.SIGNAL_DECIDED})
_ENDS = frozenset(
    {
        EventType.SIGNAL_SKIPPED,
        EventType.ORDER_FILLED,
        EventType.ORDER_CANCELLED,
        EventType.ORDER_REJECTED,
        EventType.POSITION_CLOSED,
    }
)
_decode_event = msgspec.json.Decoder(PublicEvent).decode


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One link. `seq` is that of the public event, `record` the number of the journal record behind it; None where there is none."""

    stage: str
    ts: datetime
    title: str
    details: dict[str, Any] = {}
    seq: int | None = None
    record: int | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    signal_id: str
    steps: list[Step]


async def explain(journal: Journal, store: Store, user_id: str, signal_id: str) -> Explanation:
    """The whole chain of one signal of one user; `signal_id` may be any part of the id that only one signal has.

    Raises:
        InvalidInput: no signal, or several, of that user match; the message lists ids to choose from.
    """
    full_id = _resolve(user_id, signal_id, [name async for name in _signal_ids(journal, user_id)])
    config, thread, signal = SessionConfig(), _Thread(full_id), None
    steps: list[Step] = []
    async for record in journal.read(user_id):
        cause = decode_input(record.input)
        if isinstance(cause, StartSession | UpdateConfig):
            config = cause.config
        if signal is None and isinstance(cause, SignalArrived) and cause.signal.signal_id == full_id:
            signal = cause.signal
            steps += await _origin(store, signal, record)
        for text in record.events:
            event = _decode_event(text)
            if signal is not None and (thread.follows(event) or thread.is_touched_by(event, signal)):
                is_first = all(step.stage != "size" for step in steps)
                steps += _consequence(event, record, cause, signal, config, is_first=is_first)
    return Explanation(user_id=user_id, signal_id=full_id, steps=steps)


async def _signal_ids(journal: Journal, user_id: str) -> AsyncIterator[str]:
    async for record in journal.read(user_id):
        if '"SignalArrived"' in record.input:
            arrived = decode_input(record.input)
            if isinstance(arrived, SignalArrived):
                yield arrived.signal.signal_id


def _resolve(user_id: str, wanted: str, known: list[str]) -> str:
    """The exact id, else the only one that begins with or contains what was asked for."""
    if wanted in known:
        return wanted
    newest = list(dict.fromkeys(reversed(known)))
    for matches in ([name for name in newest if name.startswith(wanted)], [name for name in newest if wanted in name]):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InvalidInput("SIGNAL_ID", wanted, f"fits {len(matches)} signals, write more of one: {', '.join(matches[:_NEWEST_SHOWN])}")
    choice = f"the newest are {', '.join(newest[:_NEWEST_SHOWN])}" if newest else "no signal has reached this user yet"
    raise InvalidInput("SIGNAL_ID", wanted, f"user {user_id!r} has no such signal; {choice}")


class _Thread:
    """Follows one signal through a user's events: itself, its position, and the position it closed to make room."""

    def __init__(self, signal_id: str) -> None:
        self._signal_id = signal_id
        self._ids = {signal_id}
        self._open: set[str] = set()
        """What of it is not over: the target that waits, orders, positions."""
        self._to_close: str | None = None
        """The position that it would have closed, as long as no order has been sent for that."""

    def is_touched_by(self, event: PublicEvent, signal: Signal) -> bool:
        """Whether this is a halt, or the end of one, that covers something of the signal that is not over."""
        covers = event.data.get("strategy") in (None, signal.strategy, signal.strategy_key)
        return event.type in _HALTS and covers and bool(self._open)

    def follows(self, event: PublicEvent) -> bool:
        data = event.data
        if data.get("decided_by") == self._signal_id:
            self._to_close = None
        if not {str(data[name]) for name in ("signal_id", "position_id") if name in data} & self._ids:
            return False
        if event.type is EventType.SIGNAL_SKIPPED:
            self._ids.discard(str(self._to_close))
        name = str(data.get("order_id") or data.get("position_id") or data.get("signal_id"))
        if event.type in _ENDS:
            self._open.discard(name)
        else:
            self._open.add(name)
        if event.type is not EventType.SIGNAL:
            self._open.discard(self._signal_id)
        if "position_id" in data and data.get("signal_id") == self._signal_id:
            self._ids.add(str(data["position_id"]))  # an exit order names its position as its signal
            if event.type in _DECIDED:
                self._to_close = str(data["position_id"])
        return True


async def _origin(store: Store, signal: Signal, record: JournalRecord) -> list[Step]:
    """What was there before the user: the candle, the values of the rules, the decision."""
    opened_at = signal.candle_time
    candles = await store.read_candles(signal.underlying, signal.timeframe, opened_at, opened_at + signal.timeframe.duration)
    closed_at = opened_at + signal.timeframe.duration
    first, last = opened_at.astimezone(IST), closed_at.astimezone(IST)
    ticks = Step(stage="ticks", ts=opened_at, title=f"ticks of {signal.underlying} from {first:%H:%M:%S} to {last:%H:%M:%S}")
    return [
        ticks,
        _candle_step(signal, candles, closed_at),
        Step(stage="rules", ts=closed_at, title=f"values of {signal.strategy}", details=dict(signal.context)),
        Step(
            stage="signal",
            ts=signal.ts,
            title=f"{signal.direction} by rule {signal.rule}",
            details=_signal_details(signal),
            record=record.number,
        ),
    ]


def _candle_step(signal: Signal, candles: list[Candle], closed_at: datetime) -> Step:
    title = f"{signal.timeframe} candle of {signal.underlying}"
    if not candles:
        return Step(stage="candle", ts=closed_at, title=f"{title}: no longer stored")
    candle = candles[0]
    values = {"open": candle.open, "high": candle.high, "low": candle.low, "close": candle.close, "volume": candle.volume}
    return Step(stage="candle", ts=closed_at, title=title, details=values)


def _signal_details(signal: Signal) -> dict[str, Any]:
    return {
        "signal_id": signal.signal_id,
        "reason": signal.reason,
        "price": signal.price,
        "contract": signal.instrument.id,
        "contract_price": signal.contract_price,
        "bid": signal.contract_bid,
        "ask": signal.contract_ask,
        "stop": signal.stop,
        "target": signal.target,
    }


def _consequence(
    event: PublicEvent, record: JournalRecord, cause: EngineInput, signal: Signal, config: SessionConfig, *, is_first: bool
) -> list[Step]:
    """One public event as a step; the signal's first entry order is preceded by the guards it passed and how its size came about."""

    def step(stage: str, title: str, details: dict[str, Any]) -> Step:
        return Step(stage=stage, ts=event.ts, seq=event.seq, record=record.number, title=title, details=details)

    data, kind = event.data, event.type
    match kind:
        case EventType.SIGNAL:
            known = {name: data[name] for name in ("current", "side", "decision", "latency_ms") if name in data}
            title = "reached the trader" if "decision" in data else "reached the trader, waits for an order in flight"
            return [step("user", title, {"seconds_after_signal": (event.ts - signal.ts).total_seconds()} | known)]
        case EventType.SIGNAL_DECIDED:
            known = {name: data[name] for name in ("current", "side", "latency_ms", "position_id") if name in data}
            return [step("user", f"decided: {data['decision']}", known)]
        case EventType.SIGNAL_SKIPPED:
            return [step("guards", f"refused: {data['reason']}", {"detail": data["detail"]})]
        case EventType.RISK_HALT | EventType.RISK_RESUMED:
            return [step("halt", f"{_verb(kind)}: {data['detail']}", data)]
        case EventType.ORDER_SUBMITTED if data["leg"] == Leg.ENTRY and is_first:
            size = step("size", f"{data['quantity']} units", _size_details(signal, config, str(data["slot"])))
            return [step("guards", "all passed", {}), size, step("order", _order_title(event), data)]
        case EventType.ORDER_PARTIALLY_FILLED | EventType.ORDER_FILLED:
            return [step("fill", f"{data['leg']} {data['filled_quantity']} of {data['quantity']} at {data['price']}", data)]
        case EventType.EXIT_ALERT:
            touched = {"touched_at": cause.price} if isinstance(cause, PriceTouched) else {}
            return [step("exit", f"{data['rule']} is due at {data['price']}", data | touched)]
        case EventType.POSITION_OPENED | EventType.POSITION_CHANGED | EventType.POSITION_CLOSED:
            return [
                step("position", f"{_verb(kind)}: {data['side']} {data['quantity']} {data['instrument']} from {data['entry_price']}", data)
            ]
        case _ if kind.startswith("ORDER_"):
            return [step("order", _order_title(event), data)]
        case _:
            return [step("event", str(kind), data)]


def _order_title(event: PublicEvent) -> str:
    data = event.data
    return f"{_verb(event.type)}: {data['leg']} {data['side']} {data['quantity']} {data['instrument']}"


def _verb(event_type: EventType) -> str:
    return event_type.partition("_")[2].lower()


def _size_details(signal: Signal, config: SessionConfig, slot: str) -> dict[str, Any]:
    """What `runtime.sizing.position_size` was given."""
    sizing = next((subscription.sizing for subscription in config.subscriptions if subscription.key == slot), None)
    settings: dict[str, Any] = {} if sizing is None else msgspec.to_builtins(sizing, builtin_types=(Decimal,))
    given = {
        "capital": config.capital,
        "lot_size": signal.instrument.lot_size,
        "contract_price": signal.contract_price,
        "stop": signal.stop,
        "atr": signal.atr,
    }
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in (given | settings).items() if value is not None}
