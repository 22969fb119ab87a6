"""Levels at which a position must be left, and which rule a price has met."""

from __future__ import annotations

from datetime import datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from runtime.events import ExitReason
from runtime.market import IST, Instrument, Segment
from runtime.session import ExitMode, Level, LevelUnit, Protection
from runtime.state import Position

_HUNDRED = Decimal(100)
_RATCHET_STEPS = 10
"""A trailing stop moves in steps of a tenth of its distance, so that following it wakes the engine ten times less often than a tick would."""

_ZONES: dict[Segment, tzinfo] = {
    Segment.INDIAN: IST,
    Segment.US: ZoneInfo("America/New_York"),
    Segment.CRYPTO: ZoneInfo("UTC"),
    Segment.FOREX: ZoneInfo("UTC"),
}


def exchange_time(instrument: Instrument, ts: datetime) -> datetime:
    return ts.astimezone(_ZONES[instrument.segment])


def to_tick(price: Decimal, instrument: Instrument) -> Decimal:
    """Nearest multiple of the instrument's tick, never below one tick, written with the tick's decimals."""
    return _to_tick(price, instrument.tick_size)


def _to_tick(price: Decimal, tick: Decimal) -> Decimal:
    return max(tick, ((price / tick).to_integral_value(rounding=ROUND_HALF_EVEN) * tick).quantize(tick))


def decimal_price(price: float, instrument: Instrument) -> Decimal:
    """A feed's float as an order price."""
    return _decimal_price(price, instrument.tick_size)


@lru_cache(maxsize=4096)  # thousands of traders turn the same few prices of one signal or quote
def _decimal_price(price: float, tick: Decimal) -> Decimal:
    return _to_tick(Decimal(repr(price)), tick)


def distance(level: Level, entry: Decimal) -> Decimal:
    """How far from `entry` the level lies, in price units. ABSOLUTE levels are prices themselves."""
    match level.unit:
        case LevelUnit.POINTS:
            return level.value
        case LevelUnit.PERCENT:
            return entry * level.value / _HUNDRED
        case LevelUnit.ABSOLUTE:
            return abs(entry - level.value)


def protect(position: Position, protection: Protection, *, signal_stop: float | None, signal_target: float | None) -> None:
    """Set stop, target and trail of a freshly opened position: the user's own levels first, else the signal's."""
    if protection.exit_mode is ExitMode.SIGNAL_ONLY:
        return
    entry, sign, instrument = position.entry_price, position.direction, position.instrument
    position.stop = _price(protection.stop, entry, -sign, instrument, signal_stop)
    position.target = _price(protection.target, entry, sign, instrument, signal_target)
    if protection.trail is not None:
        position.trail_distance = to_tick(distance(protection.trail, entry), instrument)


def stop_for_sizing(
    protection: Protection, price: Decimal, direction: int, signal_stop: float | None, instrument: Instrument
) -> Decimal | None:
    """The stop a position entered at `price` would get, for `position_size`."""
    if protection.exit_mode is ExitMode.SIGNAL_ONLY:
        return None
    stop = _price(protection.stop, price, -direction, instrument, signal_stop)
    if stop is None and protection.trail is not None:
        return price - distance(protection.trail, price) * direction
    return stop


def effective_stop(position: Position) -> tuple[Decimal | None, ExitReason]:
    """The nearer of stop and trailing stop, and which of the two it is."""
    if position.trail_distance is None:
        return position.stop, ExitReason.SL
    trail = position.best_price - position.trail_distance * position.direction
    if position.stop is None or (trail - position.stop) * position.direction > 0:
        return trail, ExitReason.TRAIL
    return position.stop, ExitReason.SL


def ratchet_level(position: Position) -> Decimal | None:
    """The price at which the trailing stop is worth moving."""
    if position.trail_distance is None:
        return None
    step = max(position.instrument.tick_size, position.trail_distance / _RATCHET_STEPS)
    return position.best_price + step * position.direction


def exit_due(position: Position, price: Decimal) -> ExitReason | None:
    """Which price rule `price` meets; the stop is judged before the target."""
    sign = position.direction
    stop, reason = effective_stop(position)
    if stop is not None and (price - stop) * sign <= 0:
        return reason
    if position.target is not None and (price - position.target) * sign >= 0:
        return ExitReason.TP
    return None


def watch_levels(position: Position, loss_level: Decimal | None) -> tuple[float | None, float | None]:
    """(low, high): the nearest prices below and above at which anything can happen."""
    stop, _ = effective_stop(position)
    adverse = [level for level in (stop, loss_level) if level is not None]
    favourable = [level for level in (position.target, ratchet_level(position)) if level is not None]
    if position.direction > 0:
        return (float(max(adverse)) if adverse else None, float(min(favourable)) if favourable else None)
    return (float(max(favourable)) if favourable else None, float(min(adverse)) if adverse else None)


def _price(level: Level | None, entry: Decimal, sign: int, instrument: Instrument, fallback: float | None) -> Decimal | None:
    if level is None:
        return None if fallback is None else decimal_price(fallback, instrument)
    if level.unit is LevelUnit.ABSOLUTE:
        return to_tick(level.value, instrument)
    return to_tick(entry + distance(level, entry) * sign, instrument)
