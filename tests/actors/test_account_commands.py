"""`shoal credentials` and `shoal preflight` as programs, with a real database, a real Redis and the local Upstox as a program, too."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
import redis
from pymongo import MongoClient

from adapters.embedded import EmbeddedServers
from configs.calendar import load_calendar
from runtime.market import IST
from tests.command_line import REPOSITORY, Ran, shoal, shoal_here
from tests.venues.process import venue_process

CANARY = f"canary-{uuid4().hex}"
ADDRESS = "127.0.0.1"
NEEDS = ["session", "address", "funds", "clock", "exchange", "instruments", "calendar"]


class Stage(NamedTuple):
    """A folder, the servers and the venue. `user` is a customer whose access token is `token`."""

    folder: Path
    environment: dict[str, str]
    urls: dict[str, str]
    user: str
    token: str
    said: list[Ran]

    async def shoal(self, *arguments: str, told: str = "", **environment: str) -> Ran:
        ran = await shoal(*arguments, folder=self.folder, told=told, **(self.environment | environment))
        self.said.append(ran)
        return ran

    async def here(self, *arguments: str, told: str = "", **environment: str) -> Ran:
        """The same without a process of its own."""
        ran = await asyncio.to_thread(shoal_here, *arguments, folder=self.folder, told=told, **(self.environment | environment))
        self.said.append(ran)
        return ran

    def documents(self) -> list[dict[str, Any]]:
        """Of every collection."""
        with MongoClient[dict[str, Any]](self.environment["MONGODB_URL"]) as client:
            return [document for name in client["shoal"].list_collection_names() for document in client["shoal"][name].find()]

    def keys(self) -> list[str]:
        """Every key of Redis with what it holds."""
        with redis.Redis.from_url(self.environment["REDIS_URL"], protocol=2) as client:
            return [f"{key} {client.dump(key)}" for key in client.scan_iter()]

    def files(self) -> list[bytes]:
        return [path.read_bytes() for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
async def stage(servers: EmbeddedServers, tmp_path: Path) -> AsyncIterator[Stage]:
    """The customer's orders are taken from this machine's address only."""
    user = f"C{uuid4().hex[:8]}"
    token = f"{CANARY}-{user}"
    outside, folder = tmp_path / "venue", tmp_path / "here"
    outside.mkdir()
    folder.mkdir()
    async with venue_process(outside, "--session", next_session().isoformat()) as urls, httpx.AsyncClient() as http:
        customer = {"user_id": user, "access_token": token, "static_addresses": {"primary": ADDRESS}}
        (await http.post(f"{urls['control']}/accounts", json=customer)).raise_for_status()
        upstox = {"api": urls["rest"], **{name: urls[name] for name in ("orders", "feed", "portfolio", "instruments")}}
        environment = {
            "REDIS_URL": servers.urls.redis,
            "MONGODB_URL": servers.urls.mongodb,
            "SHOAL_UPSTOX": json.dumps(upstox),
            "SHOAL_ACCOUNTS": json.dumps({user: {"public_address": ADDRESS}}),
        }
        yield Stage(folder, environment, urls, user, token, [])


def next_session() -> date:
    """A venue of another day would list contracts that are over by now."""
    calendar, day = load_calendar(), datetime.now(IST).date()
    while not calendar.times(day):
        day += timedelta(days=1)
    return day


async def test_a_token_is_kept_tried_listed_replaced_and_removed(stage: Stage) -> None:
    user = stage.user
    added = await stage.shoal("credentials", "add", user, told=f"{stage.token}\n")
    tried = await stage.shoal("credentials", "test", user)
    listed = await stage.shoal("credentials", "list")
    replaced = await stage.shoal("credentials", "rotate", user, told=f"{CANARY}-of-tomorrow\n")
    refused = await stage.shoal("credentials", "test", user)
    removed = await stage.shoal("credentials", "remove", user)
    gone = await stage.shoal("credentials", "test", user)

    assert (added.code, added.out, added.err) == (0, f"kept as {user}/upstox\n", "")
    assert (tried.code, tried.out) == (0, f"upstox takes the token of {user}\n")
    assert re.search(rf"^{user} +upstox +{datetime.now(UTC):%Y-%m}-\d\d \d\d:\d\d:\d\d +[0-9a-f]{{12}}$", listed.out, re.MULTILINE)
    assert (replaced.code, replaced.out) == (0, f"replaced {user}/upstox\n")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("shoal: the Upstox session has expired: log in again")
    assert (removed.code, removed.out) == (0, f"removed {user}/upstox\n")
    assert (gone.code, "no such entry in the vault" in gone.err) == (2, True)
    assert CANARY not in repr((stage.said, stage.documents(), stage.keys(), stage.files()))


async def test_programs_get_json(stage: Stage) -> None:
    user = stage.user
    added = await stage.here("credentials", "add", user, "--json", told=stage.token)
    tried = await stage.here("credentials", "test", user, "--json")
    listed = await stage.here("credentials", "list", "--json")
    replaced = await stage.here("credentials", "rotate", user, "--json", told=stage.token)
    removed = await stage.here("credentials", "remove", user, "--json")

    assert added.json == {"kept": f"{user}/upstox"}
    assert tried.json == {"user_id": user, "broker": "upstox", "taken": True}
    (entry,) = (entry for entry in listed.json if entry["user_id"] == user)
    assert (entry["reference"], entry["broker"], set(entry)) == (
        f"{user}/upstox",
        "upstox",
        {"reference", "user_id", "broker", "key_id", "updated_at"},
    )
    assert replaced.json == {"replaced": f"{user}/upstox"}
    assert removed.json == {"removed": f"{user}/upstox"}
    assert CANARY not in repr(stage.said)


async def test_a_new_master_key_opens_everything_and_the_old_one_is_gone(stage: Stage) -> None:
    await stage.here("credentials", "add", stage.user, told=stage.token)
    key = stage.folder / ".shoal" / "vault.key"
    before = key.read_bytes()
    rotated = await stage.here("credentials", "rotate", "--master-key", "--json")
    tried = await stage.here("credentials", "test", stage.user)
    await stage.here("credentials", "remove", stage.user)

    assert rotated.json["rewrapped"] >= 1
    assert (tried.code, key.stat().st_mode & 0o777) == (0, 0o600)
    assert before not in stage.files()


async def test_the_master_key_is_the_one_of_the_state_folder_that_the_system_was_started_with(stage: Stage) -> None:
    await stage.here("credentials", "add", stage.user, told=stage.token, SHOAL_STATE=".shoal/live")
    tried = await stage.here("credentials", "test", stage.user, "--state", ".shoal/live")
    elsewhere = await stage.here("credentials", "test", stage.user)
    await stage.here("credentials", "remove", stage.user, SHOAL_STATE=".shoal/live")

    assert tried.code == 0
    assert (elsewhere.code, "wrong master key" in elsewhere.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "told", "code", "message"),
    [
        (("credentials", "add", "nobody"), "\n", 2, "access token = '': is empty"),
        (("credentials", "rotate", "nobody"), "x", 2, "no such entry in the vault"),
        (("credentials", "rotate"), "", 2, "name a user, or give --master-key, not both"),
        (("credentials", "rotate", "nobody", "--master-key"), "", 2, "name a user, or give --master-key, not both"),
        (("credentials", "remove", "nobody"), "", 2, "no such entry in the vault"),
        (("credentials", "test", "nobody"), "", 2, "no such entry in the vault"),
        (("credentials", "test", "nobody", "--broker", "moon"), "", 2, "is not set up here"),
        (("credentials", "test", "nobody", "--profile", "moon"), "", 2, "must be one of demo, paper, live, upstox-sim, backtest"),
        (("preflight", "nobody", "--profile", "moon"), "", 2, "must be one of demo, paper, live, upstox-sim, backtest"),
        (("instruments", "refresh", "--profile", "moon"), "", 2, "must be one of demo, paper, live, upstox-sim, backtest"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_a_traceback(
    servers: EmbeddedServers, tmp_path: Path, arguments: tuple[str, ...], told: str, code: int, message: str
) -> None:
    found = {"REDIS_URL": servers.urls.redis, "MONGODB_URL": servers.urls.mongodb}
    ran = shoal_here(*arguments, folder=tmp_path, told=told, **found)
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert message in ran.err


async def test_without_a_running_system_there_is_no_vault(tmp_path: Path) -> None:
    ran = await shoal("credentials", "add", "1", folder=tmp_path, told=CANARY)
    assert (ran.code, ran.out) == (1, "")
    assert "nothing is running here" in ran.err
    assert CANARY not in ran.err


async def test_a_venue_that_is_away_is_an_error_and_not_a_bad_token(stage: Stage) -> None:
    await stage.here("credentials", "add", stage.user, told=stage.token)
    away = json.dumps({"api": "http://127.0.0.1:9"})
    ran = await stage.here("credentials", "test", stage.user, SHOAL_UPSTOX=away)
    await stage.here("credentials", "remove", stage.user)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "shoal: GET /v2/user/profile: ConnectError\n"


# --- preflight ---


async def test_an_account_that_is_ready_passes_every_check_once_todays_list_is_there(stage: Stage) -> None:
    today = datetime.now(IST).date()
    await stage.shoal("credentials", "add", stage.user, told=stage.token)
    early = await stage.shoal("preflight", stage.user, "--json")
    loaded = await stage.shoal("instruments", "refresh", "--json")
    ready = await stage.shoal("preflight", stage.user, "--json")
    table = await stage.shoal("preflight", stage.user)

    checks = {check["name"]: check for check in early.json}
    assert list(checks) == NEEDS
    assert (early.code, checks["instruments"]["passed"]) == (1, False)
    assert checks["instruments"]["detail"].endswith(f"but today is {today}: `shoal instruments refresh`")
    assert (loaded.code, loaded.json["listed"]) == (0, len(loaded.json["new"]))
    by_calendar = {check["name"]: check["passed"] for check in ready.json}.pop("calendar")
    assert by_calendar == bool(load_calendar().times(today))
    assert [check["name"] for check in ready.json if not check["passed"]] == ([] if by_calendar else ["calendar"])
    assert ready.code == (0 if by_calendar else 1)
    assert [line[:4] + line[5:].split(" ")[0] for line in table.out.splitlines()][:6] == [f"ok  {name}" for name in NEEDS[:6]]
    assert f"orders leave by {ADDRESS}, which is registered" in table.out
    assert CANARY not in repr((stage.said, stage.documents(), stage.keys(), stage.files()))


@pytest.mark.parametrize(
    ("fault", "failing", "detail"),
    [
        ({"fault": "expire_tokens"}, ["session", "address", "funds", "exchange"], "log in again"),
        ({"fault": "refuse_address"}, ["address"], "registered is 203.0.113.7: register it or change the egress"),
        ({"fault": "wrong_date", "seconds": 90, "times": 50}, ["clock"], "behind the broker: more than 2 s, synchronise it (NTP)"),
        ({"fault": "answer", "operation": "funds", "status": 503, "times": 3}, ["funds"], "HTTP 503"),
        (
            {"fault": "rewrite", "operation": "market_status", "fields": {"data": None}, "times": 3},
            ["exchange"],
            "cannot be read",
        ),
    ],
    ids=["session", "address", "clock", "funds", "exchange"],
)
async def test_what_is_not_ready_is_named_with_what_to_do_and_the_rest_is_looked_at_all_the_same(
    stage: Stage, fault: dict[str, Any], failing: list[str], detail: str
) -> None:
    await stage.here("credentials", "add", stage.user, told=stage.token)
    await stage.here("instruments", "refresh")
    async with httpx.AsyncClient() as http:
        (await http.post(f"{stage.urls['control']}/faults", json=[fault])).raise_for_status()
    ran = await stage.here("preflight", stage.user)
    await stage.here("credentials", "remove", stage.user)

    lines = [line for line in ran.out.splitlines() if " calendar " not in line]
    assert (ran.code, ran.err, len(lines)) == (1, "", 6)
    assert [line.split()[1] for line in lines if line.startswith("FAIL")] == failing
    assert any(detail in line for line in lines if line.startswith("FAIL"))


async def test_an_account_without_credentials_fails_as_a_whole(stage: Stage) -> None:
    ran = await stage.here("preflight", stage.user, "--json")
    assert (ran.code, [check["name"] for check in ran.json]) == (1, ["account", "calendar"])
    assert "no such entry in the vault" in ran.json[0]["detail"]


# --- the vendor's package ---


async def test_without_the_vendors_package_the_extra_is_named(tmp_path: Path) -> None:
    """In a process in which `upstox_client` cannot be imported, whatever is installed."""
    (tmp_path / "sitecustomize.py").write_text('import sys; sys.modules["upstox_client"] = None')
    ran = await shoal("up", "--profile", "upstox-sim", folder=tmp_path, PYTHONPATH=f"{tmp_path}:{REPOSITORY}")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "shoal: the package upstox-python-sdk is not installed: pip install 'shoal[upstox]'\n"
