"""Levels at which a position must be left, and which rule a price has met."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from runtime.events import ExitReason
from runtime.market import IST, Instrument, Segment
from runtime.session import ExitMode, Level, LevelUnit, Protection
from runtime.state import Position

_HUNDRED = Decimal(100)
_ONE = Decimal(1)
_RATCHET_STEPS = 10
"""A trailing stop moves in steps of a tenth of its distance, so that following it wakes the engine ten times less often than a tick would."""

_EXPIRY_EXIT = time(15, 15)
"""Exchange-local time at which an expiring contract is left by a position that has no square-off time."""

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
    if not price % tick:  # as most prices are
        return max(tick, price.quantize(tick))
    return max(tick, (price / tick).quantize(_ONE, ROUND_HALF_EVEN) * tick)


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


def expiry_exit(protection: Protection, instrument: Instrument) -> datetime | None:
    """When a contract has to be left for its expiry: `min_days_to_expiry` calendar days before it, at the square-off time."""
    if protection.min_days_to_expiry is None or instrument.expiry is None:
        return None
    day = instrument.expiry - timedelta(days=protection.min_days_to_expiry)
    return datetime.combine(day, protection.square_off or _EXPIRY_EXIT, _ZONES[instrument.segment])


def clock_exit(protection: Protection, instrument: Instrument, since: datetime) -> tuple[datetime, ExitReason] | None:
    """When the clock closes what was opened at `since`, and by which rule: the earliest, and of two at once the expiry."""
    if protection.square_off is None and protection.max_hold is None and protection.min_days_to_expiry is None:
        return None
    due: list[tuple[datetime, ExitReason]] = []
    expiry = expiry_exit(protection, instrument)
    if expiry is not None:
        due.append((expiry, ExitReason.EXPIRY))
    if protection.square_off is not None:
        local = exchange_time(instrument, since)
        square_off = datetime.combine(local.date(), protection.square_off, local.tzinfo)
        due.append((square_off if square_off > local else square_off + timedelta(days=1), ExitReason.TIME))
    if protection.max_hold is not None:
        due.append((since + protection.max_hold, ExitReason.TIME))
    return min(due, default=None, key=_earliest)


def _earliest(due: tuple[datetime, ExitReason]) -> datetime:
    return due[0]


def watch_levels(position: Position, loss_level: Decimal | None) -> tuple[float | None, float | None]:
    """(low, high): the nearest prices below and above at which anything can happen."""
    adverse, favourable = effective_stop(position)[0], position.target
    ratchet = ratchet_level(position)
    if position.direction > 0:
        low, high = _inner(adverse, loss_level, max), _inner(favourable, ratchet, min)
    else:
        low, high = _inner(favourable, ratchet, max), _inner(adverse, loss_level, min)
    return None if low is None else float(low), None if high is None else float(high)


def _inner(one: Decimal | None, other: Decimal | None, nearer: Callable[[Decimal, Decimal], Decimal]) -> Decimal | None:
    if one is None or other is None:
        return one if other is None else other
    return nearer(one, other)


def _price(level: Level | None, entry: Decimal, sign: int, instrument: Instrument, fallback: float | None) -> Decimal | None:
    if level is None:
        return None if fallback is None else decimal_price(fallback, instrument)
    if level.unit is LevelUnit.ABSOLUTE:
        return to_tick(level.value, instrument)
    return to_tick(entry + distance(level, entry) * sign, instrument)
