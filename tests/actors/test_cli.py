"""The `shoal` command as a program of its own, against real servers and a supervisor and trader host of this process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from actors.placement import Placement
from actors.supervisor import Supervisor
from actors.trader_host import TraderHost
from actors.user_trader import UserTrader
from adapters.clock import WallClock
from adapters.embedded import EmbeddedServers
from adapters.mongo import MongoJournal, MongoStore
from adapters.redis_bus import RedisBus
from adapters.vault import EncryptedVault, FixedKeys
from configs.running import Running, write_running
from runtime.commands import Catalogue
from runtime.events import SignalArrived, StartSession
from runtime.session import SessionConfig
from runtime.state import EngineState
from strategies import REGISTRY, create
from tests.builders import at, signal
from tests.command_line import REPOSITORY, shoal

DATABASE = "shoal"


class OneHost:
    """Places every trader on the one host there is."""

    async def ensure(self, placement: Placement) -> None: ...

    async def remove(self, host_id: str) -> None: ...


@pytest.fixture
async def system(servers: EmbeddedServers, tmp_path: Path) -> AsyncIterator[Path]:
    """A folder from which `shoal` finds a supervisor and a trader host."""
    bus, other_bus = RedisBus(servers.urls.redis), RedisBus(servers.urls.redis)
    store, journal = MongoStore(servers.urls.mongodb, DATABASE), MongoJournal(servers.urls.mongodb, DATABASE)
    host = TraderHost("packed-0", bus=bus, journal=journal, store=store, clock=WallClock())
    supervisor = Supervisor(
        bus=other_bus,
        store=store,
        clock=WallClock(),
        placer=OneHost(),
        catalogue=Catalogue(strategies=frozenset(REGISTRY), create_strategy=create),
        vault=EncryptedVault(store, FixedKeys(bytes(32))),
        packed_hosts=1,
        dedicated_max=0,
    )
    tasks = [asyncio.create_task(actor.run()) for actor in (host, supervisor)]
    await asyncio.gather(host.ready.wait(), supervisor.ready.wait())
    running = Running(redis_url=servers.urls.redis, mongodb_url=servers.urls.mongodb, pid=os.getpid(), started_at=datetime.now(UTC))
    write_running(tmp_path / ".shoal", running)
    yield tmp_path
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for connection in (bus, other_bus, store, journal):
        await connection.close()


async def test_a_session_is_started_changed_asked_and_stopped_from_the_command_line(system: Path) -> None:
    started = await shoal("start", "123", "--set", "capital=250000", "--set", "risk.max_daily_loss=5000", "--json", folder=system)
    again = await shoal("start", "123", "--data", '{"capital": 300000}', "--pubsub", folder=system)
    status = await shoal("status", "123", "--json", folder=system)
    table = await shoal("status", folder=system)
    events = await shoal("events", "--user", "123", "--json", folder=system)
    stopped = await shoal("stop", "123", "--close", folder=system)

    assert (started.code, started.json["type"], started.json["data"]["status"]) == (0, "COMMAND_ACCEPTED", "RUNNING")
    assert (again.code, again.out) == (0, "START_TRADING accepted  status=RUNNING updated=True\n")
    assert (status.json["data"]["capital"], status.json["data"]["positions"]) == ("300000", [])
    assert "kill switch: off" in table.out
    assert "123" in table.out
    assert [json.loads(line)["seq"] for line in events.out.splitlines()] == [1, 2, 3, 4]
    assert (stopped.code, stopped.out) == (0, "STOP_TRADING accepted  status=STOPPED\n")


async def test_a_refusal_is_one_line_and_exit_code_2(system: Path) -> None:
    unknown = await shoal("start", "124", "--set", "strategy=moon", folder=system)
    not_running = await shoal("pause", "124", "--json", folder=system)

    assert (unknown.code, unknown.out) == (2, "")
    assert unknown.err.startswith("shoal: data.strategy: unknown; known: ")
    assert unknown.err.count("\n") == 1
    assert (not_running.code, not_running.json["data"]["reason"]) == (2, "not_running")


async def test_the_kill_switch_is_thrown_seen_and_lifted(system: Path) -> None:
    halted = await shoal("halt", "--reason", "drill", folder=system)
    seen = await shoal("status", folder=system)
    lifted = await shoal("halt", "--resume", folder=system)
    after = await shoal("status", "--json", folder=system)

    assert (halted.code, halted.err) == (0, "")
    assert "kill switch: ON" in seen.out
    assert (lifted.code, after.json["platform"]["active"]) == (0, False)


async def test_the_servers_are_found_by_env_and_by_environment(system: Path, servers: EmbeddedServers, tmp_path: Path) -> None:
    exported = await shoal("env", folder=system)
    as_json = await shoal("env", "--json", folder=system)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    by_environment = await shoal("status", "--json", folder=elsewhere, **as_json.json)

    assert as_json.json == {"REDIS_URL": servers.urls.redis, "MONGODB_URL": servers.urls.mongodb}
    assert f"export REDIS_URL={servers.urls.redis}" in exported.out
    assert by_environment.code == 0


async def test_a_signal_is_explained_while_the_system_runs_and_from_its_data_at_rest(tmp_path: Path) -> None:
    journaled = UserTrader("123", state=EngineState(user_id="123"), number=0, epoch=1)
    records = [
        journaled.take(StartSession(ts=at("09:30"), command_id="c", config=SessionConfig()))[0],
        journaled.take(SignalArrived(ts=at("10:00"), signal=signal(clock="10:00", signal_id="s-1000")))[0],
    ]
    state = tmp_path / ".shoal"
    with EmbeddedServers(state, redis_url="redis://not-needed") as alone:
        journal = MongoJournal(alone.urls.mongodb, DATABASE)
        await journal.append(records)
        await journal.close()
        running = await shoal(
            "explain", "123", "s-1000", "--json", folder=tmp_path, MONGODB_URL=alone.urls.mongodb, REDIS_URL="redis://not-needed"
        )

    at_rest = await shoal("explain", "123", "s-1000", "--json", folder=tmp_path)
    as_tree = await shoal("explain", "123", "1000", folder=tmp_path)
    wrong = await shoal("explain", "123", "s-2000", folder=tmp_path)

    assert (running.code, at_rest.code, running.err) == (0, 0, "")
    assert running.json == at_rest.json
    assert [step["stage"] for step in at_rest.json["steps"]][:5] == ["ticks", "candle", "rules", "signal", "user"]
    assert "submitted: ENTRY BUY" in as_tree.out
    assert (wrong.code, "the newest are s-1000" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("status",), 1, "nothing is running here"),
        (("start", "123"), 1, "nothing is running here"),
        (("explain", "123", "x"), 1, "nothing is running here"),
        (("start", "_x"), 2, "user_id: must be 1 to 64 of"),
        (("start", "1", "--set", "capitol=5"), 2, "data.capitol: unknown field"),
        (("start", "1", "--set", "capital"), 2, "write KEY=VALUE"),
        (("start", "1", "--set", "risk=5", "--set", "risk.max_notional=1"), 2, "risk already has a value"),
        (("start", "1", "--data", "@absent.json"), 2, "cannot be read"),
        (("start", "1", "--data", "[1]"), 2, "must be a JSON object"),
        (("events", "--from", "yesterday"), 2, "give a stream id"),
        (("schema", "NO_SUCH"), 2, "must be one of START_TRADING"),
        (("scan", "ema_cross", "--candles", "absent.csv"), 2, "is not a file"),
    ],
)
async def test_what_is_wrong_is_said_in_one_line_without_a_traceback(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    ran = await shoal(*arguments, folder=tmp_path)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


async def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    ran = await shoal("status", "--debug", folder=tmp_path)
    assert ran.code != 0
    assert "Traceback" in ran.err


async def test_settings_lie_over_data(system: Path) -> None:
    (system / "session.json").write_text('{"capital": 100000, "risk": {"max_open_positions": 3}}')
    await shoal("start", "125", "--data", "@session.json", "--set", "risk.max_orders_per_day=9", folder=system)

    status = await shoal("status", "--json", folder=system)

    [session] = [session for session in status.json["sessions"] if session["_id"] == "125"]
    config = msgspec.json.decode(session["config"], type=SessionConfig)
    assert (config.capital, config.risk.max_open_positions, config.risk.max_orders_per_day) == (100000, 3, 9)


async def test_a_schema_is_printed_by_name(tmp_path: Path) -> None:
    assert (await shoal("schema", "SIGNAL", folder=tmp_path)).json["title"] == "SIGNAL"
    assert "START_TRADING" in (await shoal("schema", folder=tmp_path)).out


async def test_doctor_finds_a_readable_secret_and_says_how_to_close_it(tmp_path: Path) -> None:
    token = tmp_path / ".shoal" / "ray.token"
    token.parent.mkdir(mode=0o700)
    token.write_text("secret")
    token.chmod(0o644)

    open_secret = await shoal("doctor", "--json", folder=tmp_path)
    token.chmod(0o600)
    closed = await shoal("doctor", folder=tmp_path)

    [check] = [check for check in open_secret.json if check["name"] == "secret ray.token"]
    assert (open_secret.code, check["verdict"], check["fix"]) == (1, "fail", "chmod 600 .shoal/ray.token")
    assert closed.code == 0


def test_help_needs_none_of_the_heavy_libraries() -> None:
    code = "import sys, actors.cli; print(sorted({'ray', 'pandas', 'numpy', 'motor', 'redis', 'pydantic_core'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=REPOSITORY).stdout
    assert out == b"[]\n"


async def test_a_file_of_candles_is_scanned_line_by_line_or_as_a_table(tmp_path: Path) -> None:
    closes = [100.0, 101.0, 103.0, 99.0, 90.0]
    rows = [f"BANKNIFTY,20240117,09:{16 + minute},{close},{close},{close},{close},0,0" for minute, close in enumerate(closes)]
    (tmp_path / "BANKNIFTY.csv").write_text("\n".join(rows) + "\n")
    arguments = ("scan", "ema_cross", "--candles", "BANKNIFTY.csv", "--set", "fast_period=2", "--set", "slow_period=3")

    signals = await shoal(*arguments, "--jsonl", folder=tmp_path)
    candles = await shoal(*arguments, "--jsonl", "--every-candle", folder=tmp_path)
    table = await shoal(*arguments, folder=tmp_path)
    wrong = await shoal(*arguments[:-1], "slow_period=none", folder=tmp_path)

    assert [json.loads(line)["direction"] for line in signals.out.splitlines()] == ["LONG", "SHORT", "SHORT"]
    assert [json.loads(line)["price"] for line in candles.out.splitlines()] == closes
    assert "3 rows" in table.out
    assert (wrong.code, "slow_period" in wrong.err) == (2, True)
