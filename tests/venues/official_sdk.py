"""The official SDK as a client of the local venue: typed REST calls in threads, and its two streamers."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import queue
import threading
import warnings
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import upstox_client
import websocket
from upstox_client.feeder.market_data_feeder_v3 import MarketDataFeederV3
from upstox_client.feeder.portfolio_data_feeder import PortfolioDataFeeder

from tests.venues.customer import call_52000
from tests.venues.upstox import TokenKind, UpstoxVenue
from tests.venues.upstox.feed_hub import FeedHub
from tests.venues.upstox.portfolio_hub import PortfolioHub

PATIENCE_SECONDS = 20.0


class Sdk:
    """One customer at the venue with the SDK in his hands. A context manager: its thread pools are closed with it."""

    def __init__(self, venue: UpstoxVenue, user_id: str = "U1", kind: TokenKind = TokenKind.ACCESS) -> None:
        configuration = upstox_client.Configuration()
        configuration.host, configuration.order_host = venue.urls.rest, venue.urls.orders
        configuration.access_token = venue.token(user_id, kind)
        # The SDK hangs handlers of its own on two loggers of the whole process.
        for name in ("upstox_client", "urllib3"):
            logging.getLogger(name).handlers.clear()
        self.venue = venue
        self.user_id = user_id
        self.client = upstox_client.ApiClient(configuration)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.client.pool.close()
        self.client.pool.join()
        self.client.rest_client.pool_manager.clear()

    async def call(self, api: str, method: str, *arguments: Any, **named: Any) -> Any:
        """`method` of the SDK's class `api`; the venue goes on meanwhile. Returns the SDK's model."""
        return await asyncio.to_thread(getattr(getattr(upstox_client, api)(self.client), method), *arguments, **named)

    def decode(self, payload: Any, model: str) -> Any:
        """A payload as the SDK reads it."""
        return self.client.deserialize(SimpleNamespace(data=json.dumps(payload)), model)


class _Thread:
    """Runs the socket of a feeder of the SDK against the venue's address instead of the one written into the SDK."""

    address: str
    ws: Any

    def connect(self) -> None:
        token = self.api_client.configuration.auth_settings()["OAUTH2"]["value"]  # type: ignore[attr-defined]
        self.ws = websocket.WebSocketApp(
            self.address,
            header={"Authorization": token},
            on_open=self.on_open,  # type: ignore[attr-defined]
            on_message=self.on_message,  # type: ignore[attr-defined]
            on_error=self.on_error,  # type: ignore[attr-defined]
            on_close=self.on_close,  # type: ignore[attr-defined]
        )
        self.thread = threading.Thread(target=self.ws.run_forever)
        self.thread.start()


class _MarketFeeder(_Thread, MarketDataFeederV3):
    pass


class _PortfolioFeeder(_Thread, PortfolioDataFeeder):
    pass


class Listener:
    """A streamer of the SDK, connected, with all its events in a queue. An async context manager."""

    def __init__(self, streamer: Any, feeder: Any, hub: FeedHub | PortfolioHub, user_id: str) -> None:
        self.streamer = streamer
        self._hub = hub
        self._user_id = user_id
        self._events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._feeders: list[Any] = []
        self._new_feeder = feeder
        streamer.connect = self._connect
        for event in ("open", "close", "message", "error", "reconnecting", "autoReconnectStopped"):
            streamer.on(event, self._put(event))

    def _put(self, event: str) -> Any:
        return lambda *arguments: self._events.put((event, arguments[0] if arguments else None))

    def _connect(self) -> None:
        self.streamer.feeder = self._new_feeder(self.streamer)
        self._feeders.append(self.streamer.feeder)
        self.streamer.feeder.connect()

    async def next(self, event: str = "message") -> Any:
        """The next event of this kind; what comes before it is dropped."""
        while True:
            kind, content = await asyncio.to_thread(self._events.get, True, PATIENCE_SECONDS)
            if kind == event:
                return content

    async def __aenter__(self) -> Self:
        self.streamer.connect()
        await self.next("open")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # A close by the client leaves the SDK's thread in a ten-second wait; one by the server ends it at once.
        self.streamer.disconnect_valid = True
        self._hub.close(1000, self._user_id)
        await self.ended()

    async def ended(self) -> None:
        """Wait for the SDK's threads and let go of their sockets."""
        for feeder in self._feeders:
            await asyncio.to_thread(feeder.thread.join, PATIENCE_SECONDS)
        self._feeders.clear()
        # websocket-client leaves the socket of a redirect to the garbage collector: it is collected here, in silence.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def market_data(sdk: Sdk, keys: list[str], mode: str) -> Listener:
    def feeder(streamer: Any) -> _MarketFeeder:
        made = _MarketFeeder(
            api_client=sdk.client,
            instrumentKeys=streamer.instrumentKeys,
            mode=streamer.mode,
            on_open=streamer.handle_open,
            on_message=streamer.handle_message,
            on_error=streamer.handle_error,
            on_close=streamer.handle_close,
        )
        made.address = sdk.venue.urls.feed
        return made

    return Listener(upstox_client.MarketDataStreamerV3(sdk.client, keys, mode), feeder, sdk.venue.core.feed, sdk.user_id)


def portfolio(sdk: Sdk, **wanted: bool) -> Listener:
    def feeder(streamer: Any) -> _PortfolioFeeder:
        made = _PortfolioFeeder(
            api_client=sdk.client,
            on_open=streamer.handle_open,
            on_message=streamer.handle_message,
            on_error=streamer.handle_error,
            on_close=streamer.handle_close,
            order_update=streamer.order_update,
            position_update=streamer.position_update,
            holding_update=streamer.holding_update,
            gtt_update=streamer.gtt_update,
        )
        made.address = sdk.venue.urls.portfolio + made.get_websocket_url().removeprefix(
            "wss://api.upstox.com/v2/feed/portfolio-stream-feed"
        )
        return made

    return Listener(upstox_client.PortfolioDataStreamer(sdk.client, **wanted), feeder, sdk.venue.core.portfolio, sdk.user_id)


def place_request(sdk: Sdk, **changes: Any) -> Any:
    fields = {
        "quantity": 30,
        "product": "I",
        "validity": "DAY",
        "price": 0.0,
        "tag": "referee",
        "slice": False,
        "instrument_token": call_52000(sdk.venue),
        "order_type": "MARKET",
        "transaction_type": "BUY",
        "disclosed_quantity": 0,
        "trigger_price": 0.0,
        "is_amo": False,
    }
    return upstox_client.PlaceOrderV3Request(**(fields | changes))


async def place(sdk: Sdk, **changes: Any) -> list[str]:
    response = await sdk.call("OrderApiV3", "place_order", place_request(sdk, **changes))
    assert response.status == "success"
    return response.data.order_ids
