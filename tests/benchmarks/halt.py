"""From HALT of the whole platform to the last entry order that leaves. Run: `python -m tests.benchmarks.halt [HALTS]`.

Two host processes with a thousand users and a supervisor in a process of its own, over a real Valkey and a real mongod. Signals
come in a burst, in and out of the market by turns; in the middle of it HALT is published as an operator publishes it. The clock
starts before that and stops at the last entry in the ledgers of the hosts' desks. Exits of the burst go on: they must.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from actors.bench.market import Market, session
from actors.bench.processes import HostProcess
from actors.bench.stage import DATABASE, Stage
from actors.order_ledger import read_ledger
from actors.supervisor.supervisor import PLATFORM
from actors.wire import decode_input
from runtime import channels
from runtime.events import EventType, HaltTrading, PublicEvent, ResumeTrading
from runtime.orders import Leg
from tests.benchmarks.control_plane import MODULE, PACKED_HOSTS, SUPERVISOR, ledger
from tests.benchmarks.report import figure, publish, rounded

USERS, HALTS = 1_000, 60
CANDLES = 4
"""Of one burst: everybody in, out, in, out."""
GOAL_MS = {"p99": 100.0}
SECONDS_MAX = 60.0
LOOK_SECONDS = 0.002

_decode_event = msgspec.json.Decoder(PublicEvent).decode


class Halted(msgspec.Struct, frozen=True):
    """What one HALT did. `late` counts entries after the complete roll call; `exits` all exits after HALT was published."""

    last_entry_ms: float
    roll_call_ms: float
    entries_before: int
    entries_after: int
    late: int
    exits: int
    complete: bool


async def command(stage: Stage, events: AsyncIterator[tuple[str, bytes]], action: str, command_id: str) -> bool:
    """Publish it and wait for its complete roll call: whether all hosts that were told have answered, and so for all users."""
    data = {"reason": "benchmark"} if action == "HALT_ALL" else {}
    await stage.bus.publish(channels.COMMANDS, json.dumps({"action": action, "command_id": command_id, "data": data}).encode())
    async with asyncio.timeout(SECONDS_MAX):
        async for _, payload in events:
            event = _decode_event(payload)
            told = event.data
            if event.type is EventType.ROLL_CALL and told["command_id"] == command_id and told["complete"]:
                return told["hosts"] == told["acknowledged"] == PACKED_HOSTS and told["traders"] == USERS
    return False


def ledger_bytes(stage: Stage) -> int:
    return sum(file.stat().st_size for file in ledger(stage.state).glob("*.jsonl"))


async def one_halt(stage: Stage, market: Market, events: AsyncIterator[tuple[str, bytes]], number: int, total: int) -> Halted:
    """HALT number 0 comes at the first order of the burst, the others later and later in its first and second entries by turns."""
    folder, already = ledger(stage.state), ledger_bytes(stage)
    noted = len(read_ledger(folder))
    bytes_per_order = already / noted if noted else 250.0
    wanted = USERS * (number / total + 2 * (number % 2))

    async def burst() -> None:
        for _ in range(CANDLES):
            await market.candle()

    signals = asyncio.create_task(burst())
    async with asyncio.timeout(SECONDS_MAX):
        while ledger_bytes(stage) - already <= wanted * bytes_per_order:  # noqa: ASYNC110 - other processes write it
            await asyncio.sleep(LOOK_SECONDS)
    halted_at = time.time()
    complete = await command(stage, events, "HALT_ALL", f"halt-{number}")
    called_at = time.time()
    await signals
    await stage.quiet()
    lines = read_ledger(folder)[noted:]
    entries = [line.at.timestamp() for line in lines if line.leg == Leg.ENTRY]
    after = [at for at in entries if at > halted_at]
    complete &= await command(stage, events, "RESUME_ALL", f"resume-{number}")
    await stage.quiet()
    return Halted(
        last_entry_ms=1000 * (max(after) - halted_at) if after else 0.0,
        roll_call_ms=1000 * (called_at - halted_at),
        entries_before=len(entries) - len(after),
        entries_after=len(after),
        late=sum(at > called_at for at in entries),
        exits=sum(line.leg == Leg.EXIT and line.at.timestamp() > halted_at for line in lines),
        complete=complete,
    )


async def entries_while_halted(stage: Stage) -> Counter[str]:
    """What the users' own journals say: entry orders submitted after a user's trader took HALT in and before it was lifted."""
    found: Counter[str] = Counter()
    for user in stage.users:
        halted = False
        async for record in stage.journal.read(user, after=0):
            taken = decode_input(record.input)
            halted = isinstance(taken, HaltTrading) or (halted and not isinstance(taken, ResumeTrading))
            submitted = [event for event in map(_decode_event, record.events) if event.type is EventType.ORDER_SUBMITTED]
            found.update(str(event.data["leg"]) for event in submitted if halted)
    return found


async def measure(halts: int) -> tuple[list[Halted], Counter[str]]:
    async with Stage(USERS, session, hosts=PACKED_HOSTS, module=MODULE) as stage:
        market = Market(stage)
        market.want(session(0))
        await stage.start_hosts()
        supervisor = HostProcess(stage.state, DATABASE, SUPERVISOR, module=MODULE)
        try:
            await asyncio.to_thread(supervisor.wait)
            await stage.quiet()
            await market.quote(100.0)
            async with stage.bus.subscribe(channels.user_events(PLATFORM)) as subscription:
                events = aiter(subscription)
                found = [await one_halt(stage, market, events, number, halts) for number in range(halts)]
        finally:
            supervisor.kill()
        return found, await entries_while_halted(stage)


def main() -> None:
    halts = int(sys.argv[1]) if len(sys.argv) > 1 else HALTS
    found, submitted = asyncio.run(measure(halts))
    last = [each.last_entry_ms for each in found]
    sizes: dict[str, Any] = {
        "users": USERS,
        "hosts": PACKED_HOSTS,
        "halts": halts,
        "max_ms": rounded(max(last)),
        "entries_before": sum(each.entries_before for each in found),
        "entries_after": sum(each.entries_after for each in found),
        "entries_prevented": sum(CANDLES // 2 * USERS - each.entries_before - each.entries_after for each in found),
        "exits_after": sum(each.exits for each in found),
        "violations": sum(each.late for each in found) + submitted[Leg.ENTRY],
        "roll_calls_complete": sum(each.complete for each in found),
    }
    figures = [
        figure("HALT to the last entry order", "ms", last, goal=GOAL_MS),
        figure("HALT to the complete roll call, the burst in between", "ms", [each.roll_call_ms for each in found]),
    ]
    publish("halt", sizes, figures)


if __name__ == "__main__":
    main()
