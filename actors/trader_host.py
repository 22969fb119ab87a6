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
from actors.fallback_journal import FallbackJournal
from actors.feed_state import FeedState
from actors.housekeeping import Housekeeping
from actors.inbox import Command, Inbox, Item, PriceBatch, Report, Silence, StoreAnswers
from actors.kill_switch import KillSwitch, answer_roll_call
from actors.order_ledger import OrderLedger
from actors.outbox import Outbox
from actors.pace import report
from actors.recent import Recent
from actors.recovery import Recovery
from actors.rollouts import rollouts_in_force
from actors.signal_reader import SignalReader
from actors.streams import unless_redis_is_away
from actors.trading_floor import TradingFloor
from actors.turned import Stopwatch, Turned
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
    encode,
)
from adapters.local_log import LocalLog
from runtime import channels
from runtime.errors import Fenced, ServerUnavailable
from runtime.events import EngineInput, HaltTrading, ResumeTrading
from runtime.ports import Bus, Clock, Journal, Store, Subscription
from runtime.rollouts import Rollout

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
        local_log: LocalLog | None = None,
    ) -> None:
        """`venue_speed`: venue seconds per second, by which the clock goes on when the market data falls silent (None: it waits).
        `local_log`: where records go while the journal's store is away; without one the host waits for the store.
        """
        self.host_id = host_id
        self.ready = asyncio.Event()
        self._bus, self._store, self._clock = bus, store, clock
        self._journal = FallbackJournal(journal, bus, clock, local_log)
        self.outbox = Outbox(bus, store, clock, journal)
        self._answers = Answers(bus, store, journal)
        self._kill_switch = KillSwitch()
        self.floor = TradingFloor(
            journal=self._journal,
            outbox=self.outbox,
            desk=PaperDesk(ledger),
            live=live,
            kill_switch=self._kill_switch,
            store_is_away=lambda: self._journal.is_away,
        )
        if live is not None:
            live.attach(self.deliver, self._venue_time)
        self._inbox = Inbox()
        self._now: datetime | None = None
        self._prices_seq: int | None = None
        self._commands_cursor, self._cursor_key = "0", f"shoal:cursor:{host_id}"
        self._feed = FeedState(self.floor)
        self._rollouts: dict[str, Rollout] = {}
        """By the baseline's key."""
        self._recent = Recent()
        self._signals = SignalReader(host_id, bus=bus, floor=self.floor, recent=self._recent, rollouts=self._rollouts)
        self._recovery = Recovery(
            floor=self.floor,
            outbox=self.outbox,
            bus=bus,
            journal=self._journal,
            store=store,
            kill_switch=self._kill_switch,
            recent=self._recent,
            rollouts=self._rollouts,
        )
        self._housekeeping = Housekeeping(
            host_id,
            floor=self.floor,
            outbox=self.outbox,
            journal=self._journal,
            bus=bus,
            venue_time=self._venue_time,
            heartbeat=heartbeat,
            snapshots=housekeeping,
        )
        self._venue_speed = venue_speed
        self._heard_at = 0.0
        self._heard_ts: datetime | None = None

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
            await self._journal.take_up()
            await self._recover()
            tasks.create_task(self._journal.watch(lambda: self._inbox.put(StoreAnswers())))
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
        await self._kill_switch.read(self._bus, self._store, self._venue_time())
        self._follow_rollouts(await rollouts_in_force(self._store))
        self._commands_cursor = (await self._bus.get_key(self._cursor_key) or b"0").decode()
        await self._signals.find_place()
        sessions = await self._store.find("sessions", {"host": self.host_id, "active": True})
        await self._recovery.load([str(session["_id"]) for session in sessions], self._venue_time())
        await self._signals.keep_place()
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
            await self.floor.reconnect(self._venue_time())
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
            case StoreAnswers():
                await self._on_store_back()

    async def _yield_to_successor(self) -> None:
        """A user who was moved is another host's now. One that still belongs here was taken by a process of our own name.

        Raises:
            Fenced: so that this process ends; that other one has all of its users.
        """
        while self.floor.fenced and not self._journal.is_away:
            trader = self.floor.fenced[-1]
            try:
                session = await self._store.get("sessions", trader.user_id)
            except ServerUnavailable as error:
                self._journal.fall(error)
                return
            self.floor.fenced.pop()
            if session is not None and session.get("host") == self.host_id:
                raise Fenced(trader.user_id, trader.epoch)

    # --- commands ---

    async def _on_command(self, command: Command) -> None:
        """While the store is away commands wait: their answers could not be kept. One that meets the outage is obeyed again, which
        changes nothing that has changed already.
        """
        if self._journal.is_away:
            self._inbox.set_aside(command)
            return
        try:
            await self._obey(command)
        except ServerUnavailable as error:
            self._journal.fall(error)
            self._inbox.set_aside(command)

    async def _obey(self, command: Command) -> None:
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
        turned += await self._follow_news(self.floor.traders.get(user_id, trader))
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

    async def _follow_news(self, trader: UserTrader) -> list[Turned]:
        """What was halted, and what is silent, before the trader was there to hear of it."""
        now = self._venue_time()
        news: list[EngineInput] = [*self._kill_switch.news_for(trader.state, now)]
        if (feed := self._feed.news_for(trader.state, now)) is not None:
            news.append(feed)
        return [turn for event in news for turn in await self.floor.take(trader, event)]

    async def _evict(self, trader: UserTrader) -> None:
        """An idle trader's state is in the snapshot; the next command brings it back."""
        await self._journal.save_snapshots({trader.user_id: (trader.number, trader.snapshot())})
        self.floor.dismiss(trader.user_id)

    async def _on_reports(self, reports: list[Report]) -> None:
        """News of a user who is not here concerns no order of ours: whoever has the user has asked the broker himself."""
        await self.floor.run(reports)
        await self._housekeeping.report_held()

    async def _on_store_back(self) -> None:
        try:
            self.floor.fence(await self._journal.restore())
            lost, self.floor.lost = self.floor.lost, set[str]()
            await self._recovery.load(sorted(lost), self._venue_time())
        except ServerUnavailable as error:
            self._journal.fall(error)
        else:
            self._inbox.bring_back()

    # --- market ---

    async def _on_silence(self, ts: datetime) -> None:
        self._now = max(self._now or ts, ts)
        await self._feed.follow(ts, up=False, reason="no market data")
        if await self.floor.wake_due(ts):
            await self._housekeeping.report_held()

    async def _on_prices(self, batch: PriceBatch) -> None:
        prices = batch.prices
        self._heard_at = asyncio.get_running_loop().time()
        is_old = self._heard_ts is not None and prices.ts < self._heard_ts  # sent again after a lost connection or a restart
        self._heard_ts = self._heard_ts if is_old else prices.ts
        if self._prices_seq is not None and batch.first_seq != self._prices_seq + 1:
            await self._catch_up_with_market()
        self._prices_seq = prices.seq
        self._recent.add_prices(prices)
        now = max(self._now or prices.ts, prices.ts)
        await self._feed.follow(now, up=prices.feed_up, silent=prices.silent, reason="no data from the venue")
        if await self._signals.pull(prices.signals_id, self._now):
            await self._housekeeping.report_held()
        self._now = now
        floor, stopwatch = self.floor, Stopwatch(tick_received_at_ns=batch.received_at_ns)
        acted = not is_old and await floor.on_prices(prices, stopwatch)
        acted |= await floor.wake_due(self._now, stopwatch)
        if acted:
            await self._housekeeping.report_held()
        await self._housekeeping.look(prices.ts)
        if prices.barrier is not None:
            await report(self._bus, self.host_id, prices.barrier)

    def _venue_time(self) -> datetime:
        return self._now or self._clock.now()
