"""A running venue and a customer of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.venues.customer import Customer
from tests.venues.upstox import UpstoxVenue, simple

if TYPE_CHECKING:
    from tests.venues.official_sdk import Sdk


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=5) as client:
        yield client


@pytest.fixture
async def venue() -> AsyncIterator[UpstoxVenue]:
    """Bank Nifty at 09:20, one minute of trading behind every quote."""
    async with UpstoxVenue(simple(users=2)) as running:
        await running.advance(300)
        yield running


@pytest.fixture
def client(venue: UpstoxVenue, http: httpx.AsyncClient) -> Customer:
    return Customer(venue, http)


@pytest.fixture
def sdk(venue: UpstoxVenue) -> Iterator[Sdk]:
    """The official SDK in the hands of the same customer."""
    from tests.venues.official_sdk import Sdk

    with Sdk(venue) as customer:
        yield customer
