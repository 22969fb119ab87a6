"""Signals: the newest target per slot, and the move towards it whenever no order is in flight."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from runtime.engine.leaving import request_exit
from runtime.engine.turn import Turn
from runtime.events import EventType, ExitReason, SkipReason
from runtime.exits import decimal_price, exchange_time, stop_for_sizing
from runtime.market import InstrumentKind
from runtime.orders import Leg
from runtime.reconcile import Decision, reconcile
from runtime.risk import entry_denied
from runtime.session import Subscription
from runtime.signals import OrderSide, Side, Signal
from runtime.sizing import position_size
from runtime.state import ZERO, EngineState, SessionStatus, Slot

SIGNAL_TIME_TO_LIVE = timedelta(seconds=90)
"""An entry on an older signal would trade on a price that is gone."""


def has_seen(state: EngineState, signal: Signal) -> bool:
    """Whether this signal, or a newer one of the same slot, was already taken in: redelivery changes nothing."""
    slot = state.slots.get(signal.strategy_key)
    if slot is None or slot.last_signal_ts is None:
        return False
    return signal.ts < slot.last_signal_ts or signal.signal_id == slot.last_signal_id


def on_signal(turn: Turn, signal: Signal) -> None:
    state = turn.state
    slot = state.slots.get(signal.strategy_key)
    if has_seen(state, signal) or turn.subscription(signal.strategy_key) is None:
        return
    if state.status is SessionStatus.STOPPED and (slot is None or slot.position is None):
        return
    if slot is None:
        slot = state.slots[signal.strategy_key] = Slot(key=signal.strategy_key)
    slot.last_signal_id, slot.last_signal_ts = signal.signal_id, signal.ts
    turn.emit_signal(signal)
    if slot.pending is not None:
        skip(turn, slot.pending, SkipReason.SUPERSEDED, f"by {signal.signal_id}")
    slot.pending = signal
    move_to_target(turn, slot)


def move_to_target(turn: Turn, slot: Slot) -> None:
    """Act on the pending target unless an order of this slot is in flight; then its end calls again."""
    signal = slot.pending
    if signal is None or slot.order_id is not None or slot.exit_wanted is not None:
        return
    match reconcile(current=slot.side, target=signal.side):
        case Decision.SKIP:
            slot.pending = None
            skip(turn, signal, SkipReason.FLAT if signal.side is Side.FLAT else SkipReason.SAME_SIDE, f"already {slot.side}")
        case Decision.EXIT:
            slot.pending = None
            request_exit(turn, slot, ExitReason.SIGNAL)
        case Decision.REVERSE:
            refused = _session_refuses(turn)
            if refused is not None:  # a trader that may not enter does not half-follow a reversal: its own exits stand
                slot.pending = None
                skip(turn, signal, *refused)
            else:
                request_exit(turn, slot, ExitReason.REVERSAL)
        case Decision.ENTER:
            slot.pending = None
            _enter(turn, slot, signal)


def skip(turn: Turn, signal: Signal, reason: SkipReason, detail: str) -> None:
    data: dict[str, object] = {"signal_id": signal.signal_id, "strategy": signal.strategy, "reason": reason, "detail": detail}
    turn.emit(EventType.SIGNAL_SKIPPED, data)


def _enter(turn: Turn, slot: Slot, signal: Signal) -> None:
    subscription = turn.subscription(slot.key)
    if subscription is None:
        skip(turn, signal, SkipReason.NOT_RUNNING, "the subscription was removed")
        return
    refused = _session_refuses(turn) or _slot_refuses(turn, slot, subscription, signal)
    if refused is not None:
        skip(turn, signal, *refused)
        return
    instrument = signal.instrument
    quoted = (signal.contract_ask if signal.entry_side is OrderSide.BUY else signal.contract_bid) or signal.contract_price
    if quoted is None or instrument.kind is InstrumentKind.INDEX:
        skip(turn, signal, SkipReason.INVALID, f"no price of a tradable contract for {signal.underlying}: is the option chain missing?")
        return
    price = decimal_price(quoted, instrument)
    direction = 1 if signal.entry_side is OrderSide.BUY else -1
    stop = stop_for_sizing(subscription.protection, price, direction, signal.stop, instrument)
    quantity = position_size(subscription.sizing, capital=turn.state.config.capital, price=price, stop=stop, instrument=instrument)
    if quantity <= 0:
        detail = f"capital {turn.state.config.capital}, price {price}, stop {stop}: less than one lot of {instrument.lot_size}"
        skip(turn, signal, SkipReason.SIZE_ZERO, detail)
        return
    denied = _risk_denies(turn, price * quantity)
    if denied is not None:
        skip(turn, signal, SkipReason.RISK_LIMIT, denied)
        return
    slot.last_entry_at = turn.ts
    slot.trades_today += 1
    turn.state.trades_today += 1
    slot.entry = signal
    mode = turn.state.config.mode_of(subscription)
    turn.submit(
        slot, leg=Leg.ENTRY, mode=mode, signal_id=signal.signal_id, instrument=instrument, side=signal.entry_side, quantity=quantity
    )


def _session_refuses(turn: Turn) -> tuple[SkipReason, str] | None:
    state = turn.state
    if state.status is SessionStatus.STOPPED:
        return SkipReason.NOT_RUNNING, "the session is stopped"
    if state.status is SessionStatus.PAUSED:
        return SkipReason.PAUSED, "the session is paused"
    if state.platform_halt is not None:
        return SkipReason.HALTED, state.platform_halt
    if state.halted is not None:
        return SkipReason.RISK_LIMIT, state.halted
    if not state.broker_up:
        return SkipReason.RISK_LIMIT, "the broker is down"
    if not state.feed_up:
        return SkipReason.STALE, "the feed is down"
    return None


def _slot_refuses(turn: Turn, slot: Slot, subscription: Subscription, signal: Signal) -> tuple[SkipReason, str] | None:
    age = turn.ts - signal.ts
    if age > SIGNAL_TIME_TO_LIVE:
        return SkipReason.STALE, f"{age.total_seconds():.0f} s old, at most {SIGNAL_TIME_TO_LIVE.total_seconds():.0f} s"
    if subscription.paused:
        return SkipReason.PAUSED, "the subscription is paused"
    protection = subscription.protection
    if protection.square_off is not None and exchange_time(signal.instrument, turn.ts).time() >= protection.square_off:
        return SkipReason.MARKET_CLOSED, f"square-off time {protection.square_off:%H:%M} has passed"
    if slot.last_entry_at is not None and turn.ts - slot.last_entry_at < subscription.cooldown:
        return SkipReason.COOLDOWN, f"last entry {slot.last_entry_at.isoformat()}, cooldown {subscription.cooldown}"
    if protection.max_trades_per_day is not None and slot.trades_today >= protection.max_trades_per_day:
        return SkipReason.RISK_LIMIT, f"max_trades_per_day {protection.max_trades_per_day}"
    return None


def _risk_denies(turn: Turn, notional: Decimal) -> str | None:
    state = turn.state
    positions = state.open_positions
    entering = [order for order in state.orders.values() if order.order.leg is Leg.ENTRY]
    if any(order.order.order_id for order in entering if order.status == "UNKNOWN"):
        return "the outcome of an earlier entry is unknown"
    return entry_denied(
        turn.limits,
        open_positions=len(positions) + len(entering),
        orders=state.window,
        now=turn.ts,
        notional=notional,
        open_notional=sum((p.entry_price * p.quantity for p in positions), ZERO),
    )
