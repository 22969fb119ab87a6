"""Candles to signals: every distinct strategy runs once per candle, however many users subscribe to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, KeysView, Mapping
from datetime import UTC, datetime

import msgspec

from runtime.errors import InvalidInput
from runtime.market import Candle, Instrument, InstrumentId, InstrumentKind, Timeframe
from runtime.ranges import TrueRanges, contract_range
from runtime.signals import OrderSide, Side, Signal, Target
from runtime.strategy import MarketContext, ParameterValue, Strategy, strategy_key


class StrategySpec(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy with its parameters on one instrument and timeframe; equal ones have equal keys."""

    strategy: str
    parameters: dict[str, ParameterValue] = {}
    instrument: InstrumentId
    timeframe: Timeframe = Timeframe.M1

    @property
    def key(self) -> str:
        return strategy_key(self.strategy, self.parameters, self.instrument, self.timeframe)


class StrategyFailed(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy raised an error on a candle. It gets no more candles until it is removed and added again."""

    key: str
    candle_time: datetime
    error: str


class _Running:
    __slots__ = ("failed", "key", "last", "ranges", "spec", "strategy")

    def __init__(self, spec: StrategySpec, strategy: Strategy) -> None:
        self.spec = spec
        self.key = spec.key
        self.strategy = strategy
        self.last: datetime | None = None
        self.failed = False
        self.ranges = TrueRanges()


class SignalEngine:
    """`create` makes a strategy by name and parameters (see `strategies.create`); `instruments` are those candles come for,
    with those of `serve`.

    `evaluations` counts the candles given to strategies (warm-up excluded), `untradable` the targets that led to no signal
    because they name no contract and the candle's own instrument is an index.
    """

    def __init__(
        self, create: Callable[[str, Mapping[str, ParameterValue]], Strategy], instruments: Mapping[InstrumentId, Instrument] | None = None
    ) -> None:
        self._create = create
        self._instruments = dict(instruments or {})
        self._running: dict[str, _Running] = {}
        self._by_candle: dict[tuple[InstrumentId, Timeframe], list[_Running]] = {}
        self.evaluations = 0
        self.untradable = 0

    def keys(self) -> KeysView[str]:
        return self._running.keys()

    def keys_on(self, instrument: InstrumentId, timeframe: Timeframe) -> list[str]:
        """The strategies that a candle is for, in the order in which they were added."""
        return [running.key for running in self._by_candle.get((instrument, timeframe), ())]

    def serve(self, instrument: Instrument) -> None:
        """Candles of this instrument come from now on. Idempotent."""
        self._instruments[instrument.id] = instrument

    def add(self, spec: StrategySpec) -> None:
        """Idempotent by key.

        Raises:
            InvalidInput: the instrument is not known here.
            InvalidConfig: the strategy or one of its parameters (raised by `create`).
        """
        if spec.key in self._running:
            return
        if spec.instrument not in self._instruments:
            raise InvalidInput("instrument", spec.instrument, f"is not served here; served are {', '.join(self._instruments)}")
        running = _Running(spec, self._create(spec.strategy, spec.parameters))
        self._running[running.key] = running
        self._by_candle.setdefault((spec.instrument, spec.timeframe), []).append(running)

    def remove(self, key: str) -> None:
        """Idempotent."""
        running = self._running.pop(key, None)
        if running is not None:
            self._by_candle[running.spec.instrument, running.spec.timeframe].remove(running)

    def warm_up(self, key: str, history: Iterable[tuple[Candle, MarketContext]]) -> StrategyFailed | None:
        """Show earlier candles to one strategy; what it wants on them is history and leads to no signal."""
        running = self._running[key]
        for candle, context in history:
            outcome = _decide(running, candle, context)
            if isinstance(outcome, StrategyFailed):
                return outcome
        return None

    def on_candle(self, candle: Candle, context: MarketContext) -> list[Signal | StrategyFailed]:
        """Run every strategy of this instrument and timeframe; a candle not newer than a strategy's last one is ignored."""
        outcomes: list[Signal | StrategyFailed] = []
        for running in self._by_candle.get((candle.instrument, candle.timeframe), ()):
            if running.failed or (running.last is not None and candle.opened_at <= running.last):
                continue
            self.evaluations += 1
            match _decide(running, candle, context):
                case StrategyFailed() as failure:
                    outcomes.append(failure)
                case Target() as target:
                    own, mean = self._instruments[candle.instrument], running.ranges.mean
                    signal = signal_of(running.spec, running.key, target, candle, context, own, mean_range=mean)
                    if signal is None:
                        self.untradable += 1
                    else:
                        outcomes.append(signal)
                case None:
                    pass
        return outcomes


def signal_of(
    spec: StrategySpec,
    key: str,
    target: Target,
    candle: Candle,
    context: MarketContext,
    own: Instrument,
    *,
    mean_range: float | None,
) -> Signal | None:
    """What `target` says to the subscribers of `spec` (whose key is `key`).

    `own` is the candle's instrument, `mean_range` the mean true range of its candles up to this one where it is known and wanted.

    None: it names no contract, and the candle's own instrument is an index.
    """
    instrument = target.instrument or own
    if instrument.kind is InstrumentKind.INDEX:
        return None
    quote = context.quotes.get(instrument.id) if target.instrument is None else None  # traded itself: its own newest prices
    contract_price = target.contract_price if target.instrument else target.contract_price or candle.close
    ts = _closed_at(candle, context)
    sold = target.side is Side.SHORT and instrument.kind is not InstrumentKind.OPTION
    return Signal(
        signal_id=f"{key}:{_stamp(candle.opened_at.astimezone(UTC))}",
        strategy_key=key,
        strategy=spec.strategy,
        underlying=candle.instrument,
        timeframe=candle.timeframe,
        side=target.side,
        direction=target.direction or target.side.value,
        rule=target.rule,
        reason=target.reason,
        price=target.price,
        instrument=instrument,
        entry_side=OrderSide.SELL if sold else OrderSide.BUY,
        contract_price=contract_price,
        contract_bid=quote.bid if quote is not None and target.contract_bid is None else target.contract_bid,
        contract_ask=quote.ask if quote is not None and target.contract_ask is None else target.contract_ask,
        stop=target.stop,
        target=target.target,
        atr=target.atr or _range(instrument, mean_range, contract_price, candle, context, ts),
        candle_time=candle.opened_at,
        ts=ts,
        context=target.context,
    )


def _range(
    instrument: Instrument, mean: float | None, price: float | None, candle: Candle, context: MarketContext, ts: datetime
) -> float | None:
    return contract_range(
        instrument,
        mean,
        of=candle.instrument,
        spot=candle.close,
        price=price,
        chain=context.chain,
        at=ts,
        close=context.session_close,
    )


def _closed_at(candle: Candle, context: MarketContext) -> datetime:
    """The last frame of a session is cut short by its close; a day is over then too."""
    close, closed_at = context.session_close, candle.closed_at
    return close if candle.opened_at < close < closed_at else closed_at


def _stamp(ts: datetime) -> str:
    """20261120T0945, several times faster than `strftime`."""
    return f"{ts.year:04}{ts.month:02}{ts.day:02}T{ts.hour:02}{ts.minute:02}"


def _decide(running: _Running, candle: Candle, context: MarketContext) -> Target | StrategyFailed | None:
    if running.failed or (running.last is not None and candle.opened_at <= running.last):
        return None
    running.last = candle.opened_at
    running.ranges.add(candle.high, candle.low, candle.close)
    try:
        return running.strategy.on_candle(candle, context)
    except Exception as error:  # noqa: BLE001 - a strategy is foreign code: whatever it raises must not stop the others
        running.failed = True
        return StrategyFailed(key=running.key, candle_time=candle.opened_at, error=f"{type(error).__name__}: {error}")
