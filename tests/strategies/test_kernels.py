"""A kernel strategy says the same as machine code over an array as it does live, candle by candle."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pytest

from configs.calendar import load_calendar
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.contexts import Contexts
from runtime.backtest.signals import KernelSignals, PythonSignals
from runtime.calendar import ExchangeCalendar
from runtime.kernel_strategy import KernelStrategy
from strategies import create
from tests.runtime.backtest.samples import bank_nifty, spec, walk

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("ema_cross", {}),
    ("ema_cross", {"fast_period": 2, "slow_period": 50}),
    ("index_options_scalper", {}),
    ("index_options_scalper", {"trade_lock_minutes": 0, "breakout_on": "touch"}),
    ("index_options_scalper", {"rules": "orb,reversal", "volume_period": 3, "volume_multiple": 1.1, "trade_lock_minutes": 1}),
]


def said_alike(name: str, parameters: dict[str, Any], candles: CandleArray, calendar: ExchangeCalendar | None) -> int:
    """Every signal of both, whole, down to the indicator values; returns their number."""
    asked = spec(name, parameters)
    sources = [
        kind(create(name, parameters), candles, Contexts(candles, calendar), asked.subscription, asked.instrument)
        for kind in (partial(KernelSignals, ranged=True), PythonSignals)
    ]
    found = 0
    for first in range(0, len(candles), 1_000):  # in stretches: the state goes on from one to the next
        last = min(first + 1_000, len(candles))
        codes, sides = (source.codes(first, last).copy() for source in sources)
        assert np.array_equal(np.sign(codes), np.sign(sides))
        for row in (np.flatnonzero(codes) + first).tolist():
            compiled, live = (source.signal(row) for source in sources)
            assert compiled == live
            found += 1
    return found


@pytest.mark.parametrize(("name", "parameters"), SETTINGS)
@pytest.mark.parametrize("has_volume", [True, False])
def test_compiled_and_live_say_the_same_on_a_seeded_market(name: str, parameters: dict[str, Any], has_volume: bool) -> None:
    candles = walk(3_750, seed=12)
    if has_volume:
        volume = np.random.default_rng(3).integers(0, 4_000, len(candles)).astype(np.float64)
        prices = np.stack((candles.open, candles.high, candles.low, candles.close), axis=1)
        candles = CandleArray.of(candles.instrument, candles.timeframe, candles.zone, candles.opened_at, prices, volume)
    assert said_alike(name, parameters, candles, load_calendar()) > 80


@pytest.mark.parametrize(("name", "parameters"), SETTINGS)
def test_compiled_and_live_say_the_same_on_real_months(name: str, parameters: dict[str, Any]) -> None:
    assert said_alike(name, parameters, bank_nifty(date(2020, 2, 20), date(2020, 3, 31)), load_calendar()) > 200


def test_a_kernel_strategy_that_cannot_explain_itself_cannot_be_made() -> None:
    class Mute(KernelStrategy):
        name, rules, columns = "mute", ("r",), ("c",)

    with pytest.raises(TypeError, match="explain"):
        Mute((), state_size=0)  # type: ignore[abstract]
