"""Where a host's traders act: inputs become journal records, and only then orders, watches and events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice

from loguru import logger

from actors.desk import LiveDesk, OrderRouter, PaperDesk
from actors.kill_switch import KillSwitch
from actors.outbox import Outbox
from actors.turned import NOT_MEASURED, Answer, Failure, Input, Stopwatch, Turned
from actors.user_trader import UserTrader, replay
from actors.wake_ups import WakeUps
from actors.wire import decode_input, encode
from actors.withheld import Withheld
from runtime.errors import ServerUnavailable
from runtime.events import (
    CancelOrder,
    Effect,
    EngineInput,
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
from runtime.orders import Leg, Order, OrderCancelled, OrderEvent
from runtime.outages import StoreChanged
from runtime.ports import Journal
from runtime.state import SessionStatus
from runtime.triggers import TriggerBook

CHUNK = 256
"""Traders whose records are written together while the next ones decide."""
YIELD_EVERY = 64
SENT_AT_ONCE = 32
"""Traders whose orders leave before the host listens again whether an operator has halted."""


class TradingFloor:
    """Traders, their watches and wake-ups, the paper desk and the outbox of one host."""

    def __init__(
        self,
        *,
        journal: Journal,
        outbox: Outbox,
        desk: PaperDesk,
        live: LiveDesk | None = None,
        kill_switch: KillSwitch | None = None,
        store_is_away: Callable[[], bool] = lambda: False,
    ) -> None:
        """`store_is_away`: whether the journal goes to a log on this machine's disk, so that nothing but exits may leave."""
        self.traders: dict[str, UserTrader] = {}
        self.subscribers: dict[str, dict[str, None]] = {}
        """strategy key -> users, in order of arrival."""
        self.fenced: list[UserTrader] = []
        """Dismissed because a newer incarnation has written to their journals; for the host to draw its conclusion."""
        self.lost: set[str] = set()
        """Users whose trader has failed while the store was away: to be loaded anew when it is back."""
        self._cut_off: set[str] = set()
        """Users whose trader knows that the store is away."""
        self._withheld = Withheld()
        self._store_is_away = store_is_away
        self._journal, self._outbox, self.desk = journal, outbox, desk
        self._router, self.live = OrderRouter(desk, live), live
        self.kill_switch = kill_switch or KillSwitch()
        self._triggers = TriggerBook()
        self._wakes = WakeUps()
        self._many_positions: set[str] = set()
        self._with_orders: set[str] = set()

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
        self._wakes.cancel(user_id)
        self._withheld.drop(user_id)
        self._many_positions.discard(user_id)
        self._with_orders.discard(user_id)
        for users in self.subscribers.values():
            users.pop(user_id, None)
        if self.live is not None:
            self.live.dismiss(user_id)

    def release(self, user_id: str) -> None:
        """Another host has this user now."""
        trader = self.traders.get(user_id)
        if trader is not None:
            self._router.release(trader.state.orders.values())
            self.dismiss(user_id)

    def refresh(self, trader: UserTrader) -> None:
        """Route the signals of the subscriptions this trader has now."""
        wanted = {subscription.key for subscription in trader.state.config.subscriptions}
        for key, users in self.subscribers.items():
            if key not in wanted:
                users.pop(trader.user_id, None)
        for key in wanted:
            self.subscribers.setdefault(key, {})[trader.user_id] = None
        if self.live is not None:
            self.live.follow(trader)

    def held_instruments(self) -> set[InstrumentId]:
        """What open positions and working orders need prices of."""
        held = self._triggers.instruments()
        for user_id in self._with_orders:
            held.update(order.order.instrument.id for order in self.traders[user_id].state.orders.values())
        return held

    # --- inputs ---

    async def take(self, trader: UserTrader, event: EngineInput, *, encoded: str | None = None) -> list[Turned]:
        """Apply one input. A trader whose own data makes its engine fail is reloaded and suspended; the others never notice.

        While the store is away a trader hears that first. `encoded`: the input as JSON, where many traders take the same one.
        """
        turned: list[Turned] = []
        failure = self._take(trader, event, encoded, turned)
        return turned if failure is None else turned + await self._suspend(failure)

    def _take(self, trader: UserTrader, event: EngineInput, encoded: str | None, turned: list[Turned]) -> Failure | None:
        if self._store_is_away() and trader.state.store_up and not isinstance(event, StoreChanged):
            self._cut_off.add(trader.user_id)
            away = StoreChanged(ts=event.ts, up=False, reason="the journal's store does not answer")
            if (failure := self._take(trader, away, None, turned)) is not None:
                return failure
        try:
            record, effects = trader.take(event, encoded=encoded)
        except Exception as error:  # noqa: BLE001 - the one place where a poisoned trader must not take its neighbours down
            return Failure(trader, event, error)
        for effect in effects:
            self._apply_locally(trader, effect)
        if trader.state.orders:
            self._with_orders.add(trader.user_id)
        else:
            self._with_orders.discard(trader.user_id)
        turned.append(Turned(trader, record, effects))
        return None

    async def on_prices(self, prices: Prices, stopwatch: Stopwatch = NOT_MEASURED) -> bool:
        """Fills of resting orders first, then the levels touched, in the order of the quotes. Whether anything happened."""
        fills = self.desk.on_quotes(prices.quotes, prices.ts)
        await self.run(fills, stopwatch)
        touched = [
            (user_id, PriceTouched(ts=prices.ts, slot=slot, instrument=quote.instrument, price=quote.price, bid=quote.bid, ask=quote.ask))
            for quote in prices.quotes
            for user_id, slot in self._triggers.touched(quote.instrument, quote.price)
        ]
        await self.run(touched, stopwatch)
        losses = self._joint_losses(prices)
        await self.run(losses, stopwatch)
        return bool(fills or touched or losses)

    async def show(self, user_id: str, missed: Sequence[Prices], now: datetime) -> None:
        """Prices that nobody has shown this one trader, oldest first."""
        for quote in (quote for prices in missed for quote in prices.quotes):
            trader = self.traders.get(user_id)
            if trader is None:
                return
            for slot in [slot for slot in trader.state.slots if self._triggers.is_touched((user_id, slot), quote.instrument, quote.price)]:
                event = PriceTouched(ts=now, slot=slot, instrument=quote.instrument, price=quote.price, bid=quote.bid, ask=quote.ask)
                await self.run([(user_id, event)])

    async def tell_running(self, event: EngineInput) -> None:
        running = [user_id for user_id, trader in self.traders.items() if trader.state.status is not SessionStatus.STOPPED]
        await self.run([(user_id, event) for user_id in running], encoded=encode(event).decode())

    async def reconnect(self, now: datetime) -> None:
        """The store is back: entries that were withheld leave, and those who know that it was away may enter again."""
        if self._store_is_away():
            return
        leaving, answers = self._withheld.take(now)
        answers += [(order.user_id, event) for order in leaving for event in self._send(self.traders[order.user_id], order, now)]
        await self.run(answers)
        if self._cut_off:
            told, self._cut_off = self._cut_off, set[str]()
            await self.run([(user_id, StoreChanged(ts=now, up=True)) for user_id in sorted(told)])

    async def wake_due(self, now: datetime, stopwatch: Stopwatch = NOT_MEASURED) -> bool:
        due = self._wakes.due(now)
        await self.run([(user_id, TimeAdvanced(ts=now)) for user_id in due], stopwatch)
        return bool(due)

    # --- journal first, act second ---

    async def run(self, inputs: Iterable[Input], stopwatch: Stopwatch = NOT_MEASURED, *, encoded: str | None = None) -> None:
        """Decide on the inputs, make the records durable, act on them, and go on with what the desk answers until all is quiet.

        While the records of one chunk are written the next chunk decides, and a chunk's orders leave as soon as it is durable.
        All orders of a round are out before the first answer is taken in: nobody waits for another one's fill.
        """
        with self._outbox.held():  # publishing comes behind the decisions
            answers = await self._round(inputs, stopwatch, encoded)
        while answers:
            answers = await self._round(answers, NOT_MEASURED, None)

    async def settle(self, turned: Sequence[Turned]) -> None:
        """Go on with inputs that were applied already."""
        if turned:
            await self.run(await self._commit(turned, NOT_MEASURED))

    async def _round(self, inputs: Iterable[Input], stopwatch: Stopwatch, encoded: str | None) -> list[Answer]:
        answers: list[Answer] = []
        failures: dict[str, Failure] = {}
        writing: asyncio.Task[list[Answer]] | None = None
        waiting = iter(inputs)
        try:
            while chunk := list(islice(waiting, CHUNK)):
                turned = await self._decide(chunk, encoded, failures)
                if writing is not None:
                    answers += await writing
                writing = asyncio.create_task(self._commit(turned, stopwatch))
                await asyncio.sleep(0)  # the driver has the batch before the next chunk is decided
            if writing is not None:
                answers += await writing
            for failure in failures.values():  # behind everybody else, who need not wait until its journal is read
                answers += await self._commit(await self._suspend(failure), NOT_MEASURED)
        finally:
            if writing is not None:
                writing.cancel()
        return answers

    async def _decide(self, chunk: Sequence[Input], encoded: str | None, failures: dict[str, Failure]) -> list[Turned]:
        turned: list[Turned] = []
        for position, (user_id, event) in enumerate(chunk, start=1):
            if user_id in failures:
                failures[user_id].missed.append(event)
            elif (trader := self.traders.get(user_id)) is not None:
                failure = self._take(trader, event, encoded, turned)
                if failure is not None:
                    failures[user_id] = failure
            if position % YIELD_EVERY == 0:
                await asyncio.sleep(0)  # orders of the chunk before leave
        return turned

    def fence(self, user_ids: Iterable[str]) -> None:
        """Other incarnations of these users have written to their journals."""
        for user_id in user_ids:
            logger.warning("user {} was taken over by a newer incarnation: dismissed here", user_id)
            if (trader := self.traders.get(user_id)) is not None:
                self.fenced.append(trader)
            self.dismiss(user_id)

    async def _commit(self, turned: Sequence[Turned], stopwatch: Stopwatch) -> list[Answer]:
        """What the desk answers to the orders among the effects, once all records are durable."""
        fenced = set(await self._journal.append([item.record for item in turned]))
        for item in turned:
            item.trader.settled(item.record)
        self.fence(fenced)
        answers: list[Answer] = []
        sent = 0
        for item in turned:
            if item.record.user_id in fenced:
                continue
            answers += [(item.record.user_id, event) for event in self._act(item, stopwatch)]
            sent += any(isinstance(effect, SubmitOrder) for effect in item.effects)
            if sent == SENT_AT_ONCE:
                sent = 0
                await asyncio.sleep(0)  # a halt is heard between
        return answers

    def _act(self, item: Turned, stopwatch: Stopwatch) -> list[OrderEvent]:
        answers: list[OrderEvent] = []
        trader, texts, published = item.trader, item.record.events, 0
        first_seq = item.record.last_seq - len(texts) + 1
        for effect in item.effects:
            match effect:
                case Publish():
                    self._outbox.put(trader.user_id, first_seq + published, texts[published])
                    published += 1
                case SubmitOrder(order):
                    answers += self._send(trader, order, item.record.ts)
                    self._measure(order, stopwatch)
                case CancelOrder(order_id):
                    answers += self._cancel(trader, order_id, item.record.ts)
                case _:
                    pass  # watches and wake-ups were applied when the input was taken
        return answers

    def _send(self, trader: UserTrader, order: Order, ts: datetime) -> list[OrderEvent]:
        """An entry that was decided before an operator halted it is called off here, at the door; before the store was found away, withheld."""
        if order.leg is Leg.ENTRY and self.kill_switch.forbids(order.user_id, order.slot):
            return [OrderCancelled(ts=ts, order_id=order.order_id, reason="halted before it was sent")]
        if order.leg is Leg.ENTRY and self._store_is_away():
            self._withheld.put(order)
            return []
        return self._router.submit(order, ts, slippage_percent=trader.state.config.slippage_percent)

    def _cancel(self, trader: UserTrader, order_id: str, ts: datetime) -> list[OrderEvent]:
        if self._withheld.call_off(trader.user_id, order_id):
            return [OrderCancelled(ts=ts, order_id=order_id, reason="called off before it was sent")]
        live = trader.state.orders.get(order_id)
        return [] if live is None else self._router.cancel(live.order, ts)

    def call_off(self) -> None:
        """An operator may have halted: live entries on their way that the kill switch forbids now must not leave."""
        if self.live is not None:
            self.live.call_off(self.kill_switch.forbids)

    def _measure(self, order: Order, stopwatch: Stopwatch) -> None:
        if order.leg is Leg.ENTRY and stopwatch.candle_closed_at_ns:
            self._outbox.sample("signal_to_order", (time.time_ns() - stopwatch.candle_closed_at_ns) / 1e6)
            self._outbox.measure_fill_of(order.order_id, stopwatch.candle_closed_at_ns)
        elif order.leg is Leg.EXIT and stopwatch.tick_received_at_ns:
            self._outbox.sample("tick_to_exit_order", (time.time_ns() - stopwatch.tick_received_at_ns) / 1e6)

    def find_again(self, trader: UserTrader, now: datetime, missed: Sequence[Prices] = ()) -> list[Answer]:
        """What the desk says at once of a restored trader's open orders, `missed` being what nobody has shown them."""
        slippage, quotes = trader.state.config.slippage_percent, [quote for prices in missed for quote in prices.quotes]
        orders = list(trader.state.orders.values())
        events = self._router.find_again(orders, now, quotes, slippage_percent=slippage, forbids=self.kill_switch.forbids)
        return [(trader.user_id, event) for event in events]

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
                self._wakes.cancel(user_id)
            case WakeAt(datetime() as ts):
                self._wakes.set(user_id, ts)
            case _:
                pass

    def _note_positions(self, trader: UserTrader) -> None:
        if len(trader.state.slots) > 1 and len(trader.state.open_positions) > 1:
            self._many_positions.add(trader.user_id)
        else:
            self._many_positions.discard(trader.user_id)

    def _joint_losses(self, prices: Prices) -> list[Input]:
        reached: list[Input] = []
        for user_id in sorted(self._many_positions):
            trader = self.traders[user_id]
            marks = self._marks(position.instrument.id for position in trader.state.open_positions)
            if trader.engine.loss_limit_reached(marks):
                reached.append((user_id, LossLimitTouched(ts=prices.ts, marks=marks)))
        return reached

    def _marks(self, instruments: Iterable[InstrumentId]) -> dict[InstrumentId, float]:
        quotes: dict[InstrumentId, Quote] = self.desk.quotes
        return {name: quotes[name].price for name in instruments if name in quotes}

    async def _suspend(self, failure: Failure) -> list[Turned]:
        """A trader as it was before the input that it failed on, paused; then it takes in what came after."""
        trader, event, error = failure.trader, failure.event, failure.error
        logger.opt(exception=error).error("trader {} failed on {}: {}", trader.user_id, type(event).__name__, error)
        if self.traders.get(trader.user_id) is not trader:  # fenced meanwhile
            return []
        try:
            state, number, _ = await replay(self._journal, trader.user_id)
        except ServerUnavailable:
            logger.critical("trader {} is gone until the store is back: nobody watches its positions but the broker", trader.user_id)
            self.dismiss(trader.user_id)
            self.lost.add(trader.user_id)
            return []
        self.dismiss(trader.user_id)
        state.epoch = trader.epoch
        healthy = UserTrader(trader.user_id, state=state, number=number, epoch=trader.epoch)
        for record in [record for record in trader.unsettled if record.number > number]:
            healthy.engine.process(decode_input(record.input))
            healthy.number = record.number
        self.admit(healthy)
        turned = [Turned(healthy, *healthy.take(SuspendSession(ts=event.ts, reason=f"internal error: {type(error).__name__}")))]
        for missed in failure.missed:
            if (successor := self.traders.get(trader.user_id)) is not None:
                turned += await self.take(successor, missed)
        return turned
