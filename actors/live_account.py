"""One user's account at a live broker, as a host works it: orders out, reports back, in tasks that nobody else waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from itertools import chain, repeat
from typing import Any, Protocol

from loguru import logger

from actors.broker_session import BrokerSession
from runtime.accounts import AccountPosition, AccountReport, OpenOrder
from runtime.engine.account import differences
from runtime.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    EgressNotAllowed,
    OutcomeUnknown,
    RateLimited,
    ServerUnavailable,
    SessionExpired,
    ShoalError,
)
from runtime.events import EngineInput, SuspendSession
from runtime.market import InstrumentId
from runtime.orders import Leg, Order, OrderCancelled, OrderRejected, OrderUnknown
from runtime.outages import BrokerChanged
from runtime.ports import Broker, Clock
from runtime.session import Mode, SessionConfig
from runtime.signals import OrderSide
from runtime.state import EngineState

REQUESTS_MAX = 64
"""Orders of one account that may be on their way; one more is rejected at once."""
SETTLE_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Pauses between looks for an order whose answer was lost; the last one repeats until the books have settled it."""
SETTLE_EXIT_SECONDS = (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""The same for one that closes a position, which is open meanwhile."""
UNSENT_PAUSES = (0.2, 0.5, 1.0, 2.0)
"""Before an order that certainly did not arrive is sent again: an entry is given up after these, an exit goes on."""
RECONNECT_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
LOGIN_LOOK_SECONDS = 2.0
POSITIONS_SECONDS, CONFIRM_SECONDS = 2.0, 1.0
"""Positions are compared this often, half of what a broker lets an account read in half an hour; a difference counts when a second
look after a moment still shows it.
"""


class Desk(Protocol):
    """What an account needs of its host."""

    clock: Clock

    async def connect(self, user_id: str, config: SessionConfig) -> Broker: ...

    async def secret(self, config: SessionConfig) -> str: ...

    async def is_current(self, user_id: str, epoch: int) -> bool: ...

    def deliver(self, user_id: str, event: EngineInput) -> None: ...

    def state_of(self, user_id: str) -> EngineState | None: ...

    def now(self) -> datetime: ...

    def session_of(self, user_id: str, /) -> BrokerSession: ...


class LiveAccount:
    """Nothing leaves before the broker's books have been compared with ours. Whatever hangs here hangs for this user only."""

    def __init__(self, desk: Desk, user_id: str, epoch: int, config: SessionConfig, orders: list[OpenOrder]) -> None:
        self._desk, self.user_id, self.epoch, self._config = desk, user_id, epoch, config
        self._first = orders
        self._broker: Broker | None = None
        self._armed = asyncio.Event()
        self._login = asyncio.Event()
        self._logged_out = self._cut_off = False
        self._secret = ""
        self._sending: dict[str, tuple[Order, asyncio.Task[None]]] = {}
        self._called_off: set[str] = set()
        self._unknown: dict[str, Order] = {}
        self._heard: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._session = desk.session_of(user_id)
        self._spawn(self._run())

    # --- what the host asks for; nothing of it waits ---

    def submit(self, order: Order) -> None:
        if len(self._sending) >= REQUESTS_MAX:
            self._reject(order, f"{REQUESTS_MAX} orders wait for the broker")
            return
        task = asyncio.create_task(self._send(order))
        self._sending[order.order_id] = order, task
        task.add_done_callback(lambda _: self._sending.pop(order.order_id, None))

    def cancel(self, order_id: str) -> None:
        self._called_off.add(order_id)
        self._spawn(self._cancel(order_id))

    def call_off(self, forbids: Callable[[str, str], bool]) -> None:
        """An operator has halted: the entries that `forbids(user id, slot)` and that wait for their turn do not leave."""
        for order, _ in list(self._sending.values()):
            if order.leg is Leg.ENTRY and order.order_id not in self._called_off and forbids(order.user_id, order.slot):
                self.cancel(order.order_id)

    def configured(self, config: SessionConfig) -> None:
        """The session's settings were sent anew, perhaps with a new access token."""
        self._config = config
        self._login.set()

    async def close(self) -> None:
        tasks = [*self._tasks, *(task for _, task in self._sending.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._broker is not None:
            await self._broker.close()
        await self._session.end()

    # --- life ---

    async def _run(self) -> None:
        await self._session.begin()
        broker = self._broker = await self._connect()
        self._spawn(self._leave_when_lost(broker))
        self._spawn(self._relay(broker))
        await self._reconcile(broker, self._first)
        for known in self._first:
            if known.order.order_id not in self._heard:
                self._look_for(known.order)
        self._armed.set()
        while True:
            await self._compare_positions(broker)
            await self._desk.clock.sleep(POSITIONS_SECONDS)

    async def _leave_when_lost(self, broker: Broker) -> None:
        await self._session.lost()
        self._armed.clear()
        await broker.close()

    async def _connect(self) -> Broker:
        """A broker that cannot be built (no credentials, package missing) is the user's to mend: the session pauses and waits."""
        while True:
            self._login.clear()
            try:
                self._secret = await self._desk.secret(self._config)
                return await self._desk.connect(self.user_id, self._config)
            except ServerUnavailable as error:
                logger.warning("account of {} waits for a server: {}", self.user_id, error)
                await self._desk.clock.sleep(1.0)
            except ShoalError as error:
                self._deliver(BrokerChanged(ts=self._desk.now(), up=False, reason=str(error)))
                self._cut(str(error))
                await self._login.wait()

    async def _reconcile(self, broker: Broker, orders: list[OpenOrder]) -> None:
        """Until it has succeeded."""
        for pause in chain(RECONNECT_SECONDS, repeat(RECONNECT_SECONDS[-1])):
            try:
                await broker.open()
                await broker.reconcile(orders)
            except SessionExpired as error:
                await self._log_in_again(broker, error)
            except BrokerError as error:
                self._deliver(BrokerChanged(ts=self._desk.now(), up=False, reason=str(error)))
                await self._desk.clock.sleep(pause)
            else:
                return

    async def _log_in_again(self, broker: Broker, error: SessionExpired) -> None:
        """Only the user can. The vault is looked at now and then: the broker is left alone until there is another token."""
        self._logged_out = True
        self._cut(str(error))
        while True:
            self._login.clear()
            try:
                secret = await self._desk.secret(self._config)
            except ShoalError as trouble:
                logger.warning("no new token of {} yet: {}", self.user_id, trouble)
            else:
                if secret != self._secret:
                    self._secret, self._logged_out = secret, False
                    broker.renew(secret)
                    return
            try:
                async with asyncio.timeout(LOGIN_LOOK_SECONDS):
                    await self._login.wait()
            except TimeoutError:
                continue

    async def _session_ended(self, error: SessionExpired) -> None:
        """In the middle of the day: what is wanted meanwhile is refused, and after the login everything is compared anew."""
        broker = self._broker
        if broker is None or not self._armed.is_set():
            return
        self._armed.clear()
        await self._log_in_again(broker, error)
        await self._reconcile(broker, self._open_orders())
        self._cut_off = False
        self._armed.set()

    async def _relay(self, broker: Broker) -> None:
        async for event in broker.events():
            if isinstance(event, BrokerChanged):
                self._deliver(event)
                if event.needs_login:
                    self._spawn(self._session_ended(SessionExpired(event.reason)))
                continue
            self._heard.add(event.order_id)
            if not isinstance(event, OrderUnknown):
                self._unknown.pop(event.order_id, None)
            self._deliver(event)

    # --- orders ---

    async def _send(self, order: Order) -> None:
        if self._logged_out:
            self._reject(order, "session_expired: log in with the broker again")
            return
        waited = not self._armed.is_set()
        await self._armed.wait()
        broker = self._broker
        if broker is None or not await self._may_leave(broker, order, waited=waited):
            return
        try:
            await self._submit(broker, order)
        except OutcomeUnknown as error:
            if order.order_id not in self._heard:
                self._deliver(OrderUnknown(ts=self._desk.now(), order_id=order.order_id, reason=str(error)))
            self._look_for(order)
        except SessionExpired as error:
            self._reject(order, f"{error.reason}: {error}")
            self._spawn(self._session_ended(error))
        except EgressNotAllowed as error:
            self._reject(order, f"{error.reason}: {error}")
            self._cut(str(error))
        except BrokerRefused as error:
            self._reject(order, f"{error.reason}: {error}")
        except BrokerUnavailable as error:
            self._reject(order, f"not sent: {error}")
        except asyncio.CancelledError:
            self._deliver(OrderUnknown(ts=self._desk.now(), order_id=order.order_id, reason="this host stopped while it was being sent"))
            raise
        except Exception as error:  # noqa: BLE001 - a fault of the adapter must not lose an order that may have left
            logger.opt(exception=True).error("order {} of {}: {}", order.order_id, self.user_id, error)
            reason = f"internal error: {type(error).__name__}"
            self._deliver(OrderUnknown(ts=self._desk.now(), order_id=order.order_id, reason=reason))
            self._look_for(order)

    async def _may_leave(self, broker: Broker, order: Order, *, waited: bool) -> bool:
        """The last look before an order leaves: is this host still the one to send it, and does the account still need it?"""
        try:
            if not await self._desk.is_current(self.user_id, self.epoch):
                logger.warning("order {} of {} is not sent: a newer incarnation has the user", order.order_id, self.user_id)
                return False
        except ServerUnavailable:
            if not order.reduce_only:
                self._reject(order, "not sent: whether this host still has the user cannot be asked")
                return False
            waited = True  # should another incarnation have closed the position, the account says so
        if order.order_id in self._called_off:
            self._deliver(OrderCancelled(ts=self._desk.now(), order_id=order.order_id, reason="called off before it was sent"))
            return False
        if order.leg is Leg.ENTRY and any(other.instrument.id == order.instrument.id for other in self._unknown.values()):
            self._reject(order, f"the fate of an earlier order on {order.instrument.id} is not known yet")
            return False
        if waited and order.leg is Leg.ENTRY:
            self._reject(order, "not sent: the account was being reconciled")
            return False
        if waited and order.reduce_only and not await self._still_held(broker, order):
            self._reject(order, f"the account no longer holds {order.quantity} of {order.instrument.id}")
            return False
        return True

    async def _still_held(self, broker: Broker, order: Order) -> bool:
        """After an absence the position may have been closed by hand: closing it once more would open the opposite one."""
        try:
            held = {position.instrument.id: position.quantity for position in await broker.positions()}
        except BrokerError:
            return False
        quantity = held.get(order.instrument.id, 0)
        return quantity >= order.quantity if order.side is OrderSide.SELL else -quantity >= order.quantity

    async def _submit(self, broker: Broker, order: Order) -> None:
        """What certainly did not arrive is sent again, an exit longer than an entry; the adapter looks for it first."""
        pauses = iter(UNSENT_PAUSES if order.leg is Leg.ENTRY else chain(UNSENT_PAUSES, repeat(UNSENT_PAUSES[-1], 10)))
        while True:
            try:
                await broker.submit(order)
            except BrokerUnavailable as error:
                pause = next(pauses, None)
                if pause is None or order.order_id in self._called_off:
                    raise
                await self._desk.clock.sleep(max(pause, error.retry_after if isinstance(error, RateLimited) else 0.0))
            else:
                self._cut_off = False
                return

    async def _cancel(self, order_id: str) -> None:
        await self._armed.wait()
        if self._broker is None:
            return
        for pause in chain(UNSENT_PAUSES, repeat(UNSENT_PAUSES[-1])):
            try:
                await self._broker.cancel(order_id)
            except SessionExpired as error:
                self._spawn(self._session_ended(error))
                await self._desk.clock.sleep(pause)
                await self._armed.wait()
            except BrokerError as error:
                logger.warning("cancel of {}: {}", order_id, error)
                await self._desk.clock.sleep(pause)
            else:
                return

    def _look_for(self, order: Order) -> None:
        if order.order_id not in self._unknown:
            self._unknown[order.order_id] = order
            self._spawn(self._settle(order))

    async def _settle(self, order: Order) -> None:
        """By the broker's books alone: what they do not show yet is asked for again, never assumed."""
        pauses = SETTLE_EXIT_SECONDS if order.reduce_only else SETTLE_SECONDS
        for pause in chain(pauses, repeat(pauses[-1])):
            await self._desk.clock.sleep(pause)
            await self._armed.wait()
            if order.order_id not in self._unknown or self._broker is None:
                return
            try:
                await self._broker.reconcile([OpenOrder(order=order, cancel_requested=order.order_id in self._called_off)])
            except BrokerError as error:
                logger.info("order {} not looked up: {}", order.order_id, error)

    def _open_orders(self) -> list[OpenOrder]:
        state = self._desk.state_of(self.user_id)
        return [] if state is None else open_orders(state)

    # --- positions ---

    async def _compare_positions(self, broker: Broker) -> None:
        """Tell the trader of what was opened or closed by another door, once a second look confirms it."""
        first = await self._differing(broker)
        if not first:
            return
        await self._desk.clock.sleep(CONFIRM_SECONDS)
        second = await self._differing(broker)
        confirmed = tuple(theirs for name, theirs in second.items() if name in first and first[name].quantity == theirs.quantity)
        if confirmed:
            self._deliver(AccountReport(ts=self._desk.now(), positions=confirmed))

    async def _differing(self, broker: Broker) -> dict[InstrumentId, AccountPosition]:
        try:
            positions = await broker.positions()
        except SessionExpired as error:
            self._spawn(self._session_ended(error))
            return {}
        except BrokerError as error:
            logger.info("positions of {} not read: {}", self.user_id, error)
            return {}
        state = self._desk.state_of(self.user_id)
        return {} if state is None else {position.instrument.id: position for position in differences(state, positions)}

    # --- small things ---

    def _deliver(self, event: EngineInput) -> None:
        self._desk.deliver(self.user_id, event)

    def _reject(self, order: Order, reason: str) -> None:
        self._deliver(OrderRejected(ts=self._desk.now(), order_id=order.order_id, reason=reason))

    def _cut(self, reason: str) -> None:
        """Nothing of this account can leave. Positions are told of once, until something has left again."""
        self._deliver(SuspendSession(ts=self._desk.now(), reason=reason, cut_off=not self._cut_off))
        self._cut_off = True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.opt(exception=error).error("account of {}: {}", self.user_id, error)
            self._deliver(SuspendSession(ts=self._desk.now(), reason=f"internal error: {type(error).__name__}"))


def open_orders(state: EngineState) -> list[OpenOrder]:
    """The trader's live orders that are not final, as it knows them."""
    return [
        OpenOrder(order=known.order, filled=known.filled, cancel_requested=known.cancel_requested)
        for known in state.orders.values()
        if known.order.mode is Mode.LIVE
    ]
