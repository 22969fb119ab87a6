"""Why an entry is refused: by the session, by the subscription, or by the user's risk limits."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from runtime.engine.turn import Turn
from runtime.exits import effective_stop, exchange_time, expiry_exit
from runtime.halts import covering
from runtime.orders import Leg, OrderStatus
from runtime.reconcile import SkipReason
from runtime.risk import Exposure, entry_denied, loss_at_stop
from runtime.session import Subscription
from runtime.signals import OrderSide, Signal
from runtime.sizing import orders_needed
from runtime.state import ZERO, Entry, SessionStatus, Slot

SIGNAL_TIME_TO_LIVE = timedelta(seconds=90)
"""An entry on an older signal would trade on a price that is gone."""


def session_refuses(turn: Turn, slot: Slot) -> tuple[SkipReason, str] | None:
    state = turn.state
    if state.status is SessionStatus.STOPPED:
        return SkipReason.NOT_RUNNING, "the session is stopped"
    if state.status is SessionStatus.PAUSED:
        return SkipReason.PAUSED, "the session is paused"
    if state.halts and (halt := covering(state.halts, state.user_id, slot.key)) is not None:
        return SkipReason.HALTED, halt.reason
    if state.halted is not None:
        return SkipReason.RISK_LIMIT, state.halted
    if not state.broker_up:
        return SkipReason.RISK_LIMIT, "the broker is down"
    if not state.feed_up:
        return SkipReason.STALE, "the feed is down"
    subscription = turn.subscriptions.get(slot.key)
    if state.silent and subscription is not None and subscription.instrument in state.silent:
        return SkipReason.STALE, f"{subscription.instrument} is silent"
    return None


def entries_refused(turn: Turn, slot: Slot) -> tuple[SkipReason, str] | None:
    """Why this slot takes no entry at all for now, whatever the signal."""
    subscription = turn.subscriptions.get(slot.key)
    if subscription is None:
        return SkipReason.NOT_RUNNING, "the subscription was removed"
    refused = session_refuses(turn, slot)
    if refused is None and subscription.paused:
        return SkipReason.PAUSED, "the subscription is paused"
    return refused


def too_old(turn: Turn, signal: Signal) -> tuple[SkipReason, str] | None:
    age = turn.ts - signal.ts
    if age <= SIGNAL_TIME_TO_LIVE:
        return None
    return SkipReason.STALE, f"{age.total_seconds():.0f} s old, at most {SIGNAL_TIME_TO_LIVE.total_seconds():.0f} s"


def slot_refuses(turn: Turn, slot: Slot, subscription: Subscription, signal: Signal) -> tuple[SkipReason, str] | None:
    if (stale := too_old(turn, signal)) is not None:
        return stale
    protection = subscription.protection
    if protection.square_off is not None and exchange_time(signal.instrument, turn.ts).time() >= protection.square_off:
        return SkipReason.MARKET_CLOSED, f"square-off time {protection.square_off:%H:%M} has passed"
    if (expiry := expiry_exit(protection, signal.instrument)) is not None and turn.ts >= expiry:
        return SkipReason.EXPIRY, f"min_days_to_expiry {protection.min_days_to_expiry}, expiry {signal.instrument.expiry}"
    # Without a cooldown the clock is not looked at: that of a made-up market goes back a little when its process is replaced.
    if subscription.cooldown and slot.last_entry_at is not None and turn.ts - slot.last_entry_at < subscription.cooldown:
        return SkipReason.COOLDOWN, f"last entry {slot.last_entry_at.isoformat()}, cooldown {subscription.cooldown}"
    if protection.max_trades_per_day is not None and slot.trades_today >= protection.max_trades_per_day:
        return SkipReason.RISK_LIMIT, f"max_trades_per_day {protection.max_trades_per_day}"
    window = turn.limits.duplicate_window
    return None if window is None else _duplicate(turn, slot, signal, window)


def may_go_on(turn: Turn, slot: Slot, entry: Entry) -> bool:
    """Whether the slices of an entry that have not left yet still may."""
    return turn.ts - entry.signal.ts <= SIGNAL_TIME_TO_LIVE and entries_refused(turn, slot) is None


def risk_denies(turn: Turn, signal: Signal, *, price: Decimal, stop: Decimal | None, quantity: Decimal) -> str | None:
    state, instrument = turn.state, signal.instrument
    for order in state.orders.values():
        if order.status is OrderStatus.UNKNOWN and order.order.instrument.id == instrument.id:
            return f"the outcome of an earlier order of {instrument.id} is unknown"
    heat = ZERO
    if turn.limits.max_portfolio_heat is not None:
        direction = 1 if signal.entry_side is OrderSide.BUY else -1
        heat = loss_at_stop(price=price, stop=stop, quantity=quantity, direction=direction)
    return entry_denied(
        turn.limits,
        held=exposure(turn),
        added=Exposure(positions=1, notional=price * quantity, heat=heat),
        messages=orders_needed(quantity, instrument),
        capital=state.config.capital,
        orders=state.window,
        now=turn.ts,
    )


def exposure(turn: Turn) -> Exposure:
    """Of all slots: what is open, and what entries under way may still add."""
    positions, notional, heat = 0, ZERO, ZERO
    for slot in turn.state.slots.values():
        position, entry = slot.position, slot.entry
        if position is None and entry is None:
            continue
        positions += 1
        if position is not None:
            notional += position.cost
            stop = effective_stop(position)[0]
            heat += loss_at_stop(price=position.entry_price, stop=stop, quantity=position.quantity, direction=position.direction)
        if entry is not None:
            working = sum((order.remaining for order in turn.live(slot) if order.order.leg is Leg.ENTRY), entry.unsent)
            notional += entry.price * working
            direction = 1 if entry.signal.entry_side is OrderSide.BUY else -1
            heat += loss_at_stop(price=entry.price, stop=entry.stop, quantity=working, direction=direction)
    return Exposure(positions=positions, notional=notional, heat=heat)


def _duplicate(turn: Turn, slot: Slot, signal: Signal, window: timedelta) -> tuple[SkipReason, str] | None:
    """The same trade wanted a moment ago by another subscription: one decision that came by two ways, as far as the user is concerned."""
    same = (signal.instrument.id, signal.entry_side)
    for other in turn.state.slots.values():
        if other is not slot and other.last_entry == same and other.last_entry_at is not None and turn.ts - other.last_entry_at < window:
            return SkipReason.DUPLICATE, f"{other.key} entered the same at {other.last_entry_at.isoformat()}, duplicate_window {window}"
    return None
