"""Mission 1 in one process and virtual time: a trading day of the index-options scalper, from START to square-off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest

from actors.day import Day
from actors.local_system import LocalSystem
from actors.user_trader import replay
from actors.virtual_time import VirtualClock, run_virtual
from adapters.simulated import SimulatedMarket, SimulationConfig
from runtime.events import EventType, PublicEvent
from runtime.market import IST
from runtime.state import encode_state

SESSION = date(2026, 11, 20)
BEFORE_OPEN = datetime.combine(SESSION, time(9, 14), IST)

Script = Callable[[LocalSystem], Awaitable[None]]


class Played(NamedTuple):
    heard: list[PublicEvent]
    live: dict[str, bytes]
    rebuilt: dict[str, bytes]
    evaluations: int
    credentials: list[dict[str, Any]]
    documents: str


COLLECTIONS = ("sessions", "commands", "orders", "positions", "trades", "signals", "execution_logs", "broker_credentials", "platform")


def play(script: Script, *, users: int = 3, seed: int = 7, special: Sequence[Any] = (), dedicated_max: int = 0) -> Played:
    """A whole day; `script` runs once the users have started."""
    market = SimulatedMarket(SimulationConfig(sessions=(SESSION,), seed=seed, ticks_per_second=1, special=tuple(special)))

    async def run() -> Played:
        async with LocalSystem(market, VirtualClock(BEFORE_OPEN), dedicated_max=dedicated_max) as system:
            for number in range(users):
                await system.send("START_TRADING", f"u{number}", {"capital": 400_000 + 100_000 * number})
            await system.settle()
            await script(system)
            live = {
                user: encode_state(trader.state) for host in system.placer.hosts.values() for user, trader in host.floor.traders.items()
            }
            assert system.market_data is not None
            return Played(
                heard=await system.events(),
                live=live,
                rebuilt={user: encode_state((await replay(system.journal, user, from_snapshot=False))[0]) for user in live},
                evaluations=system.market_data.statistics.strategy_evaluations,
                credentials=await system.store.find("broker_credentials", {}),
                documents=repr([await system.store.find(name, {}) for name in COLLECTIONS]),
            )

    return run_virtual(run())


async def whole_day(system: LocalSystem) -> None:
    await system.play()


def of(events: Sequence[PublicEvent], *types: str, user: str | None = None) -> list[PublicEvent]:
    return [event for event in events if event.type in types and user in {None, event.user_id}]


@pytest.fixture(scope="module")
def ordinary_day() -> Played:
    return play(whole_day)


def test_signals_are_traded_protected_and_squared_off_before_the_close(ordinary_day: Played) -> None:
    opened, closed = of(ordinary_day.heard, "POSITION_OPENED"), of(ordinary_day.heard, "POSITION_CLOSED")
    assert len(opened) == len(closed) > 0
    assert {event.data["position_id"] for event in opened} == {event.data["position_id"] for event in closed}
    last = max(event.ts for event in closed)
    assert last.astimezone(IST).time() <= time(15, 15, 1)
    assert not of([event for event in opened if event.ts.astimezone(IST).time() >= time(15, 15)], "POSITION_OPENED")


def test_every_users_sequence_has_no_gap_and_no_order_is_doubled(ordinary_day: Played) -> None:
    day = Day()
    day.take(ordinary_day.heard)
    assert (day.seq_gaps, day.duplicate_orders) == (0, 0)
    for user in ("u0", "u1", "u2"):
        assert [event.seq for event in ordinary_day.heard if event.user_id == user] == list(range(1, day.seq[user] + 1))


def test_the_strategy_runs_once_per_candle_however_many_users_there_are(ordinary_day: Played) -> None:
    assert ordinary_day.evaluations == play(whole_day, users=20).evaluations == 375


def test_a_users_day_does_not_depend_on_who_else_trades_nor_on_where_his_trader_lives(ordinary_day: Played) -> None:
    crowd = play(whole_day, users=12, dedicated_max=2)
    for user in ("u0", "u1", "u2"):
        alone = [(event.type, event.ts, event.data) for event in ordinary_day.heard if event.user_id == user]
        among = [(event.type, event.ts, event.data) for event in crowd.heard if event.user_id == user]
        assert alone == among


def test_the_same_seed_gives_the_same_trace(ordinary_day: Played) -> None:
    again = play(whole_day)
    encode = msgspec.json.encode
    assert [encode(event) for event in again.heard] == [encode(event) for event in ordinary_day.heard]
    other = play(whole_day, seed=8)
    assert [encode(event) for event in other.heard] != [encode(event) for event in ordinary_day.heard]


def test_replaying_the_journal_gives_the_live_state_byte_for_byte(ordinary_day: Played) -> None:
    assert set(ordinary_day.live) == {"u0", "u1", "u2"}
    assert ordinary_day.rebuilt == ordinary_day.live


def test_realised_profit_is_the_sum_of_price_differences_times_quantity(ordinary_day: Played) -> None:
    fills = of(ordinary_day.heard, "ORDER_FILLED", user="u1")
    cash = sum(
        Decimal(event.data["price"]) * Decimal(event.data["quantity"]) * (1 if event.data["side"] == "SELL" else -1) for event in fills
    )
    closed = of(ordinary_day.heard, "POSITION_CLOSED", user="u1")
    assert cash == sum(Decimal(event.data["realised_pnl"]) for event in closed)


def test_a_killed_host_comes_back_recovered_and_the_day_ends_as_it_would_have(ordinary_day: Played) -> None:
    async def kill_twice(system: LocalSystem) -> None:
        async def killer() -> None:
            for clock in (time(10, 30), time(13, 0)):
                await system.until(datetime.combine(SESSION, clock, IST))
                for host_id in list(system.placer.hosts):
                    await system.placer.restart(host_id)

        system.spawn(killer())
        await system.play()

    killed = play(kill_twice)
    assert Counter(event.user_id for event in of(killed.heard, "SESSION_RECOVERED")) == {"u0": 2, "u1": 2, "u2": 2}
    skip = {"SESSION_RECOVERED", "HEARTBEAT"}
    for user in ("u0", "u1", "u2"):
        control = [(event.type, event.data) for event in ordinary_day.heard if event.user_id == user and event.type not in skip]
        after = [(event.type, event.data) for event in killed.heard if event.user_id == user and event.type not in skip]
        assert after == control
        assert [event.seq for event in killed.heard if event.user_id == user] == list(
            range(1, len(of(killed.heard, *EventType, user=user)) + 1)
        )


def test_with_the_market_data_dead_nobody_enters_and_positions_are_still_squared_off_by_the_clock() -> None:
    async def script(system: LocalSystem) -> None:
        await system.begin()
        await system.until(datetime.combine(SESSION, time(15, 0), IST))
        await system.kill_market_data()
        await system.until(datetime.combine(SESSION, time(15, 16), IST))

    events = play(script).heard
    (down,) = of(events, "FEED_DOWN", user="u1")
    # The venue opens (09:15) as soon as it is let to, at 09:14: its clock is a minute ahead.
    assert time(15, 1, 5) <= down.ts.astimezone(IST).time() < time(15, 1, 8)
    closed = [event for event in of(events, "POSITION_CLOSED") if event.ts > down.ts]
    assert {(event.data["exit_reason"], event.ts.astimezone(IST).time().replace(microsecond=0)) for event in closed} == {
        ("TIME", time(15, 15))
    }
    assert len(of(events, "POSITION_OPENED")) == len(of(events, "POSITION_CLOSED"))
    assert not [event for event in of(events, "ORDER_SUBMITTED") if event.ts > down.ts and event.data["leg"] == "ENTRY"]


def test_pause_halt_and_square_off_do_what_they_say_in_the_middle_of_the_day() -> None:
    async def script(system: LocalSystem) -> None:
        async def operator() -> None:
            await system.until(datetime.combine(SESSION, time(11, 0), IST))
            await system.send("PAUSE_TRADING", "u0", command_id="pause")
            await system.send("SQUARE_OFF", "u0", command_id="flat")
            await system.until(datetime.combine(SESSION, time(12, 0), IST))
            await system.send("HALT_ALL", command_id="halt")
            await system.until(datetime.combine(SESSION, time(13, 0), IST))
            await system.send("RESUME_ALL", command_id="go on")
            await system.send("RESUME_TRADING", "u0", command_id="resume")

        system.spawn(operator())
        await system.play()

    events = play(script).heard

    def entries(user: str, start: time, end: time) -> int:
        orders = [event for event in of(events, "ORDER_SUBMITTED", user=user) if event.data["leg"] == "ENTRY"]
        return sum(start <= event.ts.astimezone(IST).time() < end for event in orders)

    assert entries("u0", time(9, 15), time(11, 0)) > 0
    assert entries("u0", time(11, 0), time(13, 0)) == 0
    assert entries("u1", time(11, 0), time(12, 0)) > 0
    assert entries("u1", time(12, 0, 1), time(13, 0)) == 0
    assert entries("u0", time(13, 0), time(15, 15)) > 0
    assert {event.data["reason"] for event in of(events, "RISK_HALT")} >= {"kill_switch"}
    answered = {event.data["command_id"] for event in of(events, "COMMAND_ACCEPTED")}
    assert {"pause", "flat", "halt", "go on", "resume"} <= answered


def test_a_repeated_command_id_is_answered_with_the_first_outcome_and_changes_nothing() -> None:
    async def script(system: LocalSystem) -> None:
        await system.send("STOP_TRADING", "u0", command_id="stop-1")
        await system.settle()
        await system.send("START_TRADING", "u0", command_id="start-2")
        await system.settle()
        await system.send("STOP_TRADING", "u0", command_id="stop-1")
        await system.settle()

    events = play(script, users=1).heard
    answers = [event for event in events if event.data.get("command_id") == "stop-1"]
    assert [event.type for event in answers] == ["COMMAND_ACCEPTED", "COMMAND_ACCEPTED"]
    assert answers[1].data == answers[0].data | {"repeated": True}
    assert len(of(events, "SESSION_STOPPED")) == 1


@pytest.mark.parametrize(
    ("message", "user", "reason"),
    [
        ({"action": "STOP_TRADING", "user_id": "nobody"}, "nobody", "not_running"),
        ({"action": "DANCE", "user_id": "u0"}, "u0", "unknown_action"),
        ({"action": "START_TRADING", "user_id": "u9", "data": {"strategy": "no_such_thing"}}, "u9", "unknown_strategy"),
        ({"action": "START_TRADING", "user_id": "u9", "data": {"broker": "no_such_broker"}}, "u9", "unknown_broker"),
        ({"action": "START_TRADING", "user_id": "u9", "data": {"capital": -1}}, "u9", "invalid"),
        ({"action": "START_TRADING"}, "_platform", "invalid"),
    ],
)
def test_a_bad_command_gets_one_rejection_and_the_runtime_carries_on(message: dict[str, Any], user: str, reason: str) -> None:
    async def script(system: LocalSystem) -> None:
        await system.bus.append("trading:commands:stream", msgspec.json.encode(message), max_length=1000)
        await system.settle()
        await system.send("GET_STATUS", "u0", command_id="alive")
        await system.settle()

    events = play(script, users=1).heard
    (rejected,) = of(events, "COMMAND_REJECTED")
    assert (rejected.user_id, rejected.data["reason"]) == (user, reason)
    assert events[-1].data["command_id"] == "alive"


def test_an_access_token_goes_into_the_vault_and_nowhere_else() -> None:
    canary = "canary-7c1f-token"

    async def script(system: LocalSystem) -> None:
        await system.send("START_TRADING", "u9", {"access_token": canary})
        await system.settle()

    system = play(script, users=0)
    (document,) = system.credentials
    assert document["user_id"] == "u9"
    assert canary not in system.documents + repr(system.heard)
