"""What the Upstox adapters cost: frames to ticks, an order beside the bare HTTP call, silence noticed. `python -m tests.benchmarks.upstox`.

Decoding is measured in processor time, which is what a quiet machine's wall clock shows; the others wait for sockets.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from google.protobuf import json_format

from adapters.brokers.upstox.encode import place_request
from adapters.feeds.upstox.decode import FrameDecoder
from adapters.upstox.limiter import RateLimit
from adapters.upstox.messages import feed_response
from runtime.orders import OrderType
from tests.adapters.feeds.frames import feeds, full
from tests.benchmarks.report import figure, publish
from tests.contracts.rig import eventually, order
from tests.contracts.test_feed import Reader
from tests.contracts.upstox_rig import UpstoxRig
from tests.venues.upstox.faults import FeedSilence

FRAMES, INSTRUMENTS, WHOLE = 300, 50, 1_500
ORDERS = 60
STALE_SECONDS = 1.0
T0 = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


def decode(instruments: int, frames: int) -> tuple[list[float], list[float]]:
    """Processor milliseconds per frame of so many instruments, each with a trade and five levels; and what the vendor's client takes
    to make its dictionary of every tenth.
    """
    decoder = FrameDecoder()
    keys = [f"NSE_FO|{number}" for number in range(instruments)]
    for key in keys:
        decoder.follow(key, f"NSE:{key}")
    spent, client = list[float](), list[float]()
    for frame in range(frames):
        at = int((T0 + timedelta(milliseconds=100 * frame)).timestamp() * 1000)
        data = feeds(
            "live_feed",
            at,
            **{key: full(price=100.0 + frame % 7, traded_at=at, day_volume=75 * frame, bid=99.0, ask=101.0) for key in keys},
        )
        started = time.process_time()
        ticks = decoder.decode(data).ticks
        spent.append((time.process_time() - started) * 1e3)
        assert len(ticks) == instruments
        if frame % 10 == 0:
            started = time.process_time()
            json_format.MessageToDict(feed_response().FromString(data))
            client.append((time.process_time() - started) * 1e3)
    return spent, client


async def submit() -> tuple[list[float], list[float]]:
    """Wall milliseconds of a submit and of the same request sent bare, alternating."""
    through, bare = [], []
    async with UpstoxRig() as rig:
        broker, client = await rig.broker(order_limits=(RateLimit(100_000, 1.0),)), rig.client()
        url = f"{client.endpoints.orders}/v3/order/place"
        headers = {"Authorization": client.token.bearer()}
        for number in range(ORDERS):
            wanted = order(rig, f"o{number}", type=OrderType.LIMIT, limit_price=Decimal("1.00"))
            started = time.perf_counter()
            await broker.submit(wanted)
            through.append((time.perf_counter() - started) * 1e3)
            body = place_request(order(rig, f"b{number}"), rig.table.key(wanted.instrument.id), "I", Decimal(1))
            started = time.perf_counter()
            await client._http.post(url, json=body, headers=headers)
            bare.append((time.perf_counter() - started) * 1e3)
    return through, bare


async def silence() -> float:
    """Seconds from the limit of a feed's silence to the word that it is down."""
    async with UpstoxRig() as rig:
        feed = rig.feed(stale_seconds=STALE_SECONDS)
        await feed.subscribe([rig.index])
        reader = Reader(feed)
        await eventually(lambda: reader.ticks(rig.index), rig.advance)
        rig.venue.faults.add(FeedSilence(seconds=3600))
        started = time.monotonic()
        await eventually(lambda: feed.health.state == "STALE")
        late = time.monotonic() - started - STALE_SECONDS
        await reader.close()
        await feed.close()
    return max(late, 0.0)


def main() -> None:
    frames, client = decode(INSTRUMENTS, FRAMES)
    whole, client_whole = decode(WHOLE, 20)  # ten frames of x ms in a second are x % of it
    through, bare = asyncio.run(submit())
    overhead = [ours - theirs for ours, theirs in zip(through, bare, strict=True)]
    late = [asyncio.run(silence()) for _ in range(3)]
    publish(
        "upstox",
        {"instruments": INSTRUMENTS, "whole": WHOLE, "orders": ORDERS},
        [
            figure(
                f"full frame of {INSTRUMENTS} instruments to ticks",
                "ms",
                frames,
                goal={"p50": 0.3},
                baseline=("the vendor's client", client),
            ),
            figure(
                f"{WHOLE} instruments, ten frames a second: share of a core",
                "%",
                whole,
                goal={"p50": 50.0},
                baseline=("the vendor's client", client_whole),
            ),
            figure("submit, over the bare HTTP call", "ms", overhead, goal={"p50": 1.0}, baseline=("the bare HTTP call", bare)),
            figure("silence noticed after its limit", "s", late, goal={"p99": 2.0}),
        ],
    )


if __name__ == "__main__":
    main()
