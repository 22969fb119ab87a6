"""All orders of one account that we have to do with: rows of stream and books in, order events out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from loguru import logger

from adapters.brokers.upstox.account import AccountSettings
from adapters.brokers.upstox.books import Books
from adapters.brokers.upstox.evidence import explains_everything
from adapters.brokers.upstox.rows import OrderRow
from adapters.brokers.upstox.track import Track
from adapters.upstox.instruments import InstrumentTable
from runtime.accounts import OpenOrder
from runtime.errors import BrokerError
from runtime.orders import Order, OrderAbsent, OrderAccepted, OrderEvent

TRADES_ATTEMPTS, TRADES_PAUSE_SECONDS = 3, 0.3
CLOSED_KEPT_MAX = 2_000


class OrderLedger:
    """`emit` gets every event once, fills before the end of their order; `on_accepted` hears of an order first seen at the broker."""

    def __init__(
        self,
        books: Books,
        table: InstrumentTable,
        settings: AccountSettings,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        emit: Callable[[OrderEvent], None],
        on_accepted: Callable[[Track], None],
        call_off: Callable[[Track], Awaitable[Sequence[str] | None]],
    ) -> None:
        """`call_off` has the broker cancel whatever carries the order's tag: its ids there, none for nothing, None for no answer."""
        self._books, self._table, self._settings = books, table, settings
        self._now, self._monotonic, self._emit, self._on_accepted = now, monotonic, emit, on_accepted
        self._call_off = call_off
        self._tracks: dict[str, Track] = {}
        self._order_ids: dict[str, str] = {}
        self._reports: dict[str, asyncio.Task[None]] = {}

    # --- what is known ---

    def track(self, order: Order) -> Track:
        """The order's track, a new one for an order never seen here."""
        return self._tracks.setdefault(order.order_id, Track(order))

    def find(self, order_id: str) -> Track | None:
        """None for an order that is over or was never seen here."""
        track = self._tracks.get(order_id)
        return None if track is None or track.closed else track

    def forget(self, track: Track) -> None:
        self._tracks.pop(track.order.order_id, None)

    @property
    def open_tracks(self) -> list[Track]:
        return [track for track in self._tracks.values() if not track.closed]

    def adopt(self, orders: Sequence[OpenOrder]) -> list[Track]:
        """Orders of a process before this one; what it has reported of them is not reported again."""
        tracks: list[Track] = []
        for known in orders:
            track = self._tracks.setdefault(known.order.order_id, Track(known.order, filled=known.filled))
            track.sent = True  # perhaps: nobody knows any more
            track.cancel_wanted = track.cancel_wanted or known.cancel_requested
            tracks.append(track)
        return tracks

    # --- news ---

    def sending(self, track: Track) -> None:
        """It leaves now."""
        track.sent = True
        if track.order.reduce_only:
            track.missed_since = self._monotonic()

    def named(self, track: Track, broker_order_ids: Sequence[str]) -> None:
        """The broker took the order under these ids, one per slice."""
        track.named(broker_order_ids)
        for broker_order_id in broker_order_ids:
            self._order_ids[broker_order_id] = track.order.order_id
        self._accept(track)

    def on_row(self, row: OrderRow) -> None:
        """A row of the order book or of the stream; of somebody else's order, or old news, nothing comes."""
        order_id = row.tag if row.tag is not None and row.tag in self._tracks else self._order_ids.get(row.order_id, "")
        track = self._tracks.get(order_id)
        if track is not None and track.absent:
            logger.warning("order {} was counted as absent and has turned up: it is cancelled", order_id)
            track.revive()
        if track is None or track.closed or not track.take(row):
            return
        self._order_ids[row.order_id] = order_id
        self._accept(track)
        if (track.filled > track.reported or track.is_over) and order_id not in self._reports:
            report = self._reports[order_id] = asyncio.create_task(self._report(track))
            report.add_done_callback(lambda _: self._reports.pop(order_id, None))

    def _accept(self, track: Track) -> None:
        if not track.accepted:
            track.accepted = True
            self._emit(OrderAccepted(ts=self._now(), order_id=track.order.order_id, broker_order_id=",".join(track.rows)))
            self._on_accepted(track)

    async def _report(self, track: Track) -> None:
        """Fills first, then the end."""
        while track.filled > track.reported:
            before = track.reported
            await self._report_fills(track)
            if track.reported == before:
                return  # a row without a price: the next one will have it
        if track.is_over and not track.closed:
            end = track.end(self._now())
            if end is not None:
                self._emit(end)
            self._forget_oldest()

    async def _report_fills(self, track: Track) -> None:
        """From the trade book, as an average over several trades is rounded; from the average where the trade book lags."""
        for _ in range(TRADES_ATTEMPTS):
            try:
                trades = [trade for name in track.filled_ids for trade in await self._books.trades_of(name)]
            except BrokerError as error:
                logger.info("trades of {} not read: {}", track.order.order_id, error)
                trades = []
            if sum(trade.quantity for trade in trades) >= track.filled:
                fills = track.fills_from(trades, self._now())
                break
            await asyncio.sleep(TRADES_PAUSE_SECONDS)
        else:
            fills = track.fill_at_average(self._now())
        for fill in fills:
            self._emit(fill)

    # --- the books ---

    async def read_book(self) -> list[OrderRow]:
        """Raises like `Books`."""
        rows = await self._books.orders()
        for row in rows:
            self.on_row(row)
        return rows

    async def refresh(self, broker_order_id: str) -> bool:
        """Whether the newest state of this one order could be read."""
        try:
            self.on_row(await self._books.order(broker_order_id))
        except BrokerError:
            return False
        return True

    async def look_for(self, tracks: Sequence[Track]) -> list[OrderRow]:
        """Find the orders by book and tag; the rows of the book. Raises like `Books`."""
        rows = await self.read_book()
        for track in tracks:
            if not track.rows and not track.closed:
                for row in await self._books.by_tag(track.order.order_id):
                    self.on_row(row)
        return rows

    async def settle(self, tracks: Sequence[Track]) -> None:
        """`look_for` them; those that are proved never to have existed are reported absent.

        An order that closes a position is proved sooner than others: its position is open meanwhile. Then the broker must also
        say that there is nothing to cancel under its tag, as that is asked of the order system itself and not of a copy.

        Raises like `Books`.
        """
        rows = await self.look_for(tracks)
        missing = [track for track in tracks if not track.rows and not track.closed]
        now = self._monotonic()
        for track in missing:
            track.missed_since = now if track.missed_since is None else track.missed_since
        ripe = [track for track in missing if now - (track.missed_since or now) >= self._patience(track)]
        if ripe:
            trades, positions = await self._books.trades(), await self._books.positions()
            for track in ripe:
                proved = explains_everything(self._table.key(track.order.instrument.id), rows, trades, positions)
                if proved and (not track.order.reduce_only or await self._is_nowhere(track)) and not track.rows:
                    track.gone()
                    self._emit(OrderAbsent(ts=self._now(), order_id=track.order.order_id))

    async def _is_nowhere(self, track: Track) -> bool:
        """Whether the broker has nothing to cancel under the order's tag. What it has is being cancelled; its rows will tell how that ended."""
        found = await self._call_off(track)
        if found:
            track.cancel_wanted = True
            track.known_as(found)
            self._order_ids.update(dict.fromkeys(found, track.order.order_id))
            self._accept(track)
        return found is not None and not found

    def _patience(self, track: Track) -> float:
        """Seconds for which the order may still turn up."""
        return self._settings.exit_visibility_seconds if track.order.reduce_only else self._settings.visibility_seconds

    async def reported(self, tracks: Sequence[Track]) -> None:
        """Returns when what is known of these orders has been told."""
        await asyncio.gather(*(report for track in tracks if (report := self._reports.get(track.order.order_id)) is not None))

    async def close(self) -> None:
        reports = list(self._reports.values())
        for report in reports:
            report.cancel()
        await asyncio.gather(*reports, return_exceptions=True)

    def _forget_oldest(self) -> None:
        """Orders that are over stay known for a while, so that late rows of theirs are recognised."""
        closed = [order_id for order_id, track in self._tracks.items() if track.closed]
        for order_id in closed[: max(0, len(closed) - CLOSED_KEPT_MAX)]:
            for broker_order_id in self._tracks.pop(order_id).rows:
                self._order_ids.pop(broker_order_id, None)
