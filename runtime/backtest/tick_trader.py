"""One user's engine and paper exchange on quotes as they come: the tick-exact form of a backtest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeAlias

from runtime.engine import TradingEngine
from runtime.events import (
    CancelOrder,
    Effect,
    PriceTouched,
    PublicEvent,
    Publish,
    SignalArrived,
    StartSession,
    SubmitOrder,
    TimeAdvanced,
    Unwatch,
    WakeAt,
    Watch,
)
from runtime.market import InstrumentId, Quote
from runtime.orders import Order, OrderEvent, OrderFilled
from runtime.paper import PaperExchange
from runtime.session import SessionConfig
from runtime.signals import Signal
from runtime.state import EngineState
from runtime.triggers import TriggerBook

OnFill: TypeAlias = Callable[[OrderFilled, Order], None]
OnEvent: TypeAlias = Callable[[PublicEvent], None]


class TickTrader:
    """Does with each batch what a live host does with it, in the same order: fills of resting orders, touched levels, timers.

    `on_fill` is told of every fill, with its order; `on_event` of all that the user would hear.
    """

    def __init__(self, user_id: str, config: SessionConfig, *, on_fill: OnFill | None = None, on_event: OnEvent | None = None) -> None:
        self.engine = TradingEngine(EngineState(user_id=user_id))
        self._config, self._on_fill, self._on_event = config, on_fill, on_event
        self._exchange = PaperExchange()
        self._quotes: dict[InstrumentId, Quote] = {}
        self._triggers = TriggerBook()
        self._wake: datetime | None = None

    def start(self, ts: datetime) -> None:
        self._settle(self.engine.process(StartSession(ts=ts, command_id="start", config=self._config)), ts)

    def on_quotes(self, quotes: Sequence[Quote], ts: datetime) -> None:
        """The newest quotes of a batch that ended at `ts`."""
        self._quotes.update((quote.instrument, quote) for quote in quotes)
        self._settle(self._applied(self._exchange.on_quotes(quotes, ts)), ts)
        touched = [(quote, slot) for quote in quotes for _, slot in self._triggers.touched(quote.instrument, quote.price)]
        for quote, slot in touched:
            event = PriceTouched(ts=ts, slot=slot, instrument=quote.instrument, price=quote.price, bid=quote.bid, ask=quote.ask)
            self._settle(self.engine.process(event), ts)
        if self._wake is not None and self._wake <= ts:
            self._wake = None
            self._settle(self.engine.process(TimeAdvanced(ts=ts)), ts)

    def on_signal(self, signal: Signal, now: datetime) -> None:
        ts = max(now, signal.ts)
        self._settle(self.engine.process(SignalArrived(ts=ts, signal=signal)), ts)

    def _settle(self, effects: Sequence[Effect], ts: datetime) -> None:
        while effects:
            answers: list[OrderEvent] = []
            for effect in effects:
                match effect:
                    case SubmitOrder(order):
                        quote = self._quotes.get(order.instrument.id)
                        answers += self._exchange.submit(order, quote, ts, slippage_percent=self._config.slippage_percent)
                    case CancelOrder(order_id):
                        answers += self._exchange.cancel(order_id, ts)
                    case Watch():
                        self._triggers.watch((self._user, effect.slot), effect.instrument, low=effect.low, high=effect.high)
                    case Unwatch(slot):
                        self._triggers.unwatch((self._user, slot))
                    case WakeAt(wake):
                        self._wake = wake
                    case Publish():
                        if self._on_event is not None:
                            self._on_event(effect.event)
            effects = self._applied((self._user, event) for event in answers)

    def _applied(self, events: Iterable[tuple[str, OrderEvent]]) -> list[Effect]:
        effects: list[Effect] = []
        for _, event in events:
            if isinstance(event, OrderFilled) and self._on_fill is not None:
                self._on_fill(event, self.engine.state.orders[event.order_id].order)
            effects += self.engine.process(event)
        return effects

    @property
    def _user(self) -> str:
        return self.engine.state.user_id
