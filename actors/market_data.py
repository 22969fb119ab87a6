"""One feed for all users: ticks to candles, candles to signals, quotes to every host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from loguru import logger

from actors.market_progress import MARKET_STATISTICS, MarketProgress, MarketStatistics
from actors.pace import Lockstep
from actors.wire import BeginSession, SetStrategies, SignalMessage, decode_instruments, decode_market_request, encode
from runtime import channels
from runtime.calendar import ExchangeCalendar
from runtime.candles import Aggregator, CandleBuilder
from runtime.chains import rows_around
from runtime.errors import ServerUnavailable
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

SIGNALS_KEPT = 100_000
WARM_UP = timedelta(days=7)
SNAPSHOT_SECONDS = 1.0
CLOCK_EVERY = timedelta(seconds=1)
"""Hosts hear the venue's clock at least this often, prices or not: their timers live by it."""
CHAIN_AGE_MAX = timedelta(minutes=11)
"""Two polls and their jitter: nobody decides on an older chain."""
SILENCE = timedelta(seconds=15)
"""Without a tick of the underlying for this long the feed counts as down: nobody may enter on what it last said."""
RESTART_STEP = 1_000_000
"""A restarted actor continues its counters this far ahead, so that nothing it says can be taken for old news."""

_decode_chain = msgspec.json.Decoder(OptionChain).decode


_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_decode_progress = msgspec.json.Decoder(MarketProgress).decode
_decode_statistics = msgspec.json.Decoder(MarketStatistics).decode


class MarketData:
    """`underlying` is the index; its near-month future lends it volume; its chain the contracts.

    `starts_at` is the venue's time before its first batch; None: the clock's.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        store: Store,
        clock: Clock,
        feed: Feed,
        master: InstrumentMaster,
        calendar: ExchangeCalendar,
        signals: SignalEngine,
        underlying: InstrumentId,
        starts_at: datetime | None = None,
        strikes_each_side: int = 1,
        lockstep: bool = False,
        wait_for_begin: bool = False,
    ) -> None:
        self.ready = asyncio.Event()
        self.finished = asyncio.Event()
        self._bus, self._store, self._clock, self._feed, self._master = bus, store, clock, feed, master
        self._calendar, self._signals, self._underlying = calendar, signals, underlying
        self._starts_at, self._strikes_each_side = starts_at, strikes_each_side
        self._lockstep = Lockstep(bus) if lockstep else None
        self._begin = asyncio.Event()
        if not wait_for_begin:
            self._begin.set()
        self._builders: dict[InstrumentId, CandleBuilder] = {}
        self._aggregators: dict[Timeframe, Aggregator] = {}
        self._future: Instrument | None = None
        self._last_future: Candle | None = None
        self._chain: OptionChain | None = None
        self._previous_chain: OptionChain | None = None
        self._quotes: dict[InstrumentId, Quote] = {}
        self._subscribed: set[InstrumentId] = set()
        self._to_store: asyncio.Queue[Candle] = asyncio.Queue(maxsize=10_000)
        self._now: datetime | None = None
        self._last_tick_at: datetime | None = None
        self._feed_up = True
        self._seq = 0
        self._barrier = 0
        self._signals_id = "0"
        self._control_cursor = "0"
        self._snapshot_due = 0.0
        self._clock_due = _LONG_AGO
        self.statistics = MarketStatistics()

    async def run(self) -> None:
        """Serve until the feed ends (a replay) or for ever (live)."""
        async with self._bus.subscribe(channels.CHAINS) as chains, asyncio.TaskGroup() as tasks:
            await self._restore()
            background = [
                tasks.create_task(self._read_control()),
                tasks.create_task(self._read_chains(chains)),
                tasks.create_task(self._write_candles()),
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
        self._signals_id = await self._bus.last_id(channels.SIGNALS)
        payload = await self._bus.get_key(channels.latest_chain(self._underlying))
        if payload is not None:
            self._chain = _decode_chain(payload)
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
        self._future = await self._master.near_month_future(self._underlying)
        self._builders[self._underlying] = CandleBuilder(self._underlying, has_volume=False)
        wanted = [self._underlying]
        if self._future is not None:
            self._builders[self._future.id] = CandleBuilder(self._future.id, has_volume=True)
            wanted.append(self._future.id)
        await self._feed.subscribe(wanted)
        await self._follow_strikes()
        await self._obey(await self._bus.read(channels.MARKET_CONTROL, self._control_cursor))

    async def _read_control(self) -> None:
        while True:
            await self._obey(await self._bus.read(channels.MARKET_CONTROL, self._control_cursor, block_seconds=5.0))

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
            if chain.underlying == self._underlying and (self._chain is None or chain.taken_at >= self._chain.taken_at):
                self._previous_chain, self._chain = self._chain, chain
                await self._follow_strikes()

    async def _set_strategies(self, specs: Sequence[StrategySpec]) -> None:
        wanted = {spec.key: spec for spec in specs}
        for key in self._signals.keys() - wanted.keys():
            self._signals.remove(key)
        for key in sorted(wanted.keys() - self._signals.keys()):
            spec = wanted[key]
            if spec.instrument != self._underlying:
                logger.warning("strategy {} wants {}, but this actor serves {}", key, spec.instrument, self._underlying)
                continue
            past = await self._past(spec.timeframe)
            self._signals.add(spec)
            self._signals.warm_up(key, past)
            logger.info("strategy {} runs, warmed up with {} candles", key, len(past))

    async def _past(self, timeframe: Timeframe) -> list[tuple[Candle, MarketContext]]:
        """Earlier candles with their context, so that a start at 11:00 knows the opening range of 09:15.

        A timeframe heard of for the first time goes on with the frame that these candles have begun.
        """
        end = self._now or self._starts_at or self._clock.now()
        minutes = await self._feed.history(self._underlying, Timeframe.M1, end - WARM_UP, end)
        volumes: dict[datetime, float | None] = {}
        if self._future is not None:
            history = await self._feed.history(self._future.id, Timeframe.M1, end - WARM_UP, end)
            volumes = {candle.opened_at: candle.volume for candle in history}
        if timeframe is Timeframe.M1:
            return [(candle, self._context(candle, volumes.get(candle.opened_at))) for candle in minutes]
        aggregator = Aggregator(timeframe, self._calendar.bounds_at)
        past = [(frame, self._context(frame, None)) for candle in minutes for frame in aggregator.add(candle)]
        self._aggregators.setdefault(timeframe, aggregator)
        return past

    # --- the market moves ---

    async def _on_batch(self, batch: Sequence[FeedEvent]) -> None:
        closed: list[Candle] = []
        moved: dict[InstrumentId, Quote] = {}
        for event in batch:
            match event:
                case Tick():
                    moved[event.instrument] = Quote(event.instrument, event.price, event.bid, event.ask)
                    builder = self._builders.get(event.instrument)
                    if builder is not None:
                        if event.instrument == self._underlying:
                            self._last_tick_at = event.ts
                        candle = builder.add(event)
                        if candle is not None:
                            closed.append(candle)
                case FeedClock(ts=ts):
                    self._now = ts
                    closed.extend(candle for builder in self._builders.values() if (candle := builder.advance(ts)) is not None)
                case FeedGap():
                    await self._fill_gap(event)
                case FeedStatus(up=up):
                    self._feed_up = up
        self._quotes.update(moved)
        self._judge_feed()
        moved.pop(self._underlying, None)  # hosts trade contracts: an index has no bid and no buyer
        if moved or closed or self._now is None or self._now >= self._clock_due:
            await self._publish(tuple(moved.values()))
        if closed:
            await self._on_minute(closed)
        await self._keep_snapshot(at_minute=bool(closed))

    async def _on_minute(self, closed: list[Candle]) -> None:
        if self._lockstep is not None:
            await self._reach_barrier(self._lockstep)
        noticed_at_ns = time.time_ns()
        for candle in closed:
            self._to_store.put_nowait(candle)
            if self._future is not None and candle.instrument == self._future.id:
                self._last_future = candle
        await self._follow_strikes()
        for candle in closed:
            if candle.instrument != self._underlying:
                continue
            self.statistics.candles += 1
            for frame in [candle, *(frame for aggregator in self._aggregators.values() for frame in aggregator.add(candle))]:
                await self._decide(frame, noticed_at_ns)
        if self._now is not None:  # a frame whose last minute is missing ends with the clock
            for frame in [frame for aggregator in self._aggregators.values() for frame in aggregator.advance(self._now)]:
                await self._decide(frame, noticed_at_ns)
        await self._publish_statistics()

    async def _decide(self, candle: Candle, noticed_at_ns: int) -> None:
        future = self._last_future
        volume = future.volume if future is not None and future.opened_at == candle.opened_at else None
        sent = False
        for outcome in self._signals.on_candle(candle, self._context(candle, volume)):
            match outcome:
                case Signal():
                    await self._send_signal(outcome, noticed_at_ns)
                    sent = True
                case StrategyFailed():
                    logger.error("strategy {} failed and is off: {}", outcome.key, outcome.error)
        if sent:
            await self._publish(())

    async def _send_signal(self, signal: Signal, noticed_at_ns: int) -> None:
        """Durable before it is sent; sent again after a crash it is the same signal, by its id."""
        document: dict[str, Any] = msgspec.to_builtins(signal, builtin_types=(datetime,))
        if await self._store.insert_once("signals", signal.signal_id, document):
            self.statistics.signals += 1
            by_rule = self.statistics.signals_by_rule
            by_rule[signal.rule] = by_rule.get(signal.rule, 0) + 1
        message = encode(SignalMessage(signal=signal, closed_at_ns=noticed_at_ns))
        self._signals_id = await self._bus.append(channels.SIGNALS, message, max_length=SIGNALS_KEPT)

    def _context(self, candle: Candle, volume: float | None) -> MarketContext:
        session_open, session_close = self._calendar.bounds_at(candle.opened_at)
        chain = self._chain
        if chain is not None and candle.closed_at - chain.taken_at > CHAIN_AGE_MAX:
            chain = None
        if chain is not None:
            chain = msgspec.structs.replace(chain, spot=candle.close)
        return MarketContext(
            session_open=session_open,
            session_close=session_close,
            volume=volume,
            chain=chain,
            previous_chain=self._previous_chain,
            quotes=self._quotes,
        )

    async def _follow_strikes(self) -> None:
        """Subscribe the strikes around the money, drop those that nobody holds."""
        if self._chain is None:
            return
        spot = self._quotes.get(self._underlying)
        chain = self._chain if spot is None else msgspec.structs.replace(self._chain, spot=spot.price)
        near = {
            quote.instrument.id for row in rows_around(chain, self._strikes_each_side) for quote in (row.call, row.put) if quote is not None
        }
        if near <= self._subscribed:
            return
        held = await self._bus.get_fields(channels.HELD)
        wanted = near.union(*(decode_instruments(names) for names in held.values()))
        await self._feed.subscribe(sorted(wanted - self._subscribed))
        await self._feed.unsubscribe(sorted(self._subscribed - wanted))
        self._subscribed = wanted

    async def _fill_gap(self, gap: FeedGap) -> None:
        """What the feed missed comes from history: kept and shown to the strategies, but nobody trades on it."""
        missed = await self._feed.history(self._underlying, Timeframe.M1, gap.start, gap.end)
        logger.warning("feed gap {} to {} ({}): {} candles filled from history", gap.start, gap.end, gap.reason, len(missed))
        for candle in missed:
            self._to_store.put_nowait(candle)
        for key in sorted(self._signals.keys()):
            self._signals.warm_up(key, [(candle, self._context(candle, None)) for candle in missed])

    def _judge_feed(self) -> None:
        if self._now is None or self._last_tick_at is None:
            return
        session_open, session_close = self._calendar.bounds_at(self._now)
        silent = self._now - self._last_tick_at > SILENCE and session_open < self._now < session_close
        if silent == self._feed_up:
            self._feed_up = not silent
            logger.warning("feed {} at {}", "down" if silent else "up", self._now)

    # --- out ---

    async def _publish(self, quotes: tuple[Quote, ...], barrier: int | None = None) -> None:
        if self._now is None:
            return
        self._seq += 1
        self._clock_due = self._now + CLOCK_EVERY
        prices = Prices(seq=self._seq, ts=self._now, quotes=quotes, signals_id=self._signals_id, barrier=barrier, feed_up=self._feed_up)
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
        latest = Prices(seq=self._seq, ts=self._now, quotes=tuple(self._quotes.values()), signals_id=self._signals_id)
        await self._bus.set_key(channels.PRICES_LATEST, encode(latest))
        minute = self._now.replace(second=0, microsecond=0)
        await self._bus.set_key(channels.CLOCK, encode(MarketProgress(minute, self._seq, self._barrier)))

    async def _publish_statistics(self) -> None:
        statistics = self.statistics
        statistics.strategy_evaluations = self._signals.evaluations
        statistics.late_ticks = sum(builder.late for builder in self._builders.values())
        statistics.duplicate_ticks = sum(builder.duplicates for builder in self._builders.values())
        statistics.ts = self._now
        await self._bus.set_key(MARKET_STATISTICS, encode(statistics))

    async def _write_candles(self) -> None:
        while True:
            candles = [await self._to_store.get()]
            while not self._to_store.empty():
                candles.append(self._to_store.get_nowait())
            while True:
                try:
                    await self._store.write_candles(candles)
                    break
                except ServerUnavailable as error:
                    logger.warning("{} candles wait for the store: {}", len(candles), error)
                    await self._clock.sleep(1.0)
            for _ in candles:
                self._to_store.task_done()

    async def _finish(self) -> None:
        """The feed has ended: the last minute is decided, every participant has followed, all candles are kept."""
        if self._now is not None:
            closed = [candle for builder in self._builders.values() if (candle := builder.advance(self._now + timedelta(minutes=1)))]
            if closed:
                await self._on_minute(closed)
        if self._lockstep is not None:
            await self._reach_barrier(self._lockstep)
        await self._to_store.join()
        self.statistics.finished = True
        await self._publish_statistics()
        self.finished.set()
