"""What the machine needs of the world, as async protocols. Adapters implement them; one contract suite per port tests them.

Redis names used by the runtime besides the public ones are all under `shoal:`; adapters may add a prefix (tests do).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Protocol

import msgspec

from runtime.accounts import AccountPosition, Capability, Funds, OpenOrder, PreflightCheck
from runtime.events import JournalRecord
from runtime.market import Candle, FeedEvent, Instrument, InstrumentId, OptionChain, Quote, Timeframe
from runtime.orders import Order, OrderEvent
from runtime.outages import BrokerChanged


class Clock(Protocol):
    """Wall-clock time and waiting; the only source of both. Virtual in the harness."""

    def now(self) -> datetime:
        """Aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Subscription(Protocol):
    """An open pub/sub subscription; at most once, in order per channel."""

    def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]: ...


class Bus(Protocol):
    """Redis as we use it: pub/sub, streams, small keys. Every call raises `ServerUnavailable` after bounded reconnects."""

    async def publish(self, channel: str, payload: bytes) -> None:
        """In order, at most once, perhaps only sent after the return. Raises `ServerUnavailable` when earlier messages were lost."""
        ...

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[Subscription]: ...

    async def append(self, stream: str, payload: bytes, *, max_length: int) -> str:
        """XADD with approximate trimming; returns the entry's id."""
        ...

    async def read(self, stream: str, after: str, *, count: int = 500, block_seconds: float | None = None) -> list[tuple[str, bytes]]:
        """Entries after id `after` ("0" = from the beginning, "$" = only new ones); waits up to `block_seconds` for the first."""
        ...

    async def create_group(self, stream: str, group: str) -> None:
        """Idempotent; the group starts at the stream's beginning."""
        ...

    async def read_group(
        self, stream: str, group: str, consumer: str, *, count: int = 100, block_seconds: float | None = None
    ) -> list[tuple[str, bytes]]:
        """New entries, preceded once after a (re)start by those this group left unacknowledged for over a few seconds."""
        ...

    async def acknowledge(self, stream: str, group: str, *entry_ids: str) -> None:
        """These entries are done with: never handed out again, and deleted, as a sender may have put a secret in them."""
        ...

    async def last_id(self, stream: str) -> str:
        """Id of the newest entry, "0" for an empty stream."""
        ...

    async def set_key(self, key: str, value: bytes) -> None: ...

    async def get_key(self, key: str) -> bytes | None: ...

    async def set_fields(self, key: str, fields: Mapping[str, bytes]) -> None: ...

    async def get_fields(self, key: str) -> dict[str, bytes]: ...

    async def delete_field(self, key: str, field: str) -> None: ...

    async def delete_key(self, key: str) -> None: ...

    async def take_lease(self, lease: str, holder: str, seconds: float, *, by_force: bool = False) -> int | None:
        """Hold `lease` for `seconds` from now on; repeated by its holder, that renews it.

        Returns the fencing token, greater than any given out for this lease before, the same one on renewal; None while
        another holds it, unless taken `by_force`.
        """
        ...

    async def release_lease(self, lease: str, holder: str) -> None:
        """Whoever waits for it may have it now. Changes nothing where another holds it."""
        ...

    async def append_under(self, lease: str, token: int, stream: str, payload: bytes, *, once: str, max_length: int) -> str:
        """As `append`, by the holder of the newest token of `lease` only, checked by the server in the same step.

        What was appended under the same `once` within a day is not appended again: its id is returned.

        Raises:
            LeaseLost: a newer token was given out.
        """
        ...

    async def publish_events(self, events: Sequence[tuple[str, int, str]]) -> None:
        """Publish (user_id, seq, event JSON) in order: stream, all-users channel and the user's channel, atomically per event.

        Idempotent: an event whose seq is not above the user's last published one is skipped.
        """
        ...

    async def published_seqs(self, user_ids: Sequence[str]) -> dict[str, int]:
        """The last seq published for each of these users, 0 if none."""
        ...

    async def close(self) -> None: ...


class Journal(Protocol):
    """Durable, per-user ordered record of everything that entered an engine (MongoDB, majority, journaled)."""

    async def append(self, records: Sequence[JournalRecord]) -> list[str]:
        """Write all records in one group commit, durable on return.

        Returns the user ids that are fenced: one of their numbers was already taken by another incarnation. None of a
        fenced user's records from that number on counts. Writing the same batch again after a lost answer is harmless.

        Raises:
            ServerUnavailable: nothing can be said about the batch; try again.
        """
        ...

    def read(self, user_id: str, after: int = 0) -> AsyncIterator[JournalRecord]:
        """Records with `number` above `after`, ascending."""
        ...

    async def read_many(self, after: Mapping[str, int]) -> dict[str, list[JournalRecord]]:
        """Like `read` for each of these users and numbers, in few round trips."""
        ...

    async def save_snapshots(self, snapshots: Mapping[str, tuple[int, bytes]]) -> None:
        """Keep (number, state) of each user, unless a newer one is kept already."""
        ...

    async def load_snapshots(self, user_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """(number, state) of those users who have one."""
        ...


class Store(Protocol):
    """Documents besides the journal. Dedupe relies on unique keys, never on reading first."""

    async def insert_once(self, collection: str, key: str, document: Mapping[str, Any]) -> bool:
        """Insert under `_id` = key; False if it was there already."""
        ...

    async def upsert(self, collection: str, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Set the fields of each document under its `_id`, creating it where absent."""
        ...

    async def get(self, collection: str, key: str) -> dict[str, Any] | None: ...

    async def find(
        self, collection: str, where: Mapping[str, Any], *, sort: str | None = None, descending: bool = False, limit: int = 0
    ) -> list[dict[str, Any]]:
        """Documents whose fields equal those of `where` (values may be MongoDB operators `$gte`, `$lt`, `$in`, `$ne`)."""
        ...

    async def increment_many(self, collection: str, keys: Sequence[str], field: str) -> dict[str, int]:
        """Add one to each and return the new values, creating documents and fields where absent.

        No two callers ever get the same value of a key; when they meet, or an answer is lost, some values are skipped.
        """
        ...

    async def insert_new(self, collection: str, documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Insert each under its `_id`; returns the keys that were there already, whose documents stay as they are."""
        ...

    async def add_to_sets(self, collection: str, field: str, values: Mapping[str, Sequence[str]]) -> None:
        """Add texts to the list in `field` of each document, in order, each one once; creates documents and lists where absent."""
        ...

    async def delete(self, collection: str, key: str) -> None: ...

    async def write_candles(self, candles: Sequence[Candle]) -> None:
        """Idempotent: `_id` is instrument, timeframe and time; the first version of a candle is final."""
        ...

    async def read_candles(self, instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        """Ascending, `start` included, `end` not."""
        ...

    async def close(self) -> None: ...


class CredentialEntry(msgspec.Struct, frozen=True, kw_only=True):
    """That a secret is kept, not what it is. `key_id` names the master key it is under."""

    reference: str
    user_id: str
    broker: str
    key_id: str = ""
    updated_at: datetime | None = None


class Vault(Protocol):
    """Keeps users' broker secrets encrypted; plaintext leaves it only into a broker adapter."""

    async def put(self, user_id: str, broker: str, secret: str) -> str:
        """Encrypt and keep, replacing an earlier secret of this user and broker; returns the reference to hand around."""
        ...

    async def get(self, reference: str) -> str:
        """Raises `InvalidInput` for an unknown reference."""
        ...

    async def remove(self, reference: str) -> None:
        """Harmless for an unknown reference."""
        ...

    async def entries(self) -> list[CredentialEntry]:
        """All of them, by reference."""
        ...


class Broker(Protocol):
    """One user's account at one broker. Constructed without touching the network; one instance per account.

    What changes something is never sent twice blindly: an adapter looks for an order by its `order_id` before it sends
    the same one again.
    """

    name: str
    native_stops: bool
    lacks: ClassVar[Mapping[Capability, str]]
    """Capabilities that it has not, each with the reason."""

    async def open(self) -> None:
        """Log in and start to listen. Idempotent.

        Raises:
            SessionExpired: the user has to log in with the broker again.
            BrokerUnavailable: the broker does not answer.
        """
        ...

    def renew(self, secret: str) -> None:
        """After `SessionExpired`: the user has logged in again, this is the new access token."""
        ...

    async def submit(self, order: Order) -> None:
        """Send `order` once. Its outcome arrives on `events`, never here.

        Raises:
            OutcomeUnknown: the request may or may not have arrived; reconcile by `order_id`, never resend blindly.
            BrokerRefused: the broker will not take it.
            BrokerUnavailable: it certainly did not arrive; the same `order_id` may be sent again.
        """
        ...

    async def modify(self, order_id: str, *, limit_price: Decimal | None = None, stop_price: Decimal | None = None) -> None:
        """Move the prices of a working order; a price left None stays. Raises like `submit`, and `OrderNotFound`."""
        ...

    async def cancel(self, order_id: str) -> None:
        """Take the order out of the market. Whether that came in time is told by `events`; of a finished order there is no news.

        Raises:
            BrokerUnavailable: not even after some tries; the order works on.
            SessionExpired: the user has to log in with the broker again.
        """
        ...

    async def reconcile(self, orders: Sequence[OpenOrder]) -> None:
        """Report the truth about each of these orders on `events`: what the trader has not seen of it yet, in order.

        An order that the broker's books do not show is `OrderAbsent` only after the time in which a late one could still
        appear; until then there is no news of it, and the caller asks again. (Paper: places those it does not know.)

        Raises:
            BrokerUnavailable, SessionExpired: the books cannot be read; nothing is said about any order.
        """
        ...

    async def positions(self) -> list[AccountPosition]:
        """What the account holds, and what was traded today and is flat, by whatever door it came. Raises like `reconcile`."""
        ...

    async def funds(self) -> Funds:
        """Raises like `reconcile`."""
        ...

    async def preflight(self) -> list[PreflightCheck]:
        """Whether orders would be taken now: session, address, funds, clock. Sends no order; never raises for a failed check."""
        ...

    def events(self) -> AsyncIterator[OrderEvent | BrokerChanged]:
        """Order events of this account in the broker's order, and whether the broker can be reached; until closed."""
        ...

    async def close(self) -> None: ...


class Feed(Protocol):
    """Market data of one venue, shared by all users. Yields batches in order of arrival; times are the venue's."""

    async def subscribe(self, instruments: Sequence[InstrumentId]) -> None:
        """Idempotent; survives reconnects."""
        ...

    async def unsubscribe(self, instruments: Sequence[InstrumentId]) -> None: ...

    def stream(self) -> AsyncIterator[Sequence[FeedEvent]]: ...

    async def history(self, instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        """Closed candles, ascending, `start` included, `end` not."""
        ...

    async def close(self) -> None: ...


class OptionChainSource(Protocol):
    """Raises `BrokerUnavailable` when the venue does not answer, `InvalidMarketData` when what it answers cannot be true."""

    async def expiries(self, underlying: InstrumentId) -> list[date]: ...

    async def chain(self, underlying: InstrumentId, expiry: date) -> OptionChain: ...

    async def close(self) -> None: ...


class InstrumentMaster(Protocol):
    """The venue's list of what can be traded."""

    async def instrument(self, instrument: InstrumentId) -> Instrument:
        """Raises `InvalidInput` when the venue does not list it."""
        ...

    async def near_month_future(self, underlying: InstrumentId) -> Instrument | None: ...


class QuoteBook(Protocol):
    """Newest quotes a host has seen; what a paper exchange fills against."""

    def quote(self, instrument: InstrumentId) -> Quote | None: ...


__all__ = [
    "Broker",
    "Bus",
    "Clock",
    "CredentialEntry",
    "Feed",
    "InstrumentMaster",
    "Journal",
    "OptionChainSource",
    "QuoteBook",
    "Store",
    "Subscription",
    "Vault",
]
