"""The history of the store, or of a broker, by its name."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from actors.candle_source import STORE, History
from runtime.errors import InvalidInput
from runtime.market import Candle, InstrumentId, OptionChain, Timeframe

if TYPE_CHECKING:
    from actors.option_market import StoredChains
    from adapters.upstox.endpoints import Endpoints
    from runtime.ports import Feed

OpenFeed: TypeAlias = "Callable[[], Awaitable[Feed]]"
_decode_chain = msgspec.json.Decoder(OptionChain).decode
UPSTOX_TOKEN = "UPSTOX_ACCESS_TOKEN"  # noqa: S105 - the name of a variable


async def open_upstox(token: str | None = None, endpoints: Endpoints | None = None) -> Feed:
    """A feed to read history from, with the master file of today. The token is that of the environment where none is given.

    Raises:
        InvalidInput: there is no token.
        BrokerUnavailable, SessionExpired: Upstox does not answer, or not to this token.
    """
    token = token or os.environ.get(UPSTOX_TOKEN)
    if not token:
        raise InvalidInput(UPSTOX_TOKEN, None, "set this variable to an access token of Upstox; a read-only one is enough")
    from adapters.clock import WallClock
    from adapters.feeds.upstox import UpstoxFeed
    from adapters.instruments.upstox import load_instruments
    from adapters.upstox import UpstoxClient
    from adapters.upstox.token import AccessToken

    clock = WallClock()
    client = UpstoxClient(AccessToken(token), endpoints)
    try:
        return UpstoxFeed(client, await load_instruments(client, clock.now().date()), clock)
    except BaseException:  # also when cancelled: the connection has no other owner yet
        await client.close()
        raise


FEEDS: Mapping[str, OpenFeed] = {"upstox": open_upstox}


def histories(state: Path | None, feeds: Mapping[str, OpenFeed] = FEEDS) -> Callable[[str], History]:
    """`store` is the running system's database (see `configs.running`); `feeds` opens a broker's feed by its name."""

    def named(name: str) -> History:
        if name == STORE:
            return _of_store(state)
        if name not in feeds:
            raise InvalidInput("--candles", f"{name}:…", f"is neither a file nor a known source; known are {', '.join([STORE, *feeds])}")
        return _of_feed(feeds[name])

    return named


def stored_chains(state: Path | None) -> StoredChains:
    """The option chains that the running system has recorded; the newest 30 days are kept."""

    def read(underlying: InstrumentId, start: datetime, end: datetime) -> list[OptionChain]:
        from actors.commands.shared import call

        where = {"underlying": underlying, "ts": {"$gte": start, "$lte": end}}
        found = call(state, lambda connection: connection.store.find("option_chains", where, sort="ts"))
        return [_decode_chain(document["chain"]) for document in found]

    return read


def _of_store(state: Path | None) -> History:
    async def read(instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        from actors.commands.shared import connected

        async with connected(state) as connection:
            return await connection.store.read_candles(instrument, timeframe, start, end)

    return read


def _of_feed(open_feed: OpenFeed) -> History:
    async def read(instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        feed = await open_feed()
        try:
            return await feed.history(instrument, timeframe, start, end)
        finally:
            await feed.close()

    return read
