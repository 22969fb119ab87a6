"""The one way to write a strategy: a class with a name, keyword parameters and `on_candle`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import ClassVar, Protocol, TypeAlias

import msgspec

from runtime.market import Candle, InstrumentId, OptionChain, Quote, Timeframe
from runtime.signals import Target

ParameterValue: TypeAlias = str | int | float | bool | list[str]


class MarketContext(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a strategy may know besides the candle; all of it as of the candle's close, never later.

    `volume` is what was traded in the candle's time: of the instrument itself or, on an index, of its near-month future (None
    where the venue gives none, as in a plain index file). `chain` is the newest option chain, `quotes` the newest quote of each subscribed contract. `session_open` and
    `session_close` bound the exchange session of this candle.
    """

    session_open: datetime
    session_close: datetime
    volume: float | None = None
    chain: OptionChain | None = None
    previous_chain: OptionChain | None = None
    quotes: Mapping[InstrumentId, Quote] = {}


class Strategy(Protocol):
    """Candles in, targets out. No clock, network, position or user.

    Instances are fed every closed candle of one instrument and timeframe in order, warm-up included. `describe` returns
    the values of the last candle (indicators, opening range, notes such as "volume filter off"), for `scan` and `explain`.
    """

    name: ClassVar[str]

    def on_candle(self, candle: Candle, context: MarketContext) -> Target | None: ...

    def describe(self) -> dict[str, float | str | None]: ...


def strategy_key(name: str, parameters: Mapping[str, ParameterValue], instrument: InstrumentId, timeframe: Timeframe) -> str:
    """Equal strategies share a key, so they run once: `index_options_scalper:NSE:BANKNIFTY:1m:5f0c2a9b`.

    The last part is a hash of the parameters in canonical order (sorted names, JSON values).
    """
    return _key(name, msgspec.json.encode(sorted(parameters.items())), instrument, timeframe)


@lru_cache(maxsize=4096)  # every trader asks for the keys of its subscriptions several times a signal
def _key(name: str, canonical: bytes, instrument: InstrumentId, timeframe: Timeframe) -> str:
    digest = hashlib.blake2s(canonical, digest_size=4).hexdigest()
    return f"{name}:{instrument}:{timeframe}:{digest}"
