"""Polls the option chains for everybody: every five minutes with jitter, and with back-off when it fails."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from loguru import logger

from actors.pace import report
from actors.wire import decode_prices, encode
from runtime import channels
from runtime.chains import atm_strike, max_oi_strikes, pcr, pcr_change
from runtime.errors import BrokerError, InvalidMarketData, ServerUnavailable
from runtime.market import InstrumentId, OptionChain, Right
from runtime.ports import Bus, OptionChainSource, Store

PARTICIPANT = "option-chain"
BACK_OFF = timedelta(seconds=5)


class _Polled(msgspec.Struct):
    """How one underlying's polls go."""

    previous: OptionChain | None = None
    next_poll: datetime | None = None
    failures: int = 0


class OptionChainPoller:
    """Time is the market's (from the price channel), so that a replay polls at the same moments every time."""

    def __init__(
        self,
        *,
        bus: Bus,
        store: Store,
        source: OptionChainSource,
        underlyings: Sequence[InstrumentId],
        interval: timedelta = timedelta(minutes=5),
        jitter: timedelta = timedelta(seconds=10),
    ) -> None:
        self.ready = asyncio.Event()
        self.venue_time: datetime | None = None
        """How far the market has come, for sources that simulate one."""
        self._bus, self._store, self._source = bus, store, source
        self._interval, self._jitter = interval, jitter
        self._polled = {underlying: _Polled() for underlying in underlyings}

    async def run(self) -> None:
        async with self._bus.subscribe(channels.PRICES) as prices:
            latest = await self._bus.get_key(channels.PRICES_LATEST)
            if latest is not None:
                self.venue_time = decode_prices(latest).ts
            for underlying in self._polled:
                await self._poll(underlying, self.venue_time)
            await report(self._bus, PARTICIPANT, 0)
            self.ready.set()
            async for _, payload in prices:
                batch = decode_prices(payload)
                self.venue_time = batch.ts
                for underlying, polled in self._polled.items():
                    if polled.next_poll is None or batch.ts >= polled.next_poll:
                        await self._poll(underlying, batch.ts)
                if batch.barrier is not None:
                    await report(self._bus, PARTICIPANT, batch.barrier)

    async def _poll(self, underlying: InstrumentId, now: datetime | None) -> None:
        polled = self._polled[underlying]
        try:
            expiry = await self._nearest_expiry(underlying)
            chain = await self._source.chain(underlying, expiry)
        except (BrokerError, InvalidMarketData) as error:
            polled.failures += 1
            pause = min(self._interval, BACK_OFF * 2 ** min(polled.failures - 1, 10))
            logger.warning("option chain of {} not taken ({} in a row), next try in {}: {}", underlying, polled.failures, pause, error)
            polled.next_poll = None if now is None else now + pause
            return
        polled.failures = 0
        now = now or chain.taken_at
        polled.next_poll = now + self._interval + self._jitter * _spread(underlying, now)
        await self._announce(chain, polled)

    async def _nearest_expiry(self, underlying: InstrumentId) -> date:
        expiries = await self._source.expiries(underlying)
        if not expiries:
            raise InvalidMarketData("expiries", [], f"the venue lists no expiry of {underlying}")
        return min(expiries)

    async def _announce(self, chain: OptionChain, polled: _Polled) -> None:
        if polled.previous is not None and chain.taken_at < polled.previous.taken_at:
            logger.warning("option chain of {} at {} is older than the last one: ignored", chain.underlying, chain.taken_at)
            return
        payload = encode(chain)
        await self._bus.set_key(channels.latest_chain(chain.underlying), payload)
        await self._bus.publish(channels.CHAINS, payload)
        key = f"{chain.underlying}:{chain.taken_at.isoformat()}"
        try:
            await self._store.upsert("option_chains", {key: _summary(chain, polled.previous)})
        except ServerUnavailable as error:  # strategies have it; only the record of it is missing
            logger.warning("option chain {} is not kept: {}", key, error)
        polled.previous = chain


def _summary(chain: OptionChain, previous: OptionChain | None) -> dict[str, Any]:
    return {
        "underlying": chain.underlying,
        "expiry": chain.expiry.isoformat(),
        "ts": chain.taken_at,
        "spot": chain.spot,
        "pcr": pcr(chain),
        "pcr_change": None if previous is None else pcr_change(chain, previous),
        "atm_strike": atm_strike(chain),
        "max_oi_calls": max_oi_strikes(chain, Right.CALL, 3),
        "max_oi_puts": max_oi_strikes(chain, Right.PUT, 3),
        "chain": encode(chain).decode(),
    }


def _spread(underlying: InstrumentId, now: datetime) -> float:
    """A number in [0, 1) that differs from poll to poll but not from replay to replay."""
    digest = hashlib.blake2s(f"{underlying}{now.isoformat()}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) / 2**32
