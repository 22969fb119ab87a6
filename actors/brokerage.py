"""Live brokers put together from settings and vault: the only place where a secret is taken out of the vault."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import TYPE_CHECKING

from actors.instruments import own_keys, stored_table, todays_table
from actors.order_messages import OrderMessages
from configs.accounts import AccountEntry, UpstoxSettings
from runtime.accounts import BrokerMessage
from runtime.errors import InvalidInput
from runtime.market import IST, InstrumentId, Quote
from runtime.ports import Broker, Store, Vault
from runtime.session import SessionConfig

if TYPE_CHECKING:
    from adapters.brokers.upstox import AccountSettings
    from adapters.upstox import Endpoints
    from adapters.upstox.instruments import InstrumentTable

UPSTOX = "upstox"


class Brokerage:
    """Builds a broker per account. The instrument list of the day is read once per process and shared, but for users' own keys."""

    def __init__(
        self,
        vault: Vault,
        store: Store,
        *,
        upstox: UpstoxSettings | None,
        accounts: dict[str, AccountEntry],
        now: Callable[[], datetime],
        quote: Callable[[InstrumentId], Quote | None] = lambda _: None,
        fetches: bool = True,
        messages: OrderMessages | None = None,
    ) -> None:
        """`accounts` is keyed by user id; a user who is not in it has the defaults. `messages`: where brokers' answers are noted.

        Without `fetches` the instrument list is the one in `store`, of whatever day: for a look that changes nothing.
        """
        self._store, self._fetches = store, fetches
        self._vault, self._upstox, self._accounts, self._now, self._quote = vault, upstox, accounts, now, quote
        self._messages = messages
        self._table: InstrumentTable | None = None
        self._loading = asyncio.Lock()

    async def connect(self, user_id: str, config: SessionConfig) -> Broker:
        """Raises `InvalidInput` for a broker that is not set up here or without credentials, `AdapterUnavailable` without its package."""
        upstox = self._configured(config.broker)
        from adapters.brokers.upstox import UpstoxBroker
        from adapters.upstox import AccessToken, UpstoxClient

        settings = account_settings(self._accounts.get(user_id, AccountEntry()))
        client = UpstoxClient(
            AccessToken(await self.secret(config)),
            endpoints(upstox),
            egress=settings.egress,
            algo_name=settings.algo_name,
            answer_seconds=settings.answer_seconds,
            on_message=_unheard if self._messages is None else self._messages.of(user_id),
        )
        table = (await self.table()).with_keys(await own_keys(self._store, UPSTOX, user_id))
        return UpstoxBroker(client, table, self._now, settings=settings, quote=self._quote)

    async def secret(self, config: SessionConfig) -> str:
        """Raises `InvalidInput` when the vault has none."""
        if config.credentials is None:
            raise InvalidInput("credentials", None, "live needs `credentials` or an `access_token`")
        return await self._vault.get(config.credentials)

    async def close(self) -> None:
        """When its brokers are closed."""
        if self._messages is not None:
            await self._messages.close()

    async def table(self) -> InstrumentTable:
        """Today's instruments. Raises `BrokerUnavailable` when there is no list of today and none can be fetched."""
        upstox, today = self._configured(UPSTOX), self._now().astimezone(IST).date()
        async with self._loading:
            if self._table is None or self._table.loaded_on != today:
                self._table = await self._load(upstox, today)
        return self._table

    async def _load(self, upstox: UpstoxSettings, today: date) -> InstrumentTable:
        if not self._fetches:
            return await stored_table(self._store, UPSTOX)
        from adapters.upstox import AccessToken, UpstoxClient

        client = UpstoxClient(AccessToken(""), endpoints(upstox))
        try:
            return await todays_table(self._store, UPSTOX, client, today, own_day=upstox.time == "quotes")
        finally:
            await client.close()

    def _configured(self, broker: str) -> UpstoxSettings:
        if broker != UPSTOX or self._upstox is None:
            raise InvalidInput("broker", broker, "is not set up here: see `upstox` in the settings")
        return self._upstox


def epoch_check(store: Store) -> Callable[[str, int], Awaitable[bool]]:
    """Whether an epoch is still the newest of its user, for a live desk. The returned call raises `ServerUnavailable`."""

    async def is_current(user_id: str, epoch: int) -> bool:
        session = await store.get("sessions", user_id)
        return session is not None and int(session.get("epoch", 0)) == epoch

    return is_current


def endpoints(settings: UpstoxSettings) -> Endpoints:
    from adapters.upstox import Endpoints

    return Endpoints(
        api=settings.api,
        orders=settings.orders,
        feed=settings.feed,
        portfolio=settings.portfolio,
        instruments=settings.instruments,
    )


def account_settings(entry: AccountEntry) -> AccountSettings:
    from adapters.brokers.upstox import AccountSettings
    from adapters.upstox import Egress

    return AccountSettings(
        product=entry.product,
        algo_name=entry.algo_name,
        egress=Egress(local_address=_text(entry.local_address), proxy=entry.proxy, public_address=_text(entry.public_address)),
        visibility_seconds=entry.visibility_seconds,
        exit_visibility_seconds=entry.exit_visibility_seconds,
        reprice_seconds=entry.reprice_seconds,
        answer_seconds=entry.answer_seconds,
        exit_answer_seconds=entry.exit_answer_seconds,
    )


def _unheard(message: BrokerMessage) -> None:
    """Nobody keeps a record: a check by hand, which sends no orders."""
    del message


def _text(address: object) -> str | None:
    return None if address is None else str(address)
