"""What the broker says the account holds, against what the trader believes: positions opened or closed by another door."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from runtime.accounts import AccountPosition, AccountReport
from runtime.engine.booking import shrink
from runtime.engine.entering import move_on
from runtime.engine.leaving import check_realised_loss
from runtime.engine.sending import advance
from runtime.engine.turn import Turn
from runtime.events import EventType, ExitReason
from runtime.exits import protect
from runtime.market import Instrument, InstrumentId, Right
from runtime.orders import Leg, OrderStatus
from runtime.session import ExternalPositions, Mode, Protection
from runtime.signals import OrderSide, Side
from runtime.state import ZERO, EngineState, Position, Slot

_MOVING = frozenset({Leg.ENTRY, Leg.EXIT})


def differences(state: EngineState, positions: Iterable[AccountPosition]) -> list[AccountPosition]:
    """The broker's word on each contract that it counts differently, 0 where it holds nothing of what we do.

    Contracts with an order under way, or one whose fate is unknown, are left out: they are about to change anyway.
    """
    held = {position.instrument.id: position for position in positions}
    for slot in _live_slots(state):
        instrument = slot.position.instrument if slot.position is not None else None
        if instrument is not None and instrument.id not in held:
            held[instrument.id] = AccountPosition(instrument=instrument, quantity=ZERO)
    return [
        theirs
        for name, theirs in held.items()
        if theirs.quantity != _ours(state, name) + state.external.get(name, ZERO) and not _is_moving(state, name)
    ]


def on_account(turn: Turn, report: AccountReport) -> None:
    """Believe the broker: what is gone is closed here, what is there besides is EXTERNAL, told, and protected if the user wants it."""
    for theirs in report.positions:
        name = theirs.instrument.id
        if _is_moving(turn.state, name):
            continue
        ours, known = _ours(turn.state, name), turn.state.external.get(name, ZERO)
        surplus = theirs.quantity - ours - known
        if surplus * ours < 0:
            gone = min(abs(surplus), abs(ours))
            _take_out(turn, theirs, gone, bought=ours > 0)
            surplus += gone if ours > 0 else -gone
        if surplus != 0:
            _found(turn, theirs, surplus, known + surplus)


def _take_out(turn: Turn, theirs: AccountPosition, gone: Decimal, *, bought: bool) -> None:
    """Of our books on this contract, oldest first."""
    for slot in _live_slots(turn.state):
        position = slot.position
        if gone == 0 or position is None or position.instrument.id != theirs.instrument.id or (position.direction > 0) != bought:
            continue
        part = min(gone, position.quantity)
        gone -= part
        shrink(turn, slot, position, part, theirs.last_price or position.entry_price, ExitReason.EXTERNAL)
        if slot.position is None:
            slot.exit_reason = slot.exit_signal = slot.retry_at = None
        advance(turn, slot)
        turn.watch(slot)
        check_realised_loss(turn)
        move_on(turn, slot)


def _found(turn: Turn, theirs: AccountPosition, surplus: Decimal, external: Decimal) -> None:
    risk, name = turn.limits, theirs.instrument.id
    price = theirs.average_price or theirs.last_price
    protects = risk.external_positions is ExternalPositions.PROTECT and price is not None
    data: dict[str, object] = {
        "position_id": _slot_key(name),
        "priority": "CRITICAL",
        "rule": ExitReason.EXTERNAL,
        "action": "PROTECT" if protects else "REVIEW",
        "price": str(price or ZERO),
    }
    turn.emit(EventType.EXIT_ALERT, data)
    if protects and price is not None:
        _adopt(turn, theirs.instrument, surplus, price)
    elif external == 0:
        turn.state.external.pop(name, None)
    else:
        turn.state.external[name] = external


def _adopt(turn: Turn, instrument: Instrument, surplus: Decimal, price: Decimal) -> None:
    """A book of its own for it, with a stop and no clock: nobody has said how long it is to be held."""
    key, quantity = _slot_key(instrument.id), abs(surplus)
    slot = turn.state.slots.setdefault(key, Slot(key=key))
    slot.protection = Protection(stop=turn.limits.external_stop, square_off=None)
    side = OrderSide.BUY if surplus > 0 else OrderSide.SELL
    position, opened = slot.position, EventType.POSITION_CHANGED
    if position is None:
        opened = EventType.POSITION_OPENED
        rises = (side is OrderSide.BUY) != (instrument.right is Right.PUT)
        position = slot.position = Position(
            position_id=f"{key}:{turn.state.seq}",
            signal_id="",
            instrument=instrument,
            side=Side.LONG if rises else Side.SHORT,
            entry_side=side,
            mode=Mode.LIVE,
            quantity=quantity,
            cost=quantity * price,
            entry_price=price,
            opened_at=turn.ts,
            best_price=price,
        )
    else:
        position.quantity += quantity
        position.cost += quantity * price
        position.entry_price = position.best_price = position.cost / position.quantity
    protect(position, slot.protection, signal_stop=None, signal_target=None)
    turn.emit_position(opened, key, position)
    advance(turn, slot)
    turn.watch(slot)


def _slot_key(instrument: InstrumentId) -> str:
    return f"external:{instrument}"


def _live_slots(state: EngineState) -> list[Slot]:
    return [slot for slot in state.slots.values() if slot.position is not None and slot.position.mode is Mode.LIVE]


def _ours(state: EngineState, instrument: InstrumentId) -> Decimal:
    held = [slot.position for slot in _live_slots(state) if slot.position is not None and slot.position.instrument.id == instrument]
    return sum((position.quantity * position.direction for position in held), ZERO)


def _is_moving(state: EngineState, instrument: InstrumentId) -> bool:
    return any(
        order.order.instrument.id == instrument
        and order.order.mode is Mode.LIVE
        and (order.order.leg in _MOVING or order.status is OrderStatus.UNKNOWN)
        for order in state.orders.values()
    )
