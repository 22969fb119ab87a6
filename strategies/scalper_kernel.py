"""The decision of the index-options scalper as a kernel: indicators, four rules, and what makes them wait."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan

from runtime.compiled import kernel
from runtime.kernel_strategy import NO_SESSION, Bar
from runtime.kernels import SMOOTHED_SIZE, TRUE_RANGE_SIZE, VWAP_SIZE, State, rolling_mean, smoothed, true_range, vwap
from runtime.patterns import (
    is_bearish_engulfing,
    is_bullish_engulfing,
    is_hammer,
    is_inside_bar,
    is_shooting_star,
    is_volume_breakout,
    strong_candle,
)
from strategies.breakouts import RANGE_BREAKOUT_SIZE, broken_side, range_breakout, take_breakout

ORB, INSIDE_BAR, REVERSAL, MOMENTUM = 1, 2, 3, 4

# --- parameters, by place ---
FAST, FAST_WEIGHT, SLOW, SLOW_WEIGHT, ATR, ATR_WEIGHT = range(6)
ORB_START, ORB_END, FIRST_RULE, ON_TOUCH = 6, 7, 7, 12  # the rules' switches are at FIRST_RULE + rule
VOLUME_FILTER, VOLUME_MULTIPLE, VOLUME_PERIOD, LOCK_SECONDS, PROXIMITY = 13, 14, 15, 16, 17
HAMMER_SHADOW, HAMMER_OTHER_SHADOW, HAMMER_BODY_ZONE, STRONG_BODY, STRONG_CLOSE, PCR_MIN, PCR_MAX = range(18, 25)

# --- values, by place ---
EMA_FAST, EMA_SLOW, VWAP, ATR_VALUE, ORB_HIGH, ORB_LOW, VOLUME, VOLUME_MEAN, PCR = range(9)
BY_VOLUME, MOTHER_HIGH, MOTHER_LOW, SHAPE, NEAR = 9, 10, 11, 12, 13
VALUES = 14
SHAPES = ("", "bullish engulfing", "bearish engulfing", "hammer", "shooting star")

# --- state: indicators that run on, then what starts afresh each session, then the volumes ---
_FAST, _SLOW, _ATR = 0, SMOOTHED_SIZE, 2 * SMOOTHED_SIZE
_RANGE = 3 * SMOOTHED_SIZE
_LOCKED_UNTIL = _RANGE + TRUE_RANGE_SIZE
_SESSION = _LOCKED_UNTIL + 1  # the session's number + 1, so that 0 is none yet
_VWAP = _SESSION + 1
_ORB = _VWAP + VWAP_SIZE
_COMPLETE, _SEEN, _HIGH, _LOW = range(_ORB + RANGE_BREAKOUT_SIZE, _ORB + RANGE_BREAKOUT_SIZE + 4)
_PREVIOUS = _LOW + 1  # seen, open, high, low, close
_MOTHER = _PREVIOUS + 5  # waits, high, low
_VOLUMES = _MOTHER + 3


def state_size(volume_period: int) -> int:
    return _VOLUMES + 2 + volume_period


@kernel
def scalper_step(state: State, parameters: Sequence[float], values: State, bar: Bar) -> int:
    if bar.session == NO_SESSION:
        return 0
    if state[_SESSION] != bar.session + 1.0:
        for at in range(_VWAP, _VOLUMES):
            state[at] = 0.0
        state[_SESSION] = bar.session + 1.0
    _update_indicators(state, parameters, values, bar)
    orb = _orb_side(state, parameters, values, bar)
    previous = Bar(0.0, 0.0, 0.0, state[_PREVIOUS + 1], state[_PREVIOUS + 2], state[_PREVIOUS + 3], state[_PREVIOUS + 4], nan, nan)
    has_previous = state[_PREVIOUS] == 1.0
    inside = _inside_side(state, values, previous, has_previous, bar, parameters[ON_TOUCH] == 1.0)
    state[_PREVIOUS], state[_PREVIOUS + 1], state[_PREVIOUS + 2] = 1.0, bar.open, bar.high
    state[_PREVIOUS + 3], state[_PREVIOUS + 4] = bar.low, bar.close
    if isnan(values[EMA_SLOW]) or isnan(values[ATR_VALUE]) or bar.time < state[_LOCKED_UNTIL]:
        return 0
    for rule in range(ORB, MOMENTUM + 1):
        if parameters[FIRST_RULE + rule] == 0.0:
            continue
        if rule == ORB:
            side = orb if _volume_confirms(parameters, values) else 0
        elif rule == INSIDE_BAR:
            side = inside
        elif rule == REVERSAL:
            side = _reversal(parameters, values, previous, has_previous, bar)
        else:
            side = _momentum(parameters, values, bar)
        if side != 0 and _pcr_allows(parameters, side, bar.pcr):
            if rule == ORB:
                take_breakout(state, _ORB, side)
            state[_LOCKED_UNTIL] = bar.time + parameters[LOCK_SECONDS]
            return side * rule
    return 0


@kernel
def _update_indicators(state: State, parameters: Sequence[float], values: State, bar: Bar) -> None:
    values[EMA_FAST] = smoothed(state, _FAST, parameters[FAST], parameters[FAST_WEIGHT], bar.close)
    values[EMA_SLOW] = smoothed(state, _SLOW, parameters[SLOW], parameters[SLOW_WEIGHT], bar.close)
    span = true_range(state, _RANGE, bar.high, bar.low, bar.close)
    values[ATR_VALUE] = nan if isnan(span) else smoothed(state, _ATR, parameters[ATR], parameters[ATR_WEIGHT], span)
    values[VWAP] = vwap(state, _VWAP, bar.high, bar.low, bar.close, bar.volume)
    values[BY_VOLUME] = 1.0 if state[_VWAP + 1] > 0.0 else 0.0
    values[VOLUME], values[PCR] = bar.volume, bar.pcr
    if not isnan(bar.volume):
        values[VOLUME_MEAN] = rolling_mean(state, _VOLUMES, int(parameters[VOLUME_PERIOD]), bar.volume)


@kernel
def _orb_side(state: State, parameters: Sequence[float], values: State, bar: Bar) -> int:
    """The opening range takes in the candles that open from its start to before its end; the first one after completes it."""
    if state[_COMPLETE] == 0.0 and bar.minute >= parameters[ORB_START]:
        if bar.minute >= parameters[ORB_END]:
            state[_COMPLETE] = 1.0
        elif state[_SEEN] == 0.0:
            state[_SEEN], state[_HIGH], state[_LOW] = 1.0, bar.high, bar.low
        else:
            state[_HIGH], state[_LOW] = max(state[_HIGH], bar.high), min(state[_LOW], bar.low)
    if state[_COMPLETE] == 0.0 or state[_SEEN] == 0.0:
        values[ORB_HIGH] = values[ORB_LOW] = nan
        return 0
    values[ORB_HIGH], values[ORB_LOW] = state[_HIGH], state[_LOW]
    return range_breakout(state, _ORB, bar, state[_HIGH], state[_LOW], parameters[ON_TOUCH] == 1.0)


@kernel
def _inside_side(state: State, values: State, previous: Bar, has_previous: bool, bar: Bar, on_touch: bool) -> int:
    """Waits with a mother bar for as long as its inside bars stay within it, and reports the candle that breaks it, once."""
    values[MOTHER_HIGH] = values[MOTHER_LOW] = nan
    if state[_MOTHER] == 1.0:
        values[MOTHER_HIGH], values[MOTHER_LOW] = state[_MOTHER + 1], state[_MOTHER + 2]
        side = broken_side(bar, state[_MOTHER + 1], state[_MOTHER + 2], on_touch)
        if side != 0:
            state[_MOTHER] = 0.0
        return side
    if has_previous and is_inside_bar(previous, bar):
        state[_MOTHER], state[_MOTHER + 1], state[_MOTHER + 2] = 1.0, previous.high, previous.low
    return 0


@kernel
def _volume_confirms(parameters: Sequence[float], values: State) -> bool:
    volume, mean = values[VOLUME], values[VOLUME_MEAN]
    if parameters[VOLUME_FILTER] == 0.0 or isnan(volume):
        return True
    return is_volume_breakout(volume, mean, parameters[VOLUME_MULTIPLE])  # false while the mean is NaN


@kernel
def _reversal(parameters: Sequence[float], values: State, previous: Bar, has_previous: bool, bar: Bar) -> int:
    shadow, other, zone = parameters[HAMMER_SHADOW], parameters[HAMMER_OTHER_SHADOW], parameters[HAMMER_BODY_ZONE]
    if has_previous and is_bullish_engulfing(previous, bar):
        side, shape = 1, 1.0
    elif has_previous and is_bearish_engulfing(previous, bar):
        side, shape = -1, 2.0
    elif is_hammer(bar, shadow, other, zone):
        side, shape = 1, 3.0
    elif is_shooting_star(bar, shadow, other, zone):
        side, shape = -1, 4.0
    else:
        return 0
    values[SHAPE] = shape
    for near in (VWAP, EMA_FAST, EMA_SLOW):
        level = values[near]
        if abs(bar.close - level) <= parameters[PROXIMITY] * level:  # false while the level is NaN
            values[NEAR] = float(near)
            return side
    return 0  # no man's land


@kernel
def _momentum(parameters: Sequence[float], values: State, bar: Bar) -> int:
    side = strong_candle(bar, parameters[STRONG_BODY], parameters[STRONG_CLOSE])
    with_trend = (values[EMA_FAST] - values[EMA_SLOW]) * side > 0.0
    return side if with_trend and (bar.close - values[VWAP]) * side > 0.0 else 0


@kernel
def _pcr_allows(parameters: Sequence[float], side: int, pcr: float) -> bool:
    """NaN is no limit; an unknown ratio passes no limit."""
    limit = parameters[PCR_MIN] if side > 0 else parameters[PCR_MAX]
    if isnan(limit):
        return True
    return pcr >= limit if side > 0 else pcr <= limit
