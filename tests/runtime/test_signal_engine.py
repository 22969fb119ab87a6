"""One run per candle for all subscribers; one bad strategy never stops the others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from runtime.errors import InvalidConfig, InvalidInput
from runtime.market import Candle, Instrument, InstrumentKind, Right, Timeframe
from runtime.signal_engine import SignalEngine, StrategyFailed, StrategySpec
from runtime.signals import OrderSide, Side, Signal, Target
from runtime.strategy import MarketContext, ParameterValue, Strategy
from tests.builders import at, option

INDEX = Instrument(id="NSE:BANKNIFTY", kind=InstrumentKind.INDEX)
COIN = Instrument(id="BTC/USDT", kind=InstrumentKind.SPOT)
CONTEXT = MarketContext(session_open=at("09:15"), session_close=at("15:30"))


class Scripted:
    """Wants `side` on every candle: of a put, a call, or the candle's own instrument; fails at minute `fails_at`."""

    name: ClassVar[str] = "scripted"

    def __init__(self, *, side: str = "LONG", trades: str = "own", fails_at: int = -1) -> None:
        self.side, self.trades, self.fails_at = Side(side), trades, fails_at
        self.seen: list[Candle] = []

    def on_candle(self, candle: Candle, context: MarketContext) -> Target | None:  # noqa: ARG002
        self.seen.append(candle)
        if candle.opened_at.minute == self.fails_at:
            raise ZeroDivisionError("bad idea")
        contract = {"own": None, "call": option(), "put": option(right=Right.PUT)}[self.trades]
        return Target(side=self.side, rule="always", reason="test", price=candle.close, instrument=contract, stop=80.0, context={"n": 1.0})

    def describe(self) -> dict[str, float | str | None]:
        return {}


def candle(minute: int, instrument: str = INDEX.id, timeframe: Timeframe = Timeframe.M1) -> Candle:
    return Candle(
        instrument=instrument, timeframe=timeframe, opened_at=at("09:15") + timedelta(minutes=minute), open=100, high=102, low=99, close=101
    )


def spec(instrument: str = INDEX.id, timeframe: Timeframe = Timeframe.M1, **parameters: ParameterValue) -> StrategySpec:
    return StrategySpec(strategy="scripted", parameters=dict(parameters), instrument=instrument, timeframe=timeframe)


class Harness:
    def __init__(self, *specs: StrategySpec) -> None:
        self.made: list[Scripted] = []
        self.engine = SignalEngine(self.create, {INDEX.id: INDEX, COIN.id: COIN})
        for each in specs:
            self.engine.add(each)

    def create(self, name: str, parameters: Mapping[str, ParameterValue]) -> Strategy:  # noqa: ARG002
        self.made.append(Scripted(**parameters))
        return self.made[-1]

    def signals(self, *candles: Candle) -> list[Signal | StrategyFailed]:
        return [outcome for each in candles for outcome in self.engine.on_candle(each, CONTEXT)]


def test_a_signal_carries_the_target_and_an_id_made_of_key_and_candle_time() -> None:
    wanted = spec(trades="call")
    (signal,) = Harness(wanted).signals(candle(1))

    assert isinstance(signal, Signal)
    assert signal.signal_id == f"{wanted.key}:20261120T0346"  # 09:16 in India
    assert (signal.strategy, signal.strategy_key, signal.underlying) == ("scripted", wanted.key, INDEX.id)
    assert (signal.instrument, signal.side, signal.entry_side, signal.stop) == (option(), Side.LONG, OrderSide.BUY, 80.0)
    assert (signal.candle_time, signal.ts) == (at("09:16"), at("09:17"))
    assert (signal.price, signal.rule, signal.direction, signal.context) == (101, "always", "LONG", {"n": 1.0})


@pytest.mark.parametrize(
    ("instrument", "side", "trades", "entry"),
    [
        (INDEX.id, "LONG", "call", OrderSide.BUY),
        (INDEX.id, "SHORT", "put", OrderSide.BUY),  # a put is bought to be short
        (COIN.id, "LONG", "own", OrderSide.BUY),
        (COIN.id, "SHORT", "own", OrderSide.SELL),
    ],
)
def test_the_entry_side_depends_on_what_is_traded(instrument: str, side: str, trades: str, entry: OrderSide) -> None:
    (signal,) = Harness(spec(instrument, side=side, trades=trades)).signals(candle(0, instrument))

    assert isinstance(signal, Signal)
    assert signal.entry_side is entry


def test_an_index_itself_cannot_be_traded() -> None:
    harness = Harness(spec())

    assert harness.signals(candle(0)) == []
    assert (harness.engine.untradable, harness.engine.evaluations) == (1, 1)


def test_equal_strategies_run_once_and_only_on_their_own_candles() -> None:
    harness = Harness(spec(trades="call"), spec(trades="call"), spec(timeframe=Timeframe.M5), spec(COIN.id))

    assert len(harness.made) == 3
    assert len(harness.signals(candle(0), candle(0, COIN.id))) == 2
    assert harness.engine.evaluations == 2
    assert [len(strategy.seen) for strategy in harness.made] == [1, 0, 1]


@given(st.lists(st.integers(0, 30), max_size=60))
def test_a_strategy_decides_once_per_candle_and_never_on_an_older_one(minutes: list[int]) -> None:
    harness = Harness(spec(trades="call"))
    signals = harness.signals(*map(candle, minutes))

    seen = [candle.opened_at for candle in harness.made[0].seen]
    assert seen == sorted(set(seen))
    assert len(signals) == len(seen) == harness.engine.evaluations
    assert len({signal.signal_id for signal in signals if isinstance(signal, Signal)}) == len(signals)


def test_warm_up_feeds_the_strategy_without_signals_or_evaluations() -> None:
    wanted = spec(trades="call")
    harness = Harness(wanted)

    assert harness.engine.warm_up(wanted.key, [(candle(0), CONTEXT), (candle(1), CONTEXT)]) is None
    assert harness.engine.evaluations == 0
    assert [len(harness.signals(candle(minute))) for minute in (0, 1, 2)] == [0, 0, 1]
    assert len(harness.made[0].seen) == 3


def test_a_strategy_that_raises_is_off_and_reported_once_while_the_others_go_on() -> None:
    bad, good = spec(fails_at=16), spec(trades="call")
    harness = Harness(bad, good)
    first, second, third = (harness.signals(candle(minute)) for minute in (0, 1, 2))

    assert [type(outcome) for outcome in first] == [Signal]
    assert second[0] == StrategyFailed(key=bad.key, candle_time=at("09:16"), error="ZeroDivisionError: bad idea")
    assert [type(outcome) for outcome in second[1:] + third] == [Signal, Signal]
    assert len(harness.made[0].seen) == 2


def test_a_strategy_that_fails_in_warm_up_is_off_until_it_is_added_again() -> None:
    bad = spec(COIN.id, fails_at=15)
    harness = Harness(bad)
    failure = harness.engine.warm_up(bad.key, [(candle(0, COIN.id), CONTEXT), (candle(1, COIN.id), CONTEXT)])

    assert isinstance(failure, StrategyFailed)
    assert harness.signals(candle(2, COIN.id)) == []
    harness.engine.remove(bad.key)
    harness.engine.add(bad)
    assert len(harness.signals(candle(3, COIN.id))) == 1


def test_a_removed_strategy_gets_no_more_candles() -> None:
    wanted = spec(trades="call")
    harness = Harness(wanted)
    harness.engine.remove(wanted.key)
    harness.engine.remove(wanted.key)

    assert harness.signals(candle(0)) == []
    assert set(harness.engine.keys()) == set()


def test_what_cannot_run_is_refused_when_it_is_added() -> None:
    engine = SignalEngine(strategies.create, {INDEX.id: INDEX})
    with pytest.raises(InvalidInput, match="NSE:NIFTY"):
        engine.add(StrategySpec(strategy="ema_cross", instrument="NSE:NIFTY"))
    with pytest.raises(InvalidConfig, match="no_such"):
        engine.add(StrategySpec(strategy="no_such", instrument=INDEX.id))
    with pytest.raises(InvalidConfig, match="fast_period"):
        engine.add(StrategySpec(strategy="ema_cross", parameters={"fast_period": 0}, instrument=INDEX.id))
    assert set(engine.keys()) == set()


@pytest.mark.parametrize(
    ("timeframe", "opened", "closed"),
    [
        (Timeframe.M1, "15:29", "15:30"),
        (Timeframe.H1, "14:15", "15:15"),
        (Timeframe.H1, "15:15", "15:30"),
        (Timeframe.D1, "09:15", "15:30"),
    ],
)
def test_a_signal_is_dated_when_its_frame_ends_and_never_after_the_session(timeframe: Timeframe, opened: str, closed: str) -> None:
    harness = Harness(spec(COIN.id, timeframe))
    last = Candle(instrument=COIN.id, timeframe=timeframe, opened_at=at(opened), open=100, high=102, low=99, close=101)

    (signal,) = harness.engine.on_candle(last, CONTEXT)

    assert isinstance(signal, Signal)
    assert signal.ts == at(closed)
