"""A whole day at a local Upstox: start the venue, point the actors at it, and let users trade the scalper live there."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from actors.client import Client
from actors.live_services import VAULT_KEY
from actors.services import RunSpec
from runtime import channels
from runtime.commands import Action
from runtime.errors import ServerUnavailable
from runtime.events import EventType, PublicEvent

PROFILE = "upstox-sim"
VENUE = "tests.venues.upstox"
ADDRESSES = "SHOAL_UPSTOX"
CONTROL = "SHOAL_UPSTOX_CONTROL"
HOW_TO_START = (
    f"the local venue is not importable here: start it from a checkout with `python -m {VENUE} --speed 60 --users 10`, then set {ADDRESSES} to "
    'its addresses, as {"api": REST, "orders": ORDERS, "feed": FEED, "portfolio": PORTFOLIO, "instruments": INSTRUMENTS}, and '
    f"{CONTROL} to its `control`"
)
PRICES_SECONDS = ANSWER_SECONDS = 120.0
LIMITS = {"max_daily_loss": 50_000, "max_open_positions": 3, "max_notional": 5_000_000}


class _Urls(msgspec.Struct, frozen=True):
    rest: str
    orders: str
    feed: str
    portfolio: str
    instruments: str
    control: str


class Customer(msgspec.Struct, frozen=True):
    """One account of the venue; its tokens are good for the day."""

    user_id: str
    access_token: str
    analytics_token: str

    def __repr__(self) -> str:
        return f"Customer({self.user_id!r})"


class LocalVenue:
    """The venue's process, found or started. A context manager; inside it the environment names its addresses to every actor.

    Raises:
        ServerUnavailable: it is neither named by the environment nor importable, or does not come up.
    """

    def __init__(self, *, speed: float, users: int, seed: int, session: str) -> None:
        self._arguments = ["--speed", f"{speed:g}", "--users", str(users), "--seed", str(seed), "--session", session, "--once", "--hold"]
        self._process: subprocess.Popen[bytes] | None = None
        self.control = os.environ.get(CONTROL, "")

    def __enter__(self) -> Self:
        if ADDRESSES in os.environ and self.control:
            return self
        if _spec_of(VENUE) is None:
            raise ServerUnavailable(HOW_TO_START)
        command = [sys.executable, "-m", VENUE, *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - our own module, numbers and a date
        line = self._process.stdout.readline() if self._process.stdout is not None else b""
        if not line:
            raise ServerUnavailable(f"the local venue ended with code {self._process.wait()} before it was ready")
        urls = msgspec.json.decode(line, type=_Urls)
        addresses = {
            "api": urls.rest,
            "orders": urls.orders,
            "feed": urls.feed,
            "portfolio": urls.portfolio,
            "instruments": urls.instruments,
        }
        os.environ[ADDRESSES] = msgspec.json.encode(addresses).decode()
        self.control = urls.control
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            os.environ.pop(ADDRESSES, None)
            self._process.terminate()
            self._process.communicate()

    def customers(self) -> list[Customer]:
        return msgspec.json.decode(httpx.get(f"{self.control}/accounts").content, type=list[Customer])

    def begin(self) -> None:
        """Everybody is in: the day goes by the venue's speed from here on."""
        httpx.post(f"{self.control}/begin").raise_for_status()

    def ledger(self) -> list[dict[str, Any]]:
        """What happened at the venue, by its own books."""
        return msgspec.json.decode(httpx.get(f"{self.control}/ledger").content, type=list[dict[str, Any]])

    def is_open(self) -> bool:
        return bool(msgspec.json.decode(httpx.get(f"{self.control}/clock").content)["open"])


async def begin(spec: RunSpec, customers: list[Customer]) -> list[PublicEvent]:
    """Hand over the market data token, wait for prices, and start every customer live; the answers to their commands.

    Raises:
        ServerUnavailable: no prices within two minutes.
    """
    from actors.services import Servers
    from adapters.clock import WallClock
    from adapters.vault import EncryptedVault, KeyFile

    servers, clock = Servers(spec), WallClock()
    try:
        vault = EncryptedVault(servers.store, KeyFile(Path(spec.state) / VAULT_KEY))
        await vault.put("market-data", "upstox", customers[0].analytics_token)
        waited = 0.0
        while await servers.bus.get_key(channels.PRICES_LATEST) is None:
            if waited > PRICES_SECONDS:
                raise ServerUnavailable(
                    f"the local venue has sent no prices for {PRICES_SECONDS:.0f} s: see {spec.state}/logs/market-data.jsonl"
                )
            await clock.sleep(0.2)
            waited += 0.2
        client = Client(servers.bus)
        return [
            await client.send(Action.START_TRADING, customer.user_id, _session(customer), timeout_seconds=ANSWER_SECONDS)
            for customer in customers
        ]
    finally:
        await servers.close()


def _session(customer: Customer) -> dict[str, Any]:
    return {
        "mode": "live",
        "live_confirmed": True,
        "broker": "upstox",
        "access_token": customer.access_token,
        "sizing": {"method": "fixed", "quantity": 30},
        "risk": LIMITS,
    }


def refused(answers: list[PublicEvent]) -> list[str]:
    """Why, of those who were not started."""
    return [f"{event.user_id}: {event.data.get('detail')}" for event in answers if event.type is EventType.COMMAND_REJECTED]


def _spec_of(name: str) -> object | None:
    try:
        return find_spec(name)
    except ModuleNotFoundError:
        return None
