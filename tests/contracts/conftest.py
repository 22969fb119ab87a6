"""Brokers of the contract suites, as fixtures."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from runtime.accounts import Capability
from runtime.ports import Broker
from tests.contracts.rig import Listener, NetworkRig, Rig
from tests.contracts.rigs import RIGS, network_rig, rigs_with


@pytest.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Every broker."""
    async with RIGS[request.param]() as ready:
        yield ready


@pytest.fixture(params=rigs_with(Capability.NETWORK))
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[NetworkRig]:
    """Those that are reached over a network, which can fail in between."""
    async with network_rig(request.param)() as ready:
        yield ready


@pytest.fixture
async def account(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Broker, Listener]]:
    """Of the rig or wire that the test has asked for."""
    where: Rig = request.getfixturevalue("wire" if "wire" in request.fixturenames else "rig")
    broker = await where.broker()
    listener = Listener(broker)
    yield broker, listener
    await listener.close()
    await broker.close()
