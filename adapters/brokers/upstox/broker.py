"""`runtime.ports.Broker` of one Upstox account."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

import msgspec
from loguru import logger

from adapters.brokers.upstox.account import AccountSettings
from adapters.brokers.upstox.books import Books
from adapters.brokers.upstox.checks import run_checks
from adapters.brokers.upstox.encode import check, modify_request, place_request, slices
from adapters.brokers.upstox.gtt import Brackets
from adapters.brokers.upstox.ledger import OrderLedger
from adapters.brokers.upstox.portfolio import PortfolioStream
from adapters.brokers.upstox.rows import Placed, Profile
from adapters.brokers.upstox.track import Track
from adapters.upstox import UpstoxClient
from adapters.upstox.client import parse
from adapters.upstox.instruments import InstrumentTable
from adapters.upstox.limiter import SlidingWindow
from adapters.upstox.token import ASK_FOR_LOGIN
from runtime.accounts import AccountPosition, Capability, Funds, OpenOrder, PreflightCheck
from runtime.errors import (
    BrokerError,
    BrokerRefused,
    BrokerUnavailable,
    EgressNotAllowed,
    OrderNotFound,
    OutcomeUnknown,
    SessionExpired,
)
from runtime.exits import decimal_price
from runtime.market import InstrumentId, Quote
from runtime.orders import Order, OrderEvent, OrderType
from runtime.outages import BrokerChanged

T = TypeVar("T")

CANCEL_ATTEMPTS, CANCEL_PAUSE_SECONDS = 5, 0.5
REPRICE_MAX = 30
"""A market order follows the market this many times; by then somebody should look at it."""


class UpstoxBroker:
    """Sends once, learns from the portfolio stream, and trusts the books: order book, search by tag, trades, positions.

    The tag of every order is its `order_id`. Upstox does not recognise a repeated tag, so an order is looked for before it is
    sent a second time. `now` is the venue's clock, for the times of events; `quote` the newest price of a contract, where
    somebody has it (else it is asked for).
    """

    name = "upstox"
    native_stops = True
    lacks: ClassVar[Mapping[Capability, str]] = {
        Capability.SIGNED_REQUESTS: "a bearer token goes with a request: nothing in it grows old",
        Capability.RECOGNISED_REPEATS: "a tag is only a search key: an order is looked for before it is sent again",
    }

    def __init__(
        self,
        client: UpstoxClient,
        table: InstrumentTable,
        now: Callable[[], datetime],
        *,
        settings: AccountSettings | None = None,
        quote: Callable[[InstrumentId], Quote | None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings or AccountSettings()
        self.books = Books(client)
        self._client, self._table, self._now, self._quote = client, table, now, quote
        self._limiter = SlidingWindow(self.settings.order_limits, quiet_seconds=self.settings.quiet_seconds, now=monotonic)
        self.brackets = Brackets(client, table, self._limiter, product=self.settings.product)
        self._events: asyncio.Queue[OrderEvent | BrokerChanged | None] = asyncio.Queue()  # bounded by the order rate: fills never drop
        self._ledger = OrderLedger(
            self.books,
            table,
            self.settings,
            now=now,
            monotonic=monotonic,
            emit=self._events.put_nowait,
            on_accepted=self._on_accepted,
            call_off=self._call_off,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._look = asyncio.Event()
        self._is_up: bool | None = None
        self._needs_login = False
        self._closed = False
        self._stream = PortfolioStream(
            client.endpoints.portfolio,
            client.token,
            on_open=self._look.set,
            on_order=self._ledger.on_row,
            on_down=lambda _: self._look.set(),
            on_auth_expired=lambda _: self._down(ASK_FOR_LOGIN, needs_login=True),
            jitter=client.jitter,
        )

    def __repr__(self) -> str:
        return f"UpstoxBroker({self._client!r})"

    # --- life ---

    async def open(self) -> None:
        try:
            profile = parse(await self._client.read("/v2/user/profile"), Profile | None)
        except BrokerError as error:
            self._down(str(error), needs_login=isinstance(error, SessionExpired))
            raise
        self._client.token.customer = "" if profile is None else profile.user_id
        self._up()
        if not self._tasks:
            self._spawn(self._stream.run())
            self._spawn(self._keep_looking())

    async def close(self) -> None:
        """What was reported until now can still be read."""
        if self._closed:
            return
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._ledger.close()
        await self._client.close()
        self._events.put_nowait(None)

    async def events(self) -> AsyncIterator[OrderEvent | BrokerChanged]:
        while True:
            event = await self._events.get()
            if event is None:
                return
            yield event

    def renew(self, secret: str) -> None:
        self._client.token.renew(secret)
        self._look.set()

    # --- orders out ---

    async def submit(self, order: Order) -> None:
        check(order)
        key = self._table.key(order.instrument.id)
        track = self._ledger.track(order)
        if track.sent and not track.rows:  # the same order again, after an answer that said no or nothing
            await self._read(self._ledger.look_for([track]))
        if track.rows or track.closed:
            return
        last = await self._last_price(order)
        await self._limiter.acquire(slices(order))
        if track.cancel_wanted:
            raise BrokerUnavailable(f"order {order.order_id} was called off before it was sent")
        self._ledger.sending(track)
        request = place_request(order, key, self.settings.product, last)
        patience = self.settings.exit_answer_seconds if order.reduce_only else None
        try:
            data = await self._change("POST", "/v3/order/place", json=request, answer_seconds=patience, order_id=order.order_id)
        except SessionExpired:
            self._ledger.forget(track)
            raise
        except BrokerRefused as error:
            await self._confirm_refusal(track, error)
            return
        try:
            broker_order_ids = msgspec.json.decode(data, type=Placed).order_ids
        except msgspec.MsgspecError:
            broker_order_ids = []
        if not broker_order_ids:
            raise OutcomeUnknown("placing was answered without an order id")
        self._ledger.named(track, broker_order_ids)

    async def modify(self, order_id: str, *, limit_price: Decimal | None = None, stop_price: Decimal | None = None) -> None:
        track = self._ledger.find(order_id)
        if track is None or not track.open_ids:
            raise OrderNotFound(f"order {order_id} is not working")
        before = track.order
        track.order = msgspec.structs.replace(
            before, limit_price=limit_price or before.limit_price, stop_price=stop_price or before.stop_price
        )
        try:
            await self._change_prices(track)
        except BrokerRefused:
            track.order = before
            raise

    async def cancel(self, order_id: str) -> None:
        track = self._ledger.find(order_id)
        if track is None:
            return
        track.cancel_wanted = True
        for attempt in range(CANCEL_ATTEMPTS):
            answered = [await self._cancel_one(track, broker_order_id) for broker_order_id in track.open_ids]
            if all(answered):
                return
            await asyncio.sleep(CANCEL_PAUSE_SECONDS * 2**attempt)
        raise BrokerUnavailable(f"order {order_id} could not be cancelled: it works on")

    async def _cancel_one(self, track: Track, broker_order_id: str) -> bool:
        """False when nothing is known of the request. Repeating a cancel is harmless."""
        await self._limiter.acquire()
        try:
            await self._change("DELETE", "/v3/order/cancel", params={"order_id": broker_order_id}, order_id=track.order.order_id)
        except SessionExpired:
            raise
        except BrokerRefused as error:  # it is done, or never was: the book says what
            logger.info("cancel of {} refused: {}", broker_order_id, error)
            return await self._ledger.refresh(broker_order_id)
        except (OutcomeUnknown, BrokerUnavailable):
            return await self._ledger.refresh(broker_order_id) and broker_order_id not in track.open_ids
        return True

    async def _call_off(self, track: Track) -> Sequence[str] | None:
        await self._limiter.acquire()
        url = f"{self._client.endpoints.api}/v2/order/multi/cancel"
        try:
            data = await self._client.change("DELETE", url, params={"tag": track.order.order_id}, order_id=track.order.order_id)
        except (SessionExpired, EgressNotAllowed):
            raise
        except BrokerRefused as error:
            logger.info("nothing to cancel under {}: {}", track.order.order_id, error)
            return []
        except (OutcomeUnknown, BrokerUnavailable) as error:
            logger.info("order {} could not be called off: {}", track.order.order_id, error)
            return None
        return parse(data, Placed).order_ids

    async def _confirm_refusal(self, track: Track, error: BrokerRefused) -> None:
        """A no to a new order is believed when the order book agrees: gateways have refused orders that the exchange then had."""
        try:
            await self._ledger.read_book()
        except BrokerError as unread:
            raise OutcomeUnknown(f"{error}; the order book could not be read to confirm it: {unread}") from None
        if track.rows:
            logger.warning("order {} was refused ({}) and is in the book all the same", track.order.order_id, error)
            return
        self._ledger.forget(track)
        raise error

    async def _change_prices(self, track: Track) -> None:
        """Give the order's slices the prices that its terms mean now. The same request twice is harmless."""
        last = await self._last_price(track.order)
        for broker_order_id in track.open_ids:
            await self._limiter.acquire()
            request = modify_request(broker_order_id, track.order, last)
            await self._change("PUT", "/v3/order/modify", json=request, order_id=track.order.order_id)

    async def _follow_market(self, track: Track) -> None:
        """A market order is a limit order here; should the market run away from it, it goes after it."""
        for _ in range(REPRICE_MAX):
            await asyncio.sleep(self.settings.reprice_seconds)
            if track.closed or track.cancel_wanted or track.is_over:
                return
            try:
                await self._change_prices(track)
            except BrokerError as error:
                logger.info("order {} could not be moved with the market: {}", track.order.order_id, error)
                self._look.set()

    async def _last_price(self, order: Order) -> Decimal | None:
        """Raises `BrokerUnavailable` when a market order needs a price and none can be had: nothing was sent."""
        if order.type is not OrderType.MARKET:
            return None
        quote = self._quote(order.instrument.id)
        if quote is not None:
            return decimal_price(quote.price, order.instrument)
        return await self._read(self.books.last_price(self._table.key(order.instrument.id)))

    async def _change(self, method: Any, path: str, **request: Any) -> bytes:
        try:
            return await self._client.change(method, f"{self._client.endpoints.orders}{path}", **request)
        except SessionExpired as error:
            self._down(str(error), needs_login=True)
            raise

    # --- what comes back ---

    def _on_accepted(self, track: Track) -> None:
        self._look.set()
        if track.order.type is OrderType.MARKET:
            self._spawn(self._follow_market(track))
        if track.cancel_wanted:
            self._spawn(self._cancel_late(track.order.order_id))

    async def _cancel_late(self, order_id: str) -> None:
        try:
            await self.cancel(order_id)
        except BrokerError as error:
            logger.warning("late cancel of {}: {}", order_id, error)

    async def reconcile(self, orders: Sequence[OpenOrder]) -> None:
        tracks = self._ledger.adopt(orders)
        await self._read(self._ledger.settle(tracks))
        await self._ledger.reported(tracks)

    async def _keep_looking(self) -> None:
        """The stream may be down, or silent without being known to be: what is open is looked up in the book anyway."""
        while True:
            pause = self.settings.look_seconds if self._stream.is_open else self.settings.poll_seconds
            try:
                async with asyncio.timeout(pause):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            await self._client.token.renewed()
            tracks = self._ledger.open_tracks
            if self._is_up and not tracks:
                continue
            try:
                await self._read(self._ledger.read_book())
                for track in tracks:
                    if track.cancel_wanted and track.open_ids:
                        await self._cancel_late(track.order.order_id)
            except BrokerError as error:
                logger.info("the order book was not read: {}", error)

    async def positions(self) -> list[AccountPosition]:
        found: dict[InstrumentId, AccountPosition] = {}
        for row in await self._read(self.books.positions()):
            instrument = self._table.by_key(row.instrument_token)
            if instrument is None:
                continue
            before = found.get(instrument.id)
            found[instrument.id] = AccountPosition(
                instrument=instrument,
                quantity=(row.quantity or Decimal(0)) + (before.quantity if before is not None else 0),
                average_price=row.average_price or None,
                last_price=row.last_price or None,
            )
        return list(found.values())

    async def funds(self) -> Funds:
        margin = (await self._read(self.books.funds())).equity
        if margin is None or margin.available_margin is None:
            raise BrokerUnavailable("Upstox's answer names no available margin")
        return Funds(available=margin.available_margin, used=margin.used_margin or Decimal(0))

    async def preflight(self) -> list[PreflightCheck]:
        return await run_checks(self._client, self.books, self._table, self.settings, self._now())

    # --- small things ---

    async def _read(self, reading: Coroutine[Any, Any, T]) -> T:
        """Await a read; whether it succeeds tells whether the broker can be reached."""
        try:
            found = await reading
        except SessionExpired as error:
            self._down(str(error), needs_login=True)
            raise
        except BrokerUnavailable as error:
            self._down(str(error))
            raise
        self._up()
        return found

    def _up(self) -> None:
        if self._is_up is not True:
            self._is_up, self._needs_login = True, False
            self._events.put_nowait(BrokerChanged(ts=self._now(), up=True))

    def _down(self, reason: str, *, needs_login: bool = False) -> None:
        """That a login is needed is said also of a broker that is known to be down."""
        if self._is_up is not False or needs_login != self._needs_login:
            self._is_up, self._needs_login = False, needs_login
            self._events.put_nowait(BrokerChanged(ts=self._now(), up=False, reason=reason, needs_login=needs_login))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
