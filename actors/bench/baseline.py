"""What is compared against: a plain loop that handles the users one after another, with one write each."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from actors.bench.market import CONTRACT, PRICE, Market, session
from actors.bench.stage import OPEN, Stage
from actors.desk import PaperDesk
from actors.user_trader import UserTrader
from actors.wire import decode_signal
from runtime import channels
from runtime.events import EngineInput, SignalArrived, StartSession, SubmitOrder
from runtime.market import Quote
from runtime.state import EngineState

USERS_MAX = 1_000
"""Its time per user does not depend on their number, so a sample is enough."""


async def one_after_another(users: int, on_progress: Callable[[str, int, int], None]) -> float:
    """Milliseconds per user from a signal to the fill on Redis: the same engine, journal and events, but no batches and no pipeline."""
    count = min(users, USERS_MAX)
    async with Stage(0, session) as stage:
        market = Market(stage)
        market.want(session(0))
        await market.candle()
        [(_, payload)] = await stage.bus.read(channels.SIGNALS, "0")
        signal, desk = decode_signal(payload).signal, PaperDesk()
        desk.on_quotes([Quote(CONTRACT.id, PRICE, PRICE - 0.05, PRICE)], signal.ts)
        traders = [_trader(f"user-{number:06d}", number) for number in range(count)]
        begun = time.perf_counter()
        for number, trader in enumerate(traders):
            if number % 100 == 0:
                on_progress("one after another", number, count)
            await _handle(stage, desk, trader, SignalArrived(ts=signal.ts + timedelta(seconds=1), signal=signal))
        on_progress("one after another", count, count)
        return 1000 * (time.perf_counter() - begun) / count


def _trader(user_id: str, number: int) -> UserTrader:
    trader = UserTrader(user_id, state=EngineState(user_id=user_id), number=0, epoch=1)
    trader.take(StartSession(ts=OPEN, command_id="start", config=session(number)))
    return trader


async def _handle(stage: Stage, desk: PaperDesk, trader: UserTrader, event: EngineInput) -> None:
    record, effects = trader.take(event)
    await stage.journal.append([record])
    first = record.last_seq - len(record.events) + 1
    for position, text in enumerate(record.events):
        await stage.bus.publish_events([(trader.user_id, first + position, text)])
    for effect in effects:
        if isinstance(effect, SubmitOrder):
            for answer in desk.submit(effect.order, event.ts, slippage_percent=trader.state.config.slippage_percent):
                await _handle(stage, desk, trader, answer)
