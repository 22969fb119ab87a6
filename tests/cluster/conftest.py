"""One real system for all tests of this folder: Valkey, mongod, Ray and every actor, driven through Redis only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from actors.services import RunSpec
from actors.system import System
from tests.faults.outside import Outside

CLUSTER = [pytest.mark.cluster, pytest.mark.timeout(240)]
"""What each module here names as its `pytestmark`: the first test boots the system, one plays a whole day."""


class Platform(NamedTuple):
    system: System
    outside: Outside


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The market waits for `outside.begin()` and then goes as fast as everybody follows."""
    state = tmp_path_factory.mktemp("cluster") / "state"
    spec = RunSpec(state=str(state), speed=None, ticks_per_second=1, wait_for_begin=True, packed_hosts=2, dedicated_max=0)
    with System(spec) as system:
        outside = Outside(system.running.redis_url)
        yield Platform(system, outside)
        outside.close()


@pytest.fixture
def outside(platform: Platform) -> Outside:
    return platform.outside
