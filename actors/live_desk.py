"""The live desk of a host: an account at a broker for each of its users who trades live, apart from all others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from actors.broker_session import BrokerSession, uncontested
from actors.live_account import LiveAccount, open_orders
from actors.user_trader import UserTrader
from runtime.events import EngineInput
from runtime.orders import Order, OrderRejected
from runtime.ports import Broker, Clock
from runtime.session import Mode, SessionConfig
from runtime.state import EngineState


class Connections(Protocol):
    """Where brokers come from, see `actors.brokerage`."""

    async def connect(self, user_id: str, config: SessionConfig) -> Broker:
        """Raises `ShoalError`: this user's settings do not make a broker."""
        ...

    async def secret(self, config: SessionConfig) -> str:
        """The access token now in the vault. Raises `InvalidInput` when there is none."""
        ...

    async def close(self) -> None:
        """After the last broker."""
        ...


class LiveDesk:
    """`actors.desk.LiveDesk`: takes orders at once and sends them in tasks; what brokers report goes to `deliver`.

    An account begins with its trader (`follow`) by comparing the broker's books with the trader's orders, and nothing leaves
    before that. `is_current` tells whether an epoch is still the user's newest: asked before each order leaves.
    """

    def __init__(
        self,
        connections: Connections,
        clock: Clock,
        is_current: Callable[[str, int], Awaitable[bool]],
        session_of: Callable[[str], BrokerSession] = uncontested,
    ) -> None:
        self.clock, self.session_of = clock, session_of
        self._connections, self._is_current = connections, is_current
        self._accounts: dict[str, LiveAccount] = {}
        self._traders: dict[str, UserTrader] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._deliver: Callable[[str, EngineInput], None] = _nowhere
        self._now: Callable[[], datetime] = clock.now

    def attach(self, deliver: Callable[[str, EngineInput], None], now: Callable[[], datetime]) -> None:
        """The host's inbox and its venue time; before anything else."""
        self._deliver, self._now = deliver, now

    # --- from the host ---

    def follow(self, trader: UserTrader) -> None:
        """A trader has come, or its settings have changed. One that has nothing to do with live orders gets no account."""
        user_id, state = trader.user_id, trader.state
        account = self._accounts.get(user_id)
        if account is not None and account.epoch == trader.epoch:
            self._traders[user_id] = trader
            account.configured(state.config)
        elif _trades_live(state):
            self.dismiss(user_id)
            self._traders[user_id] = trader
            self._accounts[user_id] = LiveAccount(self, user_id, trader.epoch, state.config, open_orders(state))

    def submit(self, order: Order, ts: datetime) -> None:
        account = self._accounts.get(order.user_id)
        if account is None:
            self._deliver(order.user_id, OrderRejected(ts=ts, order_id=order.order_id, reason="no live account is open"))
        else:
            account.submit(order)

    def cancel(self, order: Order, ts: datetime) -> None:
        del ts
        account = self._accounts.get(order.user_id)
        if account is not None:
            account.cancel(order.order_id)

    def call_off(self, forbids: Callable[[str, str], bool]) -> None:
        for account in self._accounts.values():
            account.call_off(forbids)

    def dismiss(self, user_id: str) -> None:
        """The user is not here any more. What is on its way to the broker is settled by whoever has him now."""
        self._traders.pop(user_id, None)
        account = self._accounts.pop(user_id, None)
        if account is not None:
            task = asyncio.create_task(account.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        for user_id in list(self._accounts):
            self.dismiss(user_id)
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._connections.close()

    # --- for the accounts ---

    async def connect(self, user_id: str, config: SessionConfig) -> Broker:
        return await self._connections.connect(user_id, config)

    async def secret(self, config: SessionConfig) -> str:
        return await self._connections.secret(config)

    async def is_current(self, user_id: str, epoch: int) -> bool:
        return await self._is_current(user_id, epoch)

    def deliver(self, user_id: str, event: EngineInput) -> None:
        self._deliver(user_id, event)

    def state_of(self, user_id: str) -> EngineState | None:
        trader = self._traders.get(user_id)
        return None if trader is None else trader.state

    def now(self) -> datetime:
        return self._now()


def _trades_live(state: EngineState) -> bool:
    config = state.config
    wanted = any(config.mode_of(subscription) is Mode.LIVE for subscription in config.subscriptions)
    held = any(position.mode is Mode.LIVE for position in state.open_positions)
    return (config.mode is Mode.LIVE or wanted or held or bool(open_orders(state))) and not state.is_idle


def _nowhere(user_id: str, event: EngineInput) -> None:
    raise RuntimeError(f"attach the live desk to a host before {user_id} hears of {type(event).__name__}")
