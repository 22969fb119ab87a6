"""One feed for all users: ticks to candles, candles to signals, quotes to every host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from loguru import logger

from actors.execution_ledger import ExecutionLedger
from actors.inbound_signals import InboundSignals
from actors.instrument_book import InstrumentBook
from actors.lease import LEASE_SECONDS, Lease
from actors.market_progress import MARKET_STATISTICS, MarketProgress, MarketStatistics
from actors.market_recorder import MarketRecorder, TicksKept
from actors.missed_minutes import MissedMinutes
from actors.pace import Lockstep
from actors.silence import Silence
from actors.strategy_failures import note_failure
from actors.wire import BeginSession, SetStrategies, SignalMessage, decode_instruments, decode_market_request, encode
from runtime import channels
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidInput, ServerUnavailable
from runtime.market import (
    Candle,
    FeedClock,
    FeedEvent,
    FeedGap,
    FeedStatus,
    Instrument,
    InstrumentId,
    OptionChain,
    Prices,
    Quote,
    Tick,
    Timeframe,
)
from runtime.ports import Bus, Clock, Feed, InstrumentMaster, Store, Subscription
from runtime.signal_engine import SignalEngine, StrategyFailed, StrategySpec
from runtime.signals import Signal
from runtime.strategy import MarketContext

WARM_UP = timedelta(days=7)
SNAPSHOT_SECONDS = 1.0
CLOCK_EVERY = timedelta(seconds=1)
"""Hosts hear the venue's clock at least this often, prices or not: their timers live by it."""
RESTART_STEP = 1_000_000
"""A restarted actor continues its counters this far ahead, so that nothing it says can be taken for old news."""

_decode_chain = msgspec.json.Decoder(OptionChain).decode
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_decode_progress = msgspec.json.Decoder(MarketProgress).decode
_decode_statistics = msgspec.json.Decoder(MarketStatistics).decode


class MarketData:
    """`underlyings` are what strategies run on from the start: indexes, or things traded themselves. The near-month future of an
    index lends it volume, and is served as well; so is, from its first strategy on, whatever else the venue lists.

    `calendar_of` says when an instrument trades. `starts_at` is the venue's time before its first batch; None: the clock's.
    Only the holder of the market's lease speaks: one that starts `by_force` takes it from whoever has it (a successor), one
    that does not waits until it falls free (a standby).
    """

    def __init__(
        self,
        *,
        bus: Bus,
        store: Store,
        clock: Clock,
        feed: Feed,
        master: InstrumentMaster,
        calendar_of: Callable[[Instrument], ExchangeCalendar],
        signals: SignalEngine,
        underlyings: Sequence[InstrumentId],
        starts_at: datetime | None = None,
        strikes_each_side: int = 1,
        lockstep: bool = False,
        wait_for_begin: bool = False,
        by_force: bool = True,
        lease_seconds: float = LEASE_SECONDS,
        ticks_kept: TicksKept = TicksKept.SERVED,
    ) -> None:
        self.ready = asyncio.Event()
        self.finished = asyncio.Event()
        self._bus, self._store, self._clock, self._feed, self._master = bus, store, clock, feed, master
        self._calendar_of, self._signals, self._underlyings = calendar_of, signals, underlyings
        self._starts_at, self._strikes_each_side = starts_at, strikes_each_side
        self._quotes: dict[InstrumentId, Quote] = {}
        self._lockstep = Lockstep(bus) if lockstep else None
        self._inbound = InboundSignals(bus=bus, store=store, clock=clock, feed=feed, master=master, quotes=self._quotes)
        self._begin = asyncio.Event()
        if not wait_for_begin:
            self._begin.set()
        self._by_force = by_force
        self._lease = Lease(bus, clock, channels.MARKET_LEASE, seconds=lease_seconds)
        self._ledger = ExecutionLedger(bus, store, clock, self._lease)
        self._books: dict[InstrumentId, InstrumentBook] = {}
        self._missed = MissedMinutes(feed, self._books)
        self._subscribed: set[InstrumentId] = set()
        self._recorder, self._ticks_kept = MarketRecorder(store, clock), ticks_kept
        self._now: datetime | None = None
        self._silence = Silence(underlyings)
        self._seq = 0
        self._barrier = 0
        self._control_cursor = "0"
        self._snapshot_due = 0.0
        self._clock_due = _LONG_AGO
        self.statistics = MarketStatistics()

    async def run(self) -> None:
        """Serve until the feed ends (a replay) or for ever (live).

        Raises:
            LeaseLost: in a group; another process speaks for the market now, and this one must end.
        """
        async with self._bus.subscribe(channels.CHAINS) as chains, asyncio.TaskGroup() as tasks:
            await self._lease.take(by_force=self._by_force)
            keeping = tasks.create_task(self._lease.keep())
            await self._restore()
            background = [
                keeping,
                tasks.create_task(self._ledger.run()),
                tasks.create_task(self._read_control()),
                tasks.create_task(self._read_chains(chains)),
                tasks.create_task(self._recorder.run()),
                tasks.create_task(self._inbound.run(lambda: self._now, self._send_inbound)),
            ]
            if self._lockstep is not None:
                background.append(tasks.create_task(self._lockstep.listen()))
                await self._lockstep.refresh()
            self.ready.set()
            await self._begin.wait()
            async for batch in self._feed.stream():
                await self._on_batch(batch)
            await self._finish()
            for task in background:
                task.cancel()

    # --- start ---

    async def _restore(self) -> None:
        await self._ledger.resume()
        progress = await self._bus.get_key(channels.CLOCK)
        if progress is not None:
            earlier = _decode_progress(progress)
            self._now, self._seq, self._barrier = earlier.ts, earlier.seq + RESTART_STEP, earlier.barrier + RESTART_STEP
            self._begin.set()
            logger.info("market data resumes at {}", earlier.ts)
        statistics = await self._bus.get_key(MARKET_STATISTICS)
        if statistics is not None:
            self.statistics = _decode_statistics(statistics)
            self._signals.evaluations = self.statistics.strategy_evaluations
        for underlying in self._underlyings:
            book = await self._serve(underlying)
            payload = await self._bus.get_key(channels.latest_chain(underlying))
            if payload is not None:
                book.chain = _decode_chain(payload)
        await self._follow_strikes()
        await self._obey(await self._bus.read(channels.MARKET_CONTROL, self._control_cursor))

    async def _serve(self, name: InstrumentId) -> InstrumentBook:
        """Follow an instrument from here on, and an index's near-month future with it. Raises `InvalidInput` when nobody lists it."""
        book = self._books.get(name)
        if book is None:
            instrument = await self._master.instrument(name)
            book = self._books[name] = InstrumentBook(instrument, self._calendar_of(instrument))
            self._signals.serve(instrument)
            if book.is_index:
                await self._lend_volume(book)
            await self._feed.subscribe([name])
        return book

    async def _lend_volume(self, book: InstrumentBook) -> None:
        """The near-month future of today: another one after an expiry."""
        future = await self._master.near_month_future(book.instrument.id)
        if future is not None and (book.lender is None or book.lender.instrument.id != future.id):
            book.lender = await self._serve(future.id)

    async def _read_control(self) -> None:
        while True:
            try:
                await self._obey(await self._bus.read(channels.MARKET_CONTROL, self._control_cursor, block_seconds=5.0))
            except ServerUnavailable as error:
                logger.warning("requests to the market wait for Redis: {}", error)

    async def _obey(self, entries: list[tuple[str, bytes]]) -> None:
        """Only the newest list of strategies counts: it names them all."""
        requests = [decode_market_request(payload) for _, payload in entries]
        for request in [request for request in requests if isinstance(request, SetStrategies)][-1:]:
            await self._set_strategies(request.specs)
        if any(isinstance(request, BeginSession) for request in requests):
            self._begin.set()
        self._control_cursor = entries[-1][0] if entries else self._control_cursor

    async def _read_chains(self, subscription: Subscription) -> None:
        async for _, payload in subscription:
            chain = _decode_chain(payload)
            book = self._books.get(chain.underlying)
            if book is not None and book.take_chain(chain):
                await self._follow_strikes()

    async def _set_strategies(self, specs: Sequence[StrategySpec]) -> None:
        wanted = {spec.key: spec for spec in specs}
        for key in self._signals.keys() - wanted.keys():
            self._signals.remove(key)
        for key in sorted(wanted.keys() - self._signals.keys()):
            spec = wanted[key]
            try:
                book = await self._serve(spec.instrument)
            except InvalidInput as error:
                logger.error("strategy {} cannot run here: {}", key, error)
                continue
            past = await self._past(book, spec.timeframe)
            self._signals.add(spec)
            self._signals.warm_up(key, past)
            logger.info("strategy {} runs, warmed up with {} candles", key, len(past))

    async def _past(self, book: InstrumentBook, timeframe: Timeframe) -> list[tuple[Candle, MarketContext]]:
        """Earlier candles with their context, so that a start at 11:00 knows the opening range of 09:15."""
        end = self._now or self._starts_at or self._clock.now()
        minutes = await self._feed.history(book.instrument.id, Timeframe.M1, end - WARM_UP, end)
        frames = book.past_frames(timeframe, minutes, await self._lent(book, end - WARM_UP, end))
        return [(frame, book.context(frame, volume, self._quotes)) for frame, volume in frames]

    async def _lent(self, book: InstrumentBook, start: datetime, end: datetime) -> dict[datetime, float | None]:
        if book.lender is None:
            return {}
        history = await self._missed.read(book.lender.instrument.id, start, end)
        return {candle.opened_at: candle.volume for candle in history}

    # --- the market moves ---

    async def _on_batch(self, batch: Sequence[FeedEvent]) -> None:
        closed: list[Candle] = []
        moved: dict[InstrumentId, Quote] = {}
        for event in batch:
            match event:
                case Tick():
                    moved[event.instrument] = Quote(event.instrument, event.price, event.bid, event.ask)
                    book = self._books.get(event.instrument)
                    if self._ticks_kept is TicksKept.ALL or (book is not None and self._ticks_kept is TicksKept.SERVED):
                        self._recorder.put_tick(event, self._lease.token)
                    if book is not None and (candle := book.add(event)) is not None:
                        closed.append(candle)
                case FeedClock(ts=ts):
                    self._now = ts
                    closed.extend(candle for book in self._books.values() if (candle := book.builder.advance(ts)) is not None)
                case FeedGap():
                    await self._fill_gap(event)
                case FeedStatus(up=up):
                    self._silence.venue_up = up
        self._quotes.update(moved)
        if self._now is not None:
            self._silence.judge(self._now, self._books)
        for name, book in self._books.items():
            if book.is_index:
                moved.pop(name, None)  # hosts trade contracts: an index has no bid and no buyer
        if moved or closed or self._now is None or self._now >= self._clock_due:
            await self._publish(tuple(moved.values()))
        if closed:
            await self._on_minute(closed)
        await self._keep_snapshot(at_minute=bool(closed))

    async def _on_minute(self, closed: list[Candle]) -> None:
        if self._lockstep is not None:
            await self._reach_barrier(self._lockstep)
        closed = await self._missed.whole(closed)
        noticed_at_ns = time.time_ns()
        for candle in closed:
            self._recorder.put(candle)
            book = self._books[candle.instrument]
            day = book.day
            book.note_minute(candle)
            if book.is_index and day is not None and day != book.day:
                await self._lend_volume(book)
        await self._follow_strikes()
        for candle in closed:
            self.statistics.candles += candle.instrument in self._underlyings
            await self._decide(self._books[candle.instrument], candle, noticed_at_ns)
        if self._now is not None:
            for book in self._books.values():
                for frame, volume in book.frames_ended_by(self._now):
                    await self._decide_on(book, frame, volume, noticed_at_ns)
        await self._publish_statistics()

    async def _decide(self, book: InstrumentBook, minute: Candle, noticed_at_ns: int) -> None:
        for frame, volume in book.frames(minute, book.volume(minute)):
            await self._decide_on(book, frame, volume, noticed_at_ns)

    async def _decide_on(self, book: InstrumentBook, frame: Candle, volume: float | None, noticed_at_ns: int) -> None:
        if frame.timeframe is not Timeframe.M1:
            self._recorder.put(frame)
        outcomes = self._signals.on_candle(frame, book.context(frame, volume, self._quotes))
        signals = [outcome for outcome in outcomes if isinstance(outcome, Signal)]
        if signals:
            await self._send_signals(signals, noticed_at_ns)
        for outcome in outcomes:
            if isinstance(outcome, StrategyFailed):
                await note_failure(self._store, outcome)
                await self._ledger.note_failure(outcome)

    async def _send_signals(self, signals: Sequence[Signal], noticed_at_ns: int) -> None:
        """Sent again after a crash they are the same signals, by their ids."""
        for signal in await self._ledger.execute([SignalMessage(signal=signal, closed_at_ns=noticed_at_ns) for signal in signals]):
            self.statistics.signals += 1
            by_rule = self.statistics.signals_by_rule
            by_rule[signal.rule] = by_rule.get(signal.rule, 0) + 1
        await self._publish(())

    async def _send_inbound(self, signal: Signal) -> None:
        """One that another program published: it is in the store already."""
        await self._send_signals([signal], time.time_ns())

    async def _follow_strikes(self) -> None:
        """Subscribe the strikes around the money, drop those that nobody holds."""
        near: set[InstrumentId] = set()
        for name, book in self._books.items():
            near |= book.strikes_near(self._quotes.get(name), self._strikes_each_side)
        if near <= self._subscribed:
            return
        held = await self._bus.get_fields(channels.HELD)
        wanted = near.union(*(decode_instruments(names) for names in held.values()))
        await self._feed.subscribe(sorted(wanted - self._subscribed))
        await self._feed.unsubscribe(sorted(self._subscribed - wanted - self._books.keys()))
        self._subscribed = wanted

    async def _fill_gap(self, gap: FeedGap) -> None:
        """What the feed missed comes from history: kept and shown to the strategies, but nobody trades on it."""
        for name, book in self._books.items():
            missed = await self._missed.of(name, gap)
            lent = await self._lent(book, missed[0].opened_at, gap.end) if missed else {}
            for minute in missed:
                self._recorder.put(minute)
                for frame, volume in book.frames(minute, lent.get(minute.opened_at, minute.volume)):
                    for key in self._signals.keys_on(name, frame.timeframe):
                        self._signals.warm_up(key, [(frame, book.context(frame, volume, self._quotes))])

    # --- out ---

    async def _publish(self, quotes: tuple[Quote, ...], barrier: int | None = None) -> None:
        if self._now is None:
            return
        self._seq += 1
        self._clock_due = self._now + CLOCK_EVERY
        prices = Prices(
            seq=self._seq,
            ts=self._now,
            quotes=quotes,
            signals_id=self._ledger.newest_id,
            barrier=barrier,
            feed_up=self._silence.is_up,
            silent=self._silence.silent,
        )
        await self._bus.publish(channels.PRICES, encode(prices))

    async def _reach_barrier(self, lockstep: Lockstep) -> None:
        self._barrier += 1
        while True:
            await self._publish((), barrier=self._barrier)
            if await lockstep.reached(self._barrier):
                return

    async def _keep_snapshot(self, *, at_minute: bool) -> None:
        """For newcomers: every quote, and how far we are."""
        now = asyncio.get_running_loop().time()
        if self._now is None or not (at_minute or now >= self._snapshot_due):
            return
        self._snapshot_due = now + SNAPSHOT_SECONDS
        latest = Prices(seq=self._seq, ts=self._now, quotes=tuple(self._quotes.values()), signals_id=self._ledger.newest_id)
        await self._bus.set_key(channels.PRICES_LATEST, encode(latest))
        minute = self._now.replace(second=0, microsecond=0)
        await self._bus.set_key(channels.CLOCK, encode(MarketProgress(minute, self._seq, self._barrier)))

    async def _publish_statistics(self) -> None:
        statistics = self.statistics
        statistics.strategy_evaluations = self._signals.evaluations
        statistics.late_ticks = sum(book.builder.late for book in self._books.values())
        statistics.duplicate_ticks = sum(book.builder.duplicates for book in self._books.values())
        statistics.ts = self._now
        await self._bus.set_key(MARKET_STATISTICS, encode(statistics))

    async def _finish(self) -> None:
        """The feed has ended: the last minute is decided, every participant has followed, all candles are kept."""
        if self._now is not None:
            closed = [candle for book in self._books.values() if (candle := book.builder.advance(self._now + timedelta(minutes=1)))]
            if closed:
                await self._on_minute(closed)
        if self._lockstep is not None:
            await self._reach_barrier(self._lockstep)
        await self._recorder.settle(self._lease.token)
        await self._ledger.settled()
        self.statistics.finished = True
        await self._publish_statistics()
        self.finished.set()
