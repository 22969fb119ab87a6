"""Polls the option chain of one underlying for everybody: every five minutes with jitter, and with back-off when it fails."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import date, datetime, timedelta
from typing import Any

from loguru import logger

from actors.pace import report
from actors.wire import decode_prices, encode
from runtime import channels
from runtime.chains import atm_strike, max_oi_strikes, pcr, pcr_change
from runtime.errors import BrokerError, InvalidMarketData
from runtime.market import InstrumentId, OptionChain, Right
from runtime.ports import Bus, OptionChainSource, Store

PARTICIPANT = "option-chain"
BACK_OFF = timedelta(seconds=5)


class OptionChainPoller:
    """Time is the market's (from the price channel), so that a replay polls at the same moments every time."""

    def __init__(
        self,
        *,
        bus: Bus,
        store: Store,
        source: OptionChainSource,
        underlying: InstrumentId,
        interval: timedelta = timedelta(minutes=5),
        jitter: timedelta = timedelta(seconds=10),
    ) -> None:
        self.ready = asyncio.Event()
        self.venue_time: datetime | None = None
        """How far the market has come, for sources that simulate one."""
        self._bus, self._store, self._source, self._underlying = bus, store, source, underlying
        self._interval, self._jitter = interval, jitter
        self._previous: OptionChain | None = None
        self._next_poll: datetime | None = None
        self._failures = 0

    async def run(self) -> None:
        async with self._bus.subscribe(channels.PRICES) as prices:
            latest = await self._bus.get_key(channels.PRICES_LATEST)
            if latest is not None:
                self.venue_time = decode_prices(latest).ts
            await self._poll(self.venue_time)
            await report(self._bus, PARTICIPANT, 0)
            self.ready.set()
            async for _, payload in prices:
                batch = decode_prices(payload)
                self.venue_time = batch.ts
                if self._next_poll is None or batch.ts >= self._next_poll:
                    await self._poll(batch.ts)
                if batch.barrier is not None:
                    await report(self._bus, PARTICIPANT, batch.barrier)

    async def _poll(self, now: datetime | None) -> None:
        try:
            expiry = await self._nearest_expiry()
            chain = await self._source.chain(self._underlying, expiry)
        except (BrokerError, InvalidMarketData) as error:
            self._failures += 1
            pause = min(self._interval, BACK_OFF * 2 ** min(self._failures - 1, 10))
            logger.warning("option chain of {} not taken ({} in a row), next try in {}: {}", self._underlying, self._failures, pause, error)
            self._next_poll = None if now is None else now + pause
            return
        self._failures = 0
        now = now or chain.taken_at
        self._next_poll = now + self._interval + self._jitter * _spread(self._underlying, now)
        await self._announce(chain)

    async def _nearest_expiry(self) -> date:
        expiries = await self._source.expiries(self._underlying)
        if not expiries:
            raise InvalidMarketData("expiries", [], f"the venue lists no expiry of {self._underlying}")
        return min(expiries)

    async def _announce(self, chain: OptionChain) -> None:
        if self._previous is not None and chain.taken_at < self._previous.taken_at:
            logger.warning("option chain of {} at {} is older than the last one: ignored", self._underlying, chain.taken_at)
            return
        payload = encode(chain)
        await self._bus.set_key(channels.latest_chain(self._underlying), payload)
        await self._bus.publish(channels.CHAINS, payload)
        await self._store.upsert("option_chains", {f"{self._underlying}:{chain.taken_at.isoformat()}": self._summary(chain)})
        self._previous = chain

    def _summary(self, chain: OptionChain) -> dict[str, Any]:
        previous = self._previous
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
