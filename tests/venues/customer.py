"""A customer at the local Upstox, speaking HTTP as any client would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import httpx

from tests.venues.upstox import UpstoxVenue

LOT = 30


class Customer:
    """One customer at the venue."""

    def __init__(self, venue: UpstoxVenue, http: httpx.AsyncClient, user_id: str = "U1") -> None:
        self.venue = venue
        self.http = http
        self.user_id = user_id

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.venue.token(self.user_id)}"}

    async def get(self, path: str, **query: str) -> Any:
        return (await self.http.get(self.venue.urls.rest + path, params=query, headers=self.headers)).json()["data"]

    async def place(self, **changes: Any) -> httpx.Response:
        body = order(self.venue, **changes)
        return await self.http.post(f"{self.venue.urls.orders}/v3/order/place", json=body, headers=self.headers)

    async def placed(self, **changes: Any) -> str:
        """The id of an order that was taken."""
        (order_id,) = (await self.place(**changes)).json()["data"]["order_ids"]
        return order_id

    async def status(self, order_id: str) -> str:
        return (await self.get("/v2/order/details", order_id=order_id))["status"]

    async def cancel(self, order_id: str) -> httpx.Response:
        return await self.http.delete(f"{self.venue.urls.orders}/v3/order/cancel", params={"order_id": order_id}, headers=self.headers)

    async def modify(self, order_id: str, **changes: Any) -> httpx.Response:
        body = {"order_id": order_id, "validity": "DAY", "order_type": "LIMIT", "price": 0, "trigger_price": 0} | changes
        return await self.http.put(f"{self.venue.urls.orders}/v3/order/modify", json=body, headers=self.headers)


async def until(condition: Callable[[], bool]) -> None:
    """Let everything else run until `condition` holds."""
    for _ in count():
        if condition():
            return
        await asyncio.sleep(0)


def call_52000(venue: UpstoxVenue) -> str:
    return venue.core.listing.of("NSE:BANKNIFTY26NOV52000CE").key


def order(venue: UpstoxVenue, **changes: Any) -> dict[str, Any]:
    fields = {
        "quantity": LOT,
        "product": "I",
        "validity": "DAY",
        "price": 0,
        "instrument_token": call_52000(venue),
        "order_type": "MARKET",
        "transaction_type": "BUY",
        "disclosed_quantity": 0,
        "trigger_price": 0,
        "is_amo": False,
    }
    return fields | changes


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["errors"][0]["error_code"]
