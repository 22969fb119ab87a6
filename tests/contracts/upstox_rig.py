"""Upstox at its local venue (docs/upstox-venue.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, ClassVar, Self

import msgspec
import pytest

from adapters.brokers.upstox import AccountSettings, UpstoxBroker
from adapters.clock import WallClock
from adapters.feeds.upstox import UpstoxFeed
from adapters.instruments.upstox import load_instruments
from adapters.option_chains.upstox import UpstoxOptionChainSource
from adapters.upstox import AccessToken, Endpoints, UpstoxClient
from adapters.upstox.instruments import InstrumentTable
from runtime.errors import RefusalReason
from runtime.market import InstrumentId
from runtime.ports import Broker, OptionChainSource
from tests.contracts.rig import NetworkRig, Placed, Request

ANSWER_SECONDS = 1.0


class VenueTime(WallClock):
    """The venue's day is not ours."""

    def __init__(self, now: Any) -> None:
        self.now = now  # type: ignore[method-assign]


class Address(msgspec.Struct, frozen=True):
    token: str
    endpoints: Endpoints
    settings: AccountSettings
    now: datetime


class UpstoxRig(NetworkRig):
    """The venue at 10:00, its clock moved by `advance` only. `changes` are of the venue's settings."""

    adapter = UpstoxBroker
    refusals: ClassVar[Sequence[tuple[int, str, RefusalReason]]] = (
        (400, "UDAPI100036", RefusalReason.INVALID),
        (403, "UDAPI1154", RefusalReason.EGRESS),
        (423, "UDAPI100074", RefusalReason.MARKET_CLOSED),
        (403, "UDAPI1156", RefusalReason.PERMISSION),
        (400, "UDAPI1118", RefusalReason.FREEZE_QUANTITY),
        (400, "UDAPI100011", RefusalReason.INSTRUMENT),
    )

    def __init__(self, **changes: Any) -> None:
        pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")
        from tests.venues.upstox import UpstoxVenue, faults, simple

        self.faults = faults
        self.venue = UpstoxVenue(msgspec.structs.replace(simple(users=2), **({"rate_limits": False} | changes)))
        self._opened: list[Any] = []
        self._settings: dict[str, Any] = {
            "quiet_seconds": 0.0,
            "visibility_seconds": self.visibility_seconds,
            "answer_seconds": ANSWER_SECONDS,
            "reprice_seconds": 0.4,
        }

    async def __aenter__(self) -> Self:
        await self.venue.__aenter__()
        await self.venue.advance(45 * 60)
        self.table = await load_instruments(self.client(), date(2026, 11, 20))
        self.instrument = self.table.instrument("NSE:BANKNIFTY26NOV52000CE")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for opened in self._opened:
            await opened.close()
        await self.venue.__aexit__(kind, error, trace)

    # --- the adapters ---

    def endpoints(self) -> Endpoints:
        urls = self.venue.urls
        return Endpoints(api=urls.rest, orders=urls.orders, feed=urls.feed, portfolio=urls.portfolio, instruments=urls.instruments)

    def client(self, user: str = "U1", *, endpoints: Endpoints | None = None, settings: AccountSettings | None = None) -> UpstoxClient:
        address = Address(self.secret(user), endpoints or self.endpoints(), settings or AccountSettings(**self._settings), self.now())
        client = _client(address)
        self._opened.append(client)
        return client

    async def broker(self, user: str = "U1", *, endpoints: Endpoints | None = None, **settings: Any) -> UpstoxBroker:
        wanted = AccountSettings(**(self._settings | settings))
        broker = UpstoxBroker(self.client(user, endpoints=endpoints, settings=wanted), self.table, self.now, settings=wanted)
        self._opened.append(broker)
        await broker.open()
        return broker

    def feed(self, **options: Any) -> UpstoxFeed:
        clock = VenueTime(self.now)
        feed = UpstoxFeed(self.client(), self.table, clock, **({"venue_speed": None, "jitter": lambda: 0.05} | options))
        self._opened.append(feed)
        return feed

    def chain(self) -> OptionChainSource:
        return UpstoxOptionChainSource(self.client(), self.table, self.now)

    # --- the venue ---

    def inject(self, *faults: Any) -> None:
        self.venue.faults.add(*faults)

    def waiting_faults(self) -> Sequence[Any]:
        return self.venue.faults.waiting

    def placed(self) -> list[Placed]:
        from tests.venues.upstox.ledger import Happened

        return [Placed(entry.tag or "", entry.quantity) for entry in self.venue.ledger.entries(Happened.PLACED)]

    def fills(self, tag: str) -> list[tuple[int, Decimal]]:
        return [(entry.quantity, entry.price) for entry in self.venue.ledger.entries(tag=tag) if entry.trade_id]

    def requests(self, operation: str) -> list[Request]:
        return [
            Request(call.path, call.body, {name.lower(): value for name, value in call.headers.items()}, call.peer)
            for call in self.venue.core.journal.of(operation)
        ]

    def drop_streams(self) -> None:
        self.venue.core.portfolio.close(1006)

    def admit_streams(self) -> None:
        self.venue.core.portfolio.refusals.clear()

    def streams(self) -> int:
        return len(self.venue.core.portfolio.connections)

    def register_algo(self, user: str, name: str) -> None:
        account = self.venue.core.accounts.by_id[user]
        account.settings = msgspec.structs.replace(account.settings, algo_names=(name,))

    def secret(self, user: str = "U1") -> str:
        return self.venue.token(user)

    def log_in(self, user: str = "U1") -> str:
        core = self.venue.core
        core.accounts.log_in(core.accounts.by_id[user], core.clock.now)
        return self.venue.token(user)

    def spend(self, user: str, left: Decimal) -> None:
        self.venue.core.accounts.by_id[user].cash = left

    def nowhere(self) -> dict[str, Any]:
        return {"endpoints": msgspec.structs.replace(self.endpoints(), orders="http://127.0.0.1:9")}

    async def advance(self) -> None:
        await self.venue.advance(0.5)

    async def advance_to(self, ts: datetime) -> None:
        await self.venue.advance_to(ts)

    def price(self) -> Decimal:
        quote = self.venue.core.market.quote(self.venue.core.listing.of(self.instrument.id), self.venue.clock.now)
        assert quote is not None
        return Decimal(repr(quote.price))

    def last(self, instrument: InstrumentId) -> float:
        shown = self.venue.core.market.snapshot(self.venue.core.listing.of(instrument), self.venue.clock.now)
        assert shown is not None
        return shown.price

    def followed(self) -> set[InstrumentId]:
        return {name for key in self.venue.core.feed.subscriptions("U1") if (name := self.table.id_of(key)) is not None}

    def renew(self, feed: Any, secret: str) -> None:
        feed._client.token.renew(secret)

    def history_spans(self) -> list[tuple[date, date]]:
        ends = [call.path.split("/")[-2:] for call in self.requests("historical_candles")]
        return sorted((date.fromisoformat(since), date.fromisoformat(until)) for until, since in ends)

    async def spoil_chain(self, underlying: InstrumentId, expiry: date) -> None:
        params = {"instrument_key": self.table.key(underlying), "expiry_date": expiry.isoformat()}
        rows: list[Any] = json.loads(await self.client().read("/v2/option/chain", params))
        rows[0]["put_options"] = None
        rows[1]["call_options"]["market_data"] |= {"bid_price": 0, "oi": 0}
        rows[2]["call_options"]["option_greeks"]["iv"] = 0.0
        del rows[3]
        body = json.dumps({"status": "success", "data": rows})
        self.inject(self.faults.Answer(operation="option_chain", status=200, body=body))

    def now(self) -> datetime:
        return self.venue.clock.now

    # --- other processes ---

    def address(self, user: str = "U1") -> bytes:
        return msgspec.json.encode(Address(self.secret(user), self.endpoints(), AccountSettings(**self._settings), self.now()))

    @classmethod
    async def connect(cls, address: bytes) -> UpstoxBroker:
        found = msgspec.json.decode(address, type=Address)
        client = _client(found)
        table: InstrumentTable = await load_instruments(client, date(2026, 11, 20))
        broker: Broker = UpstoxBroker(client, table, lambda: found.now, settings=found.settings)
        await broker.open()
        return broker


def _client(address: Address) -> UpstoxClient:
    settings = address.settings
    return UpstoxClient(
        AccessToken(address.token),
        address.endpoints,
        egress=settings.egress,
        algo_name=settings.algo_name,
        answer_seconds=settings.answer_seconds,
        jitter=lambda: 0.1,
    )
