"""A process's worth of traders: takes in commands, signals and prices; journals first, acts second.

One loop handles one item at a time and settles it completely (journal, orders, fills, journal, …) before the next, so that
the order of events is the order of arrival and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
from loguru import logger

from actors.answers import Answers
from actors.desk import LiveDesk, PaperDesk
from actors.inbox import Command, Inbox, Item, PriceBatch, Report, Silence
from actors.kill_switch import KillSwitch, answer_roll_call
from actors.order_ledger import OrderLedger
from actors.outbox import Outbox
from actors.pace import report
from actors.recent import Recent
from actors.recovery import Recovery
from actors.rollouts import rollouts_in_force
from actors.streams import is_after, unless_redis_is_away
from actors.trading_floor import Stopwatch, TradingFloor, Turned
from actors.turns import Turns
from actors.user_trader import UserTrader
from actors.wire import (
    ForAll,
    ForUser,
    HostMessage,
    Release,
    RollCallAnswer,
    SetRollouts,
    decode_host_message,
    decode_prices,
    decode_signal,
    encode,
)
from runtime import channels
from runtime.errors import Fenced, ServerUnavailable
from runtime.events import EngineInput, FeedChanged, HaltTrading, Heartbeat, ResumeTrading, SignalArrived
from runtime.market import InstrumentId
from runtime.ports import Bus, Clock, Journal, Store, Subscription
from runtime.rollouts import Rollout, addressed
from runtime.state import SessionStatus

SNAPSHOT_EVERY = 100
"""Journal records after which a trader's state is saved, to bound the length of a recovery."""
SNAPSHOTS_AT_ONCE = 500
SILENCE_SECONDS = 5.0
"""Without a price message for this long (they come every second of a live market) the market data counts as dead."""


class TraderHost:
    """Holds the `UserTrader`s of one process, be it one (dedicated) or thousands (packed)."""

    def __init__(
        self,
        host_id: str,
        *,
        bus: Bus,
        journal: Journal,
        store: Store,
        clock: Clock,
        heartbeat: timedelta = timedelta(minutes=5),
        housekeeping: timedelta = timedelta(minutes=1),
        venue_speed: float | None = None,
        live: LiveDesk | None = None,
        ledger: OrderLedger | None = None,
    ) -> None:
        """`venue_speed`: venue seconds per second, by which the clock goes on when the market data falls silent (None: it waits)."""
        self.host_id = host_id
        self.ready = asyncio.Event()
        self._bus, self._journal, self._store, self._clock = bus, journal, store, clock
        self.outbox = Outbox(bus, store, clock, journal)
        self._answers = Answers(bus, store, journal)
        self._kill_switch = KillSwitch()
        self.floor = TradingFloor(journal=journal, outbox=self.outbox, desk=PaperDesk(ledger), live=live, kill_switch=self._kill_switch)
        if live is not None:
            live.attach(self.deliver, self._venue_time)
        self._inbox = Inbox()
        self._now: datetime | None = None
        self._prices_seq: int | None = None
        self._signals_cursor = "0"
        self._commands_cursor = "0"
        self._cursor_key, self._signals_cursor_key = f"shoal:cursor:{host_id}", channels.signals_cursor(host_id)
        self._feed_up = True
        self._rollouts: dict[str, Rollout] = {}
        """By the baseline's key."""
        self._recent = Recent()
        self._turns = Turns(host_id)
        self._recovery = Recovery(
            floor=self.floor,
            outbox=self.outbox,
            journal=journal,
            store=store,
            kill_switch=self._kill_switch,
            recent=self._recent,
            rollouts=self._rollouts,
        )
        self._held: set[InstrumentId] = set()
        self._heartbeat = heartbeat
        self._housekeeping = housekeeping
        self._venue_speed = venue_speed
        self._heard_at = 0.0
        self._heard_ts: datetime | None = None
        self._next_heartbeat: datetime | None = None
        self._next_housekeeping: datetime | None = None

    async def run(self) -> None:
        """Recover, then serve until cancelled."""
        try:
            await self._run()
        finally:
            if self.floor.live is not None:
                await self.floor.live.close()

    async def _run(self) -> None:
        async with (
            self._bus.subscribe(channels.PRICES) as prices,
            self._bus.subscribe(channels.HALTS) as halts,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self.outbox.run())
            tasks.create_task(self._kill_switch.listen(halts, self.floor.call_off))
            await self._recover()
            tasks.create_task(self._read_prices(prices))
            tasks.create_task(self._read_commands())
            if self._venue_speed is not None:
                tasks.create_task(self._mind_silence(self._venue_speed))
            self.ready.set()
            await self._serve()

    # --- recovery ---

    async def _recover(self) -> None:
        """Market, kill switch and cursors first; then every session placed here, reconciled before anything new is read."""
        await self._catch_up_with_market()
        await self._kill_switch.read(self._store, self._venue_time())
        self._follow_rollouts(await rollouts_in_force(self._store))
        self._commands_cursor = (await self._bus.get_key(self._cursor_key) or b"0").decode()
        newest = await self._bus.last_id(channels.SIGNALS)
        self._signals_cursor = (await self._bus.get_key(self._signals_cursor_key) or newest.encode()).decode()
        sessions = await self._store.find("sessions", {"host": self.host_id, "active": True})
        await self._recovery.load([str(session["_id"]) for session in sessions], self._venue_time())
        if all(trader.state.is_idle for trader in self.floor.traders.values()):  # what was said before concerns nobody here
            self._signals_cursor = newest
        await self._bus.set_key(self._signals_cursor_key, self._signals_cursor.encode())
        for halt in self._kill_switch.in_force():
            await self._answer_roll_call(halt)
        await report(self._bus, self.host_id, 0)

    async def _catch_up_with_market(self) -> None:
        """Newest quotes and venue time, for a newcomer or after a gap in the price channel."""
        payload = await self._bus.get_key(channels.PRICES_LATEST)
        if payload is not None:
            prices = decode_prices(payload)
            self._now = max(self._now or prices.ts, prices.ts)
            for quote in prices.quotes:
                self.floor.desk.quotes[quote.instrument] = quote

    # --- input ---

    async def _read_prices(self, subscription: Subscription) -> None:
        while True:
            try:
                async for _, payload in subscription:
                    self._inbox.put_prices(time.time_ns(), decode_prices(payload))
            except ServerUnavailable as error:
                logger.warning("prices wait for Redis: {}", error)

    async def _mind_silence(self, speed: float) -> None:
        """Clock exits must not wait for a market-data actor that is dead."""
        loop = asyncio.get_running_loop()
        silent = 0.0
        while True:
            await self._clock.sleep(max(SILENCE_SECONDS - silent, 1.0))
            silent = loop.time() - self._heard_at
            if self._heard_ts is not None and silent > SILENCE_SECONDS:
                self._inbox.put(Silence(self._heard_ts + timedelta(seconds=silent * speed)))

    async def _read_commands(self) -> None:
        stream = channels.host_inbox(self.host_id)
        cursor = self._commands_cursor
        while True:
            try:
                entries = await self._bus.read(stream, cursor, block_seconds=5.0)
            except ServerUnavailable as error:
                logger.warning("commands wait for Redis: {}", error)
                continue
            for entry_id, payload in entries:
                cursor = entry_id
                await self._inbox.put_command(entry_id, payload)

    def deliver(self, user_id: str, event: EngineInput) -> None:
        """What a live broker reports of an order or of the account. Taken in the order of arrival, never dropped; call it on this host's own loop."""
        self._inbox.put(Report(user_id, event))

    async def _serve(self) -> None:
        while True:
            await self._inbox.wait()
            await self._handle(self._inbox.take())
            await self._yield_to_successor()

    async def _handle(self, item: Item) -> None:
        match item:
            case PriceBatch():
                await self._on_prices(item)
            case Command():
                await self._on_command(item)
            case Silence():
                await self._on_silence(item.ts)
            case Report():
                await self._on_reports([item, *self._inbox.take_reports()])

    async def _yield_to_successor(self) -> None:
        """A user who was moved is another host's now. One that still belongs here was taken by a process of our own name.

        Raises:
            Fenced: so that this process ends; that other one has all of its users.
        """
        while self.floor.fenced:
            trader = self.floor.fenced.pop()
            session = await self._store.get("sessions", trader.user_id)
            if session is not None and session.get("host") == self.host_id:
                raise Fenced(trader.user_id, trader.epoch)

    # --- commands ---

    async def _on_command(self, command: Command) -> None:
        try:
            message: HostMessage = decode_host_message(command.payload)
        except msgspec.DecodeError as error:
            logger.error("entry {} of the host's inbox is no message of ours and is passed over: {}", command.entry_id, error)
            return
        match message:
            case ForAll(input=event):
                await self._for_all(msgspec.structs.replace(event, ts=self._venue_time()))
            case ForUser(user_id=user_id, input=event):
                await self._for_user(user_id, msgspec.structs.replace(event, ts=self._venue_time()))
            case Release(user_id=user_id):
                self.floor.release(user_id)
            case SetRollouts(rollouts=rollouts):
                self._follow_rollouts(rollouts)
        self._commands_cursor = command.entry_id
        await unless_redis_is_away(self._bus.set_key(self._cursor_key, command.entry_id.encode()))

    def _follow_rollouts(self, rollouts: Iterable[Rollout]) -> None:
        self._rollouts.clear()
        self._rollouts.update((rollout.baseline, rollout) for rollout in rollouts)

    async def _for_all(self, event: EngineInput) -> None:
        if not isinstance(event, HaltTrading | ResumeTrading):
            return
        self._kill_switch.turn(event)
        concerned = [user_id for user_id in self.floor.traders if event.target.concerns(user_id)]
        await self.floor.run([(user_id, event) for user_id in concerned], encoded=encode(event).decode())
        await self._answer_roll_call(event)

    async def _answer_roll_call(self, event: HaltTrading | ResumeTrading) -> None:
        traders = sum(event.target.concerns(user_id) for user_id in self.floor.traders)
        await answer_roll_call(self._bus, RollCallAnswer(command_id=event.command_id, host_id=self.host_id, traders=traders))

    async def _for_user(self, user_id: str, event: EngineInput) -> None:
        if user_id not in self.floor.traders:
            session = await self._store.get("sessions", user_id) or {}
            if session.get("active") and session.get("host", self.host_id) != self.host_id:
                logger.info("a command for user {} came too late: {} has him", user_id, session["host"])
                return  # the supervisor sends it after him
            await self._recovery.load([user_id], self._venue_time())
        trader = self.floor.traders.get(user_id)
        if trader is None:  # it cannot be recovered
            return
        turned = await self.floor.take(trader, event)
        turned += await self._follow_kill_switch(self.floor.traders.get(user_id, trader))
        await self.floor.settle(turned)
        trader = self.floor.traders.get(user_id)
        if trader is None:  # fenced while settling
            return
        self.floor.refresh(trader)
        state = trader.state
        if state.is_idle:
            await self.outbox.flush(user_id)  # a process of its own may be ended as soon as the session counts as inactive
        session = {"active": not state.is_idle, "status": state.status, "mode": state.config.mode, "updated_at": event.ts}
        await self._store.upsert("sessions", {user_id: session})
        command_id: str | None = getattr(event, "command_id", None)
        if command_id is not None:
            await self._answers.record(user_id, command_id, [text for turn in turned for text in turn.record.events])
        if state.is_idle:
            await self._evict(trader)

    async def _follow_kill_switch(self, trader: UserTrader) -> list[Turned]:
        news = self._kill_switch.news_for(trader.state, self._venue_time())
        return [turn for event in news for turn in await self.floor.take(trader, event)]

    async def _evict(self, trader: UserTrader) -> None:
        """An idle trader's state is in the snapshot; the next command brings it back."""
        await self._journal.save_snapshots({trader.user_id: (trader.number, trader.snapshot())})
        self.floor.dismiss(trader.user_id)

    async def _on_reports(self, reports: list[Report]) -> None:
        """News of a user who is not here concerns no order of ours: whoever has the user has asked the broker himself."""
        await self.floor.run(reports)
        await self._report_held()

    # --- market ---

    async def _on_silence(self, ts: datetime) -> None:
        self._now = max(self._now or ts, ts)
        if self._feed_up:
            self._feed_up = False
            await self._tell_running(FeedChanged(ts=ts, up=False, reason="no market data"))
        if await self.floor.wake_due(ts):
            await self._report_held()

    async def _on_prices(self, batch: PriceBatch) -> None:
        prices = batch.prices
        self._heard_at = asyncio.get_running_loop().time()
        is_old = self._heard_ts is not None and prices.ts < self._heard_ts  # sent again after a lost connection or a restart
        self._heard_ts = self._heard_ts if is_old else prices.ts
        if self._prices_seq is not None and batch.first_seq != self._prices_seq + 1:
            await self._catch_up_with_market()
        self._prices_seq = prices.seq
        self._recent.add_prices(prices)
        await self._pull_signals(prices.signals_id)
        self._now = max(self._now or prices.ts, prices.ts)
        floor, stopwatch = self.floor, Stopwatch(tick_received_at_ns=batch.received_at_ns)
        acted = not is_old and await floor.on_prices(prices, stopwatch)
        acted |= await floor.wake_due(self._now, stopwatch)
        if acted:
            await self._report_held()
        if prices.feed_up != self._feed_up:
            self._feed_up = prices.feed_up
            await self._tell_running(
                FeedChanged(ts=self._now, up=prices.feed_up, reason="" if prices.feed_up else "no data from the venue")
            )
        if self._next_heartbeat is None or self._now >= self._next_heartbeat:
            await self._beat(prices.ts)
        if self._next_housekeeping is None or self._now >= self._next_housekeeping:
            await self._housekeep(self._now)
        if prices.barrier is not None:
            await report(self._bus, self.host_id, prices.barrier)

    async def _pull_signals(self, upto: str) -> None:
        while upto not in {"0", self._signals_cursor} and is_after(upto, self._signals_cursor):
            entries = await self._bus.read(channels.SIGNALS, self._signals_cursor)
            if not entries:
                return
            for entry_id, payload in entries:
                await self._on_signal(payload)
                self._signals_cursor = entry_id
                await unless_redis_is_away(self._bus.set_key(self._signals_cursor_key, entry_id.encode()))

    async def _on_signal(self, payload: bytes) -> None:
        message = decode_signal(payload)
        signal = message.signal
        self._recent.add_signal(signal)
        quote = self.floor.desk.quotes.get(signal.instrument.id)
        last_price = None if quote is None else quote.price
        stopwatch = Stopwatch(candle_closed_at_ns=message.closed_at_ns)
        for heard, users in addressed(signal, self.floor.subscribers, self._rollouts):
            event = SignalArrived(ts=max(self._now or signal.ts, signal.ts), signal=heard, last_price=last_price)
            waiting = [user_id for user_id in users if not self.floor.traders[user_id].engine.has_seen(heard)]
            inputs = [(user_id, event) for user_id in self._turns.order(waiting, signal.signal_id)]
            await self.floor.run(inputs, stopwatch, encoded=encode(event).decode())
            await self._report_held()

    async def _tell_running(self, event: EngineInput) -> None:
        running = [user_id for user_id, trader in self.floor.traders.items() if trader.state.status is not SessionStatus.STOPPED]
        await self.floor.run([(user_id, event) for user_id in running], encoded=encode(event).decode())

    async def _beat(self, last_tick_at: datetime) -> None:
        now = self._venue_time()
        first = self._next_heartbeat is None
        self._next_heartbeat = now + self._heartbeat
        if not first:
            await self._tell_running(Heartbeat(ts=now, last_tick_age_seconds=(now - last_tick_at).total_seconds()))

    async def _housekeep(self, now: datetime) -> None:
        """A snapshot is taken only when all events are out: recovery republishes from the records behind it."""
        if not self.outbox.is_drained:
            return
        self._next_housekeeping = now + self._housekeeping
        due = [trader for trader in self.floor.traders.values() if trader.since_snapshot >= SNAPSHOT_EVERY]
        for start in range(0, len(due), SNAPSHOTS_AT_ONCE):
            some = due[start : start + SNAPSHOTS_AT_ONCE]
            await self._journal.save_snapshots({trader.user_id: (trader.number, trader.snapshot()) for trader in some})

    async def _report_held(self) -> None:
        held = self.floor.held_instruments()
        if held != self._held:
            self._held = held
            await unless_redis_is_away(self._bus.set_field(channels.HELD, self.host_id, encode(sorted(held))))

    def _venue_time(self) -> datetime:
        return self._now or self._clock.now()
