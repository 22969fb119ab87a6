"""Where a host's traders act: inputs become journal records, and only then orders, watches and events."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from loguru import logger

from actors.desk import LiveDesk, PaperDesk
from actors.outbox import Outbox
from actors.user_trader import EncodeInput, UserTrader, replay
from actors.wire import decode_input, encode
from runtime.engine.entering import SIGNAL_TIME_TO_LIVE
from runtime.events import (
    CancelOrder,
    Effect,
    EngineInput,
    JournalRecord,
    LossLimitTouched,
    PriceTouched,
    Publish,
    SubmitOrder,
    SuspendSession,
    TimeAdvanced,
    Unwatch,
    WakeAt,
    Watch,
)
from runtime.market import InstrumentId, Prices, Quote
from runtime.orders import Leg, Order, OrderEvent, OrderRejected
from runtime.ports import Journal
from runtime.session import Mode
from runtime.triggers import TriggerBook


class Turned(msgspec.Struct, frozen=True):
    """One applied input whose record is not durable yet."""

    trader: UserTrader
    record: JournalRecord
    effects: list[Effect]


class Stopwatch(msgspec.Struct, frozen=True):
    """Wall-clock origin of what is being settled, in nanoseconds, for measurement only (0: not measured)."""

    candle_closed_at_ns: int = 0
    tick_received_at_ns: int = 0


class TradingFloor:
    """Traders, their watches and wake-ups, the paper desk and the outbox of one host."""

    def __init__(self, *, journal: Journal, outbox: Outbox, desk: PaperDesk, live: LiveDesk | None = None) -> None:
        self.traders: dict[str, UserTrader] = {}
        self.subscribers: dict[str, dict[str, None]] = {}
        """strategy key -> users, in order of arrival."""
        self.fenced: list[UserTrader] = []
        """Dismissed because a newer incarnation has written to their journals; for the host to draw its conclusion."""
        self.live = live
        """Where live orders go; without it they are rejected."""
        self._journal, self._outbox, self.desk = journal, outbox, desk
        self._triggers = TriggerBook()
        self._wakes: dict[str, datetime] = {}
        self._wake_heap: list[tuple[datetime, str]] = []
        self._many_positions: set[str] = set()

    # --- who is here ---

    def admit(self, trader: UserTrader) -> None:
        self.traders[trader.user_id] = trader
        for effect in trader.engine.restore_watches():
            self._apply_locally(trader, effect)
        if trader.state.wake_at is not None:
            self._apply_locally(trader, WakeAt(trader.state.wake_at))
        self.refresh(trader)

    def dismiss(self, user_id: str) -> None:
        trader = self.traders.pop(user_id, None)
        if trader is None:
            return
        for slot in trader.state.slots:
            self._triggers.unwatch((user_id, slot))
        self._wakes.pop(user_id, None)
        self._many_positions.discard(user_id)
        for users in self.subscribers.values():
            users.pop(user_id, None)

    def refresh(self, trader: UserTrader) -> None:
        """Route the signals of the subscriptions this trader has now."""
        wanted = {subscription.key for subscription in trader.state.config.subscriptions}
        for key, users in self.subscribers.items():
            if key not in wanted:
                users.pop(trader.user_id, None)
        for key in wanted:
            self.subscribers.setdefault(key, {})[trader.user_id] = None

    def held_instruments(self) -> set[InstrumentId]:
        """What open positions and working orders need prices of."""
        held = self._triggers.instruments()
        for trader in self.traders.values():
            held.update(order.order.instrument.id for order in trader.state.orders.values())
        return held

    # --- inputs ---

    async def take(self, trader: UserTrader, event: EngineInput, *, encode_input: EncodeInput = encode) -> list[Turned]:
        """Apply one input. A trader whose own data makes its engine fail is reloaded and suspended; the others never notice."""
        try:
            record, effects = trader.take(event, encode_input=encode_input)
        except Exception as error:  # noqa: BLE001 - the one place where a poisoned trader must not take its neighbours down
            logger.opt(exception=True).error("trader {} failed on {}: {}", trader.user_id, type(event).__name__, error)
            return await self._suspend(trader, event.ts, error)
        for effect in effects:
            self._apply_locally(trader, effect)
        return [Turned(trader, record, effects)]

    async def on_prices(self, prices: Prices) -> list[Turned]:
        """Fills of resting orders first, then the levels touched, in the order of the quotes."""
        turned: list[Turned] = []
        for user_id, event in self.desk.on_quotes(prices.quotes, prices.ts):
            turned += await self.take_for(user_id, event)
        for quote in prices.quotes:
            for user_id, slot in self._triggers.touched(quote.instrument, quote.price):
                event = PriceTouched(ts=prices.ts, slot=slot, instrument=quote.instrument, price=quote.price, bid=quote.bid, ask=quote.ask)
                turned += await self.take_for(user_id, event)
        if self._many_positions:
            turned += await self._check_joint_losses(prices)
        return turned

    async def wake_due(self, now: datetime) -> list[Turned]:
        turned: list[Turned] = []
        while self._wake_heap and self._wake_heap[0][0] <= now:
            ts, user_id = heapq.heappop(self._wake_heap)
            if self._wakes.get(user_id) == ts:
                del self._wakes[user_id]
                turned += await self.take_for(user_id, TimeAdvanced(ts=now))
        return turned

    # --- journal first, act second ---

    async def settle(self, turned: Sequence[Turned], stopwatch: Stopwatch = Stopwatch()) -> None:  # noqa: B008 - frozen
        """Make the records durable, act on their effects, and go on with what the desk answers until all is quiet."""
        while turned:
            fenced = set(await self._journal.append([item.record for item in turned]))
            for item in turned:
                item.trader.unsettled.clear()
            for user_id in fenced:
                logger.warning("user {} was taken over by a newer incarnation: dismissed here", user_id)
                self.dismiss(user_id)
            self.fenced += {item.trader.user_id: item.trader for item in turned if item.trader.user_id in fenced}.values()
            # Everybody's orders are out before the first answer is taken in: nobody waits for another one's fill.
            answers = [
                (item.record.user_id, event) for item in turned if item.record.user_id not in fenced for event in self._act(item, stopwatch)
            ]
            turned = [turn for user_id, event in answers for turn in await self.take_for(user_id, event)]

    def _act(self, item: Turned, stopwatch: Stopwatch) -> list[OrderEvent]:
        """What the desk answers to the orders among the effects."""
        answers: list[OrderEvent] = []
        trader, texts, published = item.trader, item.record.events, 0
        first_seq = item.record.last_seq - len(texts) + 1
        for effect in item.effects:
            match effect:
                case Publish():
                    self._outbox.put(trader.user_id, first_seq + published, texts[published])
                    published += 1
                case SubmitOrder(order):
                    if order.leg is Leg.ENTRY and stopwatch.candle_closed_at_ns:
                        self._outbox.measure_fill_of(order.order_id, stopwatch.candle_closed_at_ns)
                    answers += self._send(trader, order, item.record.ts)
                    if order.leg is Leg.EXIT and stopwatch.tick_received_at_ns:
                        self._outbox.sample("tick_to_exit_order", (time.time_ns() - stopwatch.tick_received_at_ns) / 1e6)
                case CancelOrder(order_id):
                    answers += self._call_off(trader, order_id, item.record.ts)
                case _:
                    pass  # watches and wake-ups were applied when the input was taken
        return answers

    # --- paper or live ---

    def _send(self, trader: UserTrader, order: Order, ts: datetime) -> list[OrderEvent]:
        """The one place from which orders leave."""
        if trader.state.config.mode is Mode.PAPER:
            return self.desk.submit(order, ts, slippage_percent=trader.state.config.slippage_percent)
        if self.live is None:
            return [OrderRejected(ts=ts, order_id=order.order_id, reason="this host has no live desk")]
        self.live.submit(order, ts)
        return []

    def _call_off(self, trader: UserTrader, order_id: str, ts: datetime) -> list[OrderEvent]:
        if trader.state.config.mode is Mode.PAPER:
            return self.desk.cancel(order_id, ts)
        if self.live is not None:
            self.live.cancel(trader.user_id, order_id, ts)
        return []

    def find_again(self, trader: UserTrader, now: datetime) -> list[OrderEvent]:
        """A restored trader's open orders. A live desk looks them up; the paper book died with the process before us, and the
        journal knows what was in it: an entry that was to be cancelled, or whose signal has grown old meanwhile, is called off,
        the others are placed again.
        """
        live_orders = list(trader.state.orders.values())
        if trader.state.config.mode is Mode.LIVE and self.live is not None:
            self.live.reconcile(trader.user_id, [live.order for live in live_orders], now)
            return []
        answers: list[OrderEvent] = []
        for live in live_orders:
            stale = live.order.leg is Leg.ENTRY and now - live.order.created_at > SIGNAL_TIME_TO_LIVE
            if live.cancel_requested or stale:
                answers += self._call_off(trader, live.order.order_id, now)
            else:
                answers += self._send(trader, live.order, now)
        return answers

    def _apply_locally(self, trader: UserTrader, effect: Effect) -> None:
        """Watches and wake-ups live in this process only: nobody outside can see them, so they need not wait for the journal."""
        user_id = trader.user_id
        match effect:
            case Watch():
                self._triggers.watch((user_id, effect.slot), effect.instrument, low=effect.low, high=effect.high)
                self._note_positions(trader)
            case Unwatch(slot):
                self._triggers.unwatch((user_id, slot))
                self._note_positions(trader)
            case WakeAt(None):
                self._wakes.pop(user_id, None)
            case WakeAt(datetime() as ts):
                self._wakes[user_id] = ts
                heapq.heappush(self._wake_heap, (ts, user_id))
            case _:
                pass

    def _note_positions(self, trader: UserTrader) -> None:
        if len(trader.state.slots) > 1 and len(trader.state.open_positions) > 1:
            self._many_positions.add(trader.user_id)
        else:
            self._many_positions.discard(trader.user_id)

    async def take_for(self, user_id: str, event: EngineInput) -> list[Turned]:
        trader = self.traders.get(user_id)
        return [] if trader is None else await self.take(trader, event)

    async def _check_joint_losses(self, prices: Prices) -> list[Turned]:
        turned: list[Turned] = []
        for user_id in sorted(self._many_positions):
            trader = self.traders[user_id]
            marks = self._marks(position.instrument.id for position in trader.state.open_positions)
            if trader.engine.loss_limit_reached(marks):
                turned += await self.take(trader, LossLimitTouched(ts=prices.ts, marks=marks))
        return turned

    def _marks(self, instruments: Iterable[InstrumentId]) -> dict[InstrumentId, float]:
        quotes: dict[InstrumentId, Quote] = self.desk.quotes
        return {name: quotes[name].price for name in instruments if name in quotes}

    async def _suspend(self, trader: UserTrader, ts: datetime, error: Exception) -> list[Turned]:
        """A trader as it was before the input that it failed on, paused."""
        state, number, _ = await replay(self._journal, trader.user_id)
        self.dismiss(trader.user_id)
        state.epoch = trader.epoch
        healthy = UserTrader(trader.user_id, state=state, number=number, epoch=trader.epoch)
        for record in trader.unsettled:
            healthy.engine.process(decode_input(record.input))
            healthy.number = record.number
        self.admit(healthy)
        return [Turned(healthy, *healthy.take(SuspendSession(ts=ts, reason=f"internal error: {type(error).__name__}")))]
