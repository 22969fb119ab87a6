"""Signals: the newest target per slot, and the move towards it whenever nothing is in flight."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import partial

from runtime.engine.leaving import request_exit
from runtime.engine.limits import entries_refused, risk_denies, slot_refuses, too_old
from runtime.engine.sending import advance
from runtime.engine.turn import Turn
from runtime.events import EventType, ExitReason, SignalArrived
from runtime.exits import decimal_price, stop_for_sizing
from runtime.market import InstrumentKind
from runtime.ranges import PERIOD
from runtime.reconcile import Decision, SkipReason, reconcile
from runtime.risk import outside_collar
from runtime.session import Subscription
from runtime.signals import OrderSide, Side, Signal
from runtime.sizing import position_size
from runtime.state import EngineState, Entry, Position, SessionStatus, Slot


def has_seen(state: EngineState, signal: Signal) -> bool:
    """Whether this signal, or a newer one of the same slot, was already taken in: redelivery changes nothing."""
    slot = state.slots.get(signal.strategy_key)
    if slot is None or slot.last_signal_ts is None:
        return False
    return signal.ts < slot.last_signal_ts or signal.signal_id == slot.last_signal_id


def on_signal(turn: Turn, event: SignalArrived) -> None:
    state, signal = turn.state, event.signal
    slot = state.slots.get(signal.strategy_key)
    if signal.strategy_key not in turn.subscriptions or has_seen(state, signal):
        return
    if state.status is SessionStatus.STOPPED and (slot is None or slot.position is None):
        return
    if slot is None:
        slot = state.slots[signal.strategy_key] = Slot(key=signal.strategy_key)
    slot.last_signal_id, slot.last_signal_ts = signal.signal_id, signal.ts
    waits = _has_to_wait(turn, slot, signal)
    if turn.hears(EventType.SIGNAL):
        turn.tell(EventType.SIGNAL, partial(_signal_facts, signal, slot.position, turn.ts, waits=waits))
    drop_pending(turn, slot, SkipReason.SUPERSEDED, f"by {signal.signal_id}")
    slot.pending, slot.waits = signal, waits
    move_to_target(turn, slot, last_price=event.last_price)


def move_on(turn: Turn, slot: Slot) -> None:
    """Something of the slot has ended: forget what is over with it, and see to the target that waits."""
    if slot.is_blank:
        slot.exit_reason = slot.exit_signal = slot.retry_at = slot.wake_at = slot.deadline = None
        if slot.key not in turn.subscriptions:
            del turn.state.slots[slot.key]
            return
    move_to_target(turn, slot)


def move_to_target(turn: Turn, slot: Slot, *, last_price: float | None = None) -> None:
    """Act on the pending target unless it has to wait; then the end of what it waits for calls again."""
    signal = slot.pending
    if signal is None or _has_to_wait(turn, slot, signal):
        return
    decision = reconcile(current=slot.side, target=signal.side)
    if slot.waits and decision is not Decision.SKIP and turn.hears(EventType.SIGNAL_DECIDED):
        turn.tell(EventType.SIGNAL_DECIDED, partial(_decided, signal, slot.position, turn.ts))
    slot.waits = False
    match decision:
        case Decision.SKIP:
            drop_pending(turn, slot, SkipReason.FLAT if signal.side is Side.FLAT else SkipReason.SAME_SIDE, f"already {slot.side}")
        case Decision.EXIT:
            slot.pending = None
            request_exit(turn, slot, ExitReason.SIGNAL, signal_id=signal.signal_id)
        case Decision.REVERSE:
            refused = entries_refused(turn, slot)
            if refused is not None:  # a trader that may not enter does not half-follow a reversal: its own exits stand
                drop_pending(turn, slot, *refused)
            else:
                request_exit(turn, slot, ExitReason.REVERSAL, signal_id=signal.signal_id)
        case Decision.ENTER:
            slot.pending = None
            refused = _enter(turn, slot, signal, last_price)
            if refused is not None:
                _skip(turn, slot, signal, *refused)


def take_up(turn: Turn) -> None:
    """The journal's store is back: what of entries had to wait for it goes on, unless its signal has grown old meanwhile."""
    for slot in list(turn.state.slots.values()):
        if slot.pending is not None and not slot.is_busy and (stale := too_old(turn, slot.pending)) is not None:
            drop_pending(turn, slot, *stale)
        advance(turn, slot)
        move_to_target(turn, slot)


def _has_to_wait(turn: Turn, slot: Slot, signal: Signal) -> bool:
    """For what the slot has under way; and a move that enters something, for the journal's store, where it is away."""
    if slot.is_busy or turn.state.store_up or entries_refused(turn, slot) is not None:
        return slot.is_busy
    return reconcile(current=slot.side, target=signal.side) in _ENTERING


_ENTERING = (Decision.ENTER, Decision.REVERSE)


def drop_pending(turn: Turn, slot: Slot, reason: SkipReason, detail: str) -> None:
    """The target that waits, if one does, is followed no further, and the user hears why."""
    if slot.pending is not None:
        signal, slot.pending, slot.waits = slot.pending, None, False
        _skip(turn, slot, signal, reason, detail)


def _skip(turn: Turn, slot: Slot, signal: Signal, reason: SkipReason, detail: str) -> None:
    data: dict[str, object] = {
        "signal_id": signal.signal_id,
        "strategy": signal.strategy,
        "strategy_key": slot.key,
        "current": slot.side,
        "side": signal.side,
        "latency_ms": _latency(signal, turn.ts),
        "reason": reason,
        "detail": detail,
    }
    turn.emit(EventType.SIGNAL_SKIPPED, data)


def _enter(turn: Turn, slot: Slot, signal: Signal, last_price: float | None) -> tuple[SkipReason, str] | None:
    """Start the entry, or say why not."""
    refused = entries_refused(turn, slot)
    if refused is not None:
        return refused
    subscription = turn.subscriptions[slot.key]
    refused = slot_refuses(turn, slot, subscription, signal)
    if refused is not None:
        return refused
    instrument = signal.instrument
    quoted = (signal.contract_ask if signal.entry_side is OrderSide.BUY else signal.contract_bid) or signal.contract_price
    if quoted is None or instrument.kind is InstrumentKind.INDEX:
        return SkipReason.INVALID, f"no price of a tradable contract for {signal.underlying}: is the option chain missing?"
    price = decimal_price(quoted, instrument)
    last = last_price or signal.contract_price
    if last is not None and last != quoted and (outside := outside_collar(turn.limits, price=price, last=Decimal(repr(last)))) is not None:
        return SkipReason.RISK_LIMIT, outside
    direction = 1 if signal.entry_side is OrderSide.BUY else -1
    stop = stop_for_sizing(subscription.protection, price, direction, signal.stop, instrument)
    quantity, why = _size(turn, subscription, signal, price=price, stop=stop)
    if why is not None:
        return why
    denied = risk_denies(turn, signal, price=price, stop=stop, quantity=quantity)
    if denied is not None:
        return SkipReason.RISK_LIMIT, denied
    slot.last_entry_at, slot.last_entry = turn.ts, (instrument.id, signal.entry_side)
    slot.trades_today += 1
    turn.state.trades_today += 1
    slot.entry = Entry(signal=signal, mode=turn.state.config.mode_of(subscription), price=price, stop=stop, unsent=quantity)
    turn.set_deadline(slot)
    advance(turn, slot)
    return None


def _size(
    turn: Turn, subscription: Subscription, signal: Signal, *, price: Decimal, stop: Decimal | None
) -> tuple[Decimal, tuple[SkipReason, str] | None]:
    capital, instrument = turn.state.config.capital, signal.instrument
    atr = _atr(signal) if subscription.sizes_by_range else None
    quantity = position_size(subscription.sizing, capital=capital, price=price, stop=stop, instrument=instrument, atr=atr)
    if quantity > 0:
        return quantity, None
    if subscription.sizes_by_range and atr is None:
        needs = f"{PERIOD + 1} candles of {signal.underlying} and, for an option, its price"
        return quantity, (SkipReason.NO_ATR, f"sizing volatility_target needs the ATR of {instrument.id}: {needs}")
    detail = f"capital {capital}, price {price}, stop {stop}: less than one lot of {instrument.lot_size}"
    return quantity, (SkipReason.SIZE_ZERO, detail)


def _atr(signal: Signal) -> Decimal | None:
    """Of the traded contract."""
    atr = signal.atr
    return Decimal(repr(atr)) if atr is not None and 0 < atr < _INFINITY else None


_INFINITY = float("inf")


def _decided(signal: Signal, held: Position | None, ts: datetime, *, waits: bool = False) -> dict[str, object]:
    """SIGNAL_DECIDED. `position_id`: of the position that the decision closes."""
    current = Side.FLAT if held is None else held.side
    facts: dict[str, object] = {
        "current": current,
        "latency_ms": _latency(signal, ts),
        "signal_id": signal.signal_id,
        "strategy": signal.strategy,
        "strategy_key": signal.strategy_key,
        "side": signal.side,
        "rule": signal.rule,
        "reason": signal.reason,
    }
    if not waits:
        decision = facts["decision"] = reconcile(current=current, target=signal.side)
        if held is not None and decision is not Decision.SKIP:
            facts["position_id"] = held.position_id
    return facts


def _signal_facts(signal: Signal, held: Position | None, ts: datetime, *, waits: bool) -> dict[str, object]:
    return _decided(signal, held, ts, waits=waits) | {
        "direction": signal.direction,
        "underlying": signal.underlying,
        "instrument": signal.instrument.id,
        "price": signal.price,
        "contract_price": signal.contract_price,
        "stop": signal.stop,
        "target": signal.target,
        "candle_time": signal.candle_time,
        "context": signal.context,
    }


def _latency(signal: Signal, ts: datetime) -> float:
    """Milliseconds of venue time since the close of the candle."""
    return round((ts - signal.candle_time - signal.timeframe.duration).total_seconds() * 1000, 3)
